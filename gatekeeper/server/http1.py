"""HTTP/1.1 by Hypercorn's protocol (h11), WebSockets by `websocket`; HTTP/2 is refused.

Hypercorn 0.18 speaks HTTP/2 on a cleartext port to any client, and buffers whatever that does not read (50
streams took 870 MB). So an upgrade is ignored, as RFC 9110 §7.8 allows, and HTTP/2 is answered by GOAWAY.

It responds to a malformed request with an empty 400, without an error body for SDKs and without a row in the
ledger. Here the application makes the response.

It starts a task with a queue for each request. WebSockets, and requests below a prefix of an `InlineApp`, run
in the connection's own task instead: a unary call costs an eighth less, and its body is read on demand. The
simple ones of them bypass h11 (see `simple_exchange`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

import h11
import trio
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.events import Closed, Event, RawData, Updated
from hypercorn.protocol.events import Body, Data, EndBody, Request
from hypercorn.protocol.h11 import STREAM_ID
from hypercorn.protocol.http_stream import ASGIHTTPState, HTTPStream
from hypercorn.typing import ConnectionState, H11SendableEvent
from hypercorn.utils import suppress_body

from gatekeeper.server.asgi_types import Application, InlineApp, Message, Scope, http_scope
from gatekeeper.server.request_validation import (
    HEAD_TOO_LARGE,
    HTTP2_GOAWAY,
    LAST_CHUNK,
    WRONG_WEBSOCKET_VERSION,
    MalformedRequest,
    StrictBuffer,
    is_websocket_upgrade,
    partial_request,
    raise_if_invalid,
    request_error,
)
from gatekeeper.server.simple_exchange import FramingError
from gatekeeper.server.task_protocol import DISCONNECT_MESSAGE, PutMessage, TaskProtocol, response_head
from gatekeeper.server.websocket import WebSocket, run_websocket
from gatekeeper.server.websocket_stream import Read, Write

# h11.ERROR: the client has sent an invalid request, and may send more.
PEER_MAY_SEND_STATES = (h11.IDLE, h11.SEND_BODY, h11.ERROR)
END_OF_BODY: Message = {"type": "http.request", "body": b"", "more_body": False}
PIECES_AT_ONCE = 64  # of a body, before other tasks run


class Http1(TaskProtocol):
    """The HTTP/1.1 protocol of one connection. Once `input_closed` is set all further input is ignored.
    `running_inline`: a request is being processed in the connection's task; `linger`: a WebSocket has ended,
    and its client may still send."""

    running_inline = linger = False
    pieces = 0  # of bodies, received by the application

    def __init__(self, *arguments: Any, inline_app: InlineApp | None, read: Read, write: Write) -> None:
        super().__init__(*arguments)
        self.inline_app, self.read, self.write = inline_app, read, write
        self.connection_state["framing"] = self
        self.buffer = StrictBuffer()
        self.response_done = trio.Event()
        # h11 drops the line ends before anything can check them; only its buffer still has them.
        self.connection._receive_buffer = self.buffer  # noqa: SLF001  # pyright: ignore

    async def handle(self, event: Event) -> None:
        if isinstance(event, Closed):
            # Hypercorn wakes the reader of a pipelined request when the response ends. After a failed write
            # that never happens: the reader would wait for ever, and keep the socket open.
            self.input_closed = True
            await self.can_read.set()
        elif self.input_closed:
            return
        await super().handle(event)

    @property
    def is_idle(self) -> bool:
        """Whether the next byte received begins a request."""
        idle = self.connection.their_state is h11.IDLE and self.stream is None
        return idle and not (self.buffer or self.input_closed)

    @property
    def peer_may_send(self) -> bool:
        """Whether the client may still send: closing would reset the connection and lose the response."""
        return self.linger or self.connection.their_state in PEER_MAY_SEND_STATES

    @property
    def response_pending(self) -> bool:
        """Whether the client has sent its request and waits for the response."""
        return self.stream is not None and (self.input_closed or not self.peer_may_send)

    def may_be_complete(self, unread: Callable[[], bytes]) -> bool:
        """Whether the request that is being read may be complete with the bytes so far; True if unknown."""
        # With an incomplete head there is no request yet, and no response to wait for.
        if self.connection.their_state is not h11.SEND_BODY:
            return True
        buffered = bytes(self.buffer) + unread()
        # h11's reader of a body with a length counts the remaining bytes; that of a chunked one does not.
        remaining = getattr(cast("h11.Connection", self.connection)._reader, "_remaining", None)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
        return LAST_CHUNK.search(buffered) is not None if remaining is None else len(buffered) >= remaining

    async def _handle_events(self) -> None:
        """Like Hypercorn's, except for malformed requests."""
        while not self.input_closed:
            await self._send_100_continue()
            state = self.connection.their_state
            # For errors, keep the head of this request only.
            if state is h11.IDLE:
                self.buffer.raw_head = b""
            try:
                event = self.connection.next_event()
                if isinstance(event, h11.Request):
                    self._validate_request(event)
            except h11.RemoteProtocolError as error:
                self.input_closed = True
                # Otherwise it is trailing garbage after a complete request.
                if state in PEER_MAY_SEND_STATES:
                    await self._reject_malformed(error)
            else:
                if event is h11.PAUSED:
                    await self.can_read.clear()
                    await self.can_read.wait()
                elif event is h11.NEED_DATA or isinstance(event, h11.ConnectionClosed):
                    return
                else:
                    await self._dispatch_event(cast("h11.Event | Data", event))

    async def _send_100_continue(self) -> None:
        if self.connection.they_are_waiting_for_100_continue:
            await self._send_h11_event(h11.InformationalResponse(status_code=100, headers=[]))

    def _validate_request(self, request: h11.Request) -> None:
        # h11 checks the limit only while a head is incomplete.
        if len(self.buffer.raw_head) > self.config.h11_max_incomplete_size:
            raise h11.RemoteProtocolError("", error_status_hint=HEAD_TOO_LARGE)
        version, head = request.http_version, self.buffer.raw_head
        raise_if_invalid(request_error(request.method, request.target, version, request.headers, head))

    async def _dispatch_event(self, event: h11.Event | Data) -> None:
        if isinstance(event, h11.Request):
            await self.send(Updated(idle=False))
            inline = self.inline_app
            if inline and not event.target.startswith(inline.prefixes):
                inline = None
            if is_websocket_upgrade(event.method, event.headers):
                app = inline.app if inline else cast("ASGIWrapper", self.app).app
                await self._run_websocket(event, cast("Application", app))
            elif inline:
                await self._run_inline(inline, event)
            # The preface of HTTP/2 with prior knowledge (RFC 9113 §3.4). GOAWAY tells the client to use
            # HTTP/1.1; a response in HTTP/1.1 would be a protocol error to it.
            elif event.method == b"PRI" and event.http_version == b"2.0":
                self.input_closed = True
                await self.send(RawData(HTTP2_GOAWAY))
                await self.send(Closed())
            else:
                # One for each request: the previous one may still be awaited.
                self.response_done = trio.Event()
                await self._create_stream(event)
        elif self.stream is None:
            pass  # its response is complete already
        elif isinstance(event, h11.Data):
            await self.stream.handle(Body(stream_id=STREAM_ID, data=event.data))
        elif isinstance(event, h11.EndOfMessage):
            await self.stream.handle(EndBody(stream_id=STREAM_ID))

    def _scope(self, request: h11.Request) -> Scope:
        # Hypercorn copies the state for each request, too.
        state, version = self.connection_state.copy(), request.http_version.decode()
        peers = (self.ssl, self.client, self.server)
        return http_scope(request.method, request.target, list(request.headers), *peers, state, version)

    async def _run_inline(self, application: InlineApp, request: h11.Request) -> None:
        self.running_inline = True
        self.scope = self._scope(request)
        try:
            await application.app(self.scope, self._receive_asgi, self._send_asgi)
        except Exception:  # noqa: BLE001  an application's error ends its request, and is logged as by Hypercorn
            await self.config.log.exception("Error in ASGI Framework")
            # Otherwise the connection is closed, which shows that the response is incomplete.
            if self.connection.our_state is h11.SEND_RESPONSE:
                await self._send_error_response(500)
        self.running_inline = False
        # Hypercorn's: the next request on this connection, or its end.
        await self._maybe_recycle()
        # A refused call has no checkpoint: without this, pipelined ones would block all other tasks.
        if self.buffer:
            await trio.lowlevel.checkpoint()

    async def _run_websocket(self, request: h11.Request, app: Application) -> None:
        """Runs a WebSocket, from its handshake to the end of its connection."""
        scope = self._scope(request)
        websocket = WebSocket(cast("h11.Connection", self.connection), request, self.read, self.write)
        self.linger = await run_websocket(app, scope, websocket, self.config.log.exception)
        await self.send(Closed())

    async def _receive_asgi(self) -> Message:
        """ASGI's `receive`: the next piece of the request's body, with a 100 first if the client waits for
        it. Not to be called after the end of the body."""
        self.pieces += 1
        if self.pieces % PIECES_AT_ONCE == 0:  # one read may have thousands of small ones
            await trio.lowlevel.checkpoint()
        while True:
            try:
                event = self.connection.next_event()
            except h11.RemoteProtocolError as error:
                self.input_closed = True
                return {**DISCONNECT_MESSAGE, "malformed": self._malformed(error, "trailer section")}
            if isinstance(event, h11.Data):
                # h11 0.16 gives a bytearray here; the body of ASGI is bytes.
                return {"type": "http.request", "body": bytes(event.data), "more_body": True}
            if isinstance(event, h11.EndOfMessage):
                return {**END_OF_BODY, "trailers": list(event.headers)}
            await self._send_100_continue()
            if not (data := await self.read()):
                self.input_closed = True
                return DISCONNECT_MESSAGE
            self.connection.receive_data(data)

    async def _send_asgi(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            head = self.encode_response_head(self.status, message["headers"], message.get("reason"))
            await self.send(RawData(head))
            return
        # RFC 9110 §9.3.2 and §15.3.5: no content for HEAD, 204 and 304, whatever the application sends.
        if message["body"] and not suppress_body(self.scope["method"], self.status):
            await self._send_h11_event(h11.Data(data=message["body"]))
        if not message["more_body"]:
            await self._send_h11_event(h11.EndOfMessage())

    async def _reject_malformed(self, error: h11.RemoteProtocolError) -> None:
        """Passes the error to the application, which makes the response."""
        malformed = self._malformed(error, "head")
        if malformed.reason == WRONG_WEBSOCKET_VERSION:
            self.closing_headers += ((b"sec-websocket-version", b"13"),)  # RFC 6455 §4.4
        if isinstance(self.stream, HTTPStream):  # its next receive() gets the error
            put = cast("PutMessage", self.stream.app_put)
            await put({**DISCONNECT_MESSAGE, "malformed": malformed})
            return
        await self.send(Updated(idle=False))
        self.response_done = trio.Event()
        method, path, headers = partial_request(self.buffer.raw_head or bytes(self.buffer))
        common = (self.app, self.config, self.context, self.task_group, self.ssl, self.client, self.server)
        stream = self.stream = HTTPStream(*common, self.stream_send, STREAM_ID)
        state = ConnectionState({**self.connection_state, "malformed": malformed})
        await stream.handle(Request(STREAM_ID, headers, "1.1", method, path, state))
        await stream.handle(EndBody(stream_id=STREAM_ID))

    def _malformed(self, error: h11.RemoteProtocolError, section: str) -> MalformedRequest:
        return MalformedRequest.from_h11(error, section, self.config.h11_max_incomplete_size)

    def encode_response_head(
        self, status: int, headers: list[tuple[bytes, bytes]], reason: bytes | None = None
    ) -> bytes:
        """The framed head of a response, with the standard reason phrase if none is given. The caller writes
        it, and the body: Hypercorn's own path costs twice as much. Raises FramingError if no response can
        begin."""
        stream = self.stream
        if isinstance(stream, HTTPStream):
            # As if it had sent the head: before that Hypercorn's stream takes no body, and sends a 500 when
            # the application ends.
            stream.state = ASGIHTTPState.RESPONSE
            stream.response = {"type": "http.response.start", "status": status, "headers": headers}
        elif not self.running_inline:
            raise FramingError
        if self.input_closed:
            # Nothing more is read: the client must not send another request here.
            headers = [*headers, *self.closing_headers]
        return self._encode(response_head(status, headers, reason))

    def encode_informational(self, status: int, headers: list[tuple[bytes, bytes]], reason: bytes) -> bytes:
        return self._encode(h11.InformationalResponse(status_code=status, headers=headers, reason=reason))

    def encode_data(self, data: bytes) -> bytes:
        return self._encode(h11.Data(data=data))

    def encode_end(self, trailers: Sequence[tuple[bytes, bytes]] = ()) -> bytes:
        return self._encode(h11.EndOfMessage(headers=list(trailers)))

    def _encode(self, event: H11SendableEvent) -> bytes:
        try:
            return self.connection.send(event) or b""
        except h11.LocalProtocolError:
            raise FramingError from None
