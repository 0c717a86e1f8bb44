"""Connections to the API behind the gateway: HTTP/1.1 by h11 over trio streams, reused last in, first out.

Why not a client library's connection: measured on the same machine in the same minute, a call through
httpcore2's HTTP/1.1 connection costs the gateway 1.25 ms of CPU and 210 µs an event, through this one 0.72 ms
and 127 µs; layers of generators, locks and traces make the difference. Why LIFO: a pool that scans its
connections grows with them, and the one used last is the least likely to have been closed meanwhile.

No HTTP/2: cancelling one of its streams can break the whole connection for the others.
"""

from __future__ import annotations

import ssl
import sys
from collections import deque
from urllib.parse import urlsplit

import h11
import trio
import truststore

from gatekeeper.proxy.headers import Headers

CHUNK = 64 * 1024
IDLE_EXPIRY = 60.0  # seconds; Google's front end keeps idle connections for about four minutes
HEAD_LIMIT = 256 * 1024  # bytes of an answer's head

OVER = (h11.DONE, h11.MUST_CLOSE, h11.CLOSED)
FAULTS = (trio.BrokenResourceError, trio.ClosedResourceError, h11.RemoteProtocolError, ssl.SSLError)


class ConnectFailed(Exception):
    """No connection could be made; the text says why, for people."""


class Died(Exception):
    """The connection ended before the answer did. `answered`: whether a byte of it had come."""

    def __init__(self, why: str, *, answered: bool) -> None:
        super().__init__(why)
        self.answered = answered


class Connection:
    """One connection. In turn: `send_head`, `send_body` …, `finish_request`, `head`, `chunk` … until None."""

    def __init__(self, stream: trio.SocketStream | trio.SSLStream[trio.SocketStream]) -> None:
        self._stream = stream
        self._socket = (stream.transport_stream if isinstance(stream, trio.SSLStream) else stream).socket
        self._http = h11.Connection(h11.CLIENT, max_incomplete_event_size=HEAD_LIMIT)
        self._answered = False
        self.calls = 0
        self.idle_since = 0.0

    def __repr__(self) -> str:
        return f"<Connection {self._http.our_state}/{self._http.their_state}, {self.calls} calls>"

    @property
    def reused(self) -> bool:
        return self.calls > 1

    def has_expired(self, now: float) -> bool:
        """An idle connection that is readable has been closed by the other side: nothing else may come."""
        return now - self.idle_since > IDLE_EXPIRY or self._socket.is_readable()

    async def send_whole(self, method: str, target: bytes, headers: Headers, body: bytes) -> None:
        """The whole request at once, in one write."""
        self._start()
        parts = [self._http.send(h11.Request(method=method, target=target, headers=headers))]
        if body:
            parts.append(self._http.send(h11.Data(data=body)))
        parts.append(self._http.send(h11.EndOfMessage()))
        await self._write(b"".join(part for part in parts if part))

    async def send_head(self, method: str, target: bytes, headers: Headers) -> None:
        self._start()
        await self._write(self._http.send(h11.Request(method=method, target=target, headers=headers)) or b"")

    async def send_body(self, chunk: bytes) -> None:
        await self._write(self._http.send(h11.Data(data=chunk)) or b"")

    async def finish_request(self) -> None:
        await self._write(self._http.send(h11.EndOfMessage()) or b"")

    def _start(self) -> None:
        self.calls += 1
        self._answered = False

    async def _write(self, data: bytes) -> None:
        try:
            await self._stream.send_all(data)
        except FAULTS as fault:
            raise Died(f"it closed the connection ({type(fault).__name__})", answered=False) from None

    async def head(self) -> h11.Response:
        """The answer's head; informational answers are passed over."""
        while True:
            event = await self._event()
            if isinstance(event, h11.Response):
                return event
            if event is None:
                raise Died("it closed the connection without an answer", answered=self._answered)

    async def chunk(self) -> bytes | None:
        """The next piece of the answer's body, as it arrived; None at its proper end."""
        event = await self._event()
        return bytes(event.data) if isinstance(event, h11.Data) else None

    async def _event(self) -> h11.Event | None:
        """The next event, None at and after the end of the message or of the connection. Raises Died."""
        if self._http.their_state in OVER:
            return None
        try:
            while (event := self._http.next_event()) is h11.NEED_DATA:
                data = await self._stream.receive_some(CHUNK)
                self._answered = self._answered or bool(data)
                self._http.receive_data(bytes(data))
        except FAULTS as fault:
            raise Died(f"the answer broke off ({type(fault).__name__})", answered=self._answered) from None
        if isinstance(event, h11.Response | h11.Data | h11.InformationalResponse):
            return event
        return None

    def reset(self) -> bool:
        """Makes it ready for the next call; False where it cannot carry one."""
        if self._http.our_state is not h11.DONE or self._http.their_state is not h11.DONE:
            return False
        self._http.start_next_cycle()
        return not self._http.trailing_data[0]

    def close(self) -> None:
        """At once and without a TLS farewell, so that it needs no await and works in a cancelled task."""
        self._socket.close()


class Upstream:
    """The API at one URL. `take` gives a connection, `give_back` returns it, whatever became of it."""

    def __init__(self, url: str, *, connect_timeout: float) -> None:
        parts = urlsplit(url)
        self._host = parts.hostname or ""
        self._tls = _tls() if parts.scheme == "https" else None
        self._port = parts.port or (443 if self._tls else 80)
        self._connect_timeout = connect_timeout
        self._idle: deque[Connection] = deque()
        self.authority = parts.netloc.encode("latin-1")
        self.prefix = parts.path.rstrip("/").encode("latin-1")
        self.open = 0

    def __repr__(self) -> str:
        return f"<Upstream {self.authority.decode()}, {self.open} open, {len(self._idle)} idle>"

    async def take(self) -> Connection:
        """An idle connection that still lives, else a new one. Raises ConnectFailed."""
        now = trio.current_time()
        while self._idle:
            connection = self._idle.pop()
            if not connection.has_expired(now):
                return connection
            self.close(connection)
        return await self.connect()

    async def connect(self) -> Connection:
        """A new connection. Raises ConnectFailed."""
        try:
            with trio.fail_after(self._connect_timeout):
                stream = await trio.open_tcp_stream(self._host, self._port)
                connection = Connection(await self._secured(stream) if self._tls else stream)
        except trio.TooSlowError:
            raise ConnectFailed(f"no connection within {self._connect_timeout:g} seconds") from None
        except ssl.SSLError as fault:
            raise ConnectFailed(f"TLS failed ({fault.reason})") from None
        except (OSError, trio.BrokenResourceError) as fault:
            raise ConnectFailed(str(fault.__cause__ or fault) or type(fault).__name__) from None
        self.open += 1
        return connection

    async def _secured(self, stream: trio.SocketStream) -> trio.SSLStream[trio.SocketStream]:
        secured = trio.SSLStream(
            stream, self._tls or _tls(), server_hostname=self._host, https_compatible=True
        )
        try:
            await secured.do_handshake()
        except trio.BrokenResourceError as fault:
            stream.socket.close()
            raise fault.__cause__ if isinstance(fault.__cause__, ssl.SSLError) else fault from None
        except trio.Cancelled:
            stream.socket.close()
            raise
        return secured

    def give_back(self, connection: Connection) -> None:
        """Keeps a connection whose call is over in both directions; closes any other. Never awaits, so it
        holds under cancellation too."""
        if connection.reset():
            connection.idle_since = trio.current_time()
            self._idle.append(connection)
        else:
            self.close(connection)

    def close(self, connection: Connection) -> None:
        connection.close()
        self.open -= 1

    def sweep(self) -> None:
        """Closes what lies expired at the bottom of the stack; for a periodic task."""
        now = trio.current_time()
        while self._idle and self._idle[0].has_expired(now):
            self.close(self._idle.popleft())

    def close_idle(self) -> None:
        while self._idle:
            self.close(self._idle.pop())


def _tls() -> ssl.SSLContext:
    """The operating system's trust, HTTP/1.1 only.

    On Linux OpenSSL itself finds the system's certificates, and its own context is taken: truststore reads
    them anew for each connection, 23 ms of CPU against 1.
    """
    found = ssl.get_default_verify_paths()
    if sys.platform == "linux" and (found.cafile or found.capath):
        context = ssl.create_default_context()
    else:
        context = truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.set_alpn_protocols(["http/1.1"])
    return context
