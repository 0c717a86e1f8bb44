"""The living keys: changes are on disk when confirmed, and no call is counted twice."""

from __future__ import annotations

import contextlib
import sqlite3
from collections import Counter
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
import pytest
import trio
import trio.testing
from hypothesis import given, settings
from hypothesis import strategies as st
from rig.examples import examples
from rig.registry import block_key, delete_key, key_store, regenerate_key, unblock_key, update_key

from gatekeeper.keys import registry as registry_module
from gatekeeper.keys.audit import AuditEntry, AuditFilter, SqliteAuditStore
from gatekeeper.keys.cooperative import PART_SIZE
from gatekeeper.keys.fields import GROUP_TABLE, parse_fields
from gatekeeper.keys.key_index import KeyNotFound
from gatekeeper.keys.registry import KeyRegistry
from gatekeeper.keys.secrets import hash_secret
from gatekeeper.keys.spend import AccountCharge
from gatekeeper.keys.sqlite_file import SqliteFile, StoreFailed
from gatekeeper.keys.sqlite_store import SqliteKeyStore
from gatekeeper.keys.store import AliasConflict, SecretConflict
from gatekeeper.keys.virtual_key import KeyRecord, KeyState, key_document
from gatekeeper.ledger.call import Position
from gatekeeper.times import iso

NOW = 1_789_999_200_000_000  # a full hour
MICROS_PER_SECOND = 1_000_000
HOUR = 3600 * MICROS_PER_SECOND
MASTER = "master"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keys.db"


@contextlib.asynccontextmanager
async def running(path: Path, pending: Iterable[AccountCharge] = ()):
    """A gateway's registry from start to stop."""
    store = key_store(path)
    registry = KeyRegistry(store)
    await registry.load()
    registry.replay(pending)
    try:
        yield registry
    finally:
        store.close()


async def create(registry: KeyRegistry, now: int = NOW, **body) -> tuple[str, KeyState]:
    return await registry.create(parse_fields(body, now=now), now=now, by=MASTER)


async def update(registry: KeyRegistry, name: str, now: int = NOW, **body) -> KeyState:
    return await update_key(registry, name, parse_fields(body, now=now), now=now, by=MASTER)


def audit_entries(path: Path) -> list[AuditEntry]:
    with contextlib.closing(SqliteFile(path)) as file:
        return SqliteAuditStore(file).find(AuditFilter(), 100)


def documents(registry: KeyRegistry, now: int) -> dict[str, dict]:
    return {state.record.token_id: key_document(state) for state in registry.states(now)}


async def test_a_new_key_is_found_by_its_secret_its_id_and_its_alias(path):
    async with running(path) as registry:
        secret, state = await create(registry, key_alias="team-a", budget_duration="1h", max_budget=5)

        assert registry.by_hash(hash_secret(secret)) is state
        assert [registry.find(name, NOW) for name in (secret, state.record.token_id, "team-a")] == [state] * 3
        assert state.record.key_name == f"sk-...{secret[-4:]}"
        assert key_document(state)["budget_reset_at"] == iso(NOW + HOUR)
        assert registry.find("nobody", NOW) is None


async def test_a_chosen_secret_is_the_keys(path):
    async with running(path) as registry:
        secret, state = await create(registry, key="my-own-secret-0001")

        assert secret == "my-own-secret-0001"
        assert registry.by_hash(hash_secret(secret)) is state
        with pytest.raises(SecretConflict):
            await create(registry, key="my-own-secret-0001")
        assert len(list(registry.states(NOW))) == 1


async def test_a_taken_alias_changes_nothing(path):
    async with running(path) as registry:
        _, first = await create(registry, key_alias="a")
        _, second = await create(registry, key_alias="b")

        with pytest.raises(AliasConflict, match="'a'"):
            await update(registry, "b", key_alias="a", rpm_limit=5)

        assert registry.find("a", NOW) is first
        assert registry.find("b", NOW) is second
        assert second.record.rpm_limit is None


async def test_an_update_sets_what_is_given_and_null_unsets(path):
    async with running(path) as registry:
        secret, state = await create(registry, key_alias="a", rpm_limit=5, tags=["x"], models=["gemini*"])

        same = await update(registry, "a", NOW + 1, key_alias="b", rpm_limit=None, max_budget="1.5")

        assert same is state
        assert (state.record.key_alias, state.record.rpm_limit, state.record.tags) == ("b", None, ("x",))
        assert (state.record.created_at, state.record.updated_at) == (NOW, NOW + 1)
        assert (registry.find("a", NOW), registry.find("b", NOW)) == (None, state)
        assert registry.by_hash(hash_secret(secret)) is state


async def test_a_changed_duration_ends_the_window_anew_and_keeps_the_spend(path):
    async with running(path) as registry:
        _, state = await create(registry, key_alias="a", budget_duration="1h")
        registry.settle(AccountCharge(state.record.token_id, 7, NOW + 1))

        await update(registry, "a", NOW + 2, budget_duration="1h")
        assert (state.spend_pico, state.budget_reset_at) == (7, NOW + HOUR)
        await update(registry, "a", NOW + 2, budget_duration="2h")
        assert (state.spend_pico, state.budget_reset_at) == (7, NOW + 2 * HOUR)
        await update(registry, "a", NOW + 3, budget_duration=None)
        assert (state.spend_pico, state.budget_reset_at) == (7, None)


async def test_a_blocked_key_stays_blocked_since_it_was_until_unblocked(path):
    async with running(path) as registry:
        _, state = await create(registry, key_alias="a")

        await block_key(registry, "a", now=NOW + 1, by=MASTER)
        await block_key(registry, "a", now=NOW + 2, by=MASTER)
        assert state.record.blocked_at == NOW + 1

        await unblock_key(registry, "a", now=NOW + 3, by=MASTER)
        assert not state.record.blocked


async def test_a_new_secret_ends_the_old_one_and_keeps_the_key(path):
    async with running(path) as registry:
        old, state = await create(registry, key_alias="a")
        registry.settle(AccountCharge(state.record.token_id, 7, NOW))

        new, same = await regenerate_key(registry, old, now=NOW, by=MASTER)

        assert same is state
        assert state.spend_pico == 7
        assert registry.by_hash(hash_secret(old)) is None
        assert registry.by_hash(hash_secret(new)) is state
        assert state.record.key_name == f"sk-...{new[-4:]}"


async def test_a_deleted_key_is_unknown_and_its_late_calls_are_nobodys(path):
    async with running(path) as registry:
        secret, state = await create(registry, key_alias="a")
        token_id = state.record.token_id

        await registry.delete(["a"], now=NOW, by=MASTER)
        registry.settle(AccountCharge(token_id, 7, NOW))
        registry.replay([AccountCharge(token_id, 7, NOW)])
        await registry.store_spend([AccountCharge(token_id, 7, NOW)], 1, 10)

        assert registry.by_hash(hash_secret(secret)) is None
        assert [registry.find(name, NOW) for name in (secret, token_id, "a")] == [None] * 3
        _, another = await create(registry, key_alias="a", key=secret)
        assert another.spend_pico == 0


async def test_a_key_that_is_not_there_is_named_without_giving_a_secret_away(path):
    async with running(path) as registry:
        for name, part in [("nobody", "nobody"), ("sk-0123456789abcdefwxyz", "...wxyz")]:
            for act in (block_key, unblock_key, delete_key, regenerate_key):
                with pytest.raises(KeyNotFound) as caught:
                    await act(registry, name, now=NOW, by=MASTER)
                assert part in str(caught.value)
                assert "0123456789" not in str(caught.value)


async def test_reading_brings_the_budget_window_up_to_date(path):
    async with running(path) as registry:
        _, state = await create(registry, key_alias="a", budget_duration="1h")
        registry.settle(AccountCharge(state.record.token_id, 7, NOW + 1))

        assert registry.find("a", NOW + HOUR - 1) is state
        assert key_document(state)["spend"] == "0.000000000007"
        assert registry.find("a", NOW + HOUR) is state
        assert key_document(state)["spend"] == "0.000000000000"


async def test_a_list_shows_the_budget_window_of_its_time(path):
    async with running(path) as registry:
        _, state = await create(registry, key_alias="a", budget_duration="1h")
        registry.settle(AccountCharge(state.record.token_id, 7, NOW + 1))

        assert key_document((await registry.list(NOW + HOUR - 1)).states[0])["spend"] == "0.000000000007"
        (listed,) = (await registry.list(NOW + HOUR, q="A", limit=1)).states
        assert key_document(listed)["spend"] == "0.000000000000"
        assert key_document(listed)["budget_reset_at"] == iso(NOW + 2 * HOUR)


async def test_calls_go_on_while_keys_are_listed(path, monkeypatch):
    monkeypatch.setattr(registry_module, "LISTED_AT_ONCE", 1)
    turns = 0

    async def call():
        nonlocal turns
        while True:
            turns += 1
            await trio.lowlevel.checkpoint()

    async with running(path) as registry, trio.open_nursery() as nursery:
        for alias in "abcdef":
            await create(registry, key_alias=alias)
        nursery.start_soon(call)
        listed = await registry.list(NOW, sort="key_alias", limit=2)
        nursery.cancel_scope.cancel()

    assert [state.record.key_alias for state in listed.states] == ["a", "b"]
    assert turns >= 4


async def test_the_trail_tells_who_changed_what(path):
    async with running(path) as registry:
        _, state = await create(registry, key_alias="a")
        await update(registry, "a", NOW + 1, max_budget=2)
        registry.settle(AccountCharge(state.record.token_id, 7, NOW + 1))
        await registry.delete(["a"], now=NOW + 2, by="open")

        audit_log = [entry.change for entry in audit_entries(path)]

        assert [(c.action, c.at, c.by, c.key_alias) for c in audit_log] == [
            ("delete", NOW + 2, "open", "a"),
            ("update", NOW + 1, MASTER, "a"),
            ("create", NOW, MASTER, "a"),
        ]
        assert audit_log[2].detail == {"key_alias": {"from": None, "to": "a"}}
        assert audit_log[1].detail == {"max_budget": {"from": None, "to": "2.000000000000"}}
        assert audit_log[0].detail["key"]["spend"] == "0.000000000007"


async def test_a_store_that_fails_leaves_memory_as_it_was(path):
    store = SqliteKeyStore(path)
    registry = KeyRegistry(store)
    secret, state = await create(registry, key_alias="a")
    before = key_document(state)
    store.close()

    with pytest.raises(StoreFailed):
        await update(registry, "a", key_alias="b")
    with pytest.raises(StoreFailed):
        await regenerate_key(registry, "a", now=NOW, by=MASTER)
    with pytest.raises(StoreFailed):
        await registry.delete(["a"], now=NOW, by=MASTER)
    with pytest.raises(StoreFailed):
        await create(registry, key_alias="c")

    assert registry.by_hash(hash_secret(secret)) is state
    assert key_document(state) == before
    assert list(registry.states(NOW)) == [state]


async def test_changes_at_once_do_not_lose_each_other(path):
    async with running(path) as registry:
        await create(registry, key_alias="a")
        async with trio.open_nursery() as nursery:
            for name, value in [("rpm_limit", 1), ("tpm_limit", 2), ("user_id", "u"), ("group", "g")]:
                nursery.start_soon(lambda body: update(registry, "a", **body), {name: value})
        expected = documents(registry, NOW)

    async with running(path) as again:
        assert documents(again, NOW) == expected
        record = (await again.list(NOW)).states[0].record
        assert (record.rpm_limit, record.tpm_limit, record.user_id, record.group) == (1, 2, "u", "g")


async def test_a_change_that_is_cancelled_is_made_or_not_made_in_both_places(path):
    async with running(path) as registry:
        await create(registry, key_alias="a")
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(lambda: update(registry, "a", rpm_limit=1))
                nursery.start_soon(lambda: update(registry, "a", tpm_limit=1))
                await trio.testing.wait_all_tasks_blocked()
                scope.cancel()
        expected = documents(registry, NOW)

    async with running(path) as again:
        assert documents(again, NOW) == expected


async def test_a_creation_that_is_cancelled_before_it_is_written_decides_nothing_for_those_that_wait(path):
    cancelled = trio.CancelScope()

    async def first() -> None:
        with cancelled:
            await create(registry, key_alias="a")

    async with running(path) as registry, trio.open_nursery() as nursery:
        async with registry._write_lock:
            for creation in (first, lambda: create(registry), lambda: create(registry, key_alias="a")):
                nursery.start_soon(creation)
                await trio.testing.wait_all_tasks_blocked()
        cancelled.cancel()  # the lock has just been handed to it

    assert cancelled.cancelled_caught
    async with running(path) as again:
        assert sorted(str(state.record.key_alias) for state in again.states(NOW)) == ["None", "a"]


async def test_a_secret_is_nowhere_in_the_files(path):
    async with running(path) as registry:
        secrets = [(await create(registry, key_alias="a", key="my-own-secret-0001"))[0]]
        secrets.append((await create(registry))[0])
        await block_key(registry, secrets[0], now=NOW, by=MASTER)
        secrets.append((await regenerate_key(registry, secrets[1], now=NOW, by=MASTER))[0])
        await registry.delete([secrets[0]], now=NOW, by=MASTER)
        audit_log = msgspec.json.encode(list(audit_entries(path)))

        kept = b"".join(file.read_bytes() for file in path.parent.iterdir()) + audit_log

    assert hash_secret(secrets[2]).encode() in kept
    assert [secret for secret in secrets if secret.encode() in kept or secret[3:].encode() in kept] == []


# Crashes. The journal is a list of calls here, the watermark an index into it.


async def test_after_a_crash_each_call_counts_once(path):
    journal = []
    async with running(path) as registry:
        _, state = await create(registry, key_alias="a", budget_duration="1h")
        for number in range(6):
            journal.append(AccountCharge(state.record.token_id, 10**number, NOW + number))
            registry.settle(journal[-1])
        await registry.store_spend(journal[:2], 0, 2)
        await registry.store_spend(journal[:2], 0, 2)
        await registry.store_spend(journal[2:4], 0, 4)
        expected = documents(registry, NOW + 9)

    store = SqliteKeyStore(path)
    again = KeyRegistry(store)
    watermark = await again.load()
    assert watermark == Position(0, 4)
    assert [state.spend_pico for state in again.states(NOW + 9)] == [1111]
    again.replay(journal[watermark.offset :])
    assert documents(again, NOW + 9) == expected
    store.close()


async def test_a_window_that_turned_before_the_crash_is_not_charged_again(path):
    async with running(path) as registry:
        _, state = await create(registry, key_alias="a", budget_duration="1h")
        old = AccountCharge(state.record.token_id, 5, NOW + 1)
        new = AccountCharge(state.record.token_id, 3, NOW + HOUR + 1)
        registry.settle(old)
        registry.settle(new)
        await update(registry, "a", NOW + HOUR + 2, budget_duration="1d")
        expected = documents(registry, NOW + HOUR + 3)

    async with running(path, [old, new]) as again:
        assert documents(again, NOW + HOUR + 3) == expected
        assert (await again.list(NOW + HOUR + 3)).states[0].spend_pico == 3


async def test_the_difference_of_a_run_counts_once_and_in_its_window_only(path):
    async with running(path) as registry:
        _, state = await create(registry, key_alias="a", budget_duration="1h")
        token_id = state.record.token_id
        journal = [AccountCharge(token_id, 10, NOW + 1), AccountCharge(token_id, 5, NOW + HOUR + 1)]
        registry.settle(journal[0])
        differences = [AccountCharge(token_id, -3, NOW + 1), AccountCharge("gone", 7, NOW + 1)]
        assert [await registry.adjust("run-1", differences) for _ in range(2)] == [True, False]
        assert state.spend_pico == 7
        # Computed before the window turned.
        registry.settle(journal[1])
        assert await registry.adjust("run-2", differences)
        assert state.spend_pico == 5
    runs = [entry.change for entry in audit_entries(path) if entry.change.action == "prices.reprice"]
    assert [(change.target, change.by) for change in runs] == [("run-2", "gateway"), ("run-1", "gateway")]
    assert runs[1].detail == {token_id: {"from": "0.000000000010", "to": "0.000000000007"}}

    async with running(path, journal) as again:
        assert not await again.adjust("run-1", differences)
        assert [state.spend_pico for state in again.states(NOW + HOUR + 2)] == [5]


async def test_a_difference_leaves_a_window_that_was_changed_while_it_was_looked_for(path):
    async with running(path) as registry:
        _, state = await create(registry, key_alias="a", budget_duration="1h")
        await update(registry, "a", NOW + 1, budget_duration="1d")
        assert await registry.adjust("run-1", [AccountCharge(state.record.token_id, 3, NOW)])
        expected = documents(registry, NOW + 2)

    async with running(path) as again:
        assert documents(again, NOW + 2) == expected


async def test_a_difference_keeps_what_a_window_that_was_moved_back_has_counted(path):
    async with running(path) as registry:
        _, state = await create(registry, key_alias="a", budget_duration="1h")
        token_id = state.record.token_id
        # The second one ends by a clock that has been set back, into the window before.
        journal = [AccountCharge(token_id, 10, NOW + HOUR + 1), AccountCharge(token_id, 5, NOW + HOUR - 1)]
        registry.settle(journal[0])
        registry.settle(journal[1])
        await registry.store_spend(journal, 0, 2)
        assert await registry.adjust("run-1", [AccountCharge(token_id, 3, NOW + HOUR + 1)])
        assert state.spend_pico == 18

    async with running(path) as again:
        assert [state.spend_pico for state in again.states(NOW + HOUR + 2)] == [18]


@pytest.mark.parametrize("seen", [True, False], ids=["stored while it was ahead", "stored at once"])
async def test_a_window_that_a_clock_ahead_had_ended_goes_on_after_a_start(path, seen):
    async with running(path) as registry:
        _, state = await create(
            registry, key_alias="a", budget_duration="1h", model_max_budget={"gemini*": 1}, group="g"
        )
        given = parse_fields({"max_budget": 1, "budget_duration": "1h"}, now=NOW, table=GROUP_TABLE)
        await registry.account_changes.create("group", "g", given, now=NOW, by=MASTER)
        times = [NOW + 1, NOW + 2000 * HOUR, NOW + 2, NOW + 3]
        calls = [
            AccountCharge(state.record.token_id, cost, at, cost == 2, group="g", model="gemini-2.5-pro")
            for cost, at in zip([5, 2, 10, 20], times, strict=True)
        ]
        for number, call in enumerate(calls):
            registry.settle(call)
            if seen:
                await registry.store_spend([call], 0, number)
        if not seen:
            await registry.store_spend(calls, 0, 4)
        expected = [(37, 2)] * 3
        assert spends(registry) == expected

    async with running(path) as again:
        assert spends(again) == expected
        again.settle(calls[0]._replace(ended_at=NOW + HOUR))
        assert spends(again) == [(5, 0)] * 3


def spends(registry):
    """Of all accounts, whose number does not matter."""
    accounts = [*registry.states(NOW + 4), *registry.accounts, *registry.accounts.model_accounts]
    return [(account.spend_pico, account.estimated_pico) for account in accounts]


async def test_what_was_never_charged_is_not_taken_back(path):
    """The key had another group when it made the call, and its models no budget of their own."""
    async with running(path) as registry:
        _, state = await create(registry, key_alias="a")
        call = AccountCharge(state.record.token_id, 10, NOW + 1, model="gemini-2.5-pro")
        registry.settle(call)
        given = parse_fields({"max_budget": 1}, now=NOW, table=GROUP_TABLE)
        await registry.account_changes.create("group", "g", given, now=NOW, by=MASTER)
        await update(registry, "a", NOW + 2, group="g", model_max_budget={"gemini*": 1})
        assert await registry.adjust("run-1", [call._replace(cost_pico=-3, group="g")])
        spent = {
            account.id.kind + account.id.model: account.spend_pico
            for account in [state, *registry.accounts, *registry.accounts.model_accounts]
        }
        assert spent == {"key": 7, "group": 0, "keygemini*": 0}


async def test_nothing_is_kept_of_a_deleted_key_but_its_secret(path):
    async with running(path) as registry:
        _, state = await create(registry, key_alias="a", model_max_budget={"gemini*": 1})
        registry.settle(AccountCharge(state.record.token_id, 7, NOW + 1, model="gemini-2.5-pro"))
        assert [part.spend_pico for part in registry.accounts.model_accounts] == [7]
        await registry.delete(["a"], now=NOW + 2, by=MASTER)
        assert [*registry.accounts.model_accounts] == []


async def test_a_soft_budget_is_reached_anew_in_each_window(path):
    async with running(path) as registry:
        _, state = await create(registry, soft_budget="0.5", budget_duration="1h")
        dollar = 10**12
        calls = [AccountCharge(state.record.token_id, dollar, NOW + at) for at in (1, 2, HOUR + 1, HOUR + 2)]
        assert [registry.settle(call) for call in calls] == [[state], [], [state], []]


async def test_a_difference_that_is_not_stored_is_not_counted(path):
    async with running(path) as registry:
        _, state = await create(registry, key_alias="a")
        differences = [AccountCharge(state.record.token_id, 3, NOW)]
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute(
                "CREATE TRIGGER fails BEFORE INSERT ON audit BEGIN SELECT RAISE(ABORT, 'no space'); END"
            )
            with pytest.raises(StoreFailed):
                await registry.adjust("run-1", differences)
            other.execute("DROP TRIGGER fails")
        assert state.spend_pico == 0
        assert await registry.adjust("run-1", differences)
        assert state.spend_pico == 3


ALIASES = ["a", "b", "c"]
bodies = st.fixed_dictionaries(
    {},
    optional={
        "key_alias": st.sampled_from([*ALIASES, None]),
        "budget_duration": st.sampled_from(["1h", "2h", None]),
        "max_budget": st.sampled_from([0, "1.5", None]),
        "models": st.lists(st.sampled_from(["gemini*", "x"]), max_size=2),
        "metadata": st.dictionaries(st.text(max_size=2), st.integers(), max_size=2),
        "blocked": st.booleans(),
        "duration": st.sampled_from(["1d", None]),
    },
)
names = st.sampled_from(ALIASES)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("create"), bodies),
        st.tuples(st.just("update"), names, bodies),
        st.tuples(st.sampled_from(["block", "unblock", "regenerate", "delete"]), names),
        st.tuples(st.just("settle"), names, st.integers(0, 9)),
        st.tuples(st.just("wait"), st.integers(0, 3 * HOUR)),
        st.tuples(st.just("store_spend"), st.floats(0, 1)),
        st.tuples(st.just("adjust"), st.sampled_from(["run-1", "run-2"]), names, st.integers(-9, 9)),
        st.tuples(st.just("read")),
    ),
    max_size=25,
)


class Life:
    """A registry's life, step by step, with the journal beside it."""

    def __init__(self, registry: KeyRegistry) -> None:
        self.registry = registry
        self.now = NOW
        self.journal: list[AccountCharge] = []
        self.charged = 0
        self.adjusted: set[str] = set()

    async def take(self, step: str, *given) -> None:
        self.now += 1
        with contextlib.suppress(KeyNotFound, AliasConflict):
            await getattr(self, step)(*given)

    async def create(self, body) -> None:
        await create(self.registry, self.now, **body)

    async def update(self, name, body) -> None:
        await update(self.registry, name, self.now, **body)

    async def block(self, name) -> None:
        await block_key(self.registry, name, now=self.now, by=MASTER)

    async def unblock(self, name) -> None:
        await unblock_key(self.registry, name, now=self.now, by=MASTER)

    async def regenerate(self, name) -> None:
        await regenerate_key(self.registry, name, now=self.now, by=MASTER)

    async def delete(self, name) -> None:
        await self.registry.delete([name], now=self.now, by=MASTER)

    async def settle(self, name, cost) -> None:
        if state := self.registry.find(name, self.now):
            self.journal.append(AccountCharge(state.record.token_id, cost, self.now))
            self.registry.settle(self.journal[-1])

    async def wait(self, micros) -> None:
        self.now += micros

    async def store_spend(self, share) -> None:
        upto = self.charged + round(share * (len(self.journal) - self.charged))
        await self.registry.store_spend(self.journal[self.charged : upto], 0, upto)
        self.charged = upto

    async def adjust(self, run_id, name, difference) -> None:
        if state := self.registry.find(name, self.now):
            settled = AccountCharge(state.record.token_id, difference, self.now, estimated=True)
            is_new = run_id not in self.adjusted
            assert await self.registry.adjust(run_id, [settled]) is is_new
            self.adjusted.add(run_id)

    async def read(self) -> None:
        documents(self.registry, self.now)


@settings(max_examples=examples(30))
@given(steps)
def test_whatever_happened_a_restart_shows_the_same_keys(steps):
    async def live_and_restart() -> None:
        with TemporaryDirectory() as folder:
            path = Path(folder) / "keys.db"
            async with running(path) as registry:
                life = Life(registry)
                await life.take("create", {"key_alias": "a", "budget_duration": "1h"})
                for step in steps:
                    await life.take(*step)
                before = documents(registry, life.now)
            async with running(path, life.journal[life.charged :]) as again:
                assert documents(again, life.now) == before

    trio.run(live_and_restart)


async def test_what_calls_have_cost_survives_a_restart(tmp_path):
    store = SqliteKeyStore(tmp_path / "keys.sqlite")
    registry = KeyRegistry(store)
    await registry.load()
    registry.costs.note("key_1", "gemini-2.5-flash", "generateContent", 10, 500, 900)
    await registry.store_spend([], 1, 10)

    again = KeyRegistry(store)
    await again.load()

    assert again.costs.of("key_1", "gemini-2.5-flash", "generateContent").likely(10, 1) == 500
    assert again.costs.of("key_2", "gemini-2.5-flash", "generateContent").expected(10, 1) == 1000
    assert again.costs.of("key_1", "gemini-2.5-pro", "generateContent").likely(10, 1) is None
    store.close()


async def test_calls_have_their_turns_while_many_keys_are_made_changed_and_deleted(path: Path) -> None:
    """One request may name 10,000 keys; what all of them take at once would hold up every stream."""
    many, counts, checked, edited = 5 * PART_SIZE, [0], Counter[int](), Counter[int]()

    def check(_record: KeyRecord) -> None:
        checked[len(counts)] += 1

    def edit(record: KeyRecord) -> KeyRecord:
        edited[len(counts)] += 1
        return msgspec.structs.replace(record, blocked_at=NOW)

    async with running(path) as registry:

        class Looks(trio.abc.Instrument):
            """At the keys after each step of a task, where a call may have its turn."""

            def after_task_step(self, task: trio.lowlevel.Task) -> None:
                counts.append(sum(1 for _ in registry.states(NOW)))

        trio.lowlevel.add_instrument(looks := Looks())
        made = await registry.create_all([parse_fields({}, now=NOW)] * many, now=NOW, by=MASTER)
        names = [state.record.token_id for _, state in made]
        await registry.edit("block", names, edit, now=NOW, by=MASTER, check=check)
        assert all(state.record.blocked_at == NOW for state in registry.states(NOW))
        await registry.delete(names, now=NOW, by=MASTER)
        await trio.lowlevel.checkpoint()
        trio.lowlevel.remove_instrument(looks)
    assert (max(counts), counts[-1]) == (many, 0)
    assert max(abs(after - before) for before, after in pairwise(counts)) <= PART_SIZE
    for steps in (checked, edited):
        assert sum(steps.values()) == many
        assert max(steps.values()) <= PART_SIZE
