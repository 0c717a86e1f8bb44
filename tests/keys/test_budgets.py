"""What calls may reserve of budgets: how much, in which order, and that nothing stays behind."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st
from rig.cases import cases

from gatekeeper.keys.account import Account, NamedAccount
from gatekeeper.keys.budget_rules import RETRY_SECONDS, short_of_budget
from gatekeeper.keys.budgets import (
    MAX_WAIT,
    Budgets,
    CostForecast,
    Reservation,
    Shortfall,
    accounts_with_budget,
    binding_account,
    has_budget,
    may_count,
    pico_to_reserve,
    remaining_pico,
    wanted_pico,
)
from gatekeeper.keys.limits import NamedRecord
from gatekeeper.keys.spend import settle

NOW = 1_790_000_000_000_000


def account(budget: int | None = 100, *, spent: int = 0, name: str = "g", **fields: Any) -> NamedAccount:
    record = NamedRecord(name=name, max_budget_pico=budget, created_at=0, updated_at=0, **fields)
    return NamedAccount(kind="group", record=record, spend_pico=spent)


def firm(bound: int, **more: Any) -> CostForecast:
    return CostForecast(bound, is_firm=True, expected=None, **more)


def loose(bound: int, expected: int | None = None, likely: int | None = None) -> CostForecast:
    return CostForecast(bound, is_firm=False, expected=expected, likely=likely)


def stream(bound: int, expected: int | None, first: int, *, is_firm: bool = False) -> CostForecast:
    return CostForecast(bound, is_firm, expected, first=first)


WAIT, REFUSE = Shortfall.WAIT, Shortfall.REFUSE
AMOUNTS = [
    # (forecast, left, reserved, what is reserved)
    ("all that is left", firm(10), 10, 0, 10),
    ("a pico-dollar too little", firm(10), 9, 0, REFUSE),
    ("while others hold enough", firm(10), 9, 1, WAIT),
    ("while others hold some that will not be enough", firm(10), 5, 4, REFUSE),
    ("more than was ever there", firm(1000), 5, 4, REFUSE),
    ("beside others", firm(10), 10, 1, 10),
    ("a bound counts, whatever such calls have cost", CostForecast(10, True, 5, 4), 9, 0, REFUSE),
    ("what costs nothing", firm(0), 0, 0, 0),
    ("without experience", loose(1000), 10, 0, 10),
    ("without experience, beside others", loose(1000), 10, 1, WAIT),
    ("without experience, nothing left", loose(1000), 0, 0, REFUSE),
    ("without experience, all of it held", loose(1000), 0, 7, WAIT),
    ("nothing left, or less", loose(1000), -5, 0, REFUSE),
    ("by experience", loose(1000, 12, 10), 12, 0, 12),
    ("by experience, beside others", loose(1000, 12, 10), 12, 5, 12),
    ("the last one", loose(1000, 12, 10), 10, 0, 10),
    ("the last one, beside others", loose(1000, 12, 10), 10, 5, WAIT),
    ("less than such calls cost", loose(1000, 12, 10), 9, 0, REFUSE),
    ("never more than the bound", loose(11, 12, 10), 11, 0, 11),
    ("a stream by experience", stream(1000, 12, 5), 12, 5, 12),
    ("a stream with a bound by experience", stream(1000, 12, 5, is_firm=True), 12, 5, 12),
    ("a stream begins with what is left", stream(1000, 12, 5), 6, 0, 6),
    ("a stream that would be cut at once", stream(1000, 12, 5), 5, 0, REFUSE),
    ("less than such calls cost, with what others hold", loose(1000, 12, 10), 4, 5, REFUSE),
    ("a stream that would be cut at once, whatever others give back", stream(1000, 12, 5), 3, 2, REFUSE),
    ("a stream beside others", stream(1000, 12, 5), 6, 1, WAIT),
    ("a stream without experience", stream(1000, None, 0), 6, 0, 6),
    ("a stream with nothing left", stream(1000, None, 0), 0, 0, REFUSE),
]  # fmt: skip


@cases(
    ("forecast", "left", "reserved", "found"),
    [case[1:] for case in AMOUNTS],
    ids=[case[0] for case in AMOUNTS],
)
def test_what_is_reserved(forecast: CostForecast, left: int, reserved: int, found: int | Shortfall) -> None:
    assert pico_to_reserve(forecast, left, reserved) == found


picos = st.integers(0, 1000)
forecasts = st.builds(
    CostForecast,
    picos,
    st.booleans(),
    st.none() | picos,
    st.none() | picos,
    st.none() | picos,
)


@given(forecasts, st.integers(-1000, 1000), picos)
def test_never_more_than_is_left_and_never_a_wait_for_nobody(
    forecast: CostForecast, left: int, reserved: int
) -> None:
    found = pico_to_reserve(forecast, left, reserved)
    if found is Shortfall.WAIT:
        assert reserved > 0
        assert forecast.bound > left
    elif isinstance(found, int):
        assert 0 <= found <= max(left, 0)
        assert found <= forecast.bound or found == left


def test_whose_budget_counts() -> None:
    of_models = account(None, model_max_budget_pico={"models/gemini-2.5-pro*": 5})
    with_budget, without = account(5), account(None)
    assert accounts_with_budget([without, with_budget, of_models]) == (with_budget,)
    assert has_budget([without, with_budget])
    assert has_budget([of_models])
    assert not has_budget([without])
    assert not has_budget([])
    assert may_count(with_budget, "gemini-2.5-flash")
    assert may_count(with_budget, None)
    assert may_count(of_models, "gemini-2.5-pro-preview")
    assert may_count(of_models, None)
    assert not may_count(of_models, "gemini-2.5-flash")
    assert not may_count(without, None)


def test_the_binding_account_decides_and_all_of_them_hold_it() -> None:
    wide, narrow, even = account(100, spent=80), account(50, spent=40), account(10)
    assert [remaining_pico(each, NOW) for each in (wide, narrow, even)] == [20, 10, 10]
    assert binding_account([wide, narrow, even], NOW) is even  # of several the narrowest
    assert binding_account([wide, narrow], NOW) is narrow
    budgets = Budgets()
    found = reserved(budgets, [wide, narrow], firm(8))
    assert [wide.reserved_pico, narrow.reserved_pico, found.pico] == [8, 8, 8]
    assert budgets.try_reserve([wide, narrow], firm(3), NOW) is Shortfall.WAIT
    assert budgets.try_reserve([wide], firm(12), NOW) is not Shortfall.WAIT
    assert [wide.reserved_pico, narrow.reserved_pico] == [20, 8]


def test_a_budget_that_was_removed_or_cut_down_meanwhile_has_no_room() -> None:
    held = account(10)
    budgets = Budgets()
    reservation = reserved(budgets, [held], firm(8))
    held.record = account(5).record
    assert remaining_pico(held, NOW) == -3
    assert not budgets.extend(reservation, 9, NOW)
    assert budgets.available(reservation, NOW) == 8
    budgets.release(reservation)
    assert held.reserved_pico == 0


def reserved(budgets: Budgets, accounts: Sequence[Account], forecast: CostForecast) -> Reservation:
    found = budgets.try_reserve(accounts, forecast, NOW)
    assert isinstance(found, Reservation)
    return found


def test_a_running_call_gets_more_where_all_its_accounts_have_it() -> None:
    wide, narrow = account(100), account(20, spent=5)
    budgets = Budgets()
    reservation = reserved(budgets, [wide, narrow], firm(8))
    assert budgets.available(reservation, NOW) == 15
    assert budgets.extend(reservation, 15, NOW)
    assert (wide.reserved_pico, narrow.reserved_pico, reservation.pico) == (15, 15, 15)
    assert not budgets.extend(reservation, 16, NOW)
    assert (wide.reserved_pico, narrow.reserved_pico, reservation.pico) == (15, 15, 15)
    assert budgets.available(reservation, NOW) == 15


def test_what_is_given_back_is_given_back_once() -> None:
    budgets, held = Budgets(), account(20)
    reservation, other = reserved(budgets, [held], firm(8)), reserved(budgets, [held], firm(5))
    for _ in range(2):
        budgets.release(reservation)
        assert held.reserved_pico == 5
    budgets.release(other)
    assert held.reserved_pico == 0


class Calls:
    """Calls that reserve of one budget: `order` is that in which they got it."""

    def __init__(self, *accounts: Account) -> None:
        self.accounts = accounts
        self.budgets = Budgets()
        self.order: list[str] = []
        self.found: dict[str, Reservation | Shortfall] = {}
        self.now = NOW

    async def reserve(self, name: str, forecast: CostForecast, *accounts: Account) -> None:
        self.found[name] = await self.budgets.reserve(
            accounts or self.accounts, lambda: forecast, lambda: self.now
        )
        self.order.append(name)

    def release(self, name: str, cost: int = 0) -> None:
        """The call ends, and has cost so much."""
        found = self.found.pop(name)
        assert isinstance(found, Reservation)
        for each in found.accounts:
            settle(each, cost, self.now)
        self.budgets.release(found)


async def test_calls_wait_in_the_order_of_arrival(autojump_clock: trio.testing.MockClock) -> None:
    calls = Calls(account(10))
    async with trio.open_nursery() as nursery:
        await calls.reserve("held", firm(10))
        for name, bound in (("large", 8), ("small", 1), ("other", 9)):
            nursery.start_soon(calls.reserve, name, firm(bound))
            await trio.testing.wait_all_tasks_blocked()
        assert calls.order == ["held"]
        calls.release("held")
        await trio.testing.wait_all_tasks_blocked()
        # Both of them fit, and one wake-up was enough.
        assert calls.order == ["held", "large", "small"]
        calls.release("small")
        await trio.testing.wait_all_tasks_blocked()
        assert calls.order == ["held", "large", "small"]
        calls.release("large")
        await trio.testing.wait_all_tasks_blocked()
        assert calls.order == ["held", "large", "small", "other"]
    assert trio.current_time() < MAX_WAIT


async def test_one_that_does_not_fit_yet_keeps_its_place(autojump_clock: trio.testing.MockClock) -> None:
    calls = Calls(account(10))
    async with trio.open_nursery() as nursery:
        for name in ("a", "b"):
            await calls.reserve(name, firm(5))
        for name in ("large", "second"):
            nursery.start_soon(calls.reserve, name, firm(10))
            await trio.testing.wait_all_tasks_blocked()
        for name in ("a", "b"):
            calls.release(name)
            await trio.testing.wait_all_tasks_blocked()
        assert calls.order == ["a", "b", "large"]
        calls.release("large")
        await trio.testing.wait_all_tasks_blocked()
    assert calls.order == ["a", "b", "large", "second"]


async def test_one_that_comes_later_does_not_overtake(autojump_clock: trio.testing.MockClock) -> None:
    calls = Calls(account(10))
    async with trio.open_nursery() as nursery:
        for name in ("a", "b"):
            await calls.reserve(name, firm(5))
        nursery.start_soon(calls.reserve, "large", firm(10))
        await trio.testing.wait_all_tasks_blocked()
        calls.release("a")
        nursery.start_soon(calls.reserve, "late", firm(5))
        await trio.testing.wait_all_tasks_blocked()
        calls.release("b")
        await trio.testing.wait_all_tasks_blocked()
        assert calls.order == ["a", "b", "large"]
        calls.release("large")
    assert calls.order == ["a", "b", "large", "late"]


async def test_a_wait_has_an_end(autojump_clock: trio.testing.MockClock) -> None:
    calls = Calls(account(10))
    await calls.reserve("held", firm(10))
    await calls.reserve("late", firm(1))
    assert trio.current_time() == pytest.approx(MAX_WAIT)
    assert calls.found["late"] is Shortfall.WAIT
    calls.release("held")
    await calls.reserve("next", firm(10))
    assert isinstance(calls.found["next"], Reservation)


@pytest.mark.parametrize("is_woken", [False, True])
async def test_a_call_that_gives_up_leaves_its_place_to_the_next(
    is_woken: bool, autojump_clock: trio.testing.MockClock
) -> None:
    """Also where it was woken up in the very moment in which it is cancelled."""
    calls = Calls(account(10))
    async with trio.open_nursery() as nursery:
        await calls.reserve("held", firm(10))
        async with trio.open_nursery() as gone:
            gone.start_soon(calls.reserve, "gone", firm(10))
            await trio.testing.wait_all_tasks_blocked()
            nursery.start_soon(calls.reserve, "next", firm(10))
            await trio.testing.wait_all_tasks_blocked()
            if is_woken:
                calls.release("held")
            gone.cancel_scope.cancel()
        for name in list(calls.found):
            calls.release(name)
    assert calls.order[-1] == "next"
    assert trio.current_time() < MAX_WAIT


async def test_the_last_waiter_is_refused_once_the_budget_is_spent(
    autojump_clock: trio.testing.MockClock,
) -> None:
    calls = Calls(account(10))
    async with trio.open_nursery() as nursery:
        await calls.reserve("held", firm(10))
        for name in ("a", "b", "c"):
            nursery.start_soon(calls.reserve, name, firm(5))
        await trio.testing.wait_all_tasks_blocked()
        calls.release("held", cost=6)
    assert [calls.found[name] for name in "abc"] == [Shortfall.REFUSE] * 3
    assert trio.current_time() < MAX_WAIT


async def test_calls_of_several_accounts_wait_for_whichever_is_short(
    autojump_clock: trio.testing.MockClock,
) -> None:
    group, one, two = account(10), account(8), account(8)
    calls = Calls(group)
    async with trio.open_nursery() as nursery:
        await calls.reserve("one", firm(8), group, one)
        await calls.reserve("group", firm(2), group)
        nursery.start_soon(calls.reserve, "again", firm(8), group, one)
        nursery.start_soon(calls.reserve, "two", firm(8), group, two)
        await trio.testing.wait_all_tasks_blocked()
        calls.release("group")
        await trio.testing.wait_all_tasks_blocked()
        assert calls.order == ["one", "group"]
        calls.release("one")
        await trio.testing.wait_all_tasks_blocked()
        assert len(calls.order) == 3
        calls.release(calls.order[-1])
    assert sorted(calls.order[2:]) == ["again", "two"]
    for name in list(calls.found):
        calls.release(name)
    assert [each.reserved_pico for each in (group, one, two)] == [0, 0, 0]
    assert trio.current_time() < MAX_WAIT


RESET = NOW + 3_600_000_000
SHORT = [
    # (spent, reserved, of these the call's own, needed, reset, seconds to wait)
    ("nothing gives back", 95, 0, 0, 10, None, None),
    ("a reset does", 95, 0, 0, 10, RESET, 3600),
    ("others may", 80, 15, 0, 10, RESET, RETRY_SECONDS),
    ("too little, whatever others give back", 95, 4, 0, 10, RESET, 3600),
    ("more than the whole budget", 0, 0, 0, 101, RESET, None),
    ("what the call itself holds is not waited for", 80, 15, 15, 20, RESET, 3600),
    ("nor without a reset", 80, 15, 15, 20, None, None),
]


@cases(
    ("spent", "reserved", "own", "needed", "reset", "wait"),
    [case[1:] for case in SHORT],
    ids=[c[0] for c in SHORT],
)
def test_who_is_short_is_told_to_wait_as_long_as_it_takes(spent, reserved, own, needed, reset, wait):
    of = account(100, spent=spent)
    of.reserved_pico, of.budget_reset_at = reserved, reset
    refusal = short_of_budget(of, needed, NOW, own=own)
    assert refusal.retry_after == wait
    assert ("resets at" in refusal.message) is (reset is not None)
    assert ("calls under way" in refusal.message) is (reserved > own)
    assert ("the rest of this call" in refusal.message) is (own > 0)


@cases(
    ("calls", "most", "wanted"),
    [
        (0, 4000, 1000),  # a quarter each
        (1, 4000, 500),
        (9, 4000, 100),
        (99, 4000, 80),  # what is expected
        (0, 400_000, 9000),  # the bound
    ],
)
def test_the_fewer_calls_are_known_the_more_is_reserved_where_nothing_bounds_them(
    calls: int, most: int, wanted: int
) -> None:
    forecast = CostForecast(bound=9000, is_firm=False, expected=80, likely=64, calls=calls)
    assert wanted_pico(forecast, most) == wanted
