"""What calls have cost lately, and what the next one is expected to cost by that."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rig.cases import cases

from gatekeeper.keys import cost_history
from gatekeeper.keys.cost_history import CostHistory
from gatekeeper.ledger.call import CallRecord, Outcome

MODEL, ACTION = "gemini-2.5-flash", "generateContent"
INPUT = 3  # pico-dollars for a token of input


def noted(*costs: int, key: str = "key_1", size: int = 100, bound: int = 0) -> CostHistory:
    history = CostHistory()
    for cost in costs:
        history.note(key, MODEL, ACTION, size, cost, bound)
    return history


def expected(history: CostHistory, key: str = "key_1", size: int = 100, model: str = MODEL) -> int | None:
    return history.of(key, model, ACTION).expected(size, INPUT)


def test_without_experience_nothing_is_expected() -> None:
    history = CostHistory()
    assert expected(history) is None
    assert history.of("key_1", MODEL, ACTION).likely(100, INPUT) is None
    assert history.of("key_1", MODEL, ACTION).excess == 1.0
    assert history.of("key_1", MODEL, ACTION).first_event == (0, 0)
    assert expected(noted(1000), model="gemini-2.5-pro") is None


def test_the_largest_counts_with_a_margin_that_is_wider_for_the_experience_of_others() -> None:
    history = noted(1000, 400)
    assert expected(history) == 1225  # 1000 has faded by a fiftieth
    assert history.of("key_1", MODEL, ACTION).likely(100, INPUT) == 980
    assert expected(history, key="key_2") == 1960
    assert expected(noted(1000, key="")) == 2000


def test_a_longer_request_costs_its_bytes_on_top() -> None:
    history = noted(1000)
    assert expected(history, size=140) == (1000 + 40 * INPUT) * 5 // 4
    assert expected(history, size=20) == 1250


def test_one_exception_is_forgotten() -> None:
    history = noted(1_000_000)
    for _ in range(400):
        history.note("key_1", MODEL, ACTION, 100, 1000, 0)
    assert expected(history) == 1250


@given(st.lists(st.integers(1, 10**9), min_size=1, max_size=60))
def test_the_expected_is_never_less_than_the_last_and_never_more_than_the_largest_with_its_margin(
    costs: list[int],
) -> None:
    found = expected(noted(*costs))
    assert found is not None
    assert costs[-1] * 5 // 4 <= found <= max(costs) * 5 // 4


def test_a_bound_that_was_exceeded_is_raised_by_so_much() -> None:
    history = noted(150, bound=100)
    assert history.of("key_1", MODEL, ACTION).excess == 1.5
    assert history.of("key_2", MODEL, ACTION).excess == 1.5
    history.note("key_1", MODEL, ACTION, 100, 50, 100)
    assert history.of("key_1", MODEL, ACTION).excess == 1.5


def test_the_least_recent_is_forgotten_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cost_history, "MAX_ENTRIES", 3)
    history = CostHistory()
    for key in ("a", "b", "a", "c"):
        history.note(key, MODEL, ACTION, 0, 100, 0)
    # Those of `a`, `c` and of everybody are left: `b` is expected to cost what others do.
    assert expected(history, key="a", size=0) == expected(history, key="c", size=0) == 125
    assert expected(history, key="b", size=0) == 200


def row(**members: object) -> CallRecord:
    given: dict[str, object] = {
        "id": "00000000-0000-7000-8000-000000000000",
        "started_at": 0,
        "method": "POST",
        "path": "/",
        "key_id": "key_1",
        "model": MODEL,
        "action": ACTION,
        "outcome": Outcome.OK,
        "cost_pico": 1000,
        "request_bytes": 100,
    }
    return CallRecord(**(given | members))  # pyright: ignore[reportArgumentType]


@cases(
    ("members", "own", "other"),
    [
        ({}, 1250, 2000),
        ({"outcome": Outcome.CUT}, None, None),
        ({"outcome": Outcome.UPSTREAM_ERROR}, None, None),
        ({"cost_pico": None}, None, None),
        ({"cost_pico": 0}, None, None),
        ({"key_id": None}, 2000, 2000),
    ],
)
def test_only_whole_answers_of_a_known_cost_are_experience(
    members: dict[str, object], own: int | None, other: int | None
) -> None:
    history = CostHistory()
    history.note_call(row(**members), bound_pico=5000)
    assert (expected(history), expected(history, key="key_2")) == (own, other)


def test_without_a_budget_a_call_is_experience_for_others() -> None:
    history = CostHistory()
    history.note_call(row(), bound_pico=0)
    assert expected(history) == 2000


def test_a_row_without_model_and_action_has_a_place_of_its_own() -> None:
    history = CostHistory()
    history.note_call(row(model=None, action=None), bound_pico=1)
    history.note_events(("key_1", "", ""), 5, 2)
    assert expected(history) is None
    assert history.of("key_1", "", "").expected(100, INPUT) == 1250
    assert history.of("key_1", "", "").first_event == (5, 2)


def test_what_streams_have_cost_by_their_events() -> None:
    history = CostHistory()
    history.note_events(("key_1", MODEL, ACTION), 100, 10)
    assert history.of("key_1", MODEL, ACTION).first_event == (100, 10)
    # No experience of whole calls
    assert expected(history) is None
    history.note_events(("key_1", MODEL, ACTION), 10, 50)
    assert history.of("key_1", MODEL, ACTION).first_event == (98, 50)
    history.note_call(row(), bound_pico=0)
    assert history.of("key_1", MODEL, ACTION).first_event == (98, 50)


def test_what_other_keys_streams_cost_by_their_events_is_theirs() -> None:
    history = CostHistory()
    history.note_events(("key_1", MODEL, ACTION), 100, 10)
    assert history.of("key_2", MODEL, ACTION).first_event == (0, 0)


def test_calls_are_counted_by_key() -> None:
    history = CostHistory()
    for _ in range(3):
        history.note_call(row(), bound_pico=1)
    assert [history.of(key, MODEL, ACTION).calls for key in ("key_1", "key_2")] == [3, 0]
