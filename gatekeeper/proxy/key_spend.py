"""The journal's consumer that stores each key's spend, so that a budget survives a restart."""

from __future__ import annotations

from gatekeeper.keys import store
from gatekeeper.keys.registry import KeyRegistry
from gatekeeper.keys.virtual_key import Settlement
from gatekeeper.ledger.call import Call, Position
from gatekeeper.ledger.consumers import Batch


def ended_at(call: Call) -> int:
    """When the call ended, microseconds since 1970; an interrupted call counts from its start."""
    return call.started_at + round((call.duration_ms or 0.0) * 1000)


def settlement(call: Call) -> Settlement | None:
    """What the call's key is charged, if it has one: the cost, or the upper bound in place of it."""
    if call.key_id is None:
        return None
    if call.charged_pico is not None:
        return Settlement(call.key_id, call.charged_pico, ended_at(call), estimated=True)
    return Settlement(call.key_id, call.cost_pico or 0, ended_at(call))


class KeySpend:
    """Consumer of the journal. While `replaying`, at startup, it also updates the spend in memory; afterwards
    that is updated before the journal is consumed."""

    def __init__(self, registry: KeyRegistry, watermark: store.Position) -> None:
        self._registry = registry
        self.watermark = Position(*watermark)
        self.replaying = True

    async def consume(self, batch: Batch) -> None:
        settled = [counted for _, call in batch.calls if (counted := settlement(call))]
        if self.replaying:
            self._registry.replay(settled)
        await self._registry.store_spend(settled, *batch.end)
        self.watermark = batch.end
