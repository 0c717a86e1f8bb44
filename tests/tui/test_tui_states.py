"""How calls and keys are said to stand, filters written, and columns laid out."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from gatekeeper.client.api_types import Cost
from gatekeeper.client.call_columns import call_columns, cost_cell
from gatekeeper.client.call_text import OUTCOMES, byte_counts, call_state, call_text, timing
from gatekeeper.client.call_types import Call, CallDetail
from gatekeeper.client.columns import Column, TextRole, cells, column_widths, header_row, padded
from gatekeeper.client.formats import pluralized
from gatekeeper.client.key_text import key_columns, key_state
from gatekeeper.client.key_types import Key
from gatekeeper.client.spend import Spend, SpendRow
from tui.spend.periods import Interval
from tui.spend.ranking import Line, Ranking
from tui.spend.table import change_share_cell, compared_columns, share_cell, spend_columns
from tui.spend.text import saved_text, sums
from tui.terminal import lines
from tui.widgets import filter_line

NOW = datetime(2026, 11, 24, 13, 7, 32, tzinfo=UTC)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"outcome": "ok", "status": 200}, "✓ 200"),
        ({"outcome": "ok"}, "✓ ok"),
        ({"outcome": "refused", "status": 403}, "⊘ 403"),
        ({"outcome": "upstream_error", "status": 429}, "✗ 429"),
        ({"outcome": "upstream_unreachable", "status": 502}, "✗ 502"),
        ({"outcome": "upstream_broken", "status": 200}, "✗ trunc"),
        ({"outcome": "client_disconnected", "status": 200}, "↯ abort"),
        ({"outcome": "cut", "status": 200}, "⊘ cut"),
        ({"outcome": "interrupted"}, "✗ crash"),
        ({"outcome": "novel"}, "· novel"),
        ({"started_at": NOW - timedelta(seconds=2.14)}, "◌ 2.1s"),
        ({"started_at": NOW - timedelta(seconds=75)}, "◌ 1m15s"),
        ({"started_at": NOW + timedelta(seconds=3)}, "◌ 0.0s"),
        ({}, "◌ …"),
    ],
)
def test_a_call_stands(fields, said):
    assert str(call_state(Call(**fields), NOW)) == said


def test_every_outcome_has_a_sign_a_word_and_a_meaning():
    assert all(state.sign and state.word and state.meaning for state in OUTCOMES.values())


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({}, "● active"),
        ({"blocked": True, "max_budget": Decimal(1), "spend": Decimal(2)}, "○ blocked"),
        ({"expires": NOW - timedelta(days=1)}, "○ expired 23 Nov"),
        ({"expires": NOW + timedelta(days=1)}, "● active"),
        ({"max_budget": Decimal(20), "spend": Decimal("18.5")}, "● active, 92 % used"),
        ({"max_budget": Decimal(20), "spend": Decimal(20)}, "⊘ used up"),
        ({"max_budget": Decimal(20), "spend": Decimal(21), "budget_reset_at": NOW}, "⊘ used up until 24 Nov"),
        ({"max_budget": Decimal(0)}, "⊘ used up"),
        ({"max_budget": Decimal(20)}, "● active"),
    ],
)
def test_a_key_stands(fields, said):
    assert str(key_state(Key(**fields), NOW)) == said


@pytest.mark.parametrize(
    ("cost", "outcome", "shown"),
    [
        (None, "ok", ("?", TextRole.WARNING)),
        (None, None, ("…", TextRole.DIM)),
        (Decimal(0), "refused", ("–", TextRole.DIM)),
        (Decimal("0.0013"), "ok", ("$0.0013", TextRole.PLAIN)),
    ],
)
def test_an_unknown_cost_is_never_nothing(cost, outcome, shown):
    text, role = cost_cell(Call(cost_usd=cost, outcome=outcome))
    assert (text.strip(), role) == shown


@pytest.mark.parametrize(
    ("field", "value", "text"),
    [
        ("tag", "checkout", "tag:checkout"),
        ("tag", None, "-tag:*"),
        ("tag", "a, b", 'tag:"a, b"'),
        ("key", "eval*", 'key:"eval*"'),
        ("tag", "-x:y", 'tag:"-x:y"'),
        ("model", "gemini-2.5-flash", "model:gemini-2.5-flash"),
        ("user", 'o"neil', 'user:"o\\"neil"'),
        ("user", "", 'user:""'),
    ],
)
def test_terms_are_quoted_where_they_must_be(field, value, text):
    assert filter_line.term(field, value) == text


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        (
            {"key_alias": "web", "key_id": "k1", "model": "gemini-2.5-pro", "outcome": "ok"},
            "key:web model:gemini-2.5-pro",
        ),
        ({"key_id": "open", "outcome": "cut"}, "key:open outcome:cut"),
        ({"key_id": "open"}, "key:open"),
    ],
)
def test_calls_like_this_one(fields, text):
    assert filter_line.similar_calls_filter(Call(**fields)) == text


@pytest.mark.parametrize(
    ("text", "width", "right", "shown"),
    [
        ("abc", 5, False, "abc  "),
        ("abc", 5, True, "  abc"),
        ("abcdef", 5, False, "abcd…"),
        ("$12.40   ", 8, True, "  $12.40"),
        ("模型名称", 5, False, "模型…"),
        ("模型名称", 6, False, "模型 …"),
        ("x", 0, False, ""),
    ],
)
def test_cells_are_exactly_as_wide_as_their_column(text, width, right, shown):
    assert padded(text, width, right) == shown


def test_what_a_line_has_left_is_shared_out():
    columns = [
        Column("a", 4, str_cell, stretch=1),
        Column("b", 4, str_cell, right=True),
        Column("c", 4, str_cell, stretch=2),
    ]
    assert column_widths(columns, 14) == [4, 4, 4]
    assert column_widths(columns, 24) == [7, 4, 11]
    assert column_widths(columns, 8) == [4, 4, 4]
    assert header_row(columns, [4, 4, 4]) == "a       b c   "
    assert [text for text, _ in cells(columns, [4, 4, 4], 7)] == ["7    ", "   7 ", "7   "]


def str_cell(row):
    return str(row), TextRole.PLAIN


@pytest.mark.parametrize("width", range(80, 240, 10))
def test_columns_fill_the_screen_and_do_not_run_over(width):
    layouts = (
        call_columns(width, lambda: NOW),
        key_columns(width, lambda: NOW),
        spend_columns("tag", None, lambda _: None, width),
        compared_columns("tag", None, width),
    )
    for columns in layouts:
        assert sum(column_widths(columns, width - 1)) + len(columns) - 1 == width - 1


@pytest.mark.parametrize("width", [80, 120, 200])
@pytest.mark.parametrize(
    ("cost", "shown"),
    [
        ("0.000000000001", "<$0.00001"),
        ("0.0000031", "<$0.00001"),
        ("0.000009999999", "<$0.00001"),
        ("0.00001", "$0.000010"),
        ("0.0000996", "$0.00010"),
        ("99999", "$99,999"),
        (None, "?"),
    ],
)
def test_a_cost_in_the_log_is_never_cut(width, cost, shown):
    call = Call(id="x", outcome="ok", cost_usd=None if cost is None else Decimal(cost))
    columns = call_columns(width, lambda: NOW)
    texts = [text.strip() for text, _ in cells(columns, column_widths(columns, width), call)]
    assert texts[[column.title for column in columns].index("cost")] == shown


def test_what_others_wrote_commands_no_terminal():
    assert padded("a\x1b]52;c;x\x07\u202eb\n", 14, right=False) == "a·]52;c;x··b· "
    call = CallDetail(id="x", outcome="ok", tags=("\x1b[2J",), user_agent="curl\x9b31m")
    assert not any(control in lines(call_text(call, 80, NOW)).plain for control in ("\x1b", "\x9b"))


def test_an_unknown_cost_is_said_in_words():
    call = CallDetail(id="x", outcome="ok", status=200, cost=Cost(notes="no price for gemini-9-ultra"))
    text = lines(call_text(call, 80, NOW)).plain
    assert "?  unknown\n  no price for gemini-9-ultra" in text
    call = CallDetail(id="x", outcome="ok", status=200)
    assert "?  unknown: no price for this model" in lines(call_text(call, 80, NOW)).plain


@pytest.mark.parametrize(
    ("times", "bar"),
    [
        ((100.0, 50.0, 25.0), "▓" * 18 + "░" * 18 + "█" * 36),
        ((100.0, 100.0, 0.0), "░" * 73),
        ((0.0, 0.0, 0.0), None),
        ((100.0, None, None), None),
        ((None, None, None), None),
    ],
)
def test_the_timing_bar_has_each_phase_by_its_share(times, bar):
    total, first, own = times
    call = CallDetail(id="x", outcome="ok", duration_ms=total, first_byte_ms=first, gateway_ms=own)
    drawn = [line.strip() for line in lines(timing(call, 80)).plain.split("\n")]
    assert (drawn[0] if len(drawn) > 1 else None) == bar


@pytest.mark.parametrize(("number", "said"), [(0, "0 calls"), (1, "1 call"), (14_203, "14,203 calls")])
def test_counted(number, said):
    assert pluralized(number, "call") == said


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"outcome": "ok", "request_bytes": 0, "response_bytes": 812}, "0 B up, 812 B down"),
        ({"outcome": "interrupted", "request_bytes": 0, "response_bytes": 0}, "– up, – down"),
        ({"outcome": None, "request_bytes": 9, "response_bytes": None}, "9 B up, – down so far"),
    ],
)
def test_bytes_that_nobody_counted_are_not_0(fields, told):
    assert byte_counts(CallDetail(id="x", **fields)) == told


@pytest.mark.parametrize("refused", [0, 2])
def test_sums_of_what_nobody_knows_are_not_0(refused):
    """Nor where refused calls, which cost nothing, are among them."""
    sums_of = {"calls": 3 + refused, "unpriced_calls": 3, "cost_usd": Decimal(0) if refused else None}
    row = SpendRow(tag="a", **sums_of)
    ranking = Ranking(
        "tag",
        "",
        Interval(NOW, NOW),
        Spend((row,), SpendRow(**sums_of)),
        Spend(total=SpendRow(cost_usd=Decimal(5))),
        "",
    )
    [line] = ranking.lines(compared=False)
    columns = {
        column.title: column.cell(line)[0].strip()
        for column in spend_columns("tag", None, lambda _: None, 120)
    }
    expected = {"spend": "?", "share": "?", "trend": "–", "cost/call": "–", "tokens": "–", "cached": "–"}
    assert {name: columns[name] for name in expected} == expected
    assert [[text for text, _ in line] for line in sums(ranking)] == [["total ", "?"]]


def spent(cost, calls=1):
    cost_usd = None if cost is None else Decimal(cost)
    return SpendRow(tag="a", calls=calls, cost_usd=cost_usd, unpriced_calls=0 if cost else calls)


@pytest.mark.parametrize(
    ("now", "before", "shown"),
    [
        ("2", "1", "▲ 100.0 %"),
        ("1", "2", "▼ 50.0 %"),
        ("1", "1", "–"),
        ("1.0001", "1", "▲ <0.1 %"),
        ("0.9999", "1", "▼ <0.1 %"),
        ("11", "1", "▲ 11 ×"),
        ("20000", "1", "▲ >9,999 ×"),
        (None, "1", "?"),
        ("1", None, "?"),
    ],
)
def test_a_change_is_relative_to_the_period_before(now, before, shown):
    line = Line((("tag", "a"),), spent(now), spent(before), before_known=True)
    assert change_share_cell(line)[0] == shown


@pytest.mark.parametrize(
    ("fraction", "shown"), [(0, "–"), (0.0001, "<0.1 %"), (0.0005, "0.1 %"), (0.084, "8.4 %"), (1, "100.0 %")]
)
def test_shares_have_one_decimal(fraction, shown):
    assert share_cell(fraction)[0] == shown


@pytest.mark.parametrize(
    ("width", "said"),
    [
        (80, "✓ saved to /home/ann/a.csv, readable by you only"),
        (30, "✓ saved to /home/ann/a.csv"),
        (20, "✓ saved to …/a.csv"),
    ],
)
def test_a_saved_file_is_named_at_every_width(width, said):
    assert saved_text(Path("/home/ann/a.csv"), width) == said


@pytest.mark.parametrize("width", [80, 120, 200])
def test_what_a_budget_says_is_not_cut(width):
    key = Key(
        token_id="key_1",
        max_budget=Decimal("0.0010"),
        budget_duration="30d",
        spend=Decimal("0.0011"),
        budget_reset_at=datetime(2026, 12, 28, 13, tzinfo=UTC),
        models=("gemini-2.5-flash*",),
    )
    columns = key_columns(width, lambda: NOW)
    texts = {
        column.title: text.strip()
        for column, (text, _) in zip(
            columns, cells(columns, column_widths(columns, width - 1), key), strict=True
        )
    }
    assert texts["spend"] == "$0.0011 of $0.001/30d"
    assert texts["state"] == "⊘ used up until 28 Dec"
    assert texts.get("models", "gemini-2.5-flash*") == "gemini-2.5-flash*"


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_the_state_of_every_outcome_fits_its_column(outcome):
    state = next(column for column in call_columns(80, lambda: NOW) if column.title == "status")
    text, _ = state.cell(Call(outcome=outcome))
    assert len(text) <= state.width
