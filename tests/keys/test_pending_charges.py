"""Pending charges are a projection of the journal: whenever the process is killed, each is there once."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from rig.registry import key_store

from gatekeeper.keys.pending_charges import PendingCharges, SqlitePendingStore
from gatekeeper.ledger.call import Amendment, CallRecord, Outcome, PendingCharge, Position
from gatekeeper.ledger.journal import Journal


def row(call_id: str, resource: str | None, begun_by: str | None = None) -> CallRecord:
    call = CallRecord(id=call_id, started_at=1, method="POST", path="/\ud800", outcome=Outcome.OK)
    call.pending = PendingCharge(begun_by=begun_by or call_id, resource=resource)
    return call


def shown(pending: PendingCharges) -> dict[str, str]:
    """What each charge waits for."""
    found = {call.pending.begun_by: call.pending.resource for call in pending.all() if call.pending}
    for begun_by, resource in found.items():
        assert resource is not None
        assert pending.find(resource) is pending.begun_by(begun_by)
    return {name: resource or "" for name, resource in found.items()}


def test_a_charge_moves_on_until_it_is_settled() -> None:
    pending = PendingCharges(None, limit=1)  # type: ignore[arg-type]
    pending.apply(CallRecord(id="0", started_at=1, method="GET", path="/"))
    pending.apply(row("1", "batches/b"))
    pending.apply(row("1", "files/f"))
    assert (shown(pending), pending.find("batches/b"), pending.surplus()) == ({"1": "files/f"}, None, [])
    pending.apply(row("2", "batches/c"))
    assert [call.id for call in pending.surplus()] == ["1"]
    pending.apply(row("3", None, begun_by="1"))
    pending.apply(row("3", None, begun_by="1"))
    assert shown(pending) == {"2": "batches/c"}


KINDS = st.sampled_from(["begin", "move", "settle", "store", "kill"])
STEPS = st.lists(st.tuples(KINDS, st.integers(0, 5)), max_size=25)


@settings(max_examples=40)
@given(STEPS)
def test_each_is_there_once_whenever_the_process_is_killed(steps: list[tuple[str, int]]) -> None:
    trio.run(replay_steps, steps)


async def replay_steps(steps: list[tuple[str, int]]) -> None:
    """The process: memory first, the store behind it, the watermark last, maybe never."""
    with TemporaryDirectory() as name:
        store = key_store(Path(name) / "keys.sqlite")
        journal, pending = Journal(Path(name)), PendingCharges(SqlitePendingStore(store))
        watermark, stored, expected = Position(0, 0), Position(0, 0), dict[str, str]()
        for number, (step, which) in enumerate([*steps, ("kill", 0)]):
            if step == "begin":
                begun = row(str(number), f"batches/{number}")
                journal.end(begun)
                pending.apply(begun)
                expected[begun.id] = f"batches/{number}"
            elif step in ("move", "settle") and expected:
                call_id = list(expected)[which % len(expected)]
                changed = row(call_id, f"files/{number}" if step == "move" else None)
                journal.amend(Amendment(call=changed))
                pending.apply(changed)
                del expected[call_id]
                if step == "move":
                    expected[call_id] = f"files/{number}"
            elif step == "store":
                entries, stored = journal.read(watermark, which or 1)
                await pending.store([getattr(entry, "call", entry) for _, entry in entries])
                # Killed before the watermark is stored, it is offered again.
                watermark = stored if which % 2 else watermark
            elif step == "kill":
                pending = PendingCharges(SqlitePendingStore(store))
                await pending.load()
                for _, entry in journal.read(watermark, 1000)[0]:
                    pending.apply(getattr(entry, "call", entry))
            assert shown(pending) == expected
        journal.close()
        store.close()
