"""HTTP/1.1 and WebSocket handshakes, by Hypercorn's protocol; HTTP/2 is refused.

Hypercorn 0.18 speaks HTTP/2 on a plain port to whoever asks. It keeps whatever a client does not read (50
streams took 870 MB), so none is spoken: an upgrade to it is ignored, which RFC 9110 §7.8 allows and clients
expect, and a client that begins with it is told what to do instead.
"""

from __future__ import annotations

import h11
from hypercorn.events import Closed, Event, RawData
from hypercorn.protocol.h11 import H11Protocol

USE_HTTP1 = b"This port speaks HTTP/1.1. For HTTP/2 put a proxy in front of it that ends TLS and HTTP/2."


def _frame(kind: int, payload: bytes) -> bytes:
    """A frame of stream 0 without flags (RFC 9113 §4.1)."""
    return len(payload).to_bytes(3) + bytes([kind]) + bytes(5) + payload


SETTINGS, GOAWAY, HTTP_1_1_REQUIRED = 4, 7, 13
FAREWELL = _frame(SETTINGS, b"") + _frame(GOAWAY, bytes(4) + HTTP_1_1_REQUIRED.to_bytes(4) + USE_HTTP1)


class Http2Begun(Exception):
    """The client speaks HTTP/2 without having asked."""


class Http1(H11Protocol):
    """One connection's protocol."""

    async def handle(self, event: Event) -> None:
        try:
            await super().handle(event)
        except Http2Begun:
            await self.send(RawData(FAREWELL))
            await self.send(Closed())

    @property
    def more_may_come(self) -> bool:
        """Whether the client may be sending: to close on it resets the connection, and the answer is lost."""
        return self.connection.their_state in (h11.SEND_BODY, h11.ERROR)

    async def _check_protocol(self, event: h11.Request) -> None:
        if event.method == b"PRI" and event.http_version == b"2.0":
            raise Http2Begun
