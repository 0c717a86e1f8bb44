"""Questions to the analytics file, with what the answer lacks while another program has that file."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar

from gatekeeper.admin.gateway import gateway

if TYPE_CHECKING:
    from gatekeeper.ledger.analytics import Analytics


T = TypeVar("T")


class Found(NamedTuple, Generic[T]):
    """`whole` is false where the file was out of reach: then the calls are those since it was let go."""

    value: T
    whole: bool

    @property
    def gaps(self) -> dict[str, bool]:
        """What a document says of it: `"partial": true`, or nothing."""
        return {} if self.whole else {"partial": True}


async def ask(question: Callable[[Analytics], T]) -> Found[T]:
    """The answer over all calls that have ended by now. Raises AnalyticsError, and what the question does."""
    return await gateway().ledger.desk.ask(
        lambda analytics: Found(question(analytics), analytics.watermark() is not None)
    )
