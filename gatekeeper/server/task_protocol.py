"""Hypercorn's HTTP/1.1 protocol, which runs each request in its own task, with fixes for the beginning and
the end of responses."""

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
from gatekeeper.server.simple_exchange import REASON_PHRASES, date_field

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
        # No further request is read, and the client must know that (RFC 9112 §9.6).
        if self.input_closed and isinstance(event, Response):
            event = Response(STREAM_ID, [*event.headers, *self.closing_headers], event.status_code)
        await super().stream_send(event)

    async def _close_stream(self) -> None:
        """Like Hypercorn's, which waits for ever here if the application has ended with a full queue."""
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
            # Nearly always there is room, and no task is needed.
            channel.send_nowait(DISCONNECT_MESSAGE)
        except trio.WouldBlock:
            self.task_group.spawn(self._deliver_disconnect, put)  # pyright: ignore[reportUnknownMemberType]

    async def _deliver_disconnect(self, put: PutMessage) -> None:
        with trio.move_on_after(DISCONNECT_DELIVERY_TIMEOUT):
            await put(DISCONNECT_MESSAGE)


def response_head(status: int, headers: list[tuple[bytes, bytes]], reason: bytes | None) -> h11.Response:
    """With the status's standard phrase if `reason` is None: h11 and Hypercorn leave it empty, and clients
    show it in their errors (@google/genai 1.x: "Retryable HTTP Error: Too Many Requests"). h11's checks of
    the fields are skipped: each was parsed by h11 or made by the gateway."""
    if reason is None:
        reason = REASON_PHRASES.get(status, b"")
    if b"date" not in dict(headers):
        headers = [*headers, date_field()]
    return h11.Response(status_code=status, headers=headers, http_version=b"1.1", reason=reason, _parsed=True)


def with_complete_head(event: H11SendableEvent) -> H11SendableEvent:
    """An event to send; a response's head gets a date and a reason phrase, a 1xx one's the phrase."""
    if isinstance(event, h11.Response):
        return response_head(event.status_code, list(event.headers), event.reason or None)
    if not isinstance(event, h11.InformationalResponse) or event.reason:
        return event
    reason = REASON_PHRASES.get(event.status_code, b"")
    return h11.InformationalResponse(status_code=event.status_code, headers=event.headers, reason=reason)
