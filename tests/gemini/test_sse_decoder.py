"""SseDecoder: which bytes are an event's data, whatever the line ends and however the stream is cut."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rig.cases import cases
from rig.examples import examples

from gatekeeper.gemini.splitters import SseDecoder

PLENTY = 1000
ERROR = b'{\n  "error": {\n    "code": 499,\n    "status": "CANCELLED"\n  }\n}'


def read(chunks: list[bytes], limit: int = PLENTY) -> tuple[list[bytes], list[bytes], bool, bool]:
    decoder = SseDecoder(limit)
    events = [event for chunk in chunks for event in decoder.feed(chunk)]
    rest, ended = decoder.finish()
    return events, rest, ended, decoder.truncated


def cut(stream: bytes, at: list[int]) -> list[bytes]:
    edges = [0, *sorted(position % (len(stream) + 1) for position in at), len(stream)]
    return [stream[start:end] for start, end in pairwise(edges)]


CUTS = st.lists(st.integers(0, 10_000), max_size=12)


@cases(
    ("stream", "events"),
    [
        pytest.param(b'data: {"a":1}\r\n\r\n', [b'{"a":1}'], id="as Google ends its lines"),
        pytest.param(b'data: {"a":1}\n\ndata: {"b":2}\n\n', [b'{"a":1}', b'{"b":2}'], id="LF"),
        pytest.param(b"data: 1\n\r\ndata: 2\r\n\n", [b"1", b"2"], id="both line ends in one event"),
        pytest.param(b"data:1\n\ndata:  2\n\n", [b"1", b" 2"], id="one blank at most belongs to the field"),
        pytest.param(b"data: [1,\r\ndata: 2]\r\n\r\n", [b"[1,\n2]"], id="several data lines"),
        pytest.param(b": hello\n\n:\n\ndata: 1\n: in between\n\n", [b"1"], id="comments"),
        pytest.param(b"event: done\nid: 7\nretry: 5\ndata: [DONE]\n\n", [b"[DONE]"], id="other fields"),
        pytest.param(b"event: ping\n\n", [], id="an event without data is none"),
        pytest.param(b"data\ndataset: 1\n\n", [], id="fields that only resemble data"),
        pytest.param(b"data:\n\n", [b""], id="empty data"),
        pytest.param(b"\n\r\n\n", [], id="blank lines"),
        pytest.param(b"data: a\rb\r\n\r\n", [b"a\rb"], id="CR alone ends no line"),
        pytest.param(b"data: 1\n\n" + ERROR + b"\n\n", [b"1", ERROR], id="a bare error among the events"),
        pytest.param(
            b'data: {\r\n  "a": [\r\n\t"]"\r\n],\r\n"b": 1\r\n}\r\n\r\n',
            [b'{\n  "a": [\n\t"]"\n],\n"b": 1\n}'],
            id="indented data that was not prefixed line by line",
        ),
    ],
)
@cases("step", [1, 2, 5, PLENTY])
def test_the_data_of_each_event(stream: bytes, events: list[bytes], step: int):
    chunks = [stream[start : start + step] for start in range(0, len(stream), step)]
    assert read(chunks) == (events, [], True, False)


@cases(
    ("stream", "rest"),
    [
        pytest.param(b"data: 1", [b"1"], id="within a line"),
        pytest.param(b"data: 1\r\n", [b"1"], id="before the blank line"),
        pytest.param(b"data: 1\n\r", [b"1"], id="within the blank line"),
        pytest.param(b"data: 1\nda", [b"1"], id="within the next line"),
        pytest.param(ERROR, [ERROR], id="within a bare error"),
        pytest.param(b": bye", [], id="within a comment"),
    ],
)
def test_an_unfinished_event_is_told_apart_and_not_lost(stream: bytes, rest: list[bytes]):
    assert read([stream]) == ([], rest, False, False)


@cases(
    "event",
    [
        pytest.param(b"data: 3456789\r\ndata: 2\r\n\r\n", id="at its first line"),
        pytest.param(b"data: 2\ndata: 3456789\ndata: 2\n\n", id="at a later line"),
        pytest.param(b"data: 2345\ndata: 2345\ndata: 2\n\n", id="all lines together"),
        pytest.param(b"\r234567890123\ndata: 2\n\n", id="at a line that begins as if it were blank"),
    ],
)
def test_an_event_over_the_limit_is_dropped_and_the_next_one_read(event: bytes):
    stream = b"data: 1\n\n" + event + b"data: 3456\n\n"
    for at in range(len(stream)):
        assert read(cut(stream, [at]), limit=12) == ([b"1", b"3456"], [], True, True)


def test_the_limit_is_for_an_event_and_not_for_a_stream_or_its_comments():
    stream = b"data: 12\ndata: 34\n\n: 345678\n: 345678\n: 345678\ndata: 4\n\n"
    assert read([stream] * 3, limit=16) == ([b"12\n34", b"4"] * 3, [], True, False)


@pytest.mark.parametrize("stream", [b"data: 123456789", b"data: 123456789\r\n"])
def test_a_stream_that_ends_in_a_dropped_event_has_not_ended_well(stream: bytes):
    assert read([stream], limit=10) == ([], [], False, True)


def test_what_is_held_stays_within_the_limit():
    decoder = SseDecoder(limit=100)
    for _ in range(1000):
        decoder.feed(b"data: 0123456789 ")
        assert len(decoder._line) <= 100
    assert decoder.feed(b"\n\ndata: 1\n\n") == [b"1"]


@given(
    st.lists(st.tuples(st.text(st.characters(codec="utf-8", exclude_characters="\r\n")), st.booleans())), CUTS
)
def test_events_come_out_as_they_went_in(events: list[tuple[str, bool]], at: list[int]):
    stream = b"".join(
        b"data: %s%s" % (text.encode(), b"\r\n\r\n" if crlf else b"\n\n") for text, crlf in events
    )
    assert read(cut(stream, at), limit=10_000) == ([text.encode() for text, _ in events], [], True, False)


PIECES = [
    b"data:",
    b"data: ",
    b"\n",
    b"\r",
    b"\r\n",
    b"\n\n",
    b":",
    b"event: e",
    b"{",
    b"}",
    b" ",
    b"12345678",
]


@settings(max_examples=examples(60))
@given(st.lists(st.sampled_from(PIECES) | st.binary(max_size=3), max_size=40).map(b"".join), CUTS)
def test_where_the_cuts_fall_changes_nothing_even_at_the_limit(stream: bytes, at: list[int]):
    assert read(cut(stream, at), limit=16) == read([stream], limit=16)
