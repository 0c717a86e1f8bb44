"""A batch of journal lines for a consumer, and the protocol of a consumer. `consumers` runs them."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from gatekeeper.ledger.call import Amendment, CallRecord, JournalEntry, Position


class Batch(NamedTuple):
    """The finished calls and the amendments between two positions of the journal, each with the position
    after it. An amendment comes after its call, maybe in an earlier batch. Others have the same objects: they
    must not be changed."""

    start: Position
    entries: list[tuple[Position, JournalEntry]]
    end: Position

    @property
    def calls(self) -> list[tuple[Position, CallRecord]]:
        return [(position, entry) for position, entry in self.entries if isinstance(entry, CallRecord)]

    @property
    def amendments(self) -> list[Amendment]:
        return [entry for _, entry in self.entries if isinstance(entry, Amendment)]


class Consumer(Protocol):
    """A reader of the journal. `consume` makes a batch and the consumer's watermark durable in one
    transaction, so that each call is stored exactly once, whenever the process crashes."""

    @property
    def watermark(self) -> Position:
        """The position up to which it has consumed every call; `START` for none."""
        ...

    async def consume(self, batch: Batch) -> None:
        """Stores a batch, which follows its watermark; the watermark becomes the batch's end.

        If it raises, the same calls are offered again after a growing delay. If it leaves the watermark
        unchanged ("not now"), they are offered again in the next round."""
        ...
