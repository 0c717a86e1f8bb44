"""The client's side of a call: what it sends, what it is sent, and whether it is still there.

The ASGI interface is enough for most of it. Two ways go beneath it, by the connection that the server passes
on in `scope["state"]`, because they were measured to halve what an event costs; without one ASGI has to do:

- Head and body are framed by the server's own h11 connection and written straight to the socket, instead of
  passing a lock, a cancel scope and two checkpoints.
- `has_gone` looks at the socket. A task per call that waits on `receive()` costs half of what the whole relay
  costs.
"""

from __future__ import annotations

import contextlib
import os
import socket
import struct
from typing import cast

import h11
import trio

from gatekeeper.server.application import Message, Receive, Scope, Send
from gatekeeper.server.grammar import Malformed
from gatekeeper.server.listener import ClientConnection

DISCARD_BYTES = 32 * 1024 * 1024
DISCARD_SECONDS = 2.5
AT_ONCE = struct.pack("ii", 1, 0)  # a linger of 0 seconds: closing throws away what is not sent, and resets


class ClientDisconnected(Exception):
    """The client has gone, or its connection is broken."""


class MalformedBody(Exception):
    """The request's body is no proper HTTP."""

    def __init__(self, malformed: Malformed) -> None:
        super().__init__(malformed.message)
        self.malformed = malformed


class ClientStream:
    """One request's client. `received` and `sent` count the bytes of the two bodies."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._receive = receive
        self._send = send
        self._connection: ClientConnection | None = scope.get("state", {}).get("connection")
        self._wire: ClientConnection | None = None  # where head and body go beneath ASGI
        # Answers without a body go the plain way, which knows all of the exceptions; they are rare.
        self._bodyless = scope["method"] == "HEAD"
        names = {name for name, _ in scope["headers"]}
        self.length_is_open = b"transfer-encoding" in names
        self._head = b""  # of the answer, which goes out with the first piece of its body
        self._remaining: int | None = None
        self._ends_by_closing = scope["http_version"] == "1.0"
        self._finished = False
        self.body_ended = False
        self.started = False
        self.blocked = False  # in a write that the client holds up; for good once one was cut half-way
        self.received = 0
        self.sent = 0

    async def chunk(self) -> bytes:
        """The next piece of the request's body; empty only at its end. Raises ClientDisconnected,
        and MalformedBody."""
        while not self.body_ended:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                self.body_ended = True
                malformed: Malformed | None = message.get("malformed")
                raise MalformedBody(malformed) if malformed else ClientDisconnected
            self.body_ended = not message.get("more_body", False)
            if body := message.get("body", b""):
                self.received += len(body)
                return body
        return b""

    async def body(self) -> bytes:
        """The rest of the request's body, for one that is known to be small. Raises ClientDisconnected."""
        parts: list[bytes] = []
        while part := await self.chunk():
            parts.append(part)
        return b"".join(parts)

    async def discard_body(self) -> None:
        """Reads what is left of the request, within bounds: a server that answers and closes on a client
        that is still sending resets the connection, and the client never reads the answer."""
        if self.body_ended:
            return
        with trio.move_on_after(DISCARD_SECONDS), contextlib.suppress(MalformedBody):
            # A client that sends for ever must not keep a call that has been answered.
            end = self.received + DISCARD_BYTES
            while self.received < end and await self.chunk():
                pass

    async def start(
        self, status: int, headers: list[tuple[bytes, bytes]], *, body_follows: bool = False
    ) -> None:
        """The answer's head. Where `body_follows` at once both go out in one write: one for the head alone
        costs as much as a tenth of the call."""
        self._bodyless = self._bodyless or status in (204, 304)
        length = next((value for name, value in headers if name == b"content-length"), None)
        self._remaining = int(length) if length is not None and length.isdigit() else None
        self._wire = None if self._bodyless else self._connection
        self.started = True
        if self._wire is None:
            await self._hand_over({"type": "http.response.start", "status": status, "headers": headers})
            return
        try:
            self._head = self._wire.http.begin_answer(status, headers)
        except h11.LocalProtocolError:
            raise ClientDisconnected from None
        if not body_follows and (rest := self._written_at_once(self._wire, b"")):
            await self._write_slowly(self._wire, rest)

    async def _hand_over(self, message: Message) -> None:
        """Sends by the plain way."""
        if self.blocked:
            raise ClientDisconnected
        self.blocked = True
        await self._send(message)
        self.blocked = False

    async def write(self, chunk: bytes) -> None:
        """A piece of the answer's body, sent on at once. Raises ClientDisconnected."""
        self.sent += len(chunk)
        if self._remaining is not None:
            self._remaining -= len(chunk)
        if self._wire is not None:
            await self._write_through(self._wire, h11.Data(data=chunk))
            return
        self._finished = self._remaining == 0
        await self._hand_over({"type": "http.response.body", "body": chunk, "more_body": not self._finished})

    async def _write_through(self, wire: ClientConnection, event: h11.Data | h11.EndOfMessage) -> None:
        if self.blocked:
            # What was cut half-way is not gone on with by something else.
            raise ClientDisconnected
        try:
            framed = wire.http.connection.send(event)
        except h11.LocalProtocolError:
            raise ClientDisconnected from None
        if rest := self._written_at_once(wire, framed or b""):
            await self._write_slowly(wire, rest)

    def _written_at_once(self, wire: ClientConnection, framed: bytes) -> memoryview | None:
        """What the client does not take at once of it, behind the head where that has waited."""
        if self._head:
            framed, self._head = self._head + framed, b""
        if not framed:
            return None
        try:
            written = os.write(wire.socket.fileno(), framed)
        except BlockingIOError:
            written = 0
        except OSError:
            raise ClientDisconnected from None
        return memoryview(framed)[written:] if written < len(framed) else None

    async def _write_slowly(self, wire: ClientConnection, rest: memoryview) -> None:
        self.blocked = True
        try:
            # Cancelled half-way, `blocked` stays True: nothing may be written behind a torn chunk.
            await wire.stream.send_all(rest)
        except (trio.BrokenResourceError, trio.ClosedResourceError, OSError):
            raise ClientDisconnected from None
        self.blocked = False

    async def finish(self) -> None:
        """The answer's proper end, where its last piece has not been it already, and what is left of the
        request: in this order, for a client may wait for the one before it goes on with the other. Without
        the shortcut the end closes the connection, and so comes last. Raises ClientDisconnected."""
        if self._wire is not None:
            await self._write_through(self._wire, h11.EndOfMessage())
        await self.discard_body()
        if self._wire is None and not self._finished:
            await self._hand_over({"type": "http.response.body", "body": b"", "more_body": False})
        self._finished = True

    def break_off(self) -> None:
        """Makes a reset of the connection's end where there was no proper end, and closing would be one: a
        body of HTTP/1.0 without a length has no other."""
        if self._wire is None or self._finished or self._remaining is not None or not self._ends_by_closing:
            return
        with contextlib.suppress(OSError):
            # A reset is the only way to say "this was not all" where closing is the proper end.
            self._wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, AT_ONCE)
        self._wire.socket.close()

    def release(self) -> None:
        """At the call's end: makes room in the queue of a request that is not read any more. The server waits
        for room with what it has read, and would wait with the connection's end too, for ever."""
        queue = getattr(self._receive, "__self__", None)
        if self.body_ended or not isinstance(queue, trio.MemoryReceiveChannel):
            return
        with contextlib.suppress(trio.WouldBlock, trio.EndOfChannel):
            while True:
                cast("trio.MemoryReceiveChannel[object]", queue).receive_nowait()

    def has_gone(self) -> bool:
        """Whether the client has hung up; one that has only ended its own side has not, and is answered."""
        return self._connection is not None and self._connection.has_gone()
