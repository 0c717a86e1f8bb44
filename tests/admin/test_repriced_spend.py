"""Spend follows what was repriced while the file was lent, once, also if somebody dies in between."""

from __future__ import annotations

from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from time import time_ns
from typing import Any
from uuid import UUID

import pytest
import trio

from gatekeeper.keys import repriced_spend
from gatekeeper.keys.cooperative import PART_SIZE
from gatekeeper.keys.fields import parse_fields
from gatekeeper.keys.repriced_spend import charge_repriced, poll_repriced_runs
from gatekeeper.keys.spend import AccountCharge
from gatekeeper.ledger.analytics.database import Database
from gatekeeper.ledger.analytics.reprice import Run, reprice
from gatekeeper.ledger.analytics.uncharged_runs import MARK, mark_run, marked_runs
from gatekeeper.money import pico

RUN = UUID("019a1b2c-0000-7000-8000-00000000aaaa")
NOON = 1_750_852_800_000_000  # 2025-06-25T12:00:00Z, when the calls of `admin` begin
COST = 1_188_700_000
WRONG = 5_000_000_000


async def wrongly_priced(admin: Any, number: int = 2, **fields: Any) -> str:
    """The id of a key with calls that were recorded and charged at a wrong cost, as old as these."""
    registry = admin.gateway.registry
    _, state = await registry.create(parse_fields(fields, now=NOON), now=NOON, by="test")
    key = state.record.token_id
    for _ in range(number):
        call = admin.priced(key_id=key, cost_pico=WRONG)
        admin.gateway.registry.settle(AccountCharge(key, WRONG, call.started_at))
    return key


async def borrow(admin: Any) -> Path:
    return Path((await admin.post("/sql/lend", {"seconds": 60}))["file"]).parent


def reprice_file(admin: Any, folder: Path, run: UUID = RUN) -> int:
    """What `gatekeeper prices reprice` does with a borrowed file; how many rows it changed."""
    database = Database(folder)
    try:
        database.attach()
        return reprice(
            database,
            Run(run, 0, 0, None, admin.gateway.catalogue),
            dry_run=False,
            before_commit=lambda: mark_run(folder, str(run)),
        ).changed
    finally:
        database.close()


async def spend(admin: Any, key: str) -> int:
    return pico(Decimal((await admin.get("/key/info", key=key))["info"]["spend"]))


async def test_the_spend_is_right_as_soon_as_the_file_is_back(admin: Any) -> None:
    key, over = await wrongly_priced(admin), await wrongly_priced(admin, 1, budget_duration="1d")
    folder = await borrow(admin)
    assert reprice_file(admin, folder) == 3
    assert await spend(admin, key) == 2 * WRONG
    await admin.post("/sql/return")
    # The calls of the other key ended in a budget window that is over.
    assert (await spend(admin, key), await spend(admin, over)) == (2 * COST, 0)
    assert marked_runs(folder) == []
    assert (await admin.get("/spend", by="none"))["total"]["cost_usd"] == "0.003566100000"
    adjusted = await admin.post("/sql", {"query": "SELECT count(*) FROM adjustments"})
    assert adjusted["rows"] == [[3]]


async def test_all_whose_budget_a_call_counted_against_follow(serve: Any) -> None:
    async with serve() as admin:
        await admin.post("/group/generate", {"group": "shop", "max_budget": 9})
        await admin.post("/user/generate", {"user_id": "ann", "max_budget": 9})
        fields = {"group": "shop", "model_max_budget": {"gemini-2.5*": 9, "veo*": 9}}
        key = (await admin.post("/key/generate", fields))["token_id"]
        call = admin.priced(key_id=key, user_id="ann", started_at=time_ns() // 1000, cost_pico=WRONG)
        of_call = AccountCharge(key, WRONG, call.started_at, group="shop", user="ann", model=call.model)
        admin.gateway.registry.settle(of_call)
        await admin.gateway.registry.store_spend([of_call], 1, 1)
        assert spends(admin) == dict.fromkeys(spends(admin), WRONG)
        folder = await borrow(admin)
        reprice_file(admin, folder)
        await admin.post("/sql/return")
        charged = spends(admin)
        assert charged == dict.fromkeys(("shop", "ann", key, f"{key} gemini-2.5*"), COST)
        (entry,) = (await admin.get("/audit", action="prices.reprice"))["changes"]
        changed = {"from": "0.005000000000", "to": "0.001188700000"}
        names = ("group shop", key, "user ann", f"{key} gemini-2.5*")
        assert entry["detail"] == dict.fromkeys(names, changed)
    async with serve() as admin:
        assert spends(admin) == charged


def spends(admin: Any) -> dict[str, int]:
    """What each account has spent, and each part of one."""
    registry = admin.gateway.registry
    accounts = [*registry.states(time_ns() // 1000), *registry.accounts, *registry.accounts.model_accounts]
    return {" ".join(filter(None, account.id[1:])): account.spend_pico for account in accounts}


async def test_a_second_run_charges_nothing(admin: Any) -> None:
    key = await wrongly_priced(admin)
    for run, changed in ((RUN, 2), (UUID(int=1), 0)):
        assert reprice_file(admin, await borrow(admin), run) == changed
        await admin.post("/sql/return")
    assert await spend(admin, key) == 2 * COST


async def test_a_run_whose_mark_outlived_the_charge_is_not_charged_again(admin: Any) -> None:
    key = await wrongly_priced(admin)
    folder = await borrow(admin)
    reprice_file(admin, folder)
    for _ in range(2):
        await admin.post("/sql/return")
        # As after a crash between the commit in the key store and the removal of the mark.
        mark_run(folder, str(RUN))
    assert await spend(admin, key) == 2 * COST


async def test_nothing_is_charged_while_the_file_is_lent(admin: Any) -> None:
    key = await wrongly_priced(admin)
    folder = await borrow(admin)
    # As if the borrower had died between its mark and its commit, or were about to commit.
    mark_run(folder, str(RUN))
    gateway = admin.gateway
    await charge_repriced(gateway.registry, gateway.ledger.analytics, folder)
    assert marked_runs(folder) == [str(RUN)]
    await admin.post("/sql/return")
    assert (marked_runs(folder), await spend(admin, key)) == ([], 2 * WRONG)


async def test_a_restart_charges_a_run_whose_borrower_and_gateway_died(serve: Any) -> None:
    async with serve() as admin:
        key = await wrongly_priced(admin)
        # The tests' gateway has no consumer of spend: stored as such.
        await admin.gateway.registry.store_spend([AccountCharge(key, 2 * WRONG, 1)], 1, 1)
        folder = await borrow(admin)
        reprice_file(admin, folder)
        assert list(folder.glob(f"{MARK}*"))
    async with serve() as admin:
        gateway = admin.gateway
        assert await spend(admin, key) == 2 * WRONG
        await charge_repriced(gateway.registry, gateway.ledger.analytics, folder)
        assert await spend(admin, key) == 2 * COST
    async with serve() as admin:
        assert await spend(admin, key) == 2 * COST


async def test_calls_go_on_while_the_windows_of_many_keys_are_looked_at(admin: Any) -> None:
    """It is done each second while another program has the file of a marked run."""
    gateway = admin.gateway
    fields = parse_fields({"max_budget": 1, "budget_duration": "1d"}, now=1)
    made = await gateway.registry.create_all([fields] * 5 * PART_SIZE, now=1, by="master")
    mark_run(gateway.settings.data, str(RUN))
    rolled = [0]

    async def look() -> None:
        while True:
            rolled.append(sum(state.window_start > 1 for _, state in made))
            await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(look)
        await charge_repriced(gateway.registry, gateway.ledger.analytics, gateway.settings.data)
        await trio.lowlevel.checkpoint()
        await trio.lowlevel.checkpoint()
        nursery.cancel_scope.cancel()
    assert rolled[-1] == 5 * PART_SIZE
    # Twice, because trio has those that can run take turns in a random order.
    assert max(after - before for before, after in pairwise(rolled)) <= 2 * PART_SIZE


async def test_a_deleted_key_is_passed_over(admin: Any) -> None:
    key = await wrongly_priced(admin)
    folder = await borrow(admin)
    reprice_file(admin, folder)
    await admin.post("/key/delete", {"keys": [key]})
    await admin.post("/sql/return")
    assert marked_runs(folder) == []


async def test_what_cannot_be_charged_is_tried_again(
    admin: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    key = await wrongly_priced(admin)
    gateway, folder = admin.gateway, await borrow(admin)
    reprice_file(admin, folder)
    gateway.ledger.analytics.end_loan()
    real = gateway.registry.adjust
    failures = iter([ValueError("of one kind"), ValueError("or of another")])

    async def fails(*given: Any) -> bool:
        for failure in failures:
            raise failure
        return await real(*given)

    monkeypatch.setattr(gateway.registry, "adjust", fails)
    monkeypatch.setattr(repriced_spend, "CHECK_INTERVAL", 0.01)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(poll_repriced_runs, gateway.registry, gateway.ledger.analytics, folder)
        with trio.fail_after(5):
            while marked_runs(folder):
                await trio.sleep(0.01)
        nursery.cancel_scope.cancel()
    assert await spend(admin, key) == 2 * COST
    assert capsys.readouterr().err.count("repriced_calls_not_charged") == 1
