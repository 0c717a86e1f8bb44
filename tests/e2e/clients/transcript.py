"""What passed on one connection, in HTTP's terms: read beside the bytes, which go on as they are."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

import h11
from wsproto.extensions import PerMessageDeflate
from wsproto.frame_protocol import FrameProtocol, Opcode

MAX_HEAD_BYTES = 1 << 20


@dataclass
class Message:
    """A request or a response. `line` is its start without the version: `POST /v1/…`, `200 OK`."""

    line: str
    headers: list[tuple[str, str]]
    body: bytes = b""
    whole: bool = False  # whether it came to its proper end

    def header(self, name: str) -> str | None:
        return next((value for key, value in self.headers if key == name), None)


@dataclass
class Exchange:
    request: Message
    response: Message | None = None
    at: float = 0.0  # when it began, by trio's clock
    # Of a WebSocket, each behind its direction: `>` is from the client.
    frames: list[str] = field(default_factory=list)

    def said(self, direction: str) -> list[str]:
        return [frame for frame in self.frames if frame.startswith(direction)]


class ConnectionTranscript:
    """Reads both directions of one connection; `log` gets its exchanges in the order they began."""

    def __init__(self, log: list[Exchange], clock: Callable[[], float] = lambda: 0.0) -> None:
        self._log = log
        self._clock = clock
        self._requests = _server()
        self._responses: h11.Connection | None = None
        self._open: deque[Exchange] = deque()
        self._request: Message | None = None
        self._switched: WebSocketTranscript | None = None

    def from_client(self, data: bytes) -> None:
        """`data` is empty at the connection's end."""
        if self._switched:
            self._switched.from_client(data)
            return
        self._requests.receive_data(data)
        while event := self._next(self._requests):
            if isinstance(event, h11.Request):
                self._request = Message(f"{event.method.decode()} {event.target.decode()}", _headers(event))
                self._open.append(Exchange(self._request, at=self._clock()))
                self._log.append(self._open[-1])
            elif isinstance(event, h11.Data) and self._request:
                self._request.body += event.data
            elif isinstance(event, h11.EndOfMessage) and self._request:
                self._request.whole = True
                rest, _ = self._requests.trailing_data
                self._requests = _server()
                self._requests.receive_data(rest) if rest else None

    def from_server(self, data: bytes) -> None:
        if self._switched:
            self._switched.from_server(data)
            return
        if self._responses is None:
            if not self._open:
                return
            self._responses = _awaiting_response(self._open[0].request)
        http, exchange = self._responses, self._open[0]
        http.receive_data(data)
        while event := self._next(http):
            if isinstance(event, h11.InformationalResponse) and event.status_code == 101:
                exchange.response = Message(_status(event), _headers(event), whole=True)
                self._switched = WebSocketTranscript(exchange)
                if rest := http.trailing_data[0]:
                    self._switched.from_server(rest)
                return
            if isinstance(event, h11.Response):
                exchange.response = Message(_status(event), _headers(event))
            elif isinstance(event, h11.Data) and exchange.response:
                exchange.response.body += event.data
            elif isinstance(event, h11.EndOfMessage) and exchange.response:
                exchange.response.whole = True
                self._open.popleft()
                self._responses = None
                if rest := http.trailing_data[0]:
                    self.from_server(rest)
                return

    @staticmethod
    def _next(http: h11.Connection) -> h11.Event | None:
        try:
            event = http.next_event()
        except h11.RemoteProtocolError:  # the message stays as it is, not whole
            return None
        return None if isinstance(event, (type, h11.ConnectionClosed)) else event


class WebSocketTranscript:
    """The messages and the ends of a connection that has become a WebSocket, without ping and pong, which are
    each connection's own."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._closed = False
        agreed = (exchange.response.header("sec-websocket-extensions") if exchange.response else None) or ""
        self._directions: dict[str, tuple[FrameProtocol, list[str | bytes]]] = {}
        for direction, client in ((">", False), ("<", True)):
            deflate = PerMessageDeflate()
            if "permessage-deflate" in agreed:
                deflate.finalize(agreed) if client else deflate.accept(agreed)
            self._directions[direction] = FrameProtocol(client, [deflate] if agreed else []), []

    def from_client(self, data: bytes) -> None:
        self._read(">", data)

    def from_server(self, data: bytes) -> None:
        self._read("<", data)

    def _read(self, direction: str, data: bytes) -> None:
        frames, pieces = self._directions[direction]
        if not data:
            return
        frames.receive_bytes(data)
        for frame in frames.received_frames():
            if frame.opcode is Opcode.CLOSE:
                if not self._closed:  # the other side's answer is of its connection only
                    code, reason = frame.payload
                    self._exchange.frames.append(f"{direction} close {int(code)} {reason or ''}".strip())
                self._closed = True
            elif frame.opcode not in (Opcode.PING, Opcode.PONG):
                pieces.append(bytes(frame.payload) if isinstance(frame.payload, bytearray) else frame.payload)
                if frame.message_finished:
                    kind = "text" if isinstance(pieces[0], str) else "binary"
                    said = "".join(p if isinstance(p, str) else p.decode("latin-1") for p in pieces)
                    self._exchange.frames.append(f"{direction} {kind} {said}")
                    pieces.clear()


def _server() -> h11.Connection:
    return h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEAD_BYTES)


def _awaiting_response(request: Message) -> h11.Connection:
    """A connection as it is after that request: its method decides where the response ends."""
    http = h11.Connection(h11.CLIENT, max_incomplete_event_size=MAX_HEAD_BYTES)
    switch = [("connection", "upgrade"), ("upgrade", request.header("upgrade") or "")]
    headers = [("host", "x"), *(switch if request.header("upgrade") else [])]
    http.send(h11.Request(method=request.line.split(" ")[0], target="/", headers=headers))
    http.send(h11.EndOfMessage())
    return http


def _headers(event: h11.Request | h11.Response | h11.InformationalResponse) -> list[tuple[str, str]]:
    return [(name.decode(), value.decode("latin-1")) for name, value in event.headers]


def _status(event: h11.Response | h11.InformationalResponse) -> str:
    return f"{event.status_code} {event.reason.decode()}".strip()
