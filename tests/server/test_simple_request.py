"""Simple requests: what is taken for one is what h11 reads, with all the checks that go with it."""

from __future__ import annotations

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rig.cases import cases

from gatekeeper.server.request_validation import StrictBuffer, request_error
from gatekeeper.server.simple_exchange import FramingError, SimpleExchange, SimpleRequest, SimpleRequests

MAX_HEAD = 16 * 1024
SIMPLE = SimpleRequests((b"/gemini", b"/key/"), MAX_HEAD)
HEAD = b"POST /gemini/v1beta/models HTTP/1.1\r\nHost: x\r\n"

# Of what requests are made, right and nearly right. A request is some of these, one behind the other.
LINES = [
    b"GET /gemini HTTP/1.1\r\n",
    b"POST /gemini/v1beta/models/a:b?c=d HTTP/1.1\r\n",
    b"POST /gemini HTTP/1.0\r\n",
    b"POST  /gemini HTTP/1.1\r\n",
    b"post /gemini HTTP/1.1\r\n",
    b"DELETE /gemini/caf\xc3\xa9 HTTP/1.1\r\n",
    b"GET /gemini HTTP/1.1\n",
    b"HEAD /gemini HTTP/1.1\r\n",
    b"GET /gemini#a HTTP/1.1\r\n",
]
FIELDS = [
    b"Host: x\r\n",
    b"host:y\r\n",
    b"Host: y/z\r\n",
    b"Content-Length: 3\r\n",
    b"content-length: 03\r\n",
    b"Content-Length: +3\r\n",
    b"Content-Length: 3, 3\r\n",
    b"Content-Length: 18446744073709551746\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Expect: 100-continue\r\n",
    b"Connection: keep-alive\r\n",
    b"Connection: close\r\n",
    b"Upgrade: h2c\r\n",
    b"X-A:  b \t \r\n",
    b"X-A: caf\xe9\r\n",
    b"X-A: a\x00b\r\n",
    b"X-A: a\rb\r\n",
    b"X-A : b\r\n",
    b" folded\r\n",
    b"X-A: b\n",
    b"X A: b\r\n",
    b": b\r\n",
    b"X-Empty:\r\n",
    b"tags: a,b\r\n",
]
SOME_FIELDS = st.lists(st.sampled_from(FIELDS), max_size=6).map(b"".join)


def by_h11(received: bytes) -> tuple[bytes, bytes, list[tuple[bytes, bytes]]] | None:
    """A request's head as h11 reads it; None if it is refused, by h11 or by the server's own checks."""
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEAD)
    buffer = connection._receive_buffer = StrictBuffer()
    try:
        connection.receive_data(received)
        event = connection.next_event()
    except h11.RemoteProtocolError:
        return None
    assert isinstance(event, h11.Request)
    headers = list(event.headers)
    if request_error(event.method, event.target, event.http_version, headers, buffer.raw_head):
        return None
    return event.method, event.target, headers


@cases("line", LINES)
def test_each_line_is_read_as_by_h11(line: bytes) -> None:
    for field in FIELDS:
        for received in (line + b"Host: x\r\n" + field + b"\r\n", line + field + b"\r\n"):
            simple = SIMPLE.parse(received)
            assert simple is None or by_h11(received) == simple[:3]


@given(st.sampled_from(LINES), SOME_FIELDS, st.sampled_from([b"\r\n", b"\n"]), st.binary(max_size=8))
def test_what_is_plain_is_read_as_by_h11(line: bytes, fields: bytes, end: bytes, rest: bytes) -> None:
    received = line + fields + end + rest
    simple = SIMPLE.parse(received)
    if simple is not None:
        assert by_h11(received) == simple[:3]
        assert simple.received == received.split(b"\r\n\r\n", 1)[1]


@given(st.binary(max_size=3), st.integers(0, 80), st.booleans())
def test_a_changed_byte_is_read_as_by_h11(piece: bytes, at: int, replaces: bool) -> None:
    received = HEAD + b"x-goog-api-key: k\r\nContent-Length: 0\r\n\r\n"
    received = received[:at] + piece + received[at + (len(piece) if replaces else 0) :]
    simple = SIMPLE.parse(received)
    if simple is not None:
        assert by_h11(received) == simple[:3]


@cases(
    ("fields", "simple"),
    [
        (b"", True),
        (b"content-length: 5\r\nconnection: Keep-Alive\r\naccept-encoding: gzip\r\n", True),
        (b"content-length: 5\r\ncontent-length: 5\r\n", False),
        (b"Host: y\r\n", False),
        (b"Transfer-Encoding: chunked\r\n", False),
        (b"Expect: 100-continue\r\n", False),
        (b"Connection: close\r\n", False),
        (b"Connection: Upgrade\r\nUpgrade: websocket\r\n", False),
        (b"x: " + b"y" * MAX_HEAD + b"\r\n", False),
        (b"tags: a\r\nTags: b\r\n", True),
    ],
)
def test_only_what_every_server_reads_alike_is_simple(fields: bytes, simple: bool) -> None:
    assert (SIMPLE.parse(HEAD + fields + b"\r\n") is not None) is simple


@cases("host", [b"", b"a_b.c-d~", b"%41%e4", b"xn--bcher-kva.example.:4000", b"[fe80::1%25eth0]:1", b"a;b=c"])
def test_a_host_may_be_any_name_or_address(host: bytes) -> None:
    received = HEAD.replace(b"Host: x", b"Host: " + host) + b"\r\n"
    simple = SIMPLE.parse(received)
    assert simple is not None
    assert by_h11(received) == simple[:3]


def test_a_head_that_is_not_whole_is_not_simple() -> None:
    whole = HEAD + b"a: b\r\n\r\n"
    assert [SIMPLE.parse(whole[:size]) for size in range(len(whole))] == [None] * len(whole)
    assert SIMPLE.parse(whole) == (
        b"POST", b"/gemini/v1beta/models", [(b"host", b"x"), (b"a", b"b")], 0, b"",
    )  # fmt: skip


def exchange(received: bytes = b"", length: int = 0, then: tuple[bytes, ...] = ()) -> SimpleExchange:
    coming = iter(then)

    async def read() -> bytes:
        return next(coming, b"")

    async def write(data: bytes) -> None:
        raise AssertionError(data)

    return SimpleExchange(SimpleRequest(b"POST", b"/", [], length, received), read, write)


@given(st.binary(max_size=40), st.integers(0, 30), st.lists(st.integers(1, 9)))
async def test_a_body_ends_where_it_was_said_to(sent: bytes, length: int, sizes: list[int]) -> None:
    pieces, rest = [], sent
    for size in sizes:
        pieces.append(rest[:size])
        rest = rest[size:]
    whole = exchange(pieces[0] if pieces else b"", length, tuple(filter(None, [*pieces[1:], rest])))
    body = b""
    while (message := await whole.receive())["type"] == "http.request":
        body += message["body"]
        if not message["more_body"]:
            break
    if whole.unread:
        assert message["type"] == "http.disconnect"
        assert body == sent
        assert len(sent) < length
    else:
        assert body == sent[:length]
        assert (body + whole.surplus) == sent[: len(body + whole.surplus)]


@given(
    st.sampled_from([200, 204, 304, 404, 500]),
    st.booleans(),
    st.lists(st.binary(max_size=20), max_size=5),
    st.booleans(),
)
def test_a_response_is_framed_so_that_a_client_reads_it(
    status: int, has_length: bool, pieces: list[bytes], trailers: bool
) -> None:
    body = b"".join(pieces)
    framing = exchange()
    headers = [(b"x-a", b"b")]
    bodyless = status in (204, 304)
    if has_length and not bodyless:
        headers.append((b"content-length", b"%d" % len(body)))
    chunked = not (has_length or bodyless)
    sent = framing.encode_response_head(status, headers, b"As it is")
    sent += b"".join(framing.encode_data(piece) for piece in pieces)
    ending = [(b"x-end", b"1")] if trailers and chunked else []
    sent += framing.encode_end(ending)
    client = h11.Connection(h11.CLIENT)
    client.send(h11.Request(method="GET", target="/", headers=[("host", "x")]))
    client.send(h11.EndOfMessage())
    client.receive_data(sent)
    head = client.next_event()
    assert isinstance(head, h11.Response)
    assert (head.status_code, head.reason, head.headers[0]) == (status, b"As it is", (b"x-a", b"b"))
    received = b""
    while isinstance(event := client.next_event(), h11.Data):
        received += event.data
    assert isinstance(event, h11.EndOfMessage)
    assert (received, list(event.headers)) == (b"" if bodyless else body, ending)
    assert client.trailing_data == (b"", False)
    assert framing.is_reusable


def test_what_does_not_belong_to_a_response_is_not_framed() -> None:
    framing = exchange()
    for early in (lambda: framing.encode_data(b"a"), framing.encode_end):
        with pytest.raises(FramingError):
            early()
    framing.encode_response_head(200, [(b"content-length", b"2")])
    with pytest.raises(FramingError):
        framing.encode_response_head(200, [])
    framing.encode_data(b"a")
    with pytest.raises(FramingError):
        framing.encode_end()
    with pytest.raises(FramingError):
        framing.encode_data(b"bc")
    assert not framing.is_reusable
