"""The filter grammar: what a term means for a call in memory, and that DuckDB means the same."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rig.analytics import Analytics
from rig.cases import cases
from rig.examples import examples

from gatekeeper.ledger.call import CallRecord, Outcome, Position
from gatekeeper.ledger.filters import FIELDS, Filter, FilterError, parse
from gatekeeper.times import to_micros

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


def finished(**known: object) -> CallRecord:
    call = CallRecord(
        id="019a1b2c-0000-7000-8000-000000000001",
        started_at=to_micros(NOW - timedelta(minutes=30)),
        duration_ms=2_500.0,
        first_byte_ms=300.0,
        gateway_ms=0.4,
        key_id="tok1",
        key_alias="search-prod",
        user_id="ada",
        tags=["nightly", "team a, b"],
        method="POST",
        path="/v1beta/models/gemini-2.5-flash:generateContent",
        action="generateContent",
        model="gemini-2.5-flash",
        model_version="gemini-2.5-flash-002",
        status=200,
        outcome=Outcome.OK,
        prompt_tokens=1_000,
        total_tokens=1_200,
        service_tier="standard",
        cost_pico=10_000_000_000,
        finish_reason="STOP",
        upstream_key="first",
        user_agent="google-genai-sdk/1.50",
        trace_id="4bf9",
    )
    for name, value in known.items():
        setattr(call, name, value)
    return call


def matches(text: str, **known: object) -> bool:
    return parse(text, now=NOW).matches(finished(**known))


FOUND = [
    "",
    "   ",
    "key:search-prod",
    "key:tok1",
    "key:search-*",
    "key:other,tok1",
    "model:gemini-2.5*",
    "model:gemini-?.5-flash",
    "model:*",
    "tag:nightly",
    "tag:x,nightly",
    'tag:"team a, b"',
    "tag:team?a*",
    "user:ada",
    "status:200",
    "status:2xx",
    "status:2XX",
    "status:404,200",
    "status:>=200 status:<300",
    "outcome:ok",
    "outcome:refused,ok",
    "outcome:o*",
    "cost:0.01",
    "cost:>0.009999999999",
    "cost:<=0.01",
    "tokens:>1000",
    "tokens:>1199.5",
    "prompt:=1000",
    "lat:>2s",
    "lat:2500ms",
    "lat:<0.05m",
    "ttfb:<=300ms",
    "gateway:<1ms",
    "-cost:none",
    "thoughts:none",
    "cost:none,0.01",
    "since:1h",
    "since:today",
    "since:yesterday",
    "since:TUESDAY",
    "since:2026-11-24",
    "since:2026-11-24T11:30:00Z",
    "until:2026-11-25",
    "since:1h until:10m",
    "action:generateContent",
    "method:POST",
    "path:*:generateContent",
    "id:019a1b2c*",
    "stream:false",
    "served:*-002",
    "tier:standard",
    "finish:STOP",
    "upstream:first",
    "agent:google-genai*",
    "trace:4bf9",
    "-user:bob",
    "-tag:x,y",
    "-reason:*",
    "-thoughts:>0",
    "SEARCH",
    "nightly flash",
    '"team A"',
    "019a1b2c",
    "genai-sdk",
    "nothing,ada",
    "-nothing",
    '-"no such text"',
    "key:search-prod model:gemini-2.5* -status:5xx since:1h ada",
]


@cases("text", FOUND)
def test_finds(text: str) -> None:
    assert matches(text)


NOT_FOUND = [
    "key:search",
    "key:SEARCH-PROD",
    "model:gemini-3*",
    'model:"gemini-2.5*"',
    "tag:team",
    "tag:*,x -tag:nightly",
    "-user:ada",
    "-user:ada,bob",
    "-user:*",
    "status:4xx",
    "status:>200",
    "outcome:interrupted",
    "-outcome:ok",
    "reason:*",
    "cost:>0.01",
    "cost:<0.01",
    "tokens:1200.5",
    "thoughts:>=0",
    "cost:none",
    "status:none",
    "lat:none",
    "-thoughts:none",
    "until:today",
    "until:tuesday",
    "lat:>2.5s",
    "since:10m",
    "since:2026-11-24T11:30:00.000001Z",
    "until:1h",
    "until:2026-11-24T11:30:00Z",
    "stream:true",
    "generateContent nothing",
    "-flash",
    '"flash  "',
    "user:ada user:bob",
]


@cases("text", NOT_FOUND)
def test_does_not_find(text: str) -> None:
    assert not matches(text)


def test_a_negated_term_finds_calls_where_the_field_is_empty() -> None:
    bare = {"tags": [], "user_id": None, "cost_pico": None, "status": None, "outcome": None}
    for term in ("tag:nightly", "user:ada", "cost:>0", "status:200", "outcome:ok"):
        assert not matches(term, **bare)
        assert matches(f"-{term}", **bare)
    assert matches("-tag:* -user:*", **bare)


def test_a_number_may_be_unknown() -> None:
    assert matches("cost:none", cost_pico=None)
    assert matches("status:none -lat:none", status=None)
    assert not matches("cost:none", cost_pico=0)


def test_a_call_in_flight_has_no_outcome_and_no_duration() -> None:
    flying = {"outcome": None, "duration_ms": None, "status": None}
    assert matches("model:gemini*", **flying)
    assert not matches("lat:>0ms", **flying)


QUOTED = [
    (r'tag:"say \"hi\""', 'say "hi"'),
    (r'tag:"back\\slash"', "back\\slash"),
    (r'tag:"back\slash"', r"back\slash"),
    (r"tag:back\slash", r"back\slash"),
    ('tag:"all*"', "all*"),
    ('tag:x,"a, b",y', "a, b"),
    ('tag:"-x:y"', "-x:y"),
    ("tag:a-b:c", "a-b:c"),
    ("tag:ünï*", "ünïcode"),
    ("tag:a%c*", "a%cd"),
    ("tag:line*end", "line\nend"),
]


@cases(("text", "tag"), QUOTED)
def test_a_quoted_value_names_exactly_what_it_says(text: str, tag: str) -> None:
    assert matches(text, tags=[tag])
    assert not matches(text, tags=[f"{tag[1:]}!"])


def test_money_compares_to_the_last_of_twelve_places() -> None:
    assert matches("cost:0.123456789012", cost_pico=123_456_789_012)
    assert not matches("cost:0.123456789012", cost_pico=123_456_789_013)
    assert matches("cost:>99999.999999999998", cost_pico=99_999_999_999_999_999)


@cases(
    ("text", "column", "told"),
    [
        ("modle:x", 1, 'no field is called "modle"; did you mean model? There are key, model, tag, user'),
        ("key:a foo:b", 7, 'no field is called "foo"; there are key, model'),
        ("key:a  -foo:b", 8, 'no field is called "foo"'),
        ("key:", 1, "value is missing"),
        ("key:a,", 1, "value is missing"),
        ("key:a,,b", 1, "value is missing"),
        (",", 1, "value is missing"),
        ("a -", 3, "value is missing"),
        ('tag:"a', 1, "quoted from end to end"),
        ('tag:"a"b', 1, "quoted from end to end"),
        ('x tag:a"b', 3, "quoted from end to end"),
        ("status:abc", 1, "200, 4xx, >=500 or none"),
        ("status:>4xx", 1, "200, 4xx, >=500 or none"),
        ("status:0xx", 1, "200, 4xx, >=500 or none"),
        ("cost:cheap", 1, "is not a number"),
        ("cost:$1", 1, "is not a number"),
        ("cost:1e3", 1, "is not a number"),
        ("cost:0.0000000000001", 1, "is not a number"),
        ("tokens:><5", 1, "is not a comparison"),
        ("tokens:-5", 1, "is not a number"),
        ("lat:>2", 1, "ms s m h d w mo"),
        ("since:tomorrow", 1, "date like 2026-11-24"),
        ("key:a since:mon", 7, "today, yesterday or a weekday"),
        ("cost:>none", 1, "none for unknown"),
        ("cost:None", 1, "none for unknown"),
        ("since:1h outcome:broken", 10, "upstream_unreachable"),
        ("stream:yes", 1, "neither true nor false"),
        ("http://x", 1, "put it in quotes"),
    ],
)
def test_a_term_that_does_not_parse_is_pointed_at(text: str, column: int, told: str) -> None:
    with pytest.raises(FilterError) as caught:
        parse(text, now=NOW)
    assert caught.value.column == column
    assert str(caught.value).startswith(f"column {column}: ")
    assert told in str(caught.value)


def test_a_date_is_one_of_the_zone_of_now() -> None:
    berlin = NOW.astimezone(ZoneInfo("Europe/Berlin"))
    late = finished(started_at=to_micros(datetime(2026, 11, 23, 23, 30, tzinfo=UTC)))
    assert parse("since:2026-11-24", now=berlin).matches(late)
    assert not parse("since:2026-11-24", now=NOW).matches(late)


def test_limits_beside_the_filter_are_half_open() -> None:
    start = NOW - timedelta(minutes=30)
    assert Filter().in_period(start, None).matches(finished())
    assert not Filter().in_period(None, start).matches(finished())


def test_a_pattern_of_many_stars_takes_no_time_to_speak_of(tmp_path: Path) -> None:
    stars = parse("path:" + "*a?" * 50 + "*b", now=NOW)
    long = finished(path="a" * 4_000)
    analytics = Analytics(tmp_path)
    analytics.add([(Position(1, 1), long)])
    assert analytics.calls(stars) == []
    assert not stars.matches(long)
    analytics.release()


# Agreement with DuckDB. Few and awkward values, so that filters and calls meet.

TEXTS = [
    "",
    "a",
    "A",
    "ab",
    "É",
    "é",
    "Σ",
    "ΑΣ",
    "ας",
    "İ",
    "i",
    "ß",
    "a%b",
    "a_b",
    "a*b",
    "a?b",
    "\\",
    '"',
    "a\nb",
    "a.(b$#",
    "\x00",
    "😀",
]
NUMBERS = [0, 1, 2, 999, 1_000, 2**53 + 1]
COSTS = [0, 1, 9_999_999_999, 10_000_000_000, 123_456_789_012, 999_999_999_999_999_999]
SPANS = [0.0, 0.5, 999.9, 1_000.0, 60_000.0]
WITH_COMPARISON = ["", "=", "<", "<=", ">", ">="]

text = st.sampled_from(TEXTS)
maybe_text = st.none() | text
maybe_number = st.none() | st.sampled_from(NUMBERS)
maybe_span = st.none() | st.sampled_from(SPANS)

calls = st.builds(
    CallRecord,
    id=st.uuids(version=4).map(str),
    started_at=st.sampled_from([to_micros(NOW) - back for back in (0, 1, 3_600_000_000, 10**15, 10**16)]),
    duration_ms=maybe_span,
    first_byte_ms=maybe_span,
    gateway_ms=maybe_span,
    key_id=maybe_text,
    key_alias=maybe_text,
    user_id=maybe_text,
    tags=st.lists(text, max_size=3),
    method=st.sampled_from(["GET", "POST"]),
    path=text,
    action=maybe_text,
    model=maybe_text,
    model_version=maybe_text,
    stream=st.booleans(),
    status=st.none() | st.sampled_from([200, 399, 400, 404, 499, 500]),
    outcome=st.none() | st.sampled_from(list(Outcome)),
    reason=maybe_text,
    prompt_tokens=maybe_number,
    cached_tokens=maybe_number,
    output_tokens=maybe_number,
    thoughts_tokens=maybe_number,
    total_tokens=maybe_number,
    service_tier=maybe_text,
    cost_pico=st.none() | st.sampled_from(COSTS),
    finish_reason=maybe_text,
    upstream_key=maybe_text,
    user_agent=maybe_text,
    trace_id=maybe_text,
)


def quoted(value: str) -> str:
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


globs = st.lists(
    st.sampled_from(["*", "?", "a", "b", "%", "_", "\\", ".", "(", "$", "#", "É", "😀", "Σ"]), min_size=1
).map("".join)
a_text = st.one_of(text.map(quoted), globs)
compared = st.sampled_from(WITH_COMPARISON)
decimals = st.sampled_from(
    ["0", "1", "0.01", "0.5", "1000", "0.123456789012", "999999.999999999999", "900719925474"]
)
unknown = st.just("none")
a_number = unknown | st.builds(str.__add__, compared, decimals)
a_span = unknown | st.builds(
    str.__add__, compared, st.sampled_from(["0s", "0.5ms", "999.9ms", "1s", "1m", "1mo"])
)
a_time = st.sampled_from(
    [
        *("0s", "1h", "12d", "today", "yesterday", "friday", "last-month"),
        *("2026-11-24", "2026-11-24T12:00:00Z", "0001-01-01", "9999-12-31"),
    ]
)
VALUES = {
    "status": st.one_of(
        st.sampled_from(["2xx", "4xx", "9xx", "none"]),
        st.builds(str.__add__, compared, st.sampled_from(["200", "404", "500.5"])),
    ),
    "outcome": st.sampled_from([*Outcome, "*", "upstream_*"]),
    "method": st.sampled_from(["GET", "POST", "P*"]),
    "stream": st.sampled_from(["true", "false"]),
    "since": a_time,
    "until": a_time,
    **dict.fromkeys(["cost", "tokens", "prompt", "cached", "output", "thoughts"], a_number),
    **dict.fromkeys(["lat", "ttfb", "gateway"], a_span),
}


def terms_of(field: str) -> st.SearchStrategy[str]:
    values = st.lists(VALUES.get(field, a_text), min_size=1, max_size=2).map(",".join)
    return st.builds(lambda minus, value: f"{minus}{field}:{value}", st.sampled_from(["", "-"]), values)


free_text = st.builds(lambda minus, value: minus + quoted(value), st.sampled_from(["", "-"]), text)
filters = st.lists(st.one_of(free_text, *map(terms_of, FIELDS)), max_size=2).map(" ".join)


def found(analytics: Analytics, wanted: Filter) -> set[str]:
    """The ids that DuckDB finds."""
    condition, values = wanted.to_sql()
    with analytics.query_connection() as con:
        return {
            str(row[0]) for row in con.execute(f"SELECT id FROM calls WHERE {condition}", values).fetchall()
        }


def test_the_file_finds_what_memory_finds_for_all_of_these(tmp_path: Path) -> None:
    known = [finished(), *(finished(id=str(uuid.uuid4()), tags=[tag]) for _, tag in QUOTED)]
    analytics = Analytics(tmp_path)
    analytics.add([(Position(1, number), call) for number, call in enumerate(known, 1)])
    for question in (*FOUND, *NOT_FOUND, *(question for question, _ in QUOTED)):
        wanted = parse(question, now=NOW)
        assert found(analytics, wanted) == {call.id for call in known if wanted.matches(call)}, question
    analytics.release()


@settings(max_examples=examples(6))
@given(
    st.lists(calls, min_size=1, max_size=12, unique_by=lambda call: call.id),
    st.lists(filters, min_size=20, max_size=20),
)
def test_memory_and_file_find_the_same_calls(known: list[CallRecord], asked: list[str]) -> None:
    with TemporaryDirectory() as folder:
        analytics = Analytics(Path(folder))
        analytics.add([(Position(1, number), call) for number, call in enumerate(known, 1)])
        for question in asked:
            wanted = parse(question, now=NOW)
            assert found(analytics, wanted) == {call.id for call in known if wanted.matches(call)}, question
        analytics.release()


@cases(
    ("text", "column", "words"),
    [
        ("a " * 101, 201, "at most 100 terms"),
        ("tag:a id:" + ",".join("a" * 100), 7, "at most 100 terms"),
        ("x" * 4097, 4097, "at most 4096 characters"),
        ("tag:b path:" + "*a" * 101, 7, "at most 100 \\*"),
    ],
)
def test_a_filter_has_an_end(text: str, column: int, words: str) -> None:
    with pytest.raises(FilterError, match=words) as caught:
        parse(text, now=NOW)
    assert caught.value.column == column


def test_up_to_there_it_may_be_long() -> None:
    parse("a " * 100, now=NOW)
    parse('"' + "x" * 4094 + '"', now=NOW)
    parse('path:"' + "*a" * 101 + '" path:' + "*a" * 100, now=NOW)


@given(st.text(max_size=30))
def test_any_text_is_a_filter_or_an_error_with_a_column_in_it(anything: str) -> None:
    column = 1
    try:
        parse(anything, now=NOW)
    except FilterError as error:
        column = error.column
    assert 1 <= column <= max(1, len(anything))


def test_the_rule_of_case_is_duckdbs_for_every_character(tmp_path: Path) -> None:
    analytics = Analytics(tmp_path)
    capitals = [chr(point) for point in range(1, 0x20000) if chr(point).lower() != chr(point)]
    made = [finished(id=str(uuid.uuid4()), path=capital, **EMPTY) for capital in capitals]
    analytics.add([(Position(1, number), call) for number, call in enumerate(made, 1)])
    wanted = parse('"ä","σ","i","ǆ"', now=NOW)
    found = {call["path"] for call in analytics.calls(wanted, limit=1000)}
    assert found == {call.path for call in made if wanted.matches(call)} == {"Ä", "Σ", "I", "İ", "Ǆ", "ǅ"}
    with analytics.query_connection() as con:
        lower = con.execute("SELECT path, lower(path) FROM calls").fetchall()
    assert {capital: capital.lower()[0] for capital in capitals} == dict(lower)
    analytics.release()


EMPTY = {"key_alias": None, "model": None, "tags": [], "user_id": None, "reason": None, "user_agent": None}
