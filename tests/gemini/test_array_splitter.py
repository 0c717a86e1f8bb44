"""ArraySplitter: the elements of an array that arrives in pieces, told apart by brackets outside strings."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rig.cases import cases
from rig.examples import examples

from gatekeeper.gemini.splitters import ArraySplitter

PLENTY = 1_000_000


def read(chunks: list[bytes], limit: int = PLENTY) -> tuple[list[bytes], bool, bool]:
    splitter = ArraySplitter(limit)
    elements = [bytes(element) for chunk in chunks for element in splitter.feed(chunk)]
    rest, closed = splitter.finish()
    assert rest == ()
    return elements, closed, splitter.truncated


def cut(stream: bytes, at: list[int]) -> list[bytes]:
    edges = [0, *sorted(position % (len(stream) + 1) for position in at), len(stream)]
    return [stream[start:end] for start, end in pairwise(edges)]


CUTS = st.lists(st.integers(0, 100_000), max_size=12)


@cases(
    ("body", "elements"),
    [
        pytest.param(b"[]", [], id="empty"),
        pytest.param(b' [ {"a": 1}\n,\r\n{"b": 2}\n]\r\n', [b'{"a": 1}', b'{"b": 2}'], id="as Google cuts"),
        pytest.param(b'[{"a":[{"b":[]}]},{}]', [b'{"a":[{"b":[]}]}', b"{}"], id="nested"),
        pytest.param(b'[{"a":"}]"},{"[{":0}]', [b'{"a":"}]"}', b'{"[{":0}'], id="brackets in strings"),
        pytest.param(rb'[{"a":"\""},{"b":"\\"}]', [rb'{"a":"\""}', rb'{"b":"\\"}'], id="escapes"),
        pytest.param(
            rb'[{"a":"x\\\"]\\"},{"\u005d":"\\\\"}]',
            [rb'{"a":"x\\\"]\\"}', rb'{"\u005d":"\\\\"}'],
            id="runs of backslashes",
        ),
        pytest.param(b'[1, "]", null, {"a": 1}, true, "\\"{"]', [b'{"a": 1}'], id="words are passed over"),
        pytest.param(b"[[1],[[2]]]", [b"[1]", b"[[2]]"], id="arrays of arrays"),
        pytest.param('[{"ä":"€𝄞"}]'.encode(), ['{"ä":"€𝄞"}'.encode()], id="beyond ASCII"),
        pytest.param(b"[{}] [{}] }", [b"{}"], id="what follows the end"),
    ],
)
@cases("step", [1, 2, 3, PLENTY])
def test_the_elements(body: bytes, elements: list[bytes], step: int):
    chunks = [body[start : start + step] for start in range(0, len(body), step)]
    assert read(chunks) == (elements, True, False)


def test_an_element_comes_with_its_last_byte():
    splitter = ArraySplitter(PLENTY)
    assert splitter.feed(b'[{"a": "') == []
    assert splitter.feed(b"") == []
    assert splitter.feed(b'}"') == []
    assert splitter.feed(b'}\n,{"b"') == [b'{"a": "}"}']
    assert splitter.feed(b": 2}") == [b'{"b": 2}']


@cases("body", [b"", b"[", b'[{"a":1}', b'[{"a":1},', b'[{"a":"]', b"]", b"}", b"]["])
def test_an_array_that_was_not_closed(body: bytes):
    _, closed, _ = read([body])
    assert not closed


@pytest.mark.parametrize("step", [1, 4, PLENTY])
def test_an_element_over_the_limit_is_dropped_and_the_next_one_split_off(step: int):
    body = b'[{"a":1},{"a":"}"},{"b":22}]'
    chunks = [body[start : start + step] for start in range(0, len(body), step)]
    assert read(chunks, limit=8) == ([b'{"a":1}', b'{"b":22}'], True, True)


def test_what_is_held_stays_within_the_limit():
    splitter = ArraySplitter(limit=100)
    splitter.feed(b'[{"a":"')
    for _ in range(1000):
        assert splitter.feed(b"}]}]}]}]") == []
        assert len(splitter._element) <= 100
    assert splitter.feed(b'"},{}') == [b"{}"]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.text('"\\{}[],: a', max_size=8),
    lambda children: (
        st.lists(children, max_size=3) | st.dictionaries(st.text(max_size=4), children, max_size=3)
    ),
    max_leaves=8,
)


@settings(max_examples=examples(40))
@given(
    st.lists(JSON, max_size=5),
    st.sampled_from([b",", b"\n,\r\n", b" ,\n"]),
    st.sampled_from([None, 2]),
    st.booleans(),
    CUTS,
)
def test_elements_come_out_as_they_went_in(
    elements: list[Any], comma: bytes, indent: int | None, ascii_only: bool, at: list[int]
):
    texts = [json.dumps(element, indent=indent, ensure_ascii=ascii_only).encode() for element in elements]
    found, closed, truncated = read(cut(b"[" + comma.join(texts) + b"\n]", at))
    assert found == [text for text in texts if text.startswith((b"{", b"["))]
    assert (closed, truncated) == (True, False)


@settings(max_examples=examples(60))
@given((st.binary(max_size=40) | st.text('"\\{}[],a', max_size=40).map(str.encode)), CUTS)
def test_no_bytes_raise_and_where_the_cuts_fall_changes_nothing(body: bytes, at: list[int]):
    assert read(cut(body, at), limit=8) == read([body], limit=8)
    assert read(cut(b"[" + body, at), limit=8) == read([b"[" + body], limit=8)
