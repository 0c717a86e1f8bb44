"""Questions to the analytics file, and what the answer lacks while that file is out of reach."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar

from gatekeeper.admin.gateway import gateway

if TYPE_CHECKING:
    from gatekeeper.ledger.analytics import Analytics


T = TypeVar("T")


class Found(NamedTuple, Generic[T]):
    """`absence` says why the file was out of reach, None where it was not: then the calls are those since it
    was let go."""

    value: T
    absence: str | None

    @property
    def gaps(self) -> dict[str, bool | str]:
        """What a document says of it: `"partial": true` and why, or nothing."""
        return {"partial": True, "partial_reason": self.absence} if self.absence else {}


async def ask(question: Callable[[Analytics], T]) -> Found[T]:
    """The answer over all calls that have ended by now. Raises AnalyticsError, and what the question does."""
    desk = gateway().ledger.desk
    return await desk.ask(lambda analytics: Found(question(analytics), desk.absence))
