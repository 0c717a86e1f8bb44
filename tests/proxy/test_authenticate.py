"""Every spelling of a client's credential, and the query that goes on without it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from rig.cases import cases

from gatekeeper.keys.virtual_key import KeyRecord, KeyState
from gatekeeper.ledger.call import CallRecord
from gatekeeper.proxy.authenticate import CREDENTIAL_PARAMETERS, apply_key_fields, extract_credential
from gatekeeper.proxy.transport import RequestHead

Headers = list[tuple[bytes, bytes]]

KEY, BEARER = b"x-goog-api-key", b"authorization"


@cases(
    ("headers", "query", "secret"),
    [
        ([], b"", None),
        ([(KEY, b"A")], b"", "A"),
        ([(KEY, b" A\t")], b"", "A"),
        ([(BEARER, b"Bearer A")], b"", "A"),
        ([(BEARER, b"bearer   A ")], b"", "A"),
        ([(BEARER, b"BEARER A")], b"", "A"),
        ([(BEARER, b"Bearer sk-a b")], b"", "sk-a b"),
        ([], b"key=A", "A"),
        ([], b"alt=sse&key=A", "A"),
        ([], b"%6bey=A", "A"),
        ([], b"%6B%65%79=A", "A"),
        ([], b"key=sk-%41%2D+", "sk-A- "),
        ([], b"key=A=B", "A=B"),
        # In the order of precedence
        ([(BEARER, b"Bearer C"), (KEY, b"A")], b"key=B", "A"),
        ([(BEARER, b"Bearer C")], b"key=B", "B"),
        # An empty one is none, and several of a kind are the first
        ([(KEY, b""), (BEARER, b"Bearer C")], b"key=", "C"),
        ([(KEY, b" "), (KEY, b"A"), (KEY, b"B")], b"", "A"),
        ([], b"key=&key=A&key=B", "A"),
        ([(BEARER, b"Basic Og=="), (BEARER, b"Bearer C"), (BEARER, b"Bearer D")], b"", "C"),
        # What is none
        ([(BEARER, b"Basic Og==")], b"", None),
        ([(BEARER, b"Token A")], b"", None),
        ([(BEARER, b"Bearer")], b"", None),
        ([(BEARER, b"Bearer ")], b"", None),
        ([(BEARER, b"")], b"", None),
        ([], b"key", None),
        ([], b"monkey=A&Key=A&%256bey=A&key%3DA", None),
        ([], b"access_token=A&oauth_token=B&$key=C", None),
        ([(b"x-goog-user-project", b"A")], b"x=1", None),
    ],
)
def test_the_credential_is_found(headers: Headers, query: bytes, secret: str | None) -> None:
    assert extract_credential(headers, query).secret == secret


@cases(
    ("query", "rest"),
    [
        (b"key=A", b""),
        (b"key=A&alt=sse", b"alt=sse"),
        (b"alt=sse&key=A", b"alt=sse"),
        (b"a=1&key=A&b=%20+&%6bey=B", b"a=1&b=%20+"),
        (b"a=1&&key=A&", b"a=1&&"),
        (b"access_token=A&x=1&oauth_token=A&%24key=A&$key=A", b"x=1"),
        (b"Key=A&%256bey=A&x=1&api_key=A&+key=A&key%00=A&X-Goog-Api-Key=A&Access_Token=A", b"x=1"),
        (b"pageToken=key=A&monkey=1", b"pageToken=key=A&monkey=1"),
        (b"%E2%82%AC=\xff&=&==&%", b"%E2%82%AC=\xff&=&==&%"),
    ],
)
def test_the_query_goes_on_without_it(query: bytes, rest: bytes) -> None:
    assert extract_credential([], query).query == rest
    assert extract_credential([(KEY, b"used instead")], query).query == rest


def percent(name: str) -> st.SearchStrategy[bytes]:
    """A name with any of its characters percent-encoded."""
    letters = [st.sampled_from([c, f"%{ord(c):02x}", f"%{ord(c):02X}"]) for c in name]
    return st.tuples(*letters).map(lambda parts: "".join(parts).encode())


NAMES = st.sampled_from(sorted(CREDENTIAL_PARAMETERS)).flatmap(percent)
OTHER = st.binary(max_size=12).map(lambda raw: b"x" + raw.replace(b"&", b"%26"))
PAIRS = st.lists(OTHER, min_size=1, max_size=5)


@given(PAIRS)
def test_a_query_without_a_credential_is_kept_to_the_byte(pairs: list[bytes]) -> None:
    query = b"&".join(pairs)
    assert extract_credential([], query) == (None, query)


@given(PAIRS, NAMES, st.binary(max_size=8).map(lambda raw: raw.replace(b"&", b"%26")), st.integers(0, 5))
def test_a_credential_anywhere_leaves_the_rest_as_it_was(
    pairs: list[bytes], name: bytes, value: bytes, place: int
) -> None:
    with_it = [*pairs[:place], name + b"=" + value, *pairs[place:]]
    assert extract_credential([], b"&".join(with_it)).query == b"&".join(pairs)


@cases(
    ("of_key", "of_request", "expected"),
    [
        ((), ["a"], ["a"]),
        (("a", "c"), ["b", "c"], ["a", "c", "b"]),
        (("k",), [], ["k"]),
    ],
)
def test_the_tags_of_a_key_come_before_those_of_the_request(
    of_key: tuple[str, ...], of_request: list[str], expected: list[str]
) -> None:
    record = KeyRecord(token_id="key_1", secret_hash="", key_name="", tags=of_key, created_at=0, updated_at=0)
    row = CallRecord(id="1", started_at=0, method="POST", path="/", tags=of_request)
    apply_key_fields(row, KeyState(record=record))
    assert row.tags == expected


TWICE = [(b"accept", b"a"), (b"tags", b"x"), (b"accept", b"b"), (b"content-type", b"c")]


@cases(
    ("headers", "named"),
    [
        ([], []),
        (TWICE, [(b"accept", b"a"), (b"accept", b"b"), (b"content-type", b"c")]),
        (TWICE[1:], [(b"accept", b"b"), (b"content-type", b"c")]),
    ],
)
def test_each_of_the_headers_of_some_names_is_found(headers: Headers, named: Headers) -> None:
    scope = {"raw_path": b"/gemini/v1beta/models", "query_string": b"", "headers": headers}
    assert RequestHead.of(scope).named((b"accept", b"content-type")) == named
