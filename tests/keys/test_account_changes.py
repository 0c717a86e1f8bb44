"""Records of groups and end users: on disk when confirmed, and their spend counts each call once."""

from __future__ import annotations

import pytest
import trio
from rig.registry import running

from gatekeeper.keys import account_changes
from gatekeeper.keys.account_changes import account_document
from gatekeeper.keys.fields import GROUP_TABLE, parse_fields
from gatekeeper.keys.registry import KeyRegistry
from gatekeeper.keys.spend import AccountCharge
from gatekeeper.keys.sqlite_file import StoreFailed
from gatekeeper.keys.sqlite_store import SqliteKeyStore

NOW = 1_790_000_000_000_000
HOUR = 3_600_000_000
BY = {"now": NOW, "by": "master"}


def fields(**body):
    return parse_fields(body, now=NOW, table=GROUP_TABLE)


def call(cost: int, at: int) -> AccountCharge:
    return AccountCharge("key_1", cost, at, group="g", user="u")


async def documents(registry: KeyRegistry, now: int = NOW):
    changes = registry.account_changes
    return [
        (kind, account.record.name, account_document(account))
        for kind in ("group", "user")
        for account in (await changes.list(kind, now, limit=100)).accounts
    ]


async def test_a_restart_shows_the_same_records_and_spend(tmp_path):
    journal = [call(3, NOW - 1), call(5, NOW + 1), call(7, NOW + 2)]
    async with running(tmp_path / "k") as registry:
        changes = registry.account_changes
        await changes.create("group", "g", fields(max_budget=1, budget_duration="1h"), **BY)
        await changes.create("user", "u", fields(rpm_limit=2), **BY)
        await changes.create("user", "gone", fields(), **BY)
        for each in journal[1:]:
            registry.settle(each)
        # The first one ended before the records were made, and is stored after.
        await registry.store_spend(journal[:2], 0, 2)
        await changes.update("group", "g", fields(max_budget=2, budget_duration="2h"), now=NOW + 3, by="a")
        await changes.set_blocked("user", "u", True, now=NOW + 3, by="a")
        await changes.delete("user", "gone", lambda: 0, now=NOW + 3, by="a")
        expected = await documents(registry)
        assert [document["spend"] for _, _, document in expected] == ["0.000000000012"] * 2

    async with running(tmp_path / "k") as again:
        again.replay(journal[2:])
        assert await documents(again) == expected


async def test_a_window_of_a_group_turns_as_a_keys_does(tmp_path):
    async with running(tmp_path / "k") as registry:
        await registry.account_changes.create("group", "g", fields(budget_duration="1h"), **BY)
        registry.settle(call(5, NOW + 1))
        (_, _, then), (_, _, now) = (
            *await documents(registry, NOW + 2),
            *await documents(registry, NOW + HOUR),
        )
        assert (then["spend"], now["spend"]) == ("0.000000000005", "0.000000000000")


async def test_a_store_that_fails_leaves_memory_as_it_was(tmp_path):
    store = SqliteKeyStore(tmp_path / "k")
    registry = KeyRegistry(store)
    changes = registry.account_changes
    await changes.create("group", "g", fields(rpm_limit=1), **BY)
    before = await documents(registry)
    store.close()
    for change in (
        changes.create("group", "h", fields(), **BY),
        changes.update("group", "g", fields(rpm_limit=2), **BY),
        changes.set_blocked("group", "g", True, **BY),
        changes.delete("group", "g", lambda: 0, **BY),
    ):
        with pytest.raises(StoreFailed):
            await change
    assert await documents(registry) == before


async def test_calls_go_on_while_end_users_are_listed_page_by_page(tmp_path, monkeypatch):
    monkeypatch.setattr(account_changes, "LISTED_AT_ONCE", 1)
    turns = 0

    async def calls():
        nonlocal turns
        while True:
            turns += 1
            await trio.lowlevel.checkpoint()

    async with running(tmp_path / "k") as registry, trio.open_nursery() as nursery:
        changes = registry.account_changes
        for name in ("d", "b", "A", "other", "c", "a"):
            await changes.create("user", name, fields(), **BY)
        nursery.start_soon(calls)
        pages, cursor = [], ""
        while cursor is not None:
            found, cursor = await changes.list("user", NOW, q="", limit=4, after=cursor)
            pages.append([account.record.name for account in found])
        assert pages == [["A", "a", "b", "c"], ["d", "other"]]
        assert turns >= 8
        found, cursor = await changes.list("user", NOW, q="A", limit=4)
        assert ([account.record.name for account in found], cursor) == (["A", "a"], None)
        nursery.cancel_scope.cancel()
