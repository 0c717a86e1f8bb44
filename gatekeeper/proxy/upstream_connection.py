"""One connection to the API behind the gateway: HTTP/1.1 by h11 over a trio stream.

Why not a client library's: measured on the same machine in the same minute, a call through httpcore2's
HTTP/1.1 connection costs the gateway 1.25 ms of CPU and 210 µs an event, through this one 0.72 ms and 127 µs;
layers of generators, locks and traces make the difference.
"""

from __future__ import annotations

import socket
import ssl
import struct
import sys
from typing import NamedTuple

import h11
import trio

from gatekeeper.proxy.headers import Headers, value_of

CHUNK = 64 * 1024
IDLE_EXPIRY = 60.0  # seconds; Google's front end keeps idle connections for about four minutes
HEAD_LIMIT = 256 * 1024  # bytes of an answer's head
TCP_INFO: int | None = getattr(socket, "TCP_INFO", None) if sys.platform == "linux" else None
BYTES_ACKED = struct.Struct("120xQ")  # where Linux' `struct tcp_info` has `tcpi_bytes_acked`
BODYLESS = (204, 304)

OVER = (h11.DONE, h11.MUST_CLOSE, h11.CLOSED)
FAULTS = (trio.BrokenResourceError, trio.ClosedResourceError, h11.RemoteProtocolError, ssl.SSLError)


class ConnectionLost(Exception):
    """The connection ended before the answer did. `delivered` is False only where it is certain that none of
    the request has arrived."""

    def __init__(self, why: str, *, delivered: bool = True) -> None:
        super().__init__(why)
        self.delivered = delivered


class Head(NamedTuple):
    """The head of an answer. Its headers hold no `content-length` where the body is framed otherwise."""

    status: int
    headers: Headers


class Connection:
    """One connection. In turn: `send_head`, `send_body` …, `finish_request`, `head`, `chunk` … until None."""

    def __init__(self, stream: trio.SocketStream | trio.SSLStream[trio.SocketStream]) -> None:
        self._stream = stream
        self._socket = (stream.transport_stream if isinstance(stream, trio.SSLStream) else stream).socket
        self._http = h11.Connection(h11.CLIENT, max_incomplete_event_size=HEAD_LIMIT)
        self._answered = False
        self._ended = False  # the end of the other side's stream has come
        self._asks_no_body = False
        self._acknowledged: int | None = None  # bytes, before this request
        self._said: int | None = None  # bytes of the body by a `content-length` that does not frame it
        self._got = 0
        self.calls = 0
        self.idle_since = 0.0

    def __repr__(self) -> str:
        return f"<Connection {self._http.our_state}/{self._http.their_state}, {self.calls} calls>"

    @property
    def reused(self) -> bool:
        return self.calls > 1

    def has_expired(self, now: float) -> bool:
        """An idle connection that is readable has been closed by the other side: nothing else may come."""
        return now - self.idle_since > IDLE_EXPIRY or self._socket.is_readable()

    async def send_whole(self, method: str, target: bytes, headers: Headers, body: bytes) -> None:
        """The whole request at once, in one write."""
        self._start(method)
        parts = [self._http.send(request(method, target, headers))]
        if body:
            parts.append(self._http.send(h11.Data(data=body)))
        parts.append(self._http.send(h11.EndOfMessage()))
        await self._write(b"".join(part for part in parts if part))

    async def send_head(self, method: str, target: bytes, headers: Headers) -> None:
        self._start(method)
        await self._write(self._http.send(request(method, target, headers)) or b"")

    async def send_body(self, chunk: bytes) -> None:
        await self._write(self._http.send(h11.Data(data=chunk)) or b"")

    async def finish_request(self) -> None:
        await self._write(self._http.send(h11.EndOfMessage()) or b"")

    def _start(self, method: str) -> None:
        self.calls += 1
        self._answered = False
        self._asks_no_body = method == "HEAD"
        self._acknowledged = acknowledged(self._socket) if self.reused else None

    async def _write(self, data: bytes) -> None:
        try:
            await self._stream.send_all(data)
        except FAULTS as fault:
            raise self._death(f"it closed the connection ({type(fault).__name__})") from None

    def _death(self, why: str) -> ConnectionLost:
        return ConnectionLost(why, delivered=self._answered or not self._came_too_late())

    def _came_too_late(self) -> bool:
        """Whether the other side had closed before any of this request reached it.

        The end of its stream proves that together with what it has acknowledged, for it carries an
        acknowledgement of all that came before it. A reset proves nothing: Linux does not look at the
        acknowledgement in one, so that a request may have been read of which no byte counts as acknowledged.
        """
        # None for a first request: a connection just made was not closed for having been idle.
        before = self._acknowledged
        return self._ended and before is not None and acknowledged(self._socket) == before

    async def head(self) -> Head:
        """The answer's head; informational answers are passed over."""
        while True:
            event = await self._event()
            if isinstance(event, h11.Response):
                return self._framed(event.status_code, list(event.headers))
            if event is None:
                raise self._death("it closed the connection without an answer")

    def _framed(self, status: int, headers: Headers) -> Head:
        """Where two fields say how long the body is, `transfer-encoding` counts (RFC 9112 §6.3), and the
        other, which may lie, does not go on."""
        self._said, self._got = None, 0
        if value_of(headers, b"transfer-encoding") is not None:
            said = value_of(headers, b"content-length")
            if said is not None and not (self._asks_no_body or status in BODYLESS):
                self._said = int(said)
            headers = [field for field in headers if field[0] != b"content-length"]
        return Head(status, headers)

    async def chunk(self) -> bytes | None:
        """The next piece of the answer's body, as it arrived; None at its proper end. Raises ConnectionLost
        also where the body was longer or shorter than said."""
        event = await self._event()
        if isinstance(event, h11.Data):
            return self._piece(event)
        # More than was announced is a sign that what was passed on was cut at the wrong place.
        if self._http.trailing_data[0]:
            raise ConnectionLost("it sent more than it had said")
        if self._said is not None and self._said != self._got:
            raise ConnectionLost(f"it said {self._said} bytes and sent {self._got}")
        return None

    def at_hand(self) -> bytes | None:
        """The first piece of the answer's body if it came with the head; None where it has to be waited for,
        or there is none."""
        try:
            event = None if self._http.their_state in OVER else self._http.next_event()
        except h11.RemoteProtocolError:  # which is raised again where the piece is asked for
            return None
        return self._piece(event) if isinstance(event, h11.Data) else None

    def _piece(self, data: h11.Data) -> bytes:
        self._got += len(data.data)
        return bytes(data.data)

    async def _event(self) -> h11.Event | None:
        """The next event, None at and after the end of message or connection. Raises ConnectionLost."""
        if self._http.their_state in OVER:
            return None
        try:
            while (event := self._http.next_event()) is h11.NEED_DATA:
                data = await self._stream.receive_some(CHUNK)
                self._answered, self._ended = self._answered or bool(data), not data
                self._http.receive_data(bytes(data))
        except FAULTS as fault:
            raise self._death(f"the answer broke off ({type(fault).__name__})") from None
        if isinstance(event, h11.Response | h11.Data | h11.InformationalResponse):
            return event
        return None

    def reset(self) -> bool:
        """Makes it ready for the next call; False where it cannot carry one."""
        if self._http.our_state is not h11.DONE or self._http.their_state is not h11.DONE:
            return False
        # The other side lies about lengths: nothing on this connection can be trusted any more.
        if self._said not in (None, self._got):
            return False
        self._http.start_next_cycle()
        return not self._http.trailing_data[0]

    def close(self) -> None:
        """At once and without a TLS farewell, so that it needs no await and works in a cancelled task."""
        self._socket.close()


def request(method: str, target: bytes, headers: Headers) -> h11.Request:
    """As h11 makes one of what it has read itself: each field has been read by it or is ours, and to look at
    their characters once more costs as much as the rest."""
    return h11.Request(
        method=method.encode("ascii"), target=target, headers=headers, http_version=b"1.1", _parsed=True
    )


def acknowledged(connected: trio.socket.SocketType) -> int | None:
    """How many bytes the other side has acknowledged since the connection began, None where the system does
    not tell. Costs less than a microsecond."""
    if TCP_INFO is None:
        return None
    try:
        return BYTES_ACKED.unpack(connected.getsockopt(socket.IPPROTO_TCP, TCP_INFO, BYTES_ACKED.size))[0]
    except (OSError, struct.error):  # closed; a kernel before 4.1
        return None
