"""Whose a resource is: a projection of the journal, right at each step, however much of it memory holds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from time import time_ns

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from rig.examples import examples
from rig.registry import key_store, update_key

from gatekeeper.gemini.request_summary import Reference
from gatekeeper.gemini.resource_names import OwnedResource
from gatekeeper.keys.fields import parse_fields
from gatekeeper.keys.owners import FILES_KEPT_MICROS, Owner, Owners, SqliteOwnerStore
from gatekeeper.keys.registry import KeyRegistry
from gatekeeper.keys.sqlite_store import SqliteKeyStore
from gatekeeper.keys.virtual_key import KeyRecord, KeyState, Sharing
from gatekeeper.ledger.call import CallRecord, CreatedResources, Outcome, Position
from gatekeeper.ledger.journal import Journal

NAMES = [f"files/{letter}" for letter in "abcde"] + ["fileSearchStores/s"]


def nobody(_token_id: str) -> Sharing:
    return Sharing()


def made(name: str, key_id: str, at: int = 1, *, of: str | None = None) -> CallRecord:
    call = CallRecord(id=f"{name} {at}", started_at=at, method="POST", path="/", outcome=Outcome.OK)
    call.key_id, call.user_id, call.upstream_key = key_id, "u", "#1"
    call.made = CreatedResources((name,), of)
    return call


def gone(name: str, outcome: Outcome = Outcome.OK) -> CallRecord:
    return CallRecord(id=f"-{name}", started_at=1, method="DELETE", path="/", resource=name, outcome=outcome)


def state(token_id: str) -> KeyState:
    return KeyState(
        record=KeyRecord(token_id=token_id, secret_hash="", key_name="", created_at=0, updated_at=0)
    )


async def test_a_resource_is_seen_by_the_key_that_made_it_and_by_the_master_key(tmp_path: Path) -> None:
    owners = Owners(SqliteOwnerStore(SqliteKeyStore(tmp_path / "keys")), nobody, shows_unowned=False)
    owners.apply(made("fileSearchStores/s", "one"))
    for name in ("fileSearchStores/s", "fileSearchStores/s/documents/d"):
        seen = [owners.may_see(key, name) for key in (state("one"), state("two"), None)]
        assert seen == [True, False, True]
    assert owners.owner_of("fileSearchStores/s/documents/d") == Owner("one", "u", "#1", 1)
    assert owners.may_see(state("two"), "models/gemini")
    owners.apply(made("files/result", "two", of="one"))
    assert owners.owner_of("files/result") == Owner("one", None, "#1", 1)


async def test_what_nobody_made_is_shown_by_the_setting(tmp_path: Path) -> None:
    store = SqliteOwnerStore(SqliteKeyStore(tmp_path / "keys"))
    for shows in (False, True):
        owners = Owners(store, nobody, shows_unowned=shows)
        assert owners.may_see(state("one"), "files/x") is shows
        owners.apply(made("files/x", "one"))
        owners.apply(gone("files/x", Outcome.UPSTREAM_ERROR))
        assert owners.may_see(state("one"), "files/x")
        assert not owners.may_see(state("two"), "files/x")
        owners.apply(gone("files/x"))
        assert owners.owner_of("files/x") is None


async def test_a_clock_that_is_ahead_for_a_while_makes_no_file_another_keys(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now, ahead = time_ns() // 1000, 61 * 24 * 3600 * 10**6
    store = SqliteOwnerStore(SqliteKeyStore(tmp_path / "keys"))
    owners = Owners(store, nobody, shows_unowned=True)
    await owners.store([made("files/a", "one", now)])
    with monkeypatch.context() as jump:
        jump.setattr("gatekeeper.keys.owners.time_ns", lambda: time_ns() + ahead * 1000)
        await owners.store([made("files/b", "one", now + ahead)])
    # And one that began before the clock was set right.
    await owners.store([made("files/c", "one", now + ahead)])
    assert sorted(store.latest(9)) == ["files/a", "files/b", "files/c"]


async def test_files_are_forgotten_late_and_nothing_else_is(tmp_path: Path) -> None:
    owners = Owners(store := SqliteOwnerStore(SqliteKeyStore(tmp_path / "keys")), nobody, shows_unowned=False)
    await owners.store([made("files/old", "one", 1), made("batches/old", "one", 1)])
    await owners.store([made("files/new", "one", FILES_KEPT_MICROS + 1)])
    assert sorted(store.latest(9)) == ["batches/old", "files/new", "files/old"]
    await owners.store([made("files/newer", "one", FILES_KEPT_MICROS + 2)])
    assert sorted(store.latest(9)) == ["batches/old", "files/new", "files/newer"]


async def test_what_memory_does_not_hold_is_hidden_until_it_is_looked_up(tmp_path: Path) -> None:
    store = SqliteOwnerStore(SqliteKeyStore(tmp_path / "keys"))
    await Owners(store, nobody, shows_unowned=True).store([made(f"files/{n}", "one", n) for n in range(5)])
    owners = Owners(store, nobody, shows_unowned=True, limit=2)
    await owners.load()
    names = [f"files/{n}" for n in range(5)]
    assert [owners.may_see(state("one"), name) for name in names] == [False, False, False, True, True]
    assert not owners.may_see(state("two"), "files/0")
    assert not owners.may_see(state("two"), "files/never")
    for name in names:
        await owners.prepare([name])
        assert [owners.may_see(state(key), name) for key in ("one", "two")] == [True, False]
    # Where the master key asks, it must be known which Google key has it.
    assert await owners.refusal(None, OwnedResource("files/0")) is None
    assert await owners.body_refusal(None, [Reference("files/1")]) is None
    assert [owner and owner.key_id for owner in map(owners.owner_of, names[:2])] == ["one", "one"]
    await owners.prepare(["files/never"])
    assert owners.may_see(state("two"), "files/never")


async def test_what_is_made_while_its_name_is_looked_up_has_its_maker(tmp_path: Path) -> None:
    class Slow(SqliteOwnerStore):
        """By the time that its answer arrives, a call has made or deleted what was asked for."""

        meanwhile: CallRecord

        def find(self, names: Sequence[str]) -> dict[str, Owner]:
            found = super().find(names)
            trio.from_thread.run_sync(owners.apply, self.meanwhile)
            trio.from_thread.run(owners.store, [self.meanwhile])
            return found

    store = Slow(SqliteKeyStore(tmp_path / "keys"))
    await Owners(store, nobody, shows_unowned=True).store([made(f"files/{n}", "one", n) for n in range(5)])
    owners = Owners(store, nobody, shows_unowned=True, limit=2)
    await owners.load()
    for store.meanwhile, seen in (
        (made("files/new", "one", 9), [True, False]),
        (gone("files/0"), [True, True]),
    ):
        name = store.meanwhile.resource or "files/new"
        await owners.prepare([name])
        assert [owners.may_see(state(key), name) for key in ("one", "two")] == seen


async def test_what_a_key_shares_is_seen_by_its_group_or_by_all(tmp_path: Path) -> None:
    store = SqliteKeyStore(tmp_path / "keys")
    registry = KeyRegistry(store)
    owners = Owners(SqliteOwnerStore(store), registry.sharing, shows_unowned=False)
    states: dict[str, KeyState] = {}
    for alias, group in (("owner", "g"), ("same", "g"), ("other", "h"), ("none", None)):
        fields = parse_fields({"key_alias": alias, "group": group}, now=0)
        _, states[alias] = await registry.create(fields, now=0, by="t")
    owners.apply(made("files/x", owner := states["owner"].record.token_id))

    async def seen(**change: object) -> list[str]:
        await update_key(registry, "owner", parse_fields(change, now=0, update=True), now=0, by="t")
        return [alias for alias, state in states.items() if owners.may_see(state, "files/x")]

    assert await seen(share=None) == ["owner"]
    assert await seen(share="group") == ["owner", "same"]
    assert await seen(group="h") == ["owner", "other"]
    assert await seen(group=None) == ["owner"]
    assert await seen(share="all") == ["owner", "same", "other", "none"]
    assert await seen(share="group", group="g") == ["owner", "same"]
    # Of a deleted key they stay with those who saw them, also after a restart.
    await registry.delete(["owner"], now=0, by="t")
    del states["owner"]
    await (restarted := KeyRegistry(store)).load()
    for keys in (registry, restarted):
        owners = Owners(SqliteOwnerStore(store), keys.sharing, shows_unowned=False)
        owners.apply(made("files/x", owner))
        assert [alias for alias, state in states.items() if owners.may_see(state, "files/x")] == ["same"]


STEPS = st.lists(
    st.tuples(st.sampled_from(["make", "delete", "store", "kill", "ask"]), st.integers(0, 5)), max_size=30
)


@settings(max_examples=examples(30))
@given(STEPS, st.integers(1, 4))
def test_each_name_has_its_latest_owner_whenever_the_process_is_killed(
    steps: list[tuple[str, int]], limit: int
) -> None:
    trio.run(replay_steps, steps, limit)


async def replay_steps(steps: list[tuple[str, int]], limit: int) -> None:
    """The process: memory first, the store behind it, the watermark last, maybe never."""
    with TemporaryDirectory() as folder:
        keys = key_store(Path(folder) / "keys.sqlite")
        journal = Journal(Path(folder))
        owners = Owners(SqliteOwnerStore(keys), nobody, shows_unowned=False, limit=limit)
        watermark, offered, expected = Position(0, 0), 1, dict[str, str]()
        for number, (step, which) in enumerate([*steps, ("kill", 0)]):
            if step in ("make", "delete"):
                name = NAMES[which]
                call = made(name, f"key{number}", number) if step == "make" else gone(name)
                journal.end(call)
                owners.apply(call)
                expected.pop(name, None)
                if step == "make":
                    expected[name] = f"key{number}"
            elif step == "store":
                offered = max(offered, which)
                entries, end = journal.read(watermark, offered)
                await owners.store([entry for _, entry in entries if isinstance(entry, CallRecord)])
                # Where that fails after this, they are offered again, and more.
                if which % 2:
                    watermark, offered = end, 1
            elif step == "kill":
                owners = Owners(SqliteOwnerStore(keys), nobody, shows_unowned=False, limit=limit)
                await owners.load()
                for _, entry in journal.read(watermark, 1000)[0]:
                    assert isinstance(entry, CallRecord)
                    owners.apply(entry)
            for name in NAMES if step == "kill" else NAMES[which : which + 1]:
                await owners.prepare([name])
                owner = owners.owner_of(name)
                assert (owner and owner.key_id) == expected.get(name)
        journal.close()
        keys.close()
