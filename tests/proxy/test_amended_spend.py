"""An amendment changes its key's spend by the difference, once: in memory at once, and in the store with the
watermark, whenever the process is killed."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from rig.examples import examples

from gatekeeper.keys.fields import KeyFields
from gatekeeper.keys.google_keys import GoogleKeys
from gatekeeper.keys.journal_consumer import KeyStoreProjection, SqliteFreeSearchStore, charge_of, correction
from gatekeeper.keys.limits import Limits
from gatekeeper.keys.long_decodes import LongDecodes, SqliteContinuationStore
from gatekeeper.keys.owners import Owners, SqliteOwnerStore
from gatekeeper.keys.pending_charges import PendingCharges, SqlitePendingStore
from gatekeeper.keys.registry import KeyRegistry
from gatekeeper.keys.spend import AccountCharge
from gatekeeper.keys.sqlite_store import SqliteKeyStore
from gatekeeper.ledger.call import Amendment, CallRecord, Outcome
from gatekeeper.ledger.journal import Journal
from gatekeeper.ledger.journal_entries import Batch

SECOND = 10**6


def test_what_an_amendment_changes() -> None:
    call = CallRecord(id="1", started_at=5, duration_ms=1.0, method="POST", path="/", key_id="k", cost_pico=7)
    amendment = Amendment(call=call, charged_before=100, estimated_before=True)
    assert correction(amendment) == (
        AccountCharge("k", -100, 1005, estimated=True),
        AccountCharge("k", 7, 1005),
    )
    assert correction(Amendment(call=replace(call, key_id=None))) == ()


async def test_a_budget_that_is_younger_than_a_call_gains_nothing_by_its_amendment(tmp_path: Path) -> None:
    store = SqliteKeyStore(tmp_path / "keys.sqlite")
    registry, journal = KeyRegistry(store), Journal(tmp_path)
    _, state = await registry.create(KeyFields({}), now=SECOND, by="test")
    call = CallRecord(
        id="1", started_at=2 * SECOND, method="POST", path="/", key_id=state.record.token_id, charged_pico=900
    )
    journal.end(call)
    follower = await opened(registry, store)
    await consume_all(journal, follower)

    registry = KeyRegistry(store, gateway=Limits(max_budget_pico=100))
    follower = await opened(registry, store)
    follower.replaying = False
    known = replace(call, charged_pico=None, cost_pico=70)
    amendment = Amendment(call=known, charged_before=900, estimated_before=True)
    journal.amend(amendment)
    registry.replay(correction(amendment))
    account = present(registry.accounts.gateway)
    assert (account.spend_pico, account.estimated_pico) == (70, 0)
    assert present(registry.by_id(state.record.token_id)).spend_pico == 70
    await consume_all(journal, follower)

    again = KeyRegistry(store, gateway=Limits(max_budget_pico=100))
    await opened(again, store)
    assert present(again.accounts.gateway).spend_pico >= 0
    assert present(again.by_id(state.record.token_id)).spend_pico == 70
    journal.close()
    store.close()


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("end"), st.integers(0, 1000)),
        st.tuples(st.just("amend"), st.integers(0, 1000)),
        st.tuples(st.just("consume"), st.integers(1, 4)),
        st.tuples(st.just("kill"), st.just(0)),
    ),
    max_size=20,
)


@settings(max_examples=examples(15))
@given(STEPS)
def test_the_spend_is_the_sum_of_the_last_charges_whenever_the_process_is_killed(
    steps: list[tuple[str, int]],
) -> None:
    trio.run(replay_steps, steps)


async def replay_steps(steps: list[tuple[str, int]]) -> None:
    with TemporaryDirectory() as name:
        folder = Path(name)
        store = SqliteKeyStore(folder / "keys.sqlite")
        registry, journal = KeyRegistry(store), Journal(folder)
        follower = await opened(registry, store)
        follower.replaying = False
        _, state = await registry.create(KeyFields({}), now=SECOND, by="test")
        key = state.record.token_id
        charges: dict[str, CallRecord] = {}
        for number, (step, value) in enumerate(steps):
            if step == "end":
                call = CallRecord(id=str(number), started_at=2 * SECOND, method="POST", path="/", key_id=key)
                call = replace(call, outcome=Outcome.OK, charged_pico=value)
                charges[call.id] = call
                journal.end(call)
                registry.settle(present(charge_of(call)))
            elif step == "amend" and charges:
                before = charges[min(charges)]
                call = replace(before, charged_pico=None, cost_pico=value)
                old = present(charge_of(before))
                amendment = Amendment(call=call, charged_before=old.cost_pico, estimated_before=old.estimated)
                charges[call.id] = call
                journal.amend(amendment)
                registry.replay(correction(amendment))
            elif step == "consume":
                entries, end = journal.read(follower.watermark, value)
                await follower.consume(Batch(follower.watermark, entries, end))
            elif step == "kill":
                registry = KeyRegistry(store)
                follower = await opened(registry, store)
                await consume_all(journal, follower)
                follower.replaying = False
            state = present(registry.by_id(key))
            assert (state.spend_pico, state.estimated_pico) == sums(charges)
        await consume_all(journal, follower)
        (loaded,) = store.load().states
        assert (loaded.spend_pico, loaded.estimated_pico) == sums(charges)
        journal.close()
        store.close()


async def opened(registry: KeyRegistry, store: SqliteKeyStore) -> KeyStoreProjection:
    pending = PendingCharges(SqlitePendingStore(store))
    await pending.load()
    decodes = LongDecodes(SqliteContinuationStore(store))
    owners = Owners(SqliteOwnerStore(store), registry.sharing, shows_unowned=False)
    searches = SqliteFreeSearchStore(store)
    return KeyStoreProjection(
        registry, decodes, searches, pending, owners, GoogleKeys(()), await registry.load()
    )


async def consume_all(journal: Journal, follower: KeyStoreProjection) -> None:
    entries, end = journal.read(follower.watermark, 1000)
    await follower.consume(Batch(follower.watermark, entries, end))


def sums(calls: dict[str, CallRecord]) -> tuple[int, int]:
    charges = [present(charge_of(call)) for call in calls.values()]
    estimates = sum(charge.cost_pico for charge in charges if charge.estimated)
    return sum(charge.cost_pico for charge in charges), estimates


def present(value):
    assert value is not None
    return value
