"""Hypercorn's HTTP/1.1 protocol, which runs applications in tasks of their own, with fixes for what it does
at a response's beginning and end."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import cast

import h11
import trio
from hypercorn.protocol.events import Event as StreamEvent
from hypercorn.protocol.events import Response, StreamClosed
from hypercorn.protocol.h11 import STREAM_ID, H11Protocol
from hypercorn.protocol.http_stream import HTTPStream
from hypercorn.typing import H11SendableEvent

from gatekeeper.server.asgi_types import Message
from gatekeeper.server.response_head import with_complete_head

NO_RESPONSE_STATES = (h11.IDLE, h11.SEND_RESPONSE, None)
DISCONNECT_MESSAGE: Message = {"type": "http.disconnect"}
PutMessage = Callable[[Message], Awaitable[None]]  # into the queue of an application
DISCONNECT_DELIVERY_TIMEOUT = 30.0  # seconds to deliver http.disconnect to an application with a full queue


class TaskProtocol(H11Protocol):
    """Once `input_closed` is set responses carry `Connection: close`. With `head_truncated` a response's head
    was cut off, and what Hypercorn adds would make it look complete. `response_done`: the response is
    complete or abandoned; one event for each request."""

    input_closed = head_truncated = False
    closing_headers: tuple[tuple[bytes, bytes], ...] = ((b"connection", b"close"),)
    response_done: trio.Event

    async def _send_h11_event(self, event: H11SendableEvent) -> None:
        await super()._send_h11_event(with_complete_head(event))

    async def stream_send(self, event: StreamEvent) -> None:
        # Hypercorn sends a 500 for an application that was cancelled while its head was written; after a
        # partial head the client would read that as more of it.
        if isinstance(event, Response) and self.connection.our_state not in NO_RESPONSE_STATES:
            self.head_truncated = True
        if self.head_truncated and not isinstance(event, StreamClosed):
            return
        # No request is read any more: the client is told, or it would send one and lose it (RFC 9112 §9.6).
        if self.input_closed and isinstance(event, Response):
            event = Response(STREAM_ID, [*event.headers, *self.closing_headers], event.status_code)
        await super().stream_send(event)

    async def _close_stream(self) -> None:
        """As Hypercorn's, which waits here for ever if the application has ended with a full queue."""
        stream, self.stream = self.stream, None
        self.response_done.set()
        if not isinstance(stream, HTTPStream):
            if stream is not None:
                await stream.handle(StreamClosed(stream_id=STREAM_ID))
            return
        # Without `app_put` Hypercorn's stream sends no http.disconnect; it is sent below, if there is room.
        put = cast("PutMessage", stream.app_put)
        stream.app_put = None  # pyright: ignore[reportAttributeAccessIssue]  Hypercorn checks for None
        await stream.handle(StreamClosed(stream_id=STREAM_ID))
        channel = cast("trio.MemorySendChannel[Message]", getattr(put, "__self__", None))
        try:
            # Without a task where it fits, as nearly always.
            channel.send_nowait(DISCONNECT_MESSAGE)
        except trio.WouldBlock:
            self.task_group.spawn(self._deliver_disconnect, put)  # pyright: ignore[reportUnknownMemberType]

    async def _deliver_disconnect(self, put: PutMessage) -> None:
        with trio.move_on_after(DISCONNECT_DELIVERY_TIMEOUT):
            await put(DISCONNECT_MESSAGE)
