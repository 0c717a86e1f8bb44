"""Batches and the storage of cached contents, whenever the process is killed, and whatever of the journal was
stored by then: each is charged once, to the last token-second."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from rig.examples import examples

from gatekeeper.gemini.billed_resources import CachedContent
from gatekeeper.keys.fields import KeyFields
from gatekeeper.keys.google_keys import GoogleKeys
from gatekeeper.keys.journal_consumer import KeyStoreProjection, SqliteFreeSearchStore, charge_of
from gatekeeper.keys.long_decodes import LongDecodes, SqliteContinuationStore
from gatekeeper.keys.owners import Owners, SqliteOwnerStore
from gatekeeper.keys.pending_charges import PendingCharges, SqlitePendingStore
from gatekeeper.keys.registry import KeyRegistry
from gatekeeper.keys.sqlite_store import SqliteKeyStore
from gatekeeper.ledger.call import START, Amendment, CallRecord, Outcome, PendingCharge
from gatekeeper.ledger.journal_entries import Batch
from gatekeeper.ledger.ledger import Ledger
from gatekeeper.logs import RateLimitedLog
from gatekeeper.proxy.cache_storage import PERIOD, SECOND, pending_storage
from gatekeeper.proxy.deferred_charges import DeferredCharges
from gatekeeper.startup import load_catalogue

CATALOGUE = load_catalogue()
BEGIN = 1_768_478_400 * SECOND
BATCH_PICO = 7


class World:
    """One gateway after another on the same folder, and what should have been charged in all."""

    def __init__(self, folder: Path) -> None:
        self.store = SqliteKeyStore(folder / "keys.sqlite")
        self.ledger = Ledger(folder, "UTC")
        self.now = BEGIN
        self.lives: list[tuple[int, int]] = []  # when each cached content was made, and expires
        self.batches = self.settled = 0
        self.key = ""

    async def start(self) -> None:
        """A new process: memory is what the stores have, and the journal from the watermark on."""
        self.registry = KeyRegistry(self.store)
        self.pending = PendingCharges(SqlitePendingStore(self.store))
        await self.pending.load()
        decodes = LongDecodes(SqliteContinuationStore(self.store))
        searches = SqliteFreeSearchStore(self.store)
        owners = Owners(SqliteOwnerStore(self.store), self.registry.sharing, shows_unowned=False)
        watermark = await self.registry.load()
        self.spend = KeyStoreProjection(
            self.registry, decodes, searches, self.pending, owners, GoogleKeys(()), watermark
        )
        await self.consume(1000)
        self.spend.replaying = False
        errors = RateLimitedLog("failed")
        self.deferred = DeferredCharges(self.pending, self.ledger, self.registry, errors)

    async def consume(self, limit: int) -> None:
        entries, end = self.ledger.journal.read(self.spend.watermark, limit)
        await self.spend.consume(Batch(self.spend.watermark, entries, end))

    def end(self, call: CallRecord) -> None:
        self.ledger.end(call)
        charge = charge_of(call)
        assert charge is not None
        self.registry.settle(charge)
        self.deferred.apply_ended_call(call, None, CATALOGUE, is_complete=True)

    def call(self, number: int) -> CallRecord:
        call = CallRecord(id=str(number), started_at=self.now, method="POST", path="/", key_id=self.key)
        return replace(call, model="gemini-2.5-flash", outcome=Outcome.OK)

    async def step(self, number: int, kind: str, value: int) -> None:
        self.now += value * 7 * 60 * SECOND
        if kind == "cache":
            expires = self.now + value * PERIOD // 2
            call = replace(self.call(number), cost_pico=0)
            name = f"cachedContents/{number}"
            content = CachedContent(name=name, tokens=1, created_at=self.now, expires_at=expires)
            self.end(replace(call, pending=pending_storage(call, content)))
            self.lives.append((self.now, expires))
        elif kind == "batch":
            pending = PendingCharge(begun_by=str(number), resource=f"batches/{number}")
            self.end(replace(self.call(number), charged_pico=1000, pending=pending))
            self.batches += 1
        elif kind == "result":
            for state in self.pending.all()[: value or 1]:
                if state.pending and state.pending.tokens is None:
                    done = PendingCharge(begun_by=state.id)
                    known = replace(state, cost_pico=BATCH_PICO, charged_pico=None, pending=done)
                    for _ in range(2):  # two clients see it at once
                        self.deferred.amend(known)
                    self.settled += 1
        elif kind == "sweep":
            self.deferred.sweep(self.now, CATALOGUE)
        elif kind == "consume":
            await self.consume(value + 1)
        elif kind == "kill":
            await self.start()

    def storage(self) -> list[CallRecord]:
        """The rows of storage as a reader of the whole journal has them."""
        rows: dict[str, CallRecord] = {}
        for _, entry in self.ledger.journal.read(START, 10_000)[0]:
            call = entry.call if isinstance(entry, Amendment) else entry
            if call.action == "cache.storage":
                rows[call.id] = call
        return list(rows.values())

    def check(self) -> None:
        state = self.registry.by_id(self.key)
        assert state is not None
        stored = sum(row.cost_pico or 0 for row in self.storage())
        unsettled = self.batches - self.settled
        assert state.spend_pico == stored + self.settled * BATCH_PICO + unsettled * 1000
        assert state.estimated_pico == unsettled * 1000


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["cache", "batch", "result", "sweep", "sweep", "consume", "kill"]), st.integers(0, 20)
    ),
    max_size=20,
)


@settings(max_examples=examples(10))
@given(STEPS)
def test_each_charge_is_there_once(steps: list[tuple[str, int]]) -> None:
    trio.run(run_steps, steps)


async def run_steps(steps: list[tuple[str, int]]) -> None:
    with TemporaryDirectory() as name:
        world = World(Path(name))
        await world.start()
        _, state = await world.registry.create(KeyFields({}), now=1, by="test")
        world.key = state.record.token_id
        for number, (kind, value) in enumerate(steps):
            await world.step(number, kind, value)
            world.check()
        world.now += 10 * PERIOD
        for kind in ("sweep", "kill", "sweep"):
            await world.step(len(steps), kind, 0)
        world.check()
        lived = sum((expires - made) // SECOND for made, expires in world.lives)
        units = [(row.billed_units or {}).values() for row in world.storage()]
        assert sum(sum(filter(None, each)) for each in units) == lived
        waiting = [state for state in world.pending.all() if state.pending and state.pending.tokens]
        assert waiting == []
        await world.ledger.close()
        world.store.close()
