"""Budget windows: their rhythm, what counts in them, and that memory and store count alike."""

from __future__ import annotations

from datetime import UTC
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rig.cases import cases

from gatekeeper.keys.spend import (
    AccountCharge,
    SpendDelta,
    current_spend,
    replay,
    roll_window,
    settle,
    spend_deltas,
)
from gatekeeper.keys.virtual_key import KeyRecord, KeyState
from gatekeeper.keys.windows import Window, calendar_duration, initial_window_end, next_window

MICROS_PER_SECOND = 1_000_000
HOUR = 3600 * MICROS_PER_SECOND
NOW = 1_789_999_200_000_000  # a full hour


def living(duration: str | None = "1h", *, spend: int = 0, start: int = 0, end: int | None = NOW) -> KeyState:
    record = KeyRecord(
        token_id="key_1",
        secret_hash="00",
        key_name="sk-...wxyz",
        budget_duration=duration,
        created_at=0,
        updated_at=0,
    )
    return KeyState(
        record=record, spend_pico=spend, window_start=start, budget_reset_at=end if duration else None
    )


moments = st.integers(0, 4 * NOW)


durations = st.sampled_from(["1s", "90s", "12h", "1d", "30d", "2w", "1mo", "12mo"])
zones = st.sampled_from([UTC, ZoneInfo("Europe/Berlin"), ZoneInfo("America/Santiago")])


@given(end=moments, passed=moments, duration=durations, zone=zones)
def test_windows_follow_each_other_and_hold_every_moment(end, passed, duration, zone):
    """Also after an end that is at no boundary: a key's from before the calendar counted."""
    first = next_window(end, duration, end, zone)
    assert first.start == end < first.end
    now = end + passed

    window = next_window(end, duration, now, zone)

    assert window.start <= now < window.end
    assert window.end - window.start <= calendar_duration(duration).longest
    # As if each of them had been looked at.
    assert window == (first if now < first.end else next_window(first.end, duration, now, zone))
    assert next_window(window.end, duration, window.end, zone).start == window.end
    assert window.end == initial_window_end(duration, window.start, zone) or window.start == end


@cases(
    ("now", "spend", "end"),
    [
        (NOW - 1, 7, NOW),
        (NOW, 0, NOW + HOUR),
        (NOW + HOUR - 1, 0, NOW + HOUR),
        (NOW + HOUR, 0, NOW + 2 * HOUR),
    ],
)
def test_a_window_that_is_over_counts_nothing(now, spend, end):
    state = living(spend=7)

    assert current_spend(state, now) == (spend, end)

    roll_window(state, now)
    assert (state.spend_pico, state.budget_reset_at) == (spend, end)


def test_without_a_duration_the_budget_is_for_good():
    state = living(None, spend=7)

    roll_window(state, 4 * NOW)

    assert current_spend(state, 4 * NOW) == (7, None)
    assert state.window == Window(0, None)


@cases(
    ("duration", "zone", "end"),
    [
        (None, "UTC", None),
        ("12h", "UTC", NOW + 12 * HOUR),
        ("1d", "UTC", NOW + 10 * HOUR),
        ("1d", "Europe/Berlin", NOW + 8 * HOUR),
        ("7d", "UTC", NOW + (6 * 24 + 10) * HOUR),
        ("1mo", "Europe/Berlin", NOW + (9 * 24 + 8) * HOUR),
    ],
)
def test_the_first_window_ends_with_the_period_in_which_the_key_is_made(duration, zone, end):
    assert initial_window_end(duration, NOW + 1, ZoneInfo(zone)) == end


def test_a_call_counts_in_the_window_it_ends_in():
    state = living(spend=5)

    settle(state, 3, NOW - 1)
    assert (state.spend_pico, state.last_used_at) == (8, NOW - 1)

    settle(state, 2, NOW + 5 * HOUR)
    assert (state.spend_pico, state.window) == (2, Window(NOW + 5 * HOUR, NOW + 6 * HOUR))


def test_a_replayed_call_of_a_window_that_is_over_counts_no_more():
    state = living(spend=5, start=NOW - HOUR)

    replay(state, 3, NOW - HOUR - 1)

    assert (state.spend_pico, state.last_used_at) == (5, NOW - HOUR - 1)


def test_a_clock_that_was_set_back_lets_nobody_spend_unseen():
    state = living(spend=5, start=NOW - HOUR)

    settle(state, 3, NOW - 30 * HOUR)

    assert state.spend_pico == 8
    grown = spend_deltas(lambda _: [state], [AccountCharge("key_1", 3, NOW - 30 * HOUR)])
    assert grown[state.id].spend_pico == 3


def test_the_last_use_is_the_latest():
    state = living()
    settle(state, 0, NOW + 9)
    settle(state, 0, NOW + 4)

    assert state.last_used_at == NOW + 9


def test_a_charge_that_no_call_made_is_no_use():
    state = living()

    settle(state, 4, NOW - 1, is_use=False)

    assert (state.spend_pico, state.last_used_at) == (4, None)


def test_charges_add_up_by_key_and_leave_out_keys_that_are_gone():
    state = living(start=NOW - HOUR)
    calls = [
        AccountCharge("key_1", 2, NOW - 5),
        AccountCharge("gone", 9, NOW - 4),
        AccountCharge("key_1", 3, NOW - 3),
    ]
    for call in calls:
        replay(state, call.cost_pico, call.ended_at)

    grown = spend_deltas(lambda call: [state] if call.token_id == "key_1" else [], calls)

    assert grown == {state.id: SpendDelta(Window(NOW - HOUR, NOW), 5, NOW - 3)}


@given(
    calls=st.lists(st.tuples(st.integers(0, 9), st.integers(0, 5 * HOUR)), max_size=20),
    split=st.integers(0, 20),
)
def test_the_spend_is_the_sum_over_the_running_window(calls, split):
    calls = sorted(calls, key=lambda call: call[1])
    state = living(end=HOUR)
    for cost, at in calls:
        settle(state, cost, at)

    running = [cost for cost, at in calls if at >= state.window_start]
    assert state.spend_pico == sum(running)
    grown = spend_deltas(lambda _: [state], [AccountCharge("key_1", cost, at) for cost, at in calls[split:]])
    counted = grown[state.id].spend_pico if grown else 0
    assert counted == sum(cost for cost, at in calls[split:] if at >= state.window_start)


def test_estimates_are_a_part_of_the_spend_and_end_with_its_window():
    state = living(start=NOW - HOUR)
    settle(state, 3, NOW - 4)
    settle(state, 5, NOW - 3, estimated=True)
    assert (state.spend_pico, state.estimated_pico) == (8, 5)

    calls = [AccountCharge("key_1", 3, NOW - 4), AccountCharge("key_1", 5, NOW - 3, estimated=True)]
    assert spend_deltas(lambda _: [state], calls)[state.id] == SpendDelta(state.window, 8, NOW - 3, 5)

    roll_window(state, NOW)
    assert (state.spend_pico, state.estimated_pico) == (0, 0)


YEARS = 10 * 365 * 24 * HOUR


@pytest.mark.parametrize("ahead", [2 * HOUR, 9 * HOUR + 1, YEARS])
def test_a_window_that_a_jumping_clock_left_in_the_future_is_brought_back_with_its_spend(ahead):
    state = living(spend=5, start=NOW - HOUR, end=NOW)
    settle(state, 3, NOW + ahead)
    assert state.budget_reset_at > NOW + ahead

    assert current_spend(state, NOW + 1) == (3, NOW + HOUR)
    roll_window(state, NOW + 1)
    assert (state.spend_pico, state.budget_reset_at) == (3, NOW + HOUR)
    assert state.window_start <= NOW
    settle(state, 2, NOW + 2)
    assert state.spend_pico == 5
    calls = [AccountCharge("key_1", 3, NOW + ahead), AccountCharge("key_1", 2, NOW + 2)]
    assert spend_deltas(lambda _: [state], calls)[state.id].spend_pico == 5

    roll_window(state, NOW + HOUR)
    assert (state.spend_pico, state.budget_reset_at) == (0, NOW + 2 * HOUR)


@pytest.mark.parametrize("ahead", [2 * HOUR, 9 * HOUR + 1, YEARS])
def test_a_window_that_a_clock_ahead_has_ended_goes_on_with_its_spend(ahead):
    state = living(spend=5, start=NOW - HOUR, end=NOW)
    settle(state, 3, NOW + ahead, estimated=True)
    assert state.spend_pico == 3

    assert current_spend(state, NOW - 2) == (8, NOW)
    roll_window(state, NOW - 2)
    assert (state.spend_pico, state.estimated_pico, state.window) == (8, 3, Window(NOW - HOUR, NOW))
    settle(state, 2, NOW - 1)
    calls = [AccountCharge("key_1", 2, NOW - 1)]
    assert spend_deltas(lambda _: [state], calls)[state.id].spend_pico == 2

    roll_window(state, NOW)
    assert (state.spend_pico, state.window) == (0, Window(NOW, NOW + HOUR))


@pytest.mark.parametrize("calls", [0, 1])
def test_a_clock_that_begins_behind_and_is_set_right_ends_no_window(calls):
    """As of a machine without a battery: 1970, until the network tells the time."""
    state = living(spend=5, start=NOW - HOUR, end=NOW)
    roll_window(state, HOUR // 2)
    assert (state.spend_pico, state.budget_reset_at) == (5, HOUR)
    for _ in range(calls):
        settle(state, 1, HOUR // 2)

    assert current_spend(state, NOW - 1) == (5 + calls, NOW)
    roll_window(state, NOW - 1)
    assert (state.spend_pico, state.budget_reset_at) == (5 + calls, NOW)
    # The store has kept the sum, whether or not it was told of a window in between.
    assert state.window_start <= NOW - HOUR

    roll_window(state, NOW)
    assert (state.spend_pico, state.window) == (0, Window(NOW, NOW + HOUR))


@given(
    moves=st.lists(st.tuples(st.integers(0, 9), st.sampled_from([-YEARS, -1, 0, 1, HOUR, 40 * HOUR, YEARS]))),
    duration=st.sampled_from(["1h", "1d", "1mo"]),
)
def test_whatever_the_clock_does_what_is_told_is_what_counts(moves, duration):
    state = living(duration, end=initial_window_end(duration, NOW, UTC))
    for cost, jump in moves:
        now = NOW + jump
        told = current_spend(state, now)
        roll_window(state, now)
        assert told == (state.spend_pico, state.budget_reset_at)
        settle(state, cost, now)
        # Back at the right time all of it counts that the window has seen.
        settle(state, 0, NOW)
        assert state.spend_pico >= cost


def test_a_replayed_call_of_long_ago_brings_no_window_back():
    state = living(spend=5, start=NOW - HOUR, end=NOW)

    replay(state, 3, NOW - YEARS)

    assert (state.spend_pico, state.window) == (5, Window(NOW - HOUR, NOW))


@pytest.mark.parametrize("back", [1, HOUR])
def test_a_clock_that_was_set_back_a_little_changes_no_window(back):
    state = living(spend=5, start=NOW - HOUR, end=NOW)

    roll_window(state, NOW - HOUR - back)

    assert (state.spend_pico, state.window) == (5, Window(NOW - HOUR, NOW))


@given(end=moments, now=moments, duration=st.sampled_from(["1s", "90s", "12h", "1d", "30d", "1mo"]))
def test_no_window_begins_far_from_now_whatever_the_clock_did(end, now, duration):
    state = living(duration, spend=7, start=max(0, end - 1), end=end)

    told = current_spend(state, now)
    roll_window(state, now)

    assert told == (state.spend_pico, state.budget_reset_at)
    assert now < state.budget_reset_at <= now + calendar_duration(duration).longest + HOUR
    assert state.window_start <= max(now, end - 1)
    assert state.spend_pico == (7 if now < end else 0)
