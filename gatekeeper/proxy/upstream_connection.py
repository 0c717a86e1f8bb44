"""One connection to the API behind the gateway: HTTP/1.1 by h11 over a trio stream.

Why not a client library's: measured on the same machine in the same minute, a call through httpcore2's
HTTP/1.1 connection costs the gateway 1.25 ms of CPU and 210 µs an event, through this one 0.72 ms and 127 µs;
layers of generators, locks and traces make the difference.
"""

from __future__ import annotations

import os
import select
import socket
import struct
import sys
from collections.abc import Awaitable, Callable
from typing import NamedTuple

import h11
import trio

from gatekeeper.proxy.headers import Headers
from gatekeeper.server.dead_peers import detect_dead_peer

READ_SIZE = 64 * 1024
IDLE_EXPIRY = 60.0  # seconds; Google's front end keeps idle connections for about four minutes
MAX_RESPONSE_HEAD = 256 * 1024  # bytes of a response's head
TCP_INFO: int | None = getattr(socket, "TCP_INFO", None) if sys.platform == "linux" else None
BYTES_ACKED = struct.Struct("120xQ")  # where Linux' `struct tcp_info` has `tcpi_bytes_acked`
BODYLESS = (204, 304)
SWITCHING_PROTOCOLS = 101

DONE_STATES = (h11.DONE, h11.MUST_CLOSE, h11.CLOSED)
CONNECTION_ERRORS = (
    trio.BrokenResourceError,
    trio.ClosedResourceError,
    h11.RemoteProtocolError,
    OSError,  # ssl.SSLError is one
)
Informational = Callable[[h11.InformationalResponse], Awaitable[None]]


class ConnectionLost(Exception):
    """The connection failed before the response was complete, or that was framed wrongly. `maybe_delivered`
    is False only if it is certain that nothing of the request has arrived."""

    def __init__(self, why: str, *, maybe_delivered: bool = True) -> None:
        super().__init__(why)
        self.maybe_delivered = maybe_delivered


class UpstreamRequest(NamedTuple):
    """A request without its body."""

    method: str
    target: bytes
    headers: Headers

    def uncompressed(self) -> UpstreamRequest:
        """The request for a response without a Content-Encoding."""
        identity = (b"accept-encoding", b"identity")
        return self._replace(
            headers=[identity if field[0] == b"accept-encoding" else field for field in self.headers]
        )


class ResponseHead(NamedTuple):
    """The head of a response. Its headers have no `content-length` if the body is chunked; `fields` are the
    first values by name; `reason` is the phrase after the status code, which may be empty."""

    status: int
    headers: Headers
    reason: bytes
    fields: dict[bytes, bytes]

    @classmethod
    def of(cls, status: int, headers: Headers, reason: bytes) -> ResponseHead:
        return cls(status, headers, reason, dict(reversed(headers)))


class UpstreamConnection:
    """Methods in order: `send_head`, `send_body` …, `finish_request` (or `send_request`), then `read_head`,
    `read_chunk` … until None."""

    def __init__(self, stream: trio.SocketStream | trio.SSLStream[trio.SocketStream]) -> None:
        self._stream = stream
        self._is_plain = not isinstance(stream, trio.SSLStream)
        self._socket = (stream.transport_stream if isinstance(stream, trio.SSLStream) else stream).socket
        self._poller = select.poll()
        self._poller.register(self._socket.fileno(), select.POLLIN)
        # Past the layer that only translates errors: it costs as much as h11's part of an event.
        self._read = self._socket.recv if self._is_plain else stream.receive_some
        self._http = h11.Connection(h11.CLIENT, max_incomplete_event_size=MAX_RESPONSE_HEAD)
        self._response_started = False
        self._peer_eof = False  # the upstream's FIN has been read
        self._is_head_request = False
        self._acked_before: int | None = None  # bytes, before this request
        # Of a response with both `content-length` and `transfer-encoding`.
        self._declared_length: int | None = None
        self._received_length = 0
        self.trailers: Headers = []  # of the response, once its body has ended
        self.request_count = 0
        self.idle_since = 0.0

    def __repr__(self) -> str:
        return f"<Connection {self._http.our_state}/{self._http.their_state}, {self.request_count} calls>"

    @property
    def reused(self) -> bool:
        return self.request_count > 1

    def has_expired(self, now: float) -> bool:
        """An idle connection that is readable has been closed by the upstream: nothing else may arrive."""
        return now - self.idle_since > IDLE_EXPIRY or bool(self._poller.poll(0))

    async def send_request(self, method: str, target: bytes, headers: Headers, body: bytes) -> None:
        """Sends a complete request in one write."""
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

    async def finish_request(self, trailers: Headers) -> None:
        """Trailers need a chunked request."""
        await self._write(self._http.send(h11.EndOfMessage(headers=trailers)) or b"")

    def _start(self, method: str) -> None:
        self.request_count += 1
        self._response_started = False
        self.trailers = []
        self._is_head_request = method == "HEAD"
        self._acked_before = acked_bytes(self._socket) if self.reused else None

    async def _write(self, data: bytes) -> None:
        try:
            # Without waiting first: trio's way takes a turn of the event loop more, a twentieth of a call.
            if self._is_plain and data:
                data = data[write_nowait(self._socket.fileno(), data) :]
            if data:
                await self._stream.send_all(data)
        except CONNECTION_ERRORS as error:
            raise self._connection_lost(f"it closed the connection ({type(error).__name__})") from None

    def _connection_lost(self, why: str) -> ConnectionLost:
        return ConnectionLost(
            why, maybe_delivered=self._response_started or not self._closed_before_request()
        )

    def _closed_before_request(self) -> bool:
        """Whether the upstream had closed before any byte of this request reached it.

        A FIN together with the count of acknowledged bytes proves that, because a FIN acknowledges everything
        before it. A reset proves nothing: Linux ignores the acknowledgement in one, so a request may have
        been read of which no byte counts as acknowledged.
        """
        # None for a first request: a new connection was not closed for having been idle.
        before = self._acked_before
        return self._peer_eof and before is not None and acked_bytes(self._socket) == before

    async def read_head(self, informational: Informational | None = None) -> ResponseHead:
        """The response's head; those of 1xx responses before it are passed to `informational`. One that
        switches protocols (101) comes only where the request asked for it, and is the response."""
        while True:
            event = await self._event()
            if isinstance(event, h11.Response):
                return self._normalize_framing(event)
            if isinstance(event, h11.InformationalResponse):
                if event.status_code == SWITCHING_PROTOCOLS:
                    return ResponseHead.of(SWITCHING_PROTOCOLS, list(event.headers), bytes(event.reason))
                if informational is not None:
                    await informational(event)
            if event is None:
                raise self._connection_lost("it closed the connection without a response")

    def _normalize_framing(self, response: h11.Response) -> ResponseHead:
        """If both framing fields are present `transfer-encoding` counts (RFC 9112 §6.3), and `content-length`
        is dropped: it may be wrong."""
        self._declared_length, self._received_length = None, 0
        status = response.status_code
        head = ResponseHead.of(status, list(response.headers), bytes(response.reason))
        if b"transfer-encoding" not in head.fields or b"content-length" not in head.fields:
            return head
        if not (self._is_head_request or status in BODYLESS):
            self._declared_length = int(head.fields[b"content-length"])
        kept = [field for field in head.headers if field[0] != b"content-length"]
        return ResponseHead.of(status, kept, head.reason)

    async def read_chunk(self) -> bytes | None:
        """The next piece of the response's body, as it arrived; None at its end. Raises ConnectionLost, also
        for a body longer or shorter than declared."""
        event = await self._event()
        if isinstance(event, h11.Data):
            return self._piece(event)
        # More bytes than declared mean that the relayed body was cut at the wrong place.
        if self._http.trailing_data[0]:
            raise ConnectionLost("it sent more than its Content-Length")
        if self._declared_length is not None and self._declared_length != self._received_length:
            raise ConnectionLost(
                f"Content-Length was {self._declared_length}, received {self._received_length} bytes"
            )
        return None

    def buffered_chunk(self) -> bytes | None:
        """The first piece of the response's body if it arrived with the head, else None."""
        try:
            event = None if self._http.their_state in DONE_STATES else self._http.next_event()
        except h11.RemoteProtocolError:  # raised again by `read_chunk`
            return None
        self._note_end(event)
        return self._piece(event) if isinstance(event, h11.Data) else None

    def _piece(self, data: h11.Data) -> bytes:
        self._received_length += len(data.data)
        return bytes(data.data)

    async def _event(self) -> h11.Event | None:
        """The next event; None at and after the end of the message or connection. Raises ConnectionLost."""
        if self._http.their_state in DONE_STATES:
            return None
        try:
            while (event := self._http.next_event()) is h11.NEED_DATA:
                data = await self._read_more()
                self._response_started, self._peer_eof = self._response_started or bool(data), not data
                self._http.receive_data(bytes(data))
        except CONNECTION_ERRORS as error:
            raise self._connection_lost(f"the response was interrupted ({type(error).__name__})") from None
        if isinstance(event, h11.Response | h11.Data | h11.InformationalResponse):
            return event
        self._note_end(event)
        return None

    async def _read_more(self) -> bytes | bytearray:
        """The next bytes that have arrived; empty at the end of the connection."""
        if self._is_plain and not self._response_started:
            # Nothing is there yet: to try costs an exception; trio's own way then costs a turn of the loop.
            await trio.lowlevel.wait_readable(self._socket)
            try:
                return os.read(self._socket.fileno(), READ_SIZE)
            except BlockingIOError:
                pass
        return await self._read(READ_SIZE)

    def _note_end(self, event: object) -> None:
        if isinstance(event, h11.EndOfMessage) and event.headers:
            self.trailers = list(event.headers)

    def switch_protocols(self) -> tuple[trio.SocketStream | trio.SSLStream[trio.SocketStream], bytes]:
        """The stream, after a response of 101, and what has already been received of the new protocol."""
        detect_dead_peer(self._socket)
        return self._stream, self._http.trailing_data[0]

    def prepare_reuse(self) -> bool:
        """Prepares the connection for the next call; False if it cannot be reused."""
        if self._http.our_state is not h11.DONE or self._http.their_state is not h11.DONE:
            return False
        # The declared length did not match: nothing on this connection can be trusted any more.
        if self._declared_length not in (None, self._received_length):
            return False
        self._http.start_next_cycle()
        return not self._http.trailing_data[0]

    def close(self) -> None:
        """At once and without a TLS close_notify, so that it needs no await and works in a cancelled task."""
        self._socket.close()


def request(method: str, target: bytes, headers: Headers) -> h11.Request:
    """`_parsed` skips h11's checks of the fields: each was parsed by h11 or made by the gateway, and checking
    their characters again costs as much as the rest."""
    return h11.Request(
        method=method.encode("ascii"), target=target, headers=headers, http_version=b"1.1", _parsed=True
    )


def write_nowait(descriptor: int, data: bytes) -> int:
    """Writes what fits into a socket without waiting; returns how many bytes that were. Raises OSError if the
    connection is broken."""
    try:
        return os.write(descriptor, data)
    except BlockingIOError:
        return 0


def acked_bytes(connected: trio.socket.SocketType) -> int | None:
    """How many bytes the upstream has acknowledged since the connection began; None if the system does not
    report it. Costs less than a microsecond."""
    if TCP_INFO is None:
        return None
    try:
        return BYTES_ACKED.unpack(connected.getsockopt(socket.IPPROTO_TCP, TCP_INFO, BYTES_ACKED.size))[0]
    except (OSError, struct.error):  # closed; a kernel before 4.1
        return None
