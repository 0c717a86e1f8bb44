"""The server's side of WebSockets: the opening and the closing handshake; also as ASGI messages.

Why not Hypercorn's: it reads without backpressure, negotiates compression, which hides a message's size, and
starts tasks and a queue for each connection. Here the application runs in the connection's own task, and data
is read only when it asks for a message.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import cast

import h11
import trio
from wsproto.connection import ConnectionType
from wsproto.utilities import generate_accept_token

from gatekeeper.http_fields import Headers
from gatekeeper.server.asgi_types import Application, Scope
from gatekeeper.server.asgi_types import Message as AsgiMessage
from gatekeeper.server.task_protocol import response_head
from gatekeeper.server.websocket_stream import (
    CONNECTION_ERRORS,
    NO_STATUS_RECEIVED,
    Close,
    Message,
    Read,
    WebSocketLost,
    WebSocketStream,
    Write,
)

CLOSING_TIMEOUT = 5.0  # seconds for the client's Close frame after the server's
INTERNAL_ERROR = 1011
NO_BODY: Headers = [(b"content-length", b"0")]


class WebSocket:
    """One client's WebSocket, also in `scope["state"]["websocket"]`. First `accept` or `respond`; then
    `receive`, `send` and `close`.

    An application that returns has closed the WebSocket: by `close`, by the client's own code where that
    closed first, otherwise abruptly, without a Close frame. Methods raise WebSocketLost.
    """

    def __init__(self, http: h11.Connection, request: h11.Request, read: Read, write: Write) -> None:
        self._http = http
        http.next_event()  # the end of the request, which lets h11 switch protocols
        self._headers = list(request.headers)
        self._read = read
        self._write = write
        self._responded = False
        self._aborted = False
        self._stream: WebSocketStream | None = None
        self.opened = trio.Event()

    @property
    def subprotocols(self) -> list[str]:
        """The subprotocols that the client offers, in all fields of that name (RFC 6455 §11.3.4)."""
        fields = [value.decode("ascii") for name, value in self._headers if name == b"sec-websocket-protocol"]
        return [stripped for name in ",".join(fields).split(",") if (stripped := name.strip())]

    @property
    def is_open(self) -> bool:
        """Whether the handshake was accepted."""
        return self._stream is not None

    @property
    def is_responded(self) -> bool:
        """Whether a response to the handshake was sent, whichever."""
        return self._responded

    @property
    def stream(self) -> WebSocketStream:
        if self._stream is None:
            raise RuntimeError("the WebSocket has not been accepted")
        return self._stream

    async def accept(self, headers: Headers, subprotocol: str | None = None) -> None:
        """Accepts the handshake with a 101. `subprotocol` is one of `subprotocols`."""
        token = generate_accept_token(dict(self._headers)[b"sec-websocket-key"])
        fields = [(b"upgrade", b"websocket"), (b"connection", b"Upgrade"), (b"sec-websocket-accept", token)]
        if subprotocol is not None:
            fields.append((b"sec-websocket-protocol", subprotocol.encode("ascii")))
        head = h11.InformationalResponse(
            status_code=101, reason=b"Switching Protocols", headers=[*fields, *headers]
        )
        framed = self._http.send(head) or b""
        received = self._http.trailing_data[0]
        self._stream = WebSocketStream(ConnectionType.SERVER, self._read, self._write, received)
        self._responded = True
        self.opened.set()
        await self._send_raw(framed)

    async def respond(self, status: int, headers: Headers, body: bytes, reason: bytes | None = None) -> None:
        """Refuses the handshake by an HTTP response."""
        self._responded = True
        response = response_head(status, [*headers, (b"connection", b"close")], reason)
        events = (response, h11.Data(data=body), h11.EndOfMessage())
        await self._send_raw(b"".join(self._http.send(event) or b"" for event in events))

    async def _send_raw(self, data: bytes) -> None:
        try:
            await self._write(data)
        except CONNECTION_ERRORS:
            raise WebSocketLost from None

    async def receive(self) -> Message | Close:
        return await self.stream.receive()

    async def send(self, message: Message) -> None:
        await self.stream.send(message)

    async def close(self, code: int = NO_STATUS_RECEIVED, reason: str = "") -> None:
        await self.stream.close(code, reason)

    def abort(self) -> None:
        """Ends it abruptly once the application returns, unless a Close frame was sent."""
        self._aborted = True

    async def fail(self) -> None:
        """The application has raised an exception."""
        if self._stream is not None:
            await self._stream.close(INTERNAL_ERROR)
        elif not self._responded:
            await self.respond(500, NO_BODY, b"")

    @property
    def peer_may_send(self) -> bool:
        """Whether the client may still send after `finish`."""
        stream = self._stream
        # A client that was refused by an HTTP response, or closed because of an invalid frame, may not have
        # read that yet.
        return stream is None or (stream.peer_close is not None and stream.peer_close.violation)

    async def finish(self) -> None:
        """The application has returned: ends the closing handshake. Then the connection can be closed."""
        stream = self._stream
        if stream is None:
            if not self._responded:
                await self.fail()
            return
        if stream.peer_close and not self._aborted:
            await stream.close(stream.peer_close.code)
        if stream.close_sent:
            # Closing while the client still sends would reset the connection, and the client might not read
            # the Close frame.
            with trio.move_on_after(CLOSING_TIMEOUT):
                await stream.wait_closed()


class AsgiWebSocket:
    """`receive` and `send` of an ASGI application (https://asgi.readthedocs.io/en/stable/specs/www.html)."""

    def __init__(self, websocket: WebSocket) -> None:
        self._websocket = websocket
        self._connected = False
        self._response: AsgiMessage = {}
        self._body = bytearray()

    async def receive(self) -> AsgiMessage:
        if not self._connected:
            self._connected = True
            return {"type": "websocket.connect"}
        # ASGI: before `websocket.accept` there is nothing to receive but the connect.
        await self._websocket.opened.wait()
        received = await self._websocket.receive()
        if isinstance(received, Close):
            return {"type": "websocket.disconnect", "code": received.code, "reason": received.reason}
        text = received.payload.decode() if received.is_text else None
        return {
            "type": "websocket.receive",
            "text": text,
            "bytes": None if received.is_text else received.payload,
        }

    async def send(self, message: AsgiMessage) -> None:
        """Dropped once the connection is lost: `receive` reports that."""
        with suppress(WebSocketLost):
            await self._send(message)

    async def _send(self, message: AsgiMessage) -> None:
        websocket = self._websocket
        match message["type"]:
            case "websocket.accept":
                await websocket.accept(list(message.get("headers") or ()), message.get("subprotocol"))
            case "websocket.send":
                text = cast("str | None", message.get("text"))
                payload = message["bytes"] if text is None else text.encode()
                await websocket.send(Message(bytes(payload), text is not None))
            case "websocket.close" if websocket.is_open:
                await websocket.close(message.get("code") or 1000, message.get("reason") or "")
            # ASGI: a close before the accept refuses the handshake, by 403.
            case "websocket.close":
                await websocket.respond(403, NO_BODY, b"")
            case "websocket.http.response.start":
                self._response = message
            case "websocket.http.response.body":
                self._body += message.get("body", b"")
                if not message.get("more_body", False):
                    headers: Headers = list(self._response.get("headers") or ())
                    await websocket.respond(self._response["status"], headers, bytes(self._body))
            case other:
                raise ValueError(f"a WebSocket has no message {other}")


async def run_websocket(
    app: Application, http_scope: Scope, websocket: WebSocket, log_exception: Callable[[str], Awaitable[None]]
) -> bool:
    """Runs an ASGI application on a WebSocket, to the end of the closing handshake. Returns whether the
    client may still be sending, because it does not know yet that it was refused."""
    asgi = AsgiWebSocket(websocket)
    with suppress(WebSocketLost):
        try:
            await app(websocket_scope(http_scope, websocket), asgi.receive, asgi.send)
        except Exception:  # noqa: BLE001  an application's error ends its own connection only
            await log_exception("Error in ASGI Framework")
            await websocket.fail()
        await websocket.finish()
    return websocket.peer_may_send


def websocket_scope(scope: Scope, websocket: WebSocket) -> Scope:
    """The scope of a WebSocket, from that of its handshake as an HTTP request."""
    changed: Scope = {
        "type": "websocket",
        "asgi": {"spec_version": "2.3", "version": "3.0"},
        "scheme": {"http": "ws", "https": "wss"}[scope["scheme"]],
        "subprotocols": websocket.subprotocols,
        "extensions": {"websocket.http.response": {}},
        "state": {**scope["state"], "websocket": websocket},
    }
    return {name: value for name, value in {**scope, **changed}.items() if name != "method"}
