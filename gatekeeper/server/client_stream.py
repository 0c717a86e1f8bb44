"""The client's side of a request: reads the body, writes the response, and tells whether the client is still
connected.

ASGI is used for most of it. Two operations bypass it through the connection that the server passes in
`scope["state"]`, because that was measured to halve the cost of an event; without a connection ASGI is used:

- Head and body are framed here (`simple_exchange`) and written straight to the socket, instead of passing a
  lock, a cancel scope and two checkpoints.
- `is_disconnected` polls the socket. A task per call that waits on `receive()` costs half as much as the
  relay itself.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Sequence
from typing import cast

import trio

from gatekeeper.server.asgi_types import Message, Receive, Scope, Send
from gatekeeper.server.connection import ClientConnection
from gatekeeper.server.request_validation import MalformedRequest
from gatekeeper.server.simple_exchange import (
    ClientDisconnected,
    FramingError,
    ResponseFraming,
    SimpleExchange,
)

# How much of the request, in bytes and seconds, is still read after the response. Less than
# `FINAL_ERROR_TIMEOUT` of `proxy.lifecycle`, which includes it.
DISCARD_BYTES = 32 * 1024 * 1024
DISCARD_TIMEOUT = 2.5
# Seconds after a client has half-closed its connection until it is probed whether it still reads.
PROBE_AFTER = 1.0


class MalformedBody(Exception):
    """The request's body is not valid HTTP."""

    def __init__(self, malformed: MalformedRequest) -> None:
        super().__init__(malformed.message)
        self.malformed = malformed


class ClientStream:
    """The client of one request. `received_bytes` and `sent_bytes` count the bytes of the two bodies."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._receive = receive
        self._send = send
        state = scope.get("state", {})
        self._connection: ClientConnection | None = state.get("connection")
        self._framing = cast("ResponseFraming", state.get("framing"))  # there is one if there is a connection
        self._raw_connection: ClientConnection | None = None  # set if head and body bypass ASGI
        # Responses without a body are rare, and sent by ASGI: Hypercorn knows all the special cases.
        self._bodyless = scope["method"] == "HEAD"
        self.is_chunked = b"transfer-encoding" in dict(scope["headers"])
        # Changes the response's headers before they are sent (CORS).
        self.edit_headers: Callable[[list[tuple[bytes, bytes]]], list[tuple[bytes, bytes]]] | None = None
        self._head = b""  # of the response; sent together with the first piece of its body
        self._remaining: int | None = None
        # HTTP/1.0 has no chunks: a body of unknown length ends with its connection (RFC 9112 §6.3).
        self._close_delimited = scope["http_version"] == "1.0"
        self._finished = False
        self.trailers: list[tuple[bytes, bytes]] = []  # of the request, once its body has ended
        self.body_ended = False
        self.response_started = False
        self.write_blocked = False  # a write waits for the client; stays True once one was cancelled half-way
        self._probe_at: float | None = None  # on trio's clock, once the client has half-closed
        self.received_bytes = 0
        self.sent_bytes = 0

    @property
    def awaits_body(self) -> bool:
        """Whether the client may still have to send a part of the request's body."""
        return not isinstance(self._framing, SimpleExchange) or self._framing.unread > 0

    async def receive_chunk(self) -> bytes:
        """The next piece of the request's body; empty only at its end. Raises ClientDisconnected and
        MalformedBody."""
        while not self.body_ended:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                self.body_ended = True
                malformed: MalformedRequest | None = message.get("malformed")
                raise MalformedBody(malformed) if malformed else ClientDisconnected
            self.body_ended = not message.get("more_body", False)
            # ASGI has no trailers of requests; the server here passes them.
            self.trailers = message.get("trailers", self.trailers)
            if body := message.get("body", b""):
                self.received_bytes += len(body)
                return body
        return b""

    async def receive_body(self) -> bytes:
        """The rest of a request body that is known to be small. Raises ClientDisconnected."""
        parts: list[bytes] = []
        while part := await self.receive_chunk():
            parts.append(part)
        return b"".join(parts)

    async def discard_body(self) -> None:
        """Reads the rest of the request, within limits: closing while the client is still sending would reset
        the connection, and the client would not read the response."""
        if self.body_ended:
            return
        with trio.move_on_after(DISCARD_TIMEOUT), contextlib.suppress(MalformedBody):
            # A client that never stops sending must not keep a call open.
            end = self.received_bytes + DISCARD_BYTES
            while self.received_bytes < end and await self.receive_chunk():
                pass

    async def start(
        self,
        status: int,
        headers: list[tuple[bytes, bytes]],
        *,
        reason: bytes | None = None,
        coalesce_with_body: bool = False,
    ) -> None:
        """Sends the response's head, with the standard reason phrase unless one is given. With
        `coalesce_with_body` it goes out in one write with the first piece
        of the body: a write for the head alone costs as much as a tenth of the call."""
        if self.edit_headers is not None:
            headers = self.edit_headers(headers)
        # RFC 9110 §6.4.1: neither has content.
        self._bodyless = self._bodyless or status in (204, 304)
        length = next((value for name, value in headers if name == b"content-length"), None)
        self._remaining = int(length) if length is not None and length.isdigit() else None
        self._raw_connection = None if self._bodyless else self._connection
        self.response_started = True
        if self._raw_connection is None:
            # ASGI has no reason phrase; the server here knows one.
            start = {"type": "http.response.start", "status": status, "headers": headers, "reason": reason}
            await self._send_asgi(start)
            return
        self._head = self._framing.encode_response_head(status, headers, reason)
        if not coalesce_with_body:
            await self._write_framed(b"")

    async def write_informational(
        self, status: int, headers: list[tuple[bytes, bytes]], reason: bytes
    ) -> None:
        """Sends a 1xx response, unless the client speaks HTTP/1.0, which has none (RFC 9110 §15.2)."""
        if self._connection is not None and not (self._close_delimited or self.response_started):
            self._raw_connection = self._connection
            await self._write_framed(self._framing.encode_informational(status, headers, reason))

    async def _send_asgi(self, message: Message) -> None:
        """Sends an ASGI message (the slow path)."""
        if self.write_blocked:
            raise ClientDisconnected
        # Set until the send returns, so that one that was cancelled half-way leaves it set, as
        # `_write_framed` does.
        self.write_blocked = True
        await self._send(message)
        self.write_blocked = False

    async def write(self, chunk: bytes, *, is_last: bool = False) -> None:
        """Sends a piece of the response's body at once, and with `is_last` the end of the body with it.
        Raises ClientDisconnected."""
        if not self._bodyless:
            self.sent_bytes += len(chunk)
        if self._remaining is not None:
            self._remaining -= len(chunk)
        if self._raw_connection is None:
            # ASGI has no other sign of the end: a body of known length ends with its last byte, others in
            # `finish`.
            self._finished = self._remaining == 0
            message = {"type": "http.response.body", "body": chunk, "more_body": not self._finished}
            await self._send_asgi(message)
            return
        framed = self._framing.encode_data(chunk)
        if is_last:
            framed += self._framing.encode_end()
            self._finished = True
        await self._write_framed(framed)

    async def _write_framed(self, framed: bytes) -> None:
        """Writes without waiting if all of it fits, after the head if that was held back."""
        if self.write_blocked:
            # An earlier write is incomplete: bytes sent now would be read as its rest.
            raise ClientDisconnected
        if self._head:
            framed, self._head = self._head + framed, b""
        connection = self._raw_connection
        if not framed or connection is None:
            return
        try:
            if rest := connection.write_nowait(framed):
                self.write_blocked = True
                # Cancelled, `write_blocked` stays True: after a partial write nothing more may be written.
                await connection.write_rest(rest)
                self.write_blocked = False
        except (trio.BrokenResourceError, trio.ClosedResourceError, OSError):
            raise ClientDisconnected from None

    async def finish(self, trailers: Sequence[tuple[bytes, bytes]] = ()) -> None:
        """Ends the response, unless its last piece has done so, and reads the rest of the request: in this
        order, because a client may wait for the end of the response before it continues sending. With ASGI
        the end closes the connection, and so comes last. Raises ClientDisconnected."""
        if self._raw_connection is not None and not self._finished:
            chunked = self._remaining is None and not self._close_delimited
            await self._write_framed(self._framing.encode_end(trailers if chunked else ()))
        await self.discard_body()
        if self._raw_connection is None and not self._finished:
            await self._send_asgi({"type": "http.response.body", "body": b"", "more_body": False})
        self._finished = True

    def abort(self) -> None:
        """Resets the connection of an incomplete response that closing would make look complete: the end of
        an HTTP/1.0 body without a length is the end of the connection (RFC 9112 §6.3)."""
        if (
            self._raw_connection is None
            or self._finished
            or self._remaining is not None
            or not self._close_delimited
        ):
            return
        self._raw_connection.reset()

    def discard_queued_messages(self) -> None:
        """Empties the queue of a request that is not read any more, at the call's end: Hypercorn waits for
        room in it before it handles anything else, even the end of the connection."""
        queue = getattr(self._receive, "__self__", None)
        if self.body_ended or not isinstance(queue, trio.MemoryReceiveChannel):
            return
        with contextlib.suppress(trio.WouldBlock, trio.EndOfChannel):
            while True:
                cast("trio.MemoryReceiveChannel[object]", queue).receive_nowait()

    def is_disconnected(self) -> bool:
        """Whether the client has closed the connection. A client that has only half-closed it still reads the
        response. Both look alike until something is sent: then a closed connection is reset. So half-closed
        ones are probed."""
        if (connection := self._connection) is None:
            return False
        gone = connection.is_disconnected()
        if not gone and connection.cleanly_half_closed:
            now = trio.current_time()
            if self._probe_at is None:
                self._probe_at = now + PROBE_AFTER
            elif now >= self._probe_at:
                self._probe_at = math.inf
                self._probe_client(connection)
        return gone

    def client_had_closed(self) -> bool:
        """Whether the last write has reset the connection, because the client had closed it before. A client
        that closes it after it has got the response does not count."""
        connection = self._connection
        return connection is not None and connection.cleanly_half_closed and connection.is_disconnected()

    def _probe_client(self, connection: ClientConnection) -> None:
        """Sends bytes without meaning. A connection that the client has closed is reset by them, which the
        next `is_disconnected` finds."""
        with contextlib.suppress(OSError, FramingError):
            if not (self.write_blocked or connection.send_lock.locked()) and (asked := self._probe()):
                # A rest would have to be sent before anything else: this client does not read.
                self.write_blocked = bool(connection.write_nowait(asked))

    def _probe(self) -> bytes:
        """The bytes of the probe: before the response a 100, which a client must accept at any time (RFC 9110
        §15.2); between two chunks a leading zero of the next one's size (RFC 9112 §7.1, `1*HEXDIG`). Empty if
        neither is possible."""
        if self._close_delimited:
            return b""
        if not self.response_started:
            return self._framing.encode_informational(100, [], b"Continue")
        is_between_chunks = self._raw_connection is not None and self._remaining is None and not self._head
        return b"0" if is_between_chunks and not self._finished else b""
