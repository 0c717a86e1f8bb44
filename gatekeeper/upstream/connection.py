"""One HTTP/1.1 connection to the API, directly on the socket.

Why not a client library's: measured side by side, a call through httpcore2's HTTP/1.1 connection cost the
gateway 1.25 ms of CPU and 210 µs an event; through this one, then on h11, 0.72 ms and 127 µs. The difference
is its layers of generators, locks and tracing.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import trio

from gatekeeper.http_fields import Headers
from gatekeeper.upstream.http1_request import RequestBody, UpstreamRequest, encode_head
from gatekeeper.upstream.http1_response import (
    BODYLESS,
    INTERRUPTED,
    SWITCHING_PROTOCOLS,
    Body,
    HeadBuffer,
    MalformedResponse,
    Response,
    ResponseHead,
    SizedBody,
    parse_response,
)
from gatekeeper.upstream.stream import SocketStream

__all__ = [
    "BODYLESS",
    "SWITCHING_PROTOCOLS",
    "ConnectionLost",
    "ResponseHead",
    "UpstreamConnection",
    "UpstreamRequest",
]

IDLE_EXPIRY = 60.0  # seconds; Google's front end keeps idle connections for about four minutes
CONNECTION_ERRORS = (trio.BrokenResourceError, trio.ClosedResourceError, OSError)  # ssl.SSLError is one
NO_BODY = SizedBody(0)
Informational = Callable[[ResponseHead], Awaitable[None]]


class ConnectionLost(Exception):
    """The connection failed before the response was complete, or the response is malformed. `maybe_delivered`
    is False only if certainly no byte of the request has arrived."""

    def __init__(self, why: str, *, maybe_delivered: bool = True) -> None:
        super().__init__(why)
        self.maybe_delivered = maybe_delivered


class UpstreamConnection:
    """Methods in order: `send_head`, `send_body` …, `finish_request` (or `send_request`), then `read_head`,
    `read_chunk` … until None."""

    def __init__(self, stream: SocketStream) -> None:
        self._stream = stream
        self._request = RequestBody([])
        self._is_head_request = False
        self._response_started = False
        self._peer_eof = False  # the upstream's FIN has been read
        self._acked_before: int | None = None  # bytes acknowledged before this request
        self._body: Body = NO_BODY  # of the response, once its head has been read
        self._first = b""  # the piece of the body that was received with the head, until it is read
        self._unread = b""  # after a switch of protocols
        self._request_sent = False  # all of it
        self._keep_alive = False
        self.request_count = 0
        self.idle_since = 0.0

    def __repr__(self) -> str:
        return f"<Connection, {self.request_count} calls>"

    @property
    def reused(self) -> bool:
        return self.request_count > 1

    @property
    def trailers(self) -> Headers:
        """Of the response, once its body has ended."""
        return self._body.trailers

    def has_expired(self, now: float) -> bool:
        """Whether an idle connection is too old, or readable: that means closed by the upstream, which sends
        nothing else."""
        return now - self.idle_since > IDLE_EXPIRY or self._stream.is_readable()

    async def send_request(self, method: str, target: bytes, headers: Headers, body: bytes) -> None:
        """Sends a complete request in one write."""
        self._start(method, headers)
        head = encode_head(method, target, headers)
        await self._write(b"".join((head, self._request.encode(body), self._request.end([]))))
        self._request_sent = True

    async def send_head(self, method: str, target: bytes, headers: Headers) -> None:
        self._start(method, headers)
        await self._write(encode_head(method, target, headers))

    async def send_body(self, chunk: bytes) -> None:
        await self._write(self._request.encode(chunk))

    async def finish_request(self, trailers: Headers) -> None:
        """Trailers need a chunked request."""
        await self._write(self._request.end(trailers))
        self._request_sent = True

    def _start(self, method: str, headers: Headers) -> None:
        self.request_count += 1
        self._request = RequestBody(headers)
        self._request_sent = self._response_started = self._keep_alive = False
        self._body = NO_BODY
        self._is_head_request = method == "HEAD"
        # Read before the request is written, and only if needed, because it is a system call.
        self._acked_before = self._stream.acked_bytes() if self.reused else None

    async def _write(self, data: bytes) -> None:
        try:
            if data:
                await self._stream.write(data)
        except CONNECTION_ERRORS as error:
            raise self._connection_lost(f"it closed the connection ({type(error).__name__})") from None

    def _connection_lost(self, why: str) -> ConnectionLost:
        return ConnectionLost(
            why, maybe_delivered=self._response_started or not self._closed_before_request()
        )

    def _closed_before_request(self) -> bool:
        """Whether the upstream had closed before any byte of this request reached it.

        A FIN and the count of acknowledged bytes prove that, because a FIN acknowledges everything before it.
        A reset proves nothing: Linux ignores the acknowledgement in it, so a request may have been read
        although no byte of it counts as acknowledged.
        """
        # None for the first request: a new connection has not been idle.
        before = self._acked_before
        return self._peer_eof and before is not None and self._stream.acked_bytes() == before

    async def read_head(self, informational: Informational | None = None) -> ResponseHead:
        """The response's head; the heads of 1xx responses before it are passed to `informational`. A 101 is
        returned as the response, and accepted only if the request asked for it."""
        buffer, received = HeadBuffer(), b""
        while True:
            response, received = await self._next_response(buffer, received)
            head = response.head
            if head.status >= 200:
                self._begin_body(response, received)
                return head
            # RFC 9110 §15.2.2: another protocol follows, so a 101 cannot be skipped like other 1xx.
            if head.status == SWITCHING_PROTOCOLS:
                if not self._request.requests_upgrade:
                    raise ConnectionLost("it switches to a protocol that nobody asked for")
                self._unread = received
                return head
            if informational is not None:
                await informational(head)

    async def _next_response(self, buffer: HeadBuffer, received: bytes) -> tuple[Response, bytes]:
        """The next response, which may be an informational one, and the bytes received after its head."""
        try:
            # Several responses may have come together: a 103 and the one that follows it.
            found = buffer.feed(received) if received else None
            while found is None:
                received = await self._receive()
                if not received:
                    partial = INTERRUPTED if buffer else "it closed the connection without a response"
                    raise self._connection_lost(partial)
                found = buffer.feed(received)
            return parse_response(found[0], to_head_request=self._is_head_request), found[1]
        except MalformedResponse as error:
            raise self._connection_lost(str(error)) from None

    def _begin_body(self, response: Response, received: bytes) -> None:
        self._body = response.body
        self._keep_alive = response.keep_alive
        self._first = response.body.feed(received) if received else b""

    async def read_chunk(self) -> bytes | None:
        """The next piece of the response's body, as it arrived; None at its end. Raises ConnectionLost, also
        for a body longer or shorter than declared."""
        if self._first:
            return self.buffered_chunk()
        body = self._body
        while not body.has_ended:
            if piece := body.feed(await self._receive()):
                return piece
        if body.failure is not None:
            raise ConnectionLost(body.failure)
        return None

    def buffered_chunk(self) -> bytes | None:
        """The first piece of the response's body if it arrived with the head, else None."""
        first, self._first = self._first, b""
        return first or None

    async def _receive(self) -> bytes:
        """The next bytes; empty at the end of the connection. Raises ConnectionLost."""
        try:
            data = await self._stream.read()
        except CONNECTION_ERRORS as error:
            raise self._connection_lost(f"{INTERRUPTED} ({type(error).__name__})") from None
        if data:
            self._response_started = True
        else:
            self._peer_eof = True
        return data

    def switch_protocols(self) -> tuple[SocketStream, bytes]:
        """The stream, after a 101, and the bytes of the new protocol that were received already."""
        self._stream.detect_dead_peer()
        return self._stream, self._unread

    @property
    def is_complete(self) -> bool:
        """Whether all of the response's body has been read, and is as long as declared."""
        return self._body.has_ended and self._body.failure is None

    def prepare_reuse(self) -> bool:
        """Prepares the connection for the next call; False if it cannot be reused."""
        # A response may come before all of the request was sent: its rest would be read as the next request.
        return self._request_sent and self._keep_alive and self.is_complete

    def close(self) -> None:
        """At once and without a TLS close_notify, so that it needs no await and works in a cancelled task."""
        self._stream.close()
