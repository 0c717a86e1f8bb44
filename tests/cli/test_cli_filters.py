"""Filters on the command line: what is wrong is pointed at, and what matches nothing is named."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rig.cases import cases

from gatekeeper.cli.call_filter import pointer, terms_of
from gatekeeper.ledger.call import COLUMNS

CALL = dict.fromkeys(COLUMNS) | {"id": "1", "started_at": "2026-11-24T13:07:21Z", "status": 200}
WRONG = {
    "status": 400,
    "title": "Bad Request",
    "detail": 'column 12: no field is called "colour"',
    "column": 12,
}


@cases(
    ("command", "route"),
    [
        ("calls list", "/calls"),
        ("calls tail", "/calls/stream"),
        ("calls export", "/calls"),
        ("spend", "/spend"),
    ],
)
def test_an_error_in_a_filter_is_pointed_at(on: Any, gateway: Any, command: str, route: str) -> None:
    gateway.answers = {f"GET {route}": (400, WRONG)}
    ended = on(*command.split(), "--query", "status:4xx colour:red")
    assert (ended.status, ended.out) == (6, "")
    assert ended.err.splitlines() == [
        'gatekeeper: column 12: no field is called "colour".',
        "  status:4xx colour:red",
        "             ^",
    ]


def test_of_a_long_filter_the_part_around_the_error_is_shown() -> None:
    line, caret = pointer(f"{'a' * 200} colour:red {'b' * 200}", 202, 80)
    assert len(line) == 80
    assert line.startswith("  …aaa")
    assert line.endswith("b…")
    assert line[caret.index("^") :].startswith("colour:red b")
    wide, caret = pointer('tag:東京 "x', 8, 80)
    assert cell_len(wide.partition('"')[0]) == caret.index("^")


@given(st.text(min_size=1, max_size=300), st.integers(1, 301), st.integers(20, 200))
def test_a_pointer_points_whatever_the_filter_within_the_line(q: str, column: int, width: int) -> None:
    line, caret = pointer(q, column, width)
    assert line.isprintable()
    assert cell_len(line) <= max(width, 22)
    assert caret.strip() == "^"
    assert len(caret) <= max(width, 22) + 2


@given(
    st.lists(st.sampled_from(["a", '"b c"', "-tag:x,y", 'key:"a, b"', "since:1h", "cost:none"]), max_size=6)
)
def test_the_terms_of_a_filter_are_as_they_were_written(terms: list[str]) -> None:
    assert terms_of("  ".join(terms)) == terms


def matching(*terms: str) -> Any:
    """Answers with a call where the filter has only these terms."""

    def answer(asked: Any) -> Any:
        wanted = terms_of(asked.query.get("q", "")) + ["since"] * ("since" in asked.query)
        found = [CALL] if len(wanted) < 2 and set(wanted) <= set(terms) else []
        return 200, {"calls": found, "next_cursor": None}

    return answer


@cases(
    ("found", "words", "said"),
    [
        ((), ["-q", "user:bob"], "No call matches user:bob."),
        (("user:bob",), ["-q", "user:bob", "--since", "1h"], "No call matches --since 1h."),
        (
            ("a", "since"),
            ["-q", "a user:bob -key:x", "--since", "1h"],
            "No call matches user:bob, nor -key:x.",
        ),
        (("a", "b"), ["-q", "a b"], "Each part of a b matches some calls, but no call matches all of them."),
        ((), ["-q", "a b c d e f g h i"], "No call matches a b c d e f g h i."),
    ],
)
def test_a_filter_that_matches_nothing_is_told_by_its_part(
    on: Any, gateway: Any, found: tuple[str, ...], words: list[str], said: str
) -> None:
    gateway.answers = {"GET /calls": matching(*found)}
    ended = on("calls", "list", *words)
    assert (ended.status, ended.out, ended.err) == (0, "", f"{said}\n")


EMPTY = {"calls": [], "next_cursor": None}
NOTHING_SPENT = {"rows": [], "total": {"calls": 0, "cost_usd": "0.000000000000"}}


@cases(
    ("words", "answers", "said"),
    [
        ("calls list", {"GET /calls": EMPTY}, "No calls yet. Make a key (gatekeeper keys create"),
        ("calls list -q tag:a", {"GET /calls": EMPTY}, "No calls yet. Make a key (gatekeeper keys create"),
        ("calls list --running", {"GET /calls": EMPTY}, "No call is in flight.\n"),
        (
            "calls list --running -q tag:a",
            {"GET /calls": EMPTY},
            "No call is in flight that matches tag:a.\n",
        ),
        ("spend", {"GET /spend": NOTHING_SPENT, "GET /calls": EMPTY}, "No calls yet. Make a key"),
        ("spend --by none", {"GET /spend": NOTHING_SPENT, "GET /calls": EMPTY}, "No calls yet."),
        ("keys list", {"GET /key/list": {"keys": []}}, "No keys yet. Make one: gatekeeper keys create"),
        ("keys list -q ci", {"GET /key/list": {"keys": []}}, "No key has 'ci' in its alias, tags, user or"),
        ("groups list", {"GET /group/list": {"groups": []}}, "No group of keys has limits yet. Give one"),
        ("users list", {"GET /user/list": {"users": []}}, "No end user has limits yet. Give one limits:"),
        ("users list -q x", {"GET /user/list": {"users": []}}, "No end user with limits has 'x' in its name"),
        ("audit", {"GET /audit": {"changes": []}}, "Nothing has been changed yet.\n"),
        (
            "audit --by ann --since 1h",
            {"GET /audit": {"changes": []}},
            "No change matches --by ann --since 1h.\n",
        ),
    ],
)
def test_an_empty_result_says_what_to_do(
    on: Any, gateway: Any, words: str, answers: dict[str, Any], said: str
) -> None:
    gateway.answers = answers
    ended = on(*words.split())
    assert (ended.status, ended.out) == (0, "")
    assert ended.err.startswith(said)
    assert ended.err.count("\n") == 1
    assert on(*words.split(), "--json").document == next(iter(answers.values()))


def test_a_page_after_the_last_is_told(on: Any, gateway: Any) -> None:
    gateway.answers = {"GET /calls": [EMPTY, {"calls": [CALL], "next_cursor": None}]}
    ended = on("calls", "list", "--cursor", "1")
    assert (ended.status, ended.out, ended.err) == (0, "", "No more calls.\n")


def test_an_empty_export_is_told_the_same(on: Any, gateway: Any) -> None:
    gateway.answers = {"GET /calls": EMPTY}
    count, why = on("calls", "export").err.splitlines()
    assert count == "0 calls"
    assert why.startswith("No calls yet")


def test_a_list_is_sorted_by_the_gateway_and_shows_by_what(on: Any, gateway: Any, monkeypatch: Any) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    call = CALL | {"total_tokens": 1234, "cached_tokens": 7, "gateway_ms": 0.4, "finish_reason": "STOP"}
    gateway.answers = {"GET /calls": {"calls": [call], "next_cursor": None}}
    for sort, title, text in (
        ("-tokens", "tokens", "1,234"),
        ("cached", "cached", "7"),
        ("-gateway_ms", "gateway_ms", "0.4ms"),
        ("finish_reason", "finish_reason", "STOP"),
        ("-user", "user", "–"),
    ):
        ended = on("calls", "list", f"--sort={sort}")
        head, row = ended.out.splitlines()
        assert title in head.split()
        assert text in row.split()
        assert gateway.asked[-1].query["sort"] == sort
    assert on("calls", "list", "--running", "--sort=cost").status == 2


def test_calls_in_flight_say_how_long_they_run(on: Any, gateway: Any) -> None:
    running = CALL | {"status": None, "key_alias": "ci", "model": "gemini-2.5-pro", "output_tokens": 12}
    gateway.answers = {"GET /calls": {"calls": [running], "next_cursor": None}}
    head, row = on("calls", "list", "--running").out.splitlines()
    assert head.split() == [
        "started",
        "id",
        "key",
        "model",
        "action",
        "running",
        "first",
        "in",
        "out",
        "tags",
        "user",
    ]
    assert " ◌ " in row
    assert gateway.asked[0].query == {"running": "true", "limit": "50"}
