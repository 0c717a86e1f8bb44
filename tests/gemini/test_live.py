"""The usage of a Live session: of each turn its last report, and the sum of all turns."""

from __future__ import annotations

import json
import tracemalloc
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from rig.cases import cases
from rig.recordings import RECORDINGS, recorded_of

from gatekeeper.gemini.live import REPEATED_NOTE, LiveMeter
from gatekeeper.gemini.response_parser import ResponseSummary
from gatekeeper.gemini.token_usage import Usage, add_usages
from gatekeeper.gemini.usage import MAX_USAGE_BYTES, read_usage
from gatekeeper.gemini.usage_faults import THOUGHTS_OUTSIDE_TOTAL, UNREADABLE_NOTE
from gatekeeper.ledger import call

COUNTS = ("prompt", "cached", "output", "thoughts", "tool", "total")
FIRST = {"promptTokenCount": 24, "responseTokenCount": 5, "totalTokenCount": 29}
SECOND = {"promptTokenCount": 44, "responseTokenCount": 61, "totalTokenCount": 105}
AUDIO = {
    "serverContent": {"modelTurn": {"parts": [{"inlineData": {"data": "AAAA", "mimeType": "audio/pcm"}}]}}
}
TURN_COMPLETE = {"serverContent": {"turnComplete": True}}
TOOL_CALL = {
    "toolCall": {"functionCalls": [{"name": "f", "args": {"usageMetadata": {"totalTokenCount": 1}}}]}
}
ALONE = {"usageMetadata": FIRST}
RESUMPTION = {"sessionResumptionUpdate": {"newHandle": "h", "resumable": True}}


def fed(*messages: dict[str, Any]) -> LiveMeter:
    meter = LiveMeter()
    for message in messages:
        meter.feed(json.dumps(message).encode())
    return meter


def turns_of(summary: ResponseSummary) -> list[Any] | None:
    return None if summary.usage is None else json.loads(summary.usage)


@cases(
    ("messages", "turns"),
    [
        pytest.param([{"setupComplete": {"sessionId": "s"}}], None, id="no turn"),
        pytest.param([AUDIO, TURN_COMPLETE], None, id="nothing reported"),
        pytest.param([AUDIO, {**TURN_COMPLETE, "usageMetadata": FIRST}], [FIRST], id="with the turn's end"),
        pytest.param([AUDIO, TURN_COMPLETE, ALONE], [FIRST], id="right after the turn's end"),
        pytest.param([ALONE, AUDIO, TURN_COMPLETE], [FIRST], id="before the turn's end"),
        pytest.param([AUDIO, {**AUDIO, "usageMetadata": FIRST}], [FIRST], id="within a turn that has no end"),
        pytest.param(
            [AUDIO, TURN_COMPLETE, ALONE, AUDIO, {**TURN_COMPLETE, "usageMetadata": SECOND}],
            [FIRST, SECOND],
            id="late, and then another turn",
        ),
        pytest.param(
            [TURN_COMPLETE, {**RESUMPTION, **ALONE}, AUDIO, TURN_COMPLETE, {"usageMetadata": SECOND}],
            [FIRST, SECOND],
            id="late each time",
        ),
        pytest.param(
            [TURN_COMPLETE, {**TOOL_CALL, **ALONE}, {**TURN_COMPLETE, "usageMetadata": SECOND}],
            [SECOND],
            id="a turn without any, then one that repeats",
        ),
        pytest.param(
            [{**TURN_COMPLETE, "usageMetadata": FIRST}, {"usageMetadata": None}],
            [FIRST],
            id="none",
        ),
        pytest.param(
            [{**TURN_COMPLETE, "usageMetadata": FIRST}, {"usageMetadata": "x"}],
            [FIRST, "x"],
            id="no object, so that the sum is unknown",
        ),
    ],
)  # fmt: skip
def test_of_each_turn_the_last_usage_counts(messages: list[dict[str, Any]], turns: Any) -> None:
    meter = fed(*messages)
    assert turns_of(meter.summary) == turns
    assert meter.finish() == meter.summary
    assert meter.summary.complete


def test_a_usage_is_kept_as_it_was_received() -> None:
    meter = LiveMeter()
    meter.feed(
        b'{"usageMetadata": {"promptTokenCount" :1,\n "new": "\xc3\xbc"},'
        b'"serverContent": {"turnComplete": true}}'
    )
    assert meter.summary.usage == b'[{"promptTokenCount" :1,\n "new": "\xc3\xbc"}]'


def test_a_turn_that_reports_twice_is_noted() -> None:
    meter = fed({**TOOL_CALL, "usageMetadata": FIRST}, {**TURN_COMPLETE, "usageMetadata": SECOND})
    assert (turns_of(meter.summary), meter.summary.usage_note) == ([SECOND], REPEATED_NOTE)
    assert meter.turns == 1


UNREADABLE = [
    b'{"serverContent": {"turnComplete": true}, "usageMetadata": {"promptTokenCount": NaN}}',
    b'{"usageMetadata": {"x": "\xff"}}',
    b'{"usageMetadata": {"totalTokenCount": 5}, "serverContent": [1]}',
    b'{"usageMetadata": ' + b'{"a":' * 100_000,
]


@cases("message", UNREADABLE)
def test_a_turn_whose_usage_cannot_be_read_makes_the_sum_unknown(message: bytes) -> None:
    meter = fed({**TURN_COMPLETE, "usageMetadata": FIRST})
    meter.feed(message)
    meter.feed(json.dumps({**TURN_COMPLETE, "usageMetadata": SECOND}).encode())
    summary = meter.finish()
    assert turns_of(summary) == [FIRST, "unknown", SECOND]
    assert (summary.usage_note, summary.complete) == (UNREADABLE_NOTE, False)
    assert read_usage(summary.usage or b"").invalid == ("usage",)  # pyright: ignore[reportOptionalMemberAccess]


@cases(
    "message",
    [b"", b"\x00\xff", b"[1]", b'{"x": "\xff"', b'{"a":' * 100_000, b'{"error": 1}'],
)
def test_what_is_no_message_is_passed_over(message: bytes) -> None:
    meter = fed({**TURN_COMPLETE, "usageMetadata": FIRST})
    meter.feed(message)
    assert turns_of(meter.summary) == [FIRST]
    assert meter.summary.error is None
    assert meter.summary.complete == (message == b'{"error": 1}')


def test_how_the_last_turn_and_the_session_ended() -> None:
    interrupted = {"serverContent": {"interrupted": True}}
    meter = fed(AUDIO, interrupted, {**TURN_COMPLETE, "usageMetadata": FIRST})
    assert (meter.summary.finish_reason, meter.interruptions) == ("interrupted", 1)
    meter = fed(interrupted, TURN_COMPLETE, AUDIO, TURN_COMPLETE)
    assert meter.summary.finish_reason is None
    rejected = {"serverContent": {"turnComplete": True, "turnCompleteReason": "RESPONSE_REJECTED"}}
    assert fed(rejected).summary.finish_reason == "RESPONSE_REJECTED"
    meter = fed(rejected, {"goAway": {"timeLeft": "10s"}})
    assert (meter.go_away, meter.summary.finish_reason) == (True, "goAway")


def test_an_error_is_read_as_in_any_response() -> None:
    error = fed(
        {"error": {"code": 429, "message": "Slow down", "status": "RESOURCE_EXHAUSTED"}}
    ).summary.error
    assert error
    assert (error.code, error.message, error.reason) == (429, "Slow down", "RESOURCE_EXHAUSTED")


def test_searches_count_once_in_a_turn_and_again_in_the_next() -> None:
    def grounded(*queries: str, **more: Any) -> dict[str, Any]:
        return {"serverContent": {"groundingMetadata": {"webSearchQueries": queries}, **more}}

    meter = fed(grounded("a"), grounded("a", "b", turnComplete=True), grounded("a"))
    assert meter.summary.billed_units == {"grounding_search_query": 3}
    web = {"groundingChunks": [{"web": {}}]}
    meter.feed(json.dumps({"serverContent": {"groundingMetadata": web, "turnComplete": True}}).encode())
    assert fed({"serverContent": {"groundingMetadata": web}}).summary.billed_units == {
        "grounding_search_query": None
    }
    assert fed(
        {"serverContent": {"groundingMetadata": web, "turnComplete": True}}, grounded("a")
    ).summary.billed_units == {"grounding_search_query": None}


COUNT = st.none() | st.integers(0, 2_000_000)
DETAILS = st.lists(
    st.fixed_dictionaries({"modality": st.sampled_from(["TEXT", "AUDIO"]), "tokenCount": st.integers(0, 9)}),
    max_size=2,
)


@st.composite
def usages(draw: st.DrawFn) -> dict[str, Any]:
    """As Google reports them: zeros left out, and a total of all that is there."""
    names = ("promptTokenCount", "responseTokenCount", "thoughtsTokenCount", "toolUsePromptTokenCount")
    found: dict[str, Any] = {name: count for name in names if (count := draw(COUNT))}
    found["totalTokenCount"] = sum(found.values())
    if cached := draw(COUNT):
        found["cachedContentTokenCount"] = cached
    if details := draw(DETAILS):
        found["promptTokensDetails"] = details
    return found


@given(st.lists(usages(), min_size=1, max_size=20), st.integers(1, 12), st.booleans())
@example([FIRST, SECOND], 300, True)
def test_the_sum_equals_the_sum_of_the_turns_at_any_number_of_them(
    turns: list[dict[str, Any]], times: int, under_way: bool
) -> None:
    meter = LiveMeter()
    sent = turns * times
    for usage in sent[: -1 if under_way else None]:
        meter.feed(json.dumps({**TURN_COMPLETE, "usageMetadata": usage}).encode())
    if under_way:
        meter.feed(json.dumps({**AUDIO, "usageMetadata": sent[-1]}).encode())
    summary = meter.finish()
    assert summary.usage
    assert len(summary.usage) <= MAX_USAGE_BYTES == call.MAX_USAGE_BYTES
    total = read_usage(summary.usage)
    assert total
    added = add_usages(read_usage(json.dumps(usage).encode()) or Usage() for usage in sent)
    assert added
    # A sum may contradict itself in other words than its turns.
    plain = {"note": None, "is_sum": False}
    assert msgspec.structs.replace(total, **plain) == msgspec.structs.replace(added, **plain)
    assert meter.turns == len(sent) - under_way
    listed = json.loads(summary.usage)
    assert listed == sent or (len(listed) == 1 and f"{len(sent):,} turns" in (summary.usage_note or ""))


def test_a_session_of_any_length_takes_little_memory() -> None:
    meter = LiveMeter()
    message = json.dumps({**TURN_COMPLETE, "usageMetadata": {**FIRST, "more": "x" * 1000}}).encode()
    tracemalloc.start()
    for _ in range(1000):
        meter.feed(message)
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert kept < 100_000
    assert meter.turns == 1000


def test_a_sum_says_what_was_wrong_with_its_turns() -> None:
    receipt = {
        "promptTokenCount": 522,
        "responseTokenCount": 42,
        "totalTokenCount": 564,
        "thoughtsTokenCount": 136,
    }
    meter = fed(*[{**TURN_COMPLETE, "usageMetadata": receipt}] * 500)
    assert len(turns_of(meter.summary) or []) == 1
    assert meter.summary.usage_note
    assert THOUGHTS_OUTSIDE_TOTAL in meter.summary.usage_note
    total = read_usage(meter.summary.usage or b"")
    assert total
    assert (total.output, total.thoughts, total.total) == (500 * 42, 500 * 136, 500 * 564)
    # One usage alone may be too long: what it says is not known, and so is the sum not.
    long = fed({"usageMetadata": {**FIRST, "promptTokensDetails": [{"modality": "TEXT"}] * 2000}})
    total = read_usage(long.summary.usage or b"")
    assert total
    assert (total.prompt, total.total, set(total.invalid)) == (None, None, set(COUNTS))
    assert "bytes, more than any call's" in (long.summary.usage_note or "")


def test_a_summary_reads_the_session_while_it_runs() -> None:
    meter = fed({**TURN_COMPLETE, "usageMetadata": FIRST}, {**AUDIO, "usageMetadata": SECOND})
    assert meter.delimiters is None
    before = meter.summary
    assert turns_of(before) == [FIRST, SECOND]
    meter.feed(msgspec.json.encode(TURN_COMPLETE))
    assert turns_of(meter.summary) == turns_of(before)


@pytest.mark.skipif(not RECORDINGS, reason="GATEKEEPER_RECORDINGS names no folder of recordings")
def test_recorded_sessions_read_as_their_index_says() -> None:
    sessions = list(recorded_of("live"))
    assert len(sessions) == 4
    for session in sessions:
        meter = fed(*(json.loads(line) for line in session.body.splitlines()))
        assert meter.turns == int(session.indexed["usage_events"])
        last = read_usage(json.dumps((turns_of(meter.finish()) or [])[-1]).encode())
        assert last
        # The index is about the last turn.
        found = (last.prompt, last.cached, last.output, last.total)
        columns = ("prompt", "cached", "candidates", "total")
        assert found == tuple(
            int(session.indexed[name]) if session.indexed[name] else None for name in columns
        )
        assert meter.summary.usage_note is None
