"""WebSockets to the API, as their client: the handshake's headers, its check, and the open WebSocket."""

from __future__ import annotations

import base64
import os

from wsproto.connection import ConnectionType
from wsproto.utilities import generate_accept_token

from gatekeeper.http_fields import Headers
from gatekeeper.server.websocket_stream import CONNECTION_ERRORS, WebSocketStream
from gatekeeper.upstream.connection import ConnectionLost, ResponseHead, UpstreamConnection

PROTOCOL = b"sec-websocket-protocol"


class UpstreamHandshake:
    """One handshake. `headers` are for the request, a GET, in addition to the version and the subprotocols of
    the client's own handshake. `check` is for a 101."""

    def __init__(self, client_headers: Headers) -> None:
        self._key = base64.b64encode(os.urandom(16))
        self._offered = [value for name, value in client_headers if name == PROTOCOL]
        self.headers: Headers = [
            (b"connection", b"Upgrade"),
            (b"upgrade", b"websocket"),
            (b"sec-websocket-key", self._key),
        ]

    def check(self, head: ResponseHead) -> str | None:
        """The chosen subprotocol, if any. Raises ConnectionLost for a 101 that is not a valid WebSocket
        handshake (RFC 6455 §4.1)."""
        fields = head.fields
        options = b",".join(value for name, value in head.headers if name == b"connection")
        chosen = fields.get(PROTOCOL)
        offered = [name.strip() for value in self._offered for name in value.split(b",")]
        if (
            fields.get(b"upgrade", b"").lower() != b"websocket"
            or b"upgrade" not in [option.strip() for option in options.lower().split(b",")]
            or fields.get(b"sec-websocket-accept") != generate_accept_token(self._key)
            or b"sec-websocket-extensions" in fields
            or (chosen is not None and chosen not in offered)
        ):
            raise ConnectionLost("its handshake is not one of WebSocket")
        return None if chosen is None else chosen.decode("ascii")


def open_upstream(connection: UpstreamConnection) -> WebSocketStream:
    """The WebSocket of a connection whose handshake is done."""
    stream, received = connection.switch_protocols()

    async def read() -> bytes:
        try:
            return await stream.read()
        except CONNECTION_ERRORS:
            return b""

    return WebSocketStream(ConnectionType.CLIENT, read, stream.write, received)
