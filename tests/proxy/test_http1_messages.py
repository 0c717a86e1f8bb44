"""HTTP/1.1 as it is spoken to the API: responses as h11 reads them too, and requests as h11 reads them."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import h11
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from rig.cases import cases

from gatekeeper.http_fields import Headers
from gatekeeper.upstream.http1_request import RequestBody, encode_head
from gatekeeper.upstream.http1_response import MAX_HEAD, HeadBuffer, MalformedResponse, parse_response

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
SIZED = OK + b"Content-Length: 5\r\n\r\n"


class Read(NamedTuple):
    """What was understood of all that was received. `heads`: the informational ones, and the last.
    `whole`: the response came to its proper end and nothing behind it; `reusable`: also the connection lives
    on."""

    heads: list[tuple[int, bytes, Headers]]
    body: bytes
    whole: bool
    reusable: bool = False
    trailers: Headers = []  # noqa: RUF012  never changed


def read(received: list[bytes], *, to_head_request: bool = False) -> Read:
    """By the parser; the connection ends behind what was received."""
    buffer, heads, reads = HeadBuffer(), [], iter([*received, b""])
    data = b""
    try:
        while True:
            while (found := buffer.feed(data)) is None:
                if not (data := next(reads)):
                    return Read(heads, b"", whole=False)
            response, data = parse_response(found[0], to_head_request=to_head_request), found[1]
            heads.append((response.head.status, response.head.reason, plain(response.head.headers)))
            if response.head.status >= 200:
                break
    except MalformedResponse:
        return Read(heads, b"", whole=False)
    body = response.body
    payload = body.feed(data) if data else b""
    while not body.has_ended:
        payload += body.feed(next(reads))
    whole = body.failure is None
    return Read(heads, payload, whole, whole and response.keep_alive, body.trailers if whole else [])


def plain(headers: Headers) -> Headers:
    """h11 has the coding in lower case."""
    return [(name, value.lower() if name == b"transfer-encoding" else value) for name, value in headers]


def read_by_h11(received: list[bytes], *, to_head_request: bool = False) -> Read:
    """The same by h11, and what the gateway asked beside that while it was on h11: a Content-Length beside
    chunks agrees, and nothing follows the response. RFC 9110 §8.6: 1xx and 204 have no Content-Length."""
    http = h11.Connection(h11.CLIENT, max_incomplete_event_size=MAX_HEAD)
    http.send(h11.Request(method="HEAD" if to_head_request else "GET", target="/", headers=[("host", "x")]))
    http.send(h11.EndOfMessage())
    heads, body, declared, reads = [], b"", None, iter([*received, b""])
    try:
        while not isinstance(event := http.next_event(), h11.EndOfMessage | h11.ConnectionClosed):
            if event is h11.NEED_DATA:
                http.receive_data(next(reads))
            elif isinstance(event, h11.Response | h11.InformationalResponse):
                headers, fields = list(event.headers), dict(event.headers)
                if b"transfer-encoding" in fields and b"content-length" in fields:
                    is_bodyless = to_head_request or event.status_code in (204, 304)
                    declared = None if is_bodyless else int(fields[b"content-length"])
                if b"transfer-encoding" in fields or event.status_code < 200 or event.status_code == 204:
                    headers = [field for field in headers if field[0] != b"content-length"]
                heads.append((event.status_code, bytes(event.reason), headers))
            elif isinstance(event, h11.Data):
                body += event.data
    except h11.RemoteProtocolError:
        return Read(heads, body, whole=False)
    whole = bool(heads) and not http.trailing_data[0] and declared in (None, len(body))
    reusable = whole and http.their_state is h11.DONE
    return Read(heads, body, whole, reusable, list(event.headers) if whole else [])


# Random responses

NAMES = st.text("abcXYZ019!#$%&'*+-.^_`|~", min_size=1, max_size=8).map(str.encode)
VISIBLE = bytes([*range(0x21, 0x7F), *range(0x80, 0x100)]).decode("latin-1")
VALUES = st.text(VISIBLE + " \t", max_size=12).map(lambda text: text.encode("latin-1"))
BLANKS = st.sampled_from([b"", b" ", b"\t", b"  \t"])
FIELDS = st.lists(st.builds(b"%b:%b%b%b\r\n".__mod__, st.tuples(NAMES, BLANKS, VALUES, BLANKS)), max_size=3)
CONNECTION = st.sampled_from(
    [b"", b"", b"Connection: close\r\n", b"connection: x, Close\r\n", b"Connection:\r\n"]
)
VERSIONS = st.sampled_from([b"HTTP/1.1", b"HTTP/1.1", b"HTTP/1.0"])
FINAL = st.sampled_from([200, 200, 204, 206, 302, 304, 400, 429, 503, 999])
BODIES = st.lists(st.binary(min_size=1, max_size=40), max_size=4)


@st.composite
def head(draw: st.DrawFn, status: int, framing: list[bytes]) -> bytes:
    reason = draw(st.sampled_from([b"", b" "]) | VALUES.map(b" ".__add__))
    fields = draw(st.permutations([*draw(FIELDS), *framing, draw(CONNECTION)]))
    return b"%b %d%b\r\n%b\r\n" % (draw(VERSIONS), status, reason, b"".join(fields))


@st.composite
def chunks(draw: st.DrawFn, pieces: list[bytes]) -> bytes:
    size = st.sampled_from([b"%x", b"%X", b"%06x", b"%x;a=b", b'%x;a="b c";d'])
    framed = [draw(size) % len(piece) + b"\r\n" + piece + b"\r\n" for piece in pieces]
    return b"".join([*framed, draw(st.sampled_from([b"0", b"00", b"0;a"])), b"\r\n", *draw(FIELDS), b"\r\n"])


@st.composite
def responses(draw: st.DrawFn) -> bytes:
    """A valid response, with informational ones before it; the length may be wrong, and bytes may follow."""
    pieces = draw(BODIES)
    body = b"".join(pieces)
    length = b"Content-Length: %d\r\n" % max(0, len(body) + draw(st.sampled_from([0, 0, 0, 0, 1, -1])))
    encoding = draw(st.sampled_from([b"Transfer-Encoding: chunked\r\n", b"transfer-encoding:CHUNKED \r\n"]))
    framing = draw(st.sampled_from([[length], [encoding], [length, encoding], []]))
    before = [
        draw(head(status, [])) for status in draw(st.lists(st.sampled_from([100, 103, 199]), max_size=2))
    ]
    sent = draw(chunks(pieces)) if encoding in framing else body
    behind = draw(st.sampled_from([b"", b"", b"", b"", b"\r\n", b"x", OK + b"\r\n", SIZED + b"hello"]))
    return b"".join([*before, draw(head(draw(FINAL), framing)), sent, behind])


def cut(data: bytes, places: list[int]) -> list[bytes]:
    edges = sorted({0, len(data), *(place % (len(data) + 1) for place in places)})
    return [data[start:end] for start, end in pairwise(edges)]


CUTS = st.lists(st.integers(0, 10_000), max_size=8)


@given(responses(), CUTS, st.booleans())
@example(CHUNKED + b"0\r\n\r\n\r\n", [], False)
@example(CHUNKED + b"0\r\n\r\n", list(range(100)), False)
@example(b"HTTP/1.1 204 X\r\nContent-Length: 5\r\n\r\n", [], False)
def test_a_response_is_read_as_h11_reads_it(sent: bytes, places: list[int], to_head_request: bool) -> None:
    expected = read_by_h11(cut(sent, places), to_head_request=to_head_request)
    ours = read(cut(sent, places), to_head_request=to_head_request)
    assert ours[:4] == expected[:4]
    assert ours.trailers == expected.trailers
    assert ours[:2] == read([sent], to_head_request=to_head_request)[:2], "however it arrives"


@given(responses(), CUTS, st.integers(0, 10_000), st.sampled_from([0, 1, 2]), st.binary(max_size=2))
def test_what_h11_refuses_is_refused(
    sent: bytes, places: list[int], place: int, removed: int, put: bytes
) -> None:
    """A fault anywhere; llhttp refuses more."""
    place %= len(sent) + 1
    faulty = cut(sent[:place] + put + sent[place + removed :], places)
    ours = read(faulty)
    if ours.whole:
        assert ours == read_by_h11(faulty)


@given(st.binary(max_size=200), CUTS)
def test_noise_is_no_response(noise: bytes, places: list[int]) -> None:
    assert not read(cut(noise, places)).whole


# Odd responses


REFUSED = {
    "lines that end in LF": OK.replace(b"\r", b"") + b"Content-Length: 0\n\n",
    "one line that ends in LF": OK + b"A: b\nContent-Length: 0\r\n\r\n",
    "a bare CR in a value": OK + b"A: b\rc\r\nContent-Length: 0\r\n\r\n",
    "a bare CR in the reason": b"HTTP/1.1 200 O\rK\r\nContent-Length: 0\r\n\r\n",
    "a folded header": OK + b"A: b\r\n c\r\nContent-Length: 0\r\n\r\n",
    "a folded first header": OK + b" A: b\r\nContent-Length: 0\r\n\r\n",
    "a control character in a value": OK + b"A: b\x01c\r\nContent-Length: 0\r\n\r\n",
    "NUL in a value": OK + b"A: b\x00c\r\nContent-Length: 0\r\n\r\n",
    "a control character in the reason": b"HTTP/1.1 200 O\x01K\r\nContent-Length: 0\r\n\r\n",
    "a blank before the colon": OK + b"Content-Length : 0\r\n\r\n",
    "a header without a name": OK + b": b\r\nContent-Length: 0\r\n\r\n",
    "a header without a colon": OK + b"A b\r\nContent-Length: 0\r\n\r\n",
    "an empty line first": b"\r\n" + OK + b"Content-Length: 0\r\n\r\n",
    "HTTP/0.9": OK.replace(b"1.1", b"0.9") + b"Content-Length: 0\r\n\r\n",
    "HTTP/1.2": OK.replace(b"1.1", b"1.2") + b"Content-Length: 0\r\n\r\n",
    "HTTP/2.0": OK.replace(b"1.1", b"2.0") + b"Content-Length: 0\r\n\r\n",
    "ICY": b"ICY 200 OK\r\n\r\n",
    "status 99": OK.replace(b"200", b"099") + b"Content-Length: 0\r\n\r\n",
    "status 20": OK.replace(b"200", b"20") + b"Content-Length: 0\r\n\r\n",
    "status 2000": OK.replace(b"200", b"2000") + b"Content-Length: 0\r\n\r\n",
    "two lengths": OK + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
    "a length of two": OK + b"Content-Length: 5, 5\r\n\r\nhello",
    "a length with a sign": OK + b"Content-Length: +5\r\n\r\nhello",
    "a length of nothing": OK + b"Content-Length:\r\n\r\n",
    "a length of 2^64": OK + b"Content-Length: %d\r\n\r\n" % 2**64,
    "a length of many digits": OK + b"Content-Length: %b5\r\n\r\nhello" % (b"0" * 5000),
    "a coding before chunked": OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "another coding": OK + b"Transfer-Encoding: gzip\r\n\r\n0\r\n\r\n",
    "chunked twice": CHUNKED[:-2] + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a coding of a response without a body": b"HTTP/1.1 304 X\r\nTransfer-Encoding: gzip\r\n\r\n",
    "an informational response that is none": b"HTTP/1.1 103 X\r\nA b\r\n\r\n" + SIZED + b"hello",
    "bytes of TLS": b"\x15\x03\x01\x00\x02\x02\x46",
}  # fmt: skip


@cases("sent", REFUSED.values())
def test_a_head_that_is_refused(sent: bytes) -> None:
    assert not read([sent]).whole
    assert not read([sent[i : i + 1] for i in range(len(sent))]).whole


BROKEN = {
    "a chunk's size of nothing": CHUNKED + b"\r\n",
    "a chunk's size with a sign": CHUNKED + b"-2\r\n",
    "a chunk's size with 0x": CHUNKED + b"0x2\r\nab\r\n",
    "a chunk's size past 64 bits": CHUNKED + b"10000000000000002\r\nab\r\n",
    "a chunk longer than its size": CHUNKED + b"2\r\nabc\r\n",
    "a size line that ends in LF": CHUNKED + b"2\nab\r\n",
    "a chunk that ends in LF": CHUNKED + b"2\r\nab\n0\r\n\r\n",
    "a control character in an extension": CHUNKED + b"2;\x01\r\nab\r\n",
    "a folded trailer": CHUNKED + b"0\r\nA: b\r\n c\r\n\r\n",
    "a control character in a trailer": CHUNKED + b"0\r\nA: b\x01\r\n\r\n",
    "trailers without an end": CHUNKED + b"0\r\n" + b"A: b\r\n" * 50_000,
    "one endless trailer": CHUNKED + b"0\r\nA: " + b"b" * 300_000,
    "an endless extension": CHUNKED + b"2;" + b"a" * 300_000,
}


@cases("sent", BROKEN.values())
def test_a_body_that_is_broken_before_its_end(sent: bytes) -> None:
    """As soon as it is: nobody waits for the end of the connection."""
    found = HeadBuffer().feed(sent[:100])
    assert found is not None
    body = parse_response(found[0], to_head_request=False).body
    for piece in cut(found[1] + sent[100:], list(range(0, 400_000, 65_536))):
        if not body.has_ended:
            body.feed(piece)
    assert body.failure is not None


def test_a_chunk_before_a_broken_one_is_passed_on() -> None:
    assert read([CHUNKED + b"2\r\nab\r\n2\r\ncd\r\nx"])[1:3] == (b"abcd", False)


def test_a_head_has_a_limit() -> None:
    sent = OK + b"A: b\r\n" * MAX_HEAD
    buffer = HeadBuffer()
    assert buffer.feed(sent[:MAX_HEAD]) is None
    with pytest.raises(MalformedResponse, match="its head is over 262,144 bytes"):
        buffer.feed(b"A")


def test_pieces_that_arrive_together_are_passed_on_together() -> None:
    body = parse_response(CHUNKED, to_head_request=False).body
    assert body.feed(b"2\r\nab\r\n3\r\ncde\r\n4\r\nf") == b"abcdef"
    assert body.feed(b"ghi\r\n0\r\n\r\n") == b"ghi"
    assert body.has_ended
    sized = parse_response(SIZED, to_head_request=False).body
    assert sized.feed(received := b"hell") is received


# Requests


@given(FIELDS, BODIES, st.booleans())
def test_a_request_is_written_as_h11_reads_it(
    raw_fields: list[bytes], pieces: list[bytes], sized: bool
) -> None:
    body = b"".join(pieces)
    framing = (b"content-length", b"%d" % len(body)) if sized else (b"transfer-encoding", b"chunked")
    fields = [field[:-2].partition(b":") for field in raw_fields]
    headers = [(b"host", b"x"), *((name.lower(), value.strip()) for name, _, value in fields), framing]
    framed = RequestBody(headers)
    trailers = [] if sized else [(b"a", b"b")]
    sent = [encode_head("POST", b"/a?b", headers), *map(framed.encode, [*pieces, b""]), framed.end(trailers)]
    http = h11.Connection(h11.SERVER)
    http.receive_data(b"".join(sent))
    request = http.next_event()
    assert isinstance(request, h11.Request)
    assert (request.method, request.target, list(request.headers)) == (b"POST", b"/a?b", headers)
    received = b""
    while isinstance(event := http.next_event(), h11.Data):
        received += event.data
    assert received == body
    assert isinstance(event, h11.EndOfMessage)
    assert list(event.headers) == trailers
    assert not http.trailing_data[0]


@cases(("piece", "trailers"), [(b"abc", []), (b"a", []), (b"ab", [(b"a", b"b")])])
def test_a_body_that_is_not_as_announced_has_no_end(piece: bytes, trailers: Headers) -> None:
    body = RequestBody([(b"content-length", b"2")])

    def send() -> None:
        body.encode(piece)
        body.end(trailers)

    with pytest.raises(ValueError, match=r"longer|missing"):
        send()
