"""Any document, in any chunks, has the tokens that json.loads finds in it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rig.cases import cases
from rig.examples import examples

from gatekeeper.gemini.json_tokens import (
    CLOSE,
    KEY,
    LITERAL,
    MAX_DEPTH,
    MAX_STRING_BYTES,
    NUMBER,
    OPEN,
    STRING,
    JsonTokens,
    Kind,
    Token,
)

LONG = "x" * (MAX_STRING_BYTES - 1)
texts = st.text(max_size=6) | st.sampled_from(
    ["", "\\", '"', '\\"', "a" * 256, "a" * 257, "{", "tru", LONG, LONG + "y\\", LONG + "\\y", LONG * 17]
)
scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts
documents = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4)
)
separators = st.sampled_from([(",", ":"), (", ", ": "), (" ,", " :"), ("\r\n\t,\n", "  \n:\t")])
layouts = st.fixed_dictionaries(
    {"ensure_ascii": st.booleans(), "indent": st.none() | st.integers(0, 1), "separators": separators}
)


def raw(text: str, **layout: Any) -> bytes:
    return json.dumps(text, **layout)[1:-1].encode(errors="surrogatepass")[:MAX_STRING_BYTES]


def expected(value: Any, left_out: bytes, **layout: Any) -> Iterator[Token]:
    """The tokens of a value; of containers that begin with the bracket `left_out`, only their OPEN."""
    if isinstance(value, dict | list):
        bracket = b"{" if isinstance(value, dict) else b"["
        yield OPEN, bracket
        if bracket == left_out:
            return
        for item in value:
            if isinstance(value, dict):
                yield KEY, raw(item, **layout)
            yield from expected(value[item] if isinstance(value, dict) else item, left_out, **layout)
        yield CLOSE, b"}" if isinstance(value, dict) else b"]"
    elif isinstance(value, str):
        yield STRING, raw(value, **layout)
    elif value is None or isinstance(value, bool):
        yield LITERAL, json.dumps(value).encode()


def tokens(parser: JsonTokens, chunks: list[bytes], left_out: bytes = b"") -> Iterator[Token]:
    for chunk in chunks:
        for token in parser.feed(chunk):
            if token[1] == left_out and token[0] is OPEN:
                parser.skip()
            yield token


def split(body: bytes, sizes: list[int]) -> list[bytes]:
    """The body in chunks of these sizes, again and again."""
    chunks: list[bytes] = []
    while body:
        size = sizes[len(chunks) % len(sizes)]
        chunks.append(body[:size])
        body = body[size:]
    return chunks


@given(
    st.lists(documents, max_size=3),
    layouts,
    st.lists(st.integers(1, 40) | st.sampled_from([300, 1000, 20_000]), min_size=1, max_size=5),
    st.sampled_from([b"", b"{", b"["]),
)
def test_a_document_has_its_tokens_in_any_chunks(
    document: list[Any], layout: dict[str, Any], sizes: list[int], left_out: bytes
) -> None:
    # Keys that are longer than what is reported of them may count as values.
    known = [token for token in expected(document, left_out, **layout) if len(token[1]) < MAX_STRING_BYTES]
    body = json.dumps(document, **layout).encode(errors="surrogatepass")
    parser = JsonTokens()
    found = list(tokens(parser, split(body, sizes), left_out))
    assert [token for token in found if len(token[1]) < MAX_STRING_BYTES] == known
    assert not parser.failed


@cases("size", range(1, 9))
def test_escapes_and_literals_may_be_split_anywhere(size: int) -> None:
    body = rb'{"a\"b" : "c\\", "\\" : ["d\"", "\\\"e"  , true],"f" :null}'
    found = list(tokens(JsonTokens(), split(body, [size])))
    assert found == list(tokens(JsonTokens(), [body]))
    assert b" ".join(text for _, text in found) == rb"{ a\"b c\\ \\ [ d\" \\\"e true ] f null }"


@cases("size", range(1, 30))
def test_a_number_is_a_token_where_it_is_wanted(size: int) -> None:
    parser, found = JsonTokens(), list[Token]()
    for chunk in split(rb'{"n": 12, "m":7,"n":   -1.5e3}, {"n": [1], "\u006e":"2","n" :true}', [size]):
        for token in parser.feed(chunk):
            if token == (KEY, b"n"):
                parser.want_number()
            found.append(token)
    assert [text for kind, text in found if kind is NUMBER] == [b"12", b"-1.5e3"]
    assert b" ".join(text for _, text in found) == rb"{ n 12 m n -1.5e3 } { n [ ] \u006e 2 n true }"


def test_an_endless_number_ends() -> None:
    parser, found = JsonTokens(), list[Token]()
    for chunk in [b'{"n": ', *[b"1"] * 5000, b"}"]:
        for token in parser.feed(chunk):
            if token[0] is KEY:
                parser.want_number()
            found.append(token)
    assert [(kind, len(text)) for kind, text in found[2:]] == [(NUMBER, 33), (CLOSE, 1)]


@settings(max_examples=examples(40))
@given(st.binary(max_size=60) | st.text('{}[]",:\\ tfnu0e-', max_size=60).map(str.encode), st.integers(1, 9))
def test_whatever_is_no_document_is_no_error(body: bytes, size: int) -> None:
    parser, whole = JsonTokens(), JsonTokens()
    assert list(tokens(parser, split(body, [size]))) == list(tokens(whole, [body]))


@cases(
    "body",
    [b"{'a': 1}", b"{a: 1}", b"[tru1]", b"// x", b"\x00[", "{}".encode("utf-16"), b"--limit\r\nC:", b"<a/>"],
)
def test_what_is_not_json_ends_it(body: bytes) -> None:
    parser = JsonTokens()
    assert [kind for kind, _ in parser.feed(body + b'{"a": "b"}') if kind in (KEY, STRING)] == []
    assert parser.failed
    assert list(parser.feed(b'{"a": "b"}')) == []


@pytest.mark.parametrize("after", [b'"', b"\\"])
def test_an_escape_may_end_a_chunk_beyond_what_is_reported_of_a_string(after: bytes) -> None:
    body = [b'["' + b"x" * 2 * MAX_STRING_BYTES + b"\\", after, b'y", true]']
    assert [kind for kind, _ in tokens(JsonTokens(), body)] == [OPEN, STRING, LITERAL, CLOSE]


def test_a_byte_order_mark_is_white_space() -> None:
    assert list(JsonTokens().feed('\N{ZERO WIDTH NO-BREAK SPACE}["a"]'.encode()))[1] == (STRING, b"a")


@cases("opened", [b"[", b'{"a":'])
@cases("skip", [False, True])
def test_endless_nesting_ends_it_where_it_is_passed_over(opened: bytes, skip: bool) -> None:
    parser = JsonTokens()
    found = list(tokens(parser, [opened * 1000], opened[:1] if skip else b""))
    assert parser.failed == skip
    assert len(found) == (1 if skip else 1000 * len({*opened} & {*b'[{"'}))


def test_deep_containers_are_passed_over_whole() -> None:
    deep = b'{"a":' * (MAX_DEPTH - 1) + b"[]" + b"}" * (MAX_DEPTH - 1)
    parser = JsonTokens()
    found = list(tokens(parser, [b"[" + deep + b',"last"]'], b"{"))
    assert found == [(OPEN, b"["), (OPEN, b"{"), (STRING, b"last"), (CLOSE, b"]")]


def test_a_container_without_what_is_wanted_may_be_left_out_but_not_its_end() -> None:
    parser = JsonTokens()
    found: list[Token] = []
    for token in parser.feed(b'{"a":[1,"x"],"b":["y",{"z":[]}],"c":["'):
        if token[1] == b"[":
            parser.skip_unless_contains(b"y", b"n")
        found.append(token)
    texts = b"".join(text for _, text in found)
    assert texts == b"{a[]b[y{z[]}]c["


LIMIT = 256 * 1024


def after(filling: bytes, size: int) -> tuple[list[Kind], bool]:
    parser = JsonTokens(LIMIT)
    found = list(tokens(parser, split(b'["' + filling + b'", true]', [size])))
    return [kind for kind, _ in found], parser.failed


@pytest.mark.parametrize("size", [5000, 65_536, 10**7])
def test_what_is_passed_over_of_a_string_does_not_count_and_all_else_does(size: int) -> None:
    whole = [OPEN, STRING, LITERAL, CLOSE]
    assert after(b"QUJD" * 10**5, size) == (whole, False)
    assert after(b'\\"' * 10**5, size) == (whole, False)
    kinds, failed = after(b'","'.join([b"x" * 300] * (LIMIT // 300)), size)
    assert (LITERAL in kinds, failed) == (False, True)
    kinds, failed = after(b'","'.join([b"x" * 300] * (LIMIT // 330)), size)
    assert (LITERAL in kinds, failed) == (True, False)
