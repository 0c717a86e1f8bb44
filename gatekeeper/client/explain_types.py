"""The document of `POST /key/explain` as types."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

import msgspec


class LimitLeft(msgspec.Struct, frozen=True):
    """What is left of one limit; amounts are USD as text, or counts."""

    whose: str = ""
    limit: str = ""
    value: str | int = 0
    used: str | int = 0
    left: str | int = 0
    resets_at: datetime | None = None


class RefusalError(msgspec.Struct, frozen=True):
    """The error that a refused call gets, in Google's form."""

    code: int = 0
    message: str = ""
    details: tuple[dict[str, object], ...] = ()

    @property
    def reason(self) -> str:
        """The gateway's reason."""
        return next((str(detail["reason"]) for detail in self.details if "reason" in detail), "")

    @property
    def retry_delay(self) -> str | None:
        """How long to wait, such as `17s`, if that helps."""
        return next((str(detail["retryDelay"]) for detail in self.details if "retryDelay" in detail), None)


class RefusalDocument(msgspec.Struct, frozen=True):
    error: RefusalError = RefusalError()


class Explanation(msgspec.Struct, frozen=True):
    """Whether a call would be admitted. `waits`: for other calls, that hold what is left of a budget;
    `reserves` is what it would reserve of budgets; None: nothing."""

    admitted: bool = False
    action: str | None = None
    model: str | None = None
    refusal: RefusalDocument | None = None
    waits: bool = False
    reserves: Decimal | None = None
    left: tuple[LimitLeft, ...] = ()
