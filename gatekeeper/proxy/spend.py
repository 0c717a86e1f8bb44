"""The journal's reader that keeps each key's spend on disk, so that a budget survives any stop."""

from __future__ import annotations

from gatekeeper.keys import store
from gatekeeper.keys.registry import Registry
from gatekeeper.keys.virtual_key import Settlement
from gatekeeper.ledger.call import Call, Position
from gatekeeper.ledger.consumers import Batch


def ended_at(call: Call) -> int:
    """When the call ended, microseconds since 1970; an interrupted call counts from its start."""
    return call.started_at + round((call.duration_ms or 0.0) * 1000)


def settlement(call: Call) -> Settlement | None:
    """What the call costs its key: the cost, or what the budget is charged instead, if anything."""
    if call.key_id is None:
        return None
    if call.charged_pico is not None:
        return Settlement(call.key_id, call.charged_pico, ended_at(call), estimated=True)
    return Settlement(call.key_id, call.cost_pico or 0, ended_at(call))


class KeySpend:
    """Consumer of the journal. While `replaying`, at a start, it also brings memory up to the journal's end;
    later memory knows each cost before the journal does."""

    def __init__(self, registry: Registry, watermark: store.Position) -> None:
        self._registry = registry
        self.watermark = Position(*watermark)
        self.replaying = True

    async def take(self, batch: Batch) -> None:
        settled = [counted for _, call in batch.calls if (counted := settlement(call))]
        if self.replaying:
            self._registry.replay(settled)
        await self._registry.charge(settled, *batch.end)
        self.watermark = batch.end
