"""An open WebSocket (RFC 6455) over any byte stream, as server or client. It sends and receives whole
messages.

wsproto parses the frames; no extension is negotiated. With backpressure: data is read only while the caller
waits for a message, and at most one message is held in memory.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Awaitable, Callable, Iterator
from typing import NamedTuple, cast

import trio
from wsproto.connection import Connection, ConnectionState, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Event, Ping, TextMessage
from wsproto.frame_protocol import CloseReason, Frame, FrameProtocol, Opcode, ParseFailed, XorMaskerSimple

MAX_MESSAGE_BYTES = 16 * 1024 * 1024  # of one message, all its fragments together
MAX_REASON_BYTES = 123  # of a close reason in UTF-8 (RFC 6455 §5.5)
CLOSE_WRITE_TIMEOUT = 5.0  # seconds to send a Close frame to a peer that does not read
EVENTS_AT_ONCE = 64  # frames from one read before other tasks run
NO_STATUS_RECEIVED = 1005  # the peer's Close frame had no code; never sent
BAD_GATEWAY = 1014
ABNORMAL_CLOSURE = 1006  # the connection ended without a Close frame; never sent
FIN, MASKED = 0x80, 0x80

Read = Callable[[], Awaitable[bytes]]  # the next bytes, empty at the end of the connection, clean or not
Write = Callable[[bytes], Awaitable[None]]  # raises one of CONNECTION_ERRORS
CONNECTION_ERRORS = (trio.BrokenResourceError, trio.ClosedResourceError, OSError)


class Message(NamedTuple):
    """A whole message; the payload of a text message is valid UTF-8."""

    payload: bytes
    is_text: bool


class Close(NamedTuple):
    """How the peer's side ended: by its Close frame, by a lost connection (ABNORMAL_CLOSURE), or by a
    `violation`: it sent an invalid frame or too large a message, and was sent this code and reason."""

    code: int
    reason: str = ""
    violation: bool = False


class WebSocketLost(Exception):
    """Nothing can be sent any more: the connection is broken, or a frame was sent only in part."""


class Frames(FrameProtocol):
    """wsproto's frame parser, extended by the one registered close code that it rejects: 1014 (Bad
    Gateway)."""

    def _process_close(self, frame: Frame) -> Frame:
        payload = cast("bytes", frame.payload)
        code, reason = payload[:2], payload[2:]
        if code != BAD_GATEWAY.to_bytes(2):
            return super()._process_close(frame)
        try:
            return frame._replace(payload=(BAD_GATEWAY, reason.decode()))
        except UnicodeDecodeError as error:
            raise ParseFailed(str(error), CloseReason.INVALID_FRAME_PAYLOAD_DATA) from None


class WebSocketStream:
    """One task receives and one sends. `peer_close` is set once the peer's side has ended, `close_sent` once
    this side's Close frame was sent, `write_blocked` while a write waits for the peer; it stays True once one
    was cancelled half-way."""

    def __init__(self, kind: ConnectionType, read: Read, write: Write, received: bytes = b"") -> None:
        self._protocol = Connection(kind)
        self._protocol._proto = Frames(kind is ConnectionType.CLIENT, [])  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
        self._protocol.receive_data(received)
        self._events: Iterator[Event] = self._protocol.events()
        self._event_count = 0
        self._is_client = kind is ConnectionType.CLIENT
        self._read = read
        self._write = write
        self._write_lock = trio.Lock()  # Pong and Close frames are sent by the task that receives
        self._partial = bytearray()  # the fragments of an incomplete message
        self.peer_close: Close | None = None
        self.close_sent = False
        self.write_blocked = False

    async def receive(self) -> Message | Close:
        """The next message, or how the peer's side has ended. Responds to pings. The caller responds to the
        peer's Close frame, with `close`."""
        while self.peer_close is None:
            event = next(self._events, None)
            self._event_count += 1
            if event is None:
                await self._read_more()
            elif isinstance(event, TextMessage | BytesMessage):
                if message := await self._assemble(event):
                    return message
            elif isinstance(event, Ping):
                await self._answer(event)
            elif isinstance(event, CloseConnection):
                await self._peer_closed(event)
            if self._event_count % EVENTS_AT_ONCE == 0:
                await trio.lowlevel.checkpoint()
        return self.peer_close

    async def _read_more(self) -> None:
        if data := await self._read():
            self._protocol.receive_data(data)
            self._events = self._protocol.events()
        else:
            self.peer_close = Close(ABNORMAL_CLOSURE)

    async def _assemble(self, event: TextMessage | BytesMessage) -> Message | None:
        """The message, if this fragment completes it."""
        # As bytes: Python's text takes up to four times as much memory.
        piece = event.data.encode() if isinstance(event, TextMessage) else bytes(event.data)
        if len(self._partial) + len(piece) > MAX_MESSAGE_BYTES:
            await self._refuse(CloseReason.MESSAGE_TOO_BIG, f"a message is over {MAX_MESSAGE_BYTES:,} bytes")
            return None
        if not event.message_finished:
            self._partial += piece
            return None
        if self._partial:
            piece, self._partial = bytes(self._partial) + piece, bytearray()
        return Message(piece, isinstance(event, TextMessage))

    async def _answer(self, ping: Ping) -> None:
        # After the peer's Close frame wsproto sends no pong, and none is needed (RFC 6455 §5.5.2).
        if self._protocol.state is ConnectionState.OPEN:
            try:
                await self._write_frame(self._protocol.send(ping.response()))
            except WebSocketLost:
                self.peer_close = Close(ABNORMAL_CLOSURE)

    async def _peer_closed(self, event: CloseConnection) -> None:
        # wsproto reports what is not valid by the same event, and then leaves its state as it is.
        if self._protocol.state in (ConnectionState.REMOTE_CLOSING, ConnectionState.CLOSED):
            self.peer_close = Close(int(event.code), event.reason or "")
        else:
            await self._refuse(event.code, event.reason or "")

    async def _refuse(self, code: int, reason: str) -> None:
        self._partial.clear()
        self.peer_close = Close(int(code), reason, violation=True)
        await self.close(code, reason)

    async def send(self, message: Message) -> None:
        """Sends a message in one frame. Dropped once this side's Close frame was sent; the peer's does not
        prevent it. Raises WebSocketLost."""
        # Not by wsproto: it takes text as `str`, copies a payload four times, and sends nothing after the
        # peer's Close frame.
        if not self.close_sent:
            opcode = Opcode.TEXT if message.is_text else Opcode.BINARY
            await self._write_frame(data_frame(opcode, message.payload, masked=self._is_client))

    async def close(self, code: int = NO_STATUS_RECEIVED, reason: str = "") -> None:
        """Sends the Close frame, once, whether or not the peer has sent one. The reason is truncated to
        MAX_REASON_BYTES. If the connection is lost, or the peer does not read, nothing is raised."""
        if self.close_sent:
            return
        # Before the write, which waits: a message of another task must not follow the Close frame (RFC 6455
        # §5.5.1).
        self.close_sent = True
        # The enum's member: wsproto 1.3 looks for it by identity, and sends 1000 in place of the number.
        without_code = CloseConnection(CloseReason.NO_STATUS_RCVD)
        event = (
            without_code if code in (NO_STATUS_RECEIVED, ABNORMAL_CLOSURE) else CloseConnection(code, reason)
        )
        with trio.move_on_after(CLOSE_WRITE_TIMEOUT):
            try:
                await self._write_frame(self._protocol.send(event))
            except WebSocketLost:
                self.peer_close = self.peer_close or Close(ABNORMAL_CLOSURE)

    async def wait_closed(self) -> None:
        """Discards what the peer still sends, until its side has ended."""
        while not isinstance(await self.receive(), Close):
            pass

    async def _write_frame(self, frame: bytes) -> None:
        """Raises WebSocketLost."""
        try:
            self._write_lock.acquire_nowait()
        except trio.WouldBlock:
            await self._write_lock.acquire()
        try:
            # An earlier frame is incomplete: bytes sent now would be read as its rest.
            if self.write_blocked:
                raise WebSocketLost
            self.write_blocked = True
            await self._write(frame)
            self.write_blocked = False
        except CONNECTION_ERRORS:
            raise WebSocketLost from None
        finally:
            self._write_lock.release()


def data_frame(opcode: int, payload: bytes, *, masked: bool) -> bytes:
    """An unfragmented frame (RFC 6455 §5.2)."""
    length, mask_bit = len(payload), MASKED if masked else 0
    if length < 126:
        head = bytes((FIN | opcode, mask_bit | length))
    elif length < 1 << 16:
        head = struct.pack("!BBH", FIN | opcode, mask_bit | 126, length)
    else:
        head = struct.pack("!BBQ", FIN | opcode, mask_bit | 127, length)
    if not masked:
        return head + payload
    # Unpredictable for each frame (RFC 6455 §5.3): a page must not choose the bytes on the wire.
    key = os.urandom(4)
    return b"".join((head, key, XorMaskerSimple(key).process(bytearray(payload))))
