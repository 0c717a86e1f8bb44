"""HTTP/1.1 and WebSocket handshakes, by Hypercorn's protocol; HTTP/2 is refused.

Hypercorn 0.18 speaks HTTP/2 on a plain port to whoever asks, and keeps whatever a client does not read (50
streams took 870 MB): an upgrade is ignored, as RFC 9110 §7.8 allows, and who begins with it is told better.

A malformed request it answers with an empty 400 of its own, in which no SDK finds an error and which leaves
no row. Here the application is asked for the answer.

It starts a task with a queue for each request. Requests below the prefix of a `Direct` application are
answered in the connection's own task instead, which reads when the application asks for more: measured, a
unary call costs an eighth less, and nothing is read ahead of who wants it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, cast
from urllib.parse import unquote

import h11
import trio
from hypercorn.events import Closed, Event, RawData, Updated
from hypercorn.protocol.events import Body, Data, EndBody, Request, Response, StreamClosed
from hypercorn.protocol.events import Event as StreamEvent
from hypercorn.protocol.h11 import STREAM_ID, H11Protocol
from hypercorn.protocol.http_stream import ASGIHTTPState, HTTPStream
from hypercorn.protocol.ws_stream import WSStream
from hypercorn.typing import ConnectionState
from hypercorn.utils import suppress_body

from gatekeeper.server.application import Direct, Message
from gatekeeper.server.grammar import (
    HTTP_1_1_ONLY,
    LAST_CHUNK,
    Malformed,
    StrictBuffer,
    fault_of_request,
    opening_of,
    refuse_for,
    upgrades,
)

UNANSWERED = (h11.IDLE, h11.SEND_RESPONSE, None)
TOO_LARGE = 431  # h11's, for a head
OPEN = (h11.IDLE, h11.SEND_BODY, h11.ERROR, None)  # where more of a request may come; None is a WebSocket's
GONE: Message = {"type": "http.disconnect"}
Put = Callable[[Message], Awaitable[None]]  # into an application's inbox
TELL = 30.0  # seconds in which an application takes the news that its client has left


class Http1(H11Protocol):
    """One connection's protocol. Once it is `deaf` nothing that comes is looked at any more. Once it is
    `broken` an answer's head has been cut off, and what Hypercorn adds would make it look whole. `direct`
    says whether a request is being answered in the connection's task."""

    deaf = False
    broken = False
    direct = False

    def __init__(
        self, *arguments: Any, directly: Direct | None, read: Callable[[], Awaitable[bytes]]
    ) -> None:
        super().__init__(*arguments)
        self.directly = directly
        self.read = read

    async def initiate(self) -> None:
        self.buffer = StrictBuffer()
        self.answered = trio.Event()  # or given up; one for each request
        # h11 has no hook for the lines that it reads, and it forgets how they ended; its buffer sees both.
        self.connection._receive_buffer = self.buffer  # noqa: SLF001  # pyright: ignore

    async def handle(self, event: Event) -> None:
        if isinstance(event, Closed):
            # Hypercorn wakes a reader that holds the next request back when an answer ends, and where a write
            # has failed none does: it would wait for ever, and keep the socket.
            self.deaf = True
            await self.can_read.set()
        elif self.deaf:
            return
        await super().handle(event)

    @property
    def more_may_come(self) -> bool:
        """Whether the client may be sending: to close on it resets the connection, and the answer is lost."""
        return self.connection.their_state in OPEN

    @property
    def owes_answer(self) -> bool:
        """Whether the client has sent all that it needs to, and waits."""
        if isinstance(self.stream, WSStream):
            return not self.stream.handshake.accepted
        return self.stream is not None and (self.deaf or not self.more_may_come)

    def can_be_whole(self, unread: Callable[[], bytes]) -> bool:
        """Whether the request that is being read may end with what has come, if nothing more does. Where it
        is not known the answer is yes."""
        if self.connection.their_state is not h11.SEND_BODY:
            return True
        at_hand = bytes(self.buffer) + unread()
        # h11's reader of a body with a length counts what is still to come; that of a chunked one does not.
        lacking = getattr(cast("h11.Connection", self.connection)._reader, "_remaining", None)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
        return LAST_CHUNK.search(at_hand) is not None if lacking is None else len(at_hand) >= lacking

    async def _handle_events(self) -> None:
        """As Hypercorn's, but for what is malformed."""
        while not self.deaf:
            await self._continue()
            state = self.connection.their_state
            # Only a new request's head is kept for the error that it may earn, not the one before it.
            if state is h11.IDLE:
                self.buffer.opening = b""
            try:
                event = self.connection.next_event()
                if isinstance(event, h11.Request):
                    self._look_at(event)
            except h11.RemoteProtocolError as error:
                self.deaf = True
                # Else it is junk behind a request that is whole.
                if state in OPEN:
                    await self._refuse(error)
            else:
                if event is h11.PAUSED:
                    await self.can_read.clear()
                    await self.can_read.wait()
                elif event is h11.NEED_DATA or isinstance(event, h11.ConnectionClosed):
                    return
                else:
                    await self._pass_on(cast("h11.Event | Data", event))

    async def _continue(self) -> None:
        if self.connection.they_are_waiting_for_100_continue:
            await self._send_h11_event(h11.InformationalResponse(status_code=100, headers=[]))

    def _look_at(self, request: h11.Request) -> None:
        # h11 counts a head in parts only.
        if len(self.buffer.opening) > self.config.h11_max_incomplete_size:
            raise h11.RemoteProtocolError("", error_status_hint=TOO_LARGE)
        version, head = request.http_version, self.buffer.opening
        refuse_for(fault_of_request(request.method, request.target, version, request.headers, head))

    async def _pass_on(self, event: h11.Event | Data) -> None:
        if isinstance(event, h11.Request):
            await self.send(Updated(idle=False))
            if self.directly and event.target.startswith(self.directly.prefix) and not upgrades(event):
                await self._answer_directly(self.directly, event)
            # The preface of a client that speaks HTTP/2 without asking (RFC 9113 §3.4). It is told in its own
            # frames what is spoken here; bytes of HTTP/1.1 would be a protocol error to it.
            elif event.method == b"PRI" and event.http_version == b"2.0":
                self.deaf = True
                await self.send(RawData(HTTP_1_1_ONLY))
                await self.send(Closed())
            else:
                # One for each request: the one before may still be awaited.
                self.answered = trio.Event()
                await self._create_stream(event)
        elif self.stream is None:
            pass  # it has been answered already
        elif isinstance(event, h11.Data):
            await self.stream.handle(Body(stream_id=STREAM_ID, data=event.data))
        elif isinstance(event, h11.EndOfMessage):
            await self.stream.handle(EndBody(stream_id=STREAM_ID))
        elif isinstance(event, Data) and isinstance(self.stream, WSStream):
            if self.stream.handshake.accepted:
                await self.stream.handle(event)
            else:
                self.deaf = True  # who speaks before the handshake is answered speaks no WebSocket

    async def _answer_directly(self, application: Direct, request: h11.Request) -> None:
        self.direct = True
        await self._continue()
        # As Hypercorn's HTTPStream makes it: an application cannot tell the way.
        path, _, query = request.target.partition(b"?")
        self.scope: Message = {
            "type": "http",
            "asgi": {"spec_version": "2.1", "version": "3.0"},
            "http_version": request.http_version.decode(),
            "method": request.method.decode(),
            "scheme": "http",
            "path": unquote(path.decode("ascii")),
            "raw_path": path,
            "query_string": query,
            "headers": list(request.headers),
            "client": self.client,
            "server": self.server,
            "state": self.connection_state.copy(),
        }
        try:
            await application.app(self.scope, self._next_message, self._send_message)
        except Exception:  # noqa: BLE001  an application's fault ends its request, and is logged as Hypercorn does
            await self.config.log.exception("Error in ASGI Framework")
            # Else the connection's end tells that the answer broke.
            if self.connection.our_state is h11.SEND_RESPONSE:
                await self._send_error_response(500)
        self.direct = False
        await self._maybe_recycle()

    async def _next_message(self) -> Message:
        """The next piece of the request's body. Not to be asked once it has ended."""
        while True:
            try:
                event = self.connection.next_event()
            except h11.RemoteProtocolError as error:
                self.deaf = True
                return {**GONE, "malformed": Malformed.found(error)}
            if event is not h11.NEED_DATA:
                body = bytes(event.data) if isinstance(event, h11.Data) else b""
                return {"type": "http.request", "body": body, "more_body": isinstance(event, h11.Data)}
            if not (data := await self.read()):
                self.deaf = True
                return GONE
            self.connection.receive_data(data)

    async def _send_message(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            await self.send(RawData(self.begin_answer(self.status, message["headers"])))
            return
        # RFC 9110 §9.3.2 and §15.3.5: no content for HEAD, 204 and 304, whatever the application sends.
        if message["body"] and not suppress_body(self.scope["method"], self.status):
            await self._send_h11_event(h11.Data(data=message["body"]))
        if not message["more_body"]:
            await self._send_h11_event(h11.EndOfMessage())

    async def _refuse(self, error: h11.RemoteProtocolError) -> None:
        """Has the application answer."""
        malformed = Malformed.found(error)
        if error.error_status_hint == TOO_LARGE:
            limit = self.config.h11_max_incomplete_size
            malformed = Malformed(f"its head is over {limit:,} bytes", too_large=True)
        if isinstance(self.stream, HTTPStream):
            # In the middle of a body the application is at work already: it learns of it where it reads on.
            put = cast("Put", self.stream.app_put)
            await put({**GONE, "malformed": malformed})
            return
        await self.send(Updated(idle=False))
        self.answered = trio.Event()
        method, path = opening_of(self.buffer.opening or bytes(self.buffer))
        stream = self.stream = HTTPStream(
            self.app,
            self.config,
            self.context,
            self.task_group,
            self.ssl,
            self.client,
            self.server,
            self.stream_send,
            STREAM_ID,
        )
        state = ConnectionState({**self.connection_state, "malformed": malformed})
        await stream.handle(Request(STREAM_ID, [], "1.1", method, path, state))
        await stream.handle(EndBody(stream_id=STREAM_ID))

    def begin_answer(self, status: int, headers: list[tuple[bytes, bytes]]) -> bytes:
        """The answer's head, framed, which is the caller's to write, as its body is. What Hypercorn does
        around it costs as much again. Raises h11.LocalProtocolError where no answer can begin."""
        stream = self.stream
        if isinstance(stream, HTTPStream):
            stream.state = ASGIHTTPState.RESPONSE
            stream.response = {"type": "http.response.start", "status": status, "headers": headers}
        elif not self.direct:
            raise h11.LocalProtocolError("the connection has ended")
        if self.deaf:
            headers = [*headers, (b"connection", b"close")]
        # As h11 makes one of what it has read itself: each field has been read by it or is ours.
        answer = h11.Response(status_code=status, headers=headers, http_version=b"1.1", _parsed=True)
        return self.connection.send(answer) or b""

    async def stream_send(self, event: StreamEvent) -> None:
        # Hypercorn answers 500 for an application that was cancelled in the write of its head; behind a part
        # of a head that would be taken for more of it.
        if isinstance(event, Response) and self.connection.our_state not in UNANSWERED:
            self.broken = True
        if self.broken and not isinstance(event, StreamClosed):
            return
        if self.deaf and isinstance(event, Response):
            event = Response(STREAM_ID, [*event.headers, (b"connection", b"close")], event.status_code)
        await super().stream_send(event)

    async def _close_stream(self) -> None:
        """As Hypercorn's, which waits here for ever for an application that has ended with a full inbox."""
        stream, self.stream = self.stream, None
        self.answered.set()
        if not isinstance(stream, HTTPStream):
            if stream is not None:
                await stream.handle(StreamClosed(stream_id=STREAM_ID))
            return
        # Without its inbox Hypercorn's stream tells nobody; the application is told below, if it listens.
        put = cast("Put", stream.app_put)
        stream.app_put = None  # pyright: ignore[reportAttributeAccessIssue]  it looks whether there is one
        await stream.handle(StreamClosed(stream_id=STREAM_ID))
        channel = cast("trio.MemorySendChannel[Message]", getattr(put, "__self__", None))
        try:
            channel.send_nowait(GONE)
        except trio.WouldBlock:
            self.task_group.spawn(self._tell, put)  # pyright: ignore[reportUnknownMemberType]

    async def _tell(self, put: Put) -> None:
        with trio.move_on_after(TELL):
            await put(GONE)
