"""The pool of connections to the API, reused last in, first out.

Why LIFO: taking the last one needs no scan of all connections, and it is the least likely to have been closed
meanwhile.

No HTTP/2: cancelling one of its streams can break the whole connection for the others.
"""

from __future__ import annotations

import errno
import os
import socket
import ssl
import sys
from collections import deque
from contextlib import suppress
from typing import NamedTuple
from urllib.parse import urlsplit

import trio
import truststore

from gatekeeper.upstream.connection import UpstreamConnection
from gatekeeper.upstream.stream import SocketStream, TlsStream

REMEMBERED_SECONDS = 30.0  # DNS answers change, and so does the fastest address
ATTEMPT_SECONDS = 1.0  # for the remembered address, before all addresses are tried


class ConnectFailed(Exception):
    """No connection could be made; the text says why."""


class Origin(NamedTuple):
    """Scheme, host (an IPv6 address without brackets) and port of a URL."""

    scheme: str
    host: str
    port: int


class UpstreamPool:
    """Connections to the API at one URL. Each `acquire` needs a `release`, also of a failed connection."""

    def __init__(self, url: str, *, connect_timeout: float, trust: ssl.SSLContext | None = None) -> None:
        parts = urlsplit(url)
        self._host = parts.hostname or ""
        self._tls = (trust or tls_context()) if parts.scheme == "https" else None
        self._trust = trust or self._tls
        self._port = parts.port or (443 if self._tls else 80)
        self._connect_timeout = connect_timeout
        self._dialer = Dialer(self._host, self._port)
        self._idle: deque[UpstreamConnection] = deque()
        self.origin = Origin(parts.scheme, self._host, self._port)
        self.authority = parts.netloc.encode("latin-1")
        self.prefix = parts.path.rstrip("/").encode("latin-1")
        self.may_be_gateway = not self._host.endswith(".googleapis.com")
        self.open = 0

    def for_other_host(self, host: str) -> UpstreamPool:
        """Connections over https to another host, with the same timeout and trust."""
        # One context for all hosts: loading the system's certificates blocks the event loop for 50 ms and
        # more.
        self._trust = self._trust or tls_context()
        return UpstreamPool(f"https://{host}", connect_timeout=self._connect_timeout, trust=self._trust)

    def __repr__(self) -> str:
        return f"<Upstream {self.authority.decode()}, {self.open} open, {len(self._idle)} idle>"

    async def acquire(self) -> UpstreamConnection:
        """A usable idle connection, else a new one. Raises ConnectFailed."""
        now = trio.current_time()
        while self._idle:
            connection = self._idle.pop()
            # An idle connection that was closed by the upstream would lose the next request.
            if not connection.has_expired(now):
                return connection
            self.close(connection)
        return await self.connect()

    async def connect(self) -> UpstreamConnection:
        """A new connection. Raises ConnectFailed."""
        try:
            with trio.fail_after(self._connect_timeout):
                connection = UpstreamConnection(await self._open_stream())
        except trio.TooSlowError:
            raise ConnectFailed(f"no connection within {self._connect_timeout:g} seconds") from None
        except ssl.SSLError as error:
            raise ConnectFailed(f"TLS failed ({error.reason})") from None
        except OSError as error:
            # trio's own message is only that all attempts have failed; the reason is in the cause.
            raise ConnectFailed(str(error.__cause__ or error) or type(error).__name__) from None
        self.open += 1
        return connection

    async def _open_stream(self) -> SocketStream:
        stream = await self._dialer.open()
        if self._tls is None:
            return SocketStream(stream)
        tls = TlsStream(stream, self._tls, self._host)
        try:
            await tls.handshake()
        except BaseException:
            tls.close()
            raise
        return tls

    def release(self, connection: UpstreamConnection) -> None:
        """Keeps a connection whose request and response are complete; closes any other. Never awaits, so it
        works in a cancelled task too."""
        if connection.prepare_reuse():
            # The deque is sorted by this time: `close_expired` checks its beginning only.
            connection.idle_since = trio.current_time()
            self._idle.append(connection)
        else:
            self.close(connection)

    def close(self, connection: UpstreamConnection) -> None:
        connection.close()
        self.open -= 1

    def close_expired(self) -> None:
        """Closes expired idle connections; for a periodic task."""
        now = trio.current_time()
        # The oldest is first: the first usable one ends the search.
        while self._idle and self._idle[0].has_expired(now):
            self.close(self._idle.popleft())

    def close_idle(self) -> None:
        while self._idle:
            self.close(self._idle.pop())


def tls_context() -> ssl.SSLContext:
    """The operating system's trust store, HTTP/1.1 only.

    On Linux OpenSSL finds the system's certificates, and its own context is used: truststore reads them again
    for each connection, 23 ms of CPU against 1.
    """
    paths = ssl.get_default_verify_paths()
    if sys.platform == "linux" and (paths.cafile or paths.capath):
        context = ssl.create_default_context()
    else:
        context = truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    # For TLS 1.2: with renegotiation a write may have to read first. TLS 1.3 has none.
    context.options |= ssl.OP_NO_RENEGOTIATION
    # Without this a server might choose HTTP/2, which is not supported here.
    context.set_alpn_protocols(["http/1.1"])
    return context


class Dialer:
    """Makes TCP connections to one host and port.

    The host's name is resolved, and its addresses are tried, by trio (RFC 8305, Happy Eyeballs). For
    `REMEMBERED_SECONDS` after that the address that was reached is used directly: resolving, nursery and
    tasks cost as much as a whole call.
    """

    def __init__(self, host: str, port: int) -> None:
        self._host, self._port = host, port
        self._reached: tuple[socket.AddressFamily, tuple[object, ...]] | None = None
        self._until = 0.0  # on trio's clock

    async def open(self) -> trio.SocketStream:
        """A new connection. Raises OSError."""
        if self._reached is not None and trio.current_time() < self._until:
            # After any failure all addresses are tried.
            with suppress(OSError), trio.move_on_after(ATTEMPT_SECONDS):
                return await _connect(*self._reached)
            self._reached = None
        # Other tasks use the old address meanwhile: one lookup is enough.
        self._until = trio.current_time() + REMEMBERED_SECONDS
        stream = await trio.open_tcp_stream(self._host, self._port)
        with suppress(OSError):  # it was reset meanwhile, which its first use will find
            self._reached = stream.socket.family, stream.socket.getpeername()
        return stream


async def _connect(family: socket.AddressFamily, address: tuple[object, ...]) -> trio.SocketStream:
    connecting = socket.socket(family, socket.SOCK_STREAM)
    try:
        await _connect_socket(connecting, address)
    # Also if the task is cancelled: nothing else would close the socket.
    except BaseException:
        connecting.close()
        raise
    return trio.SocketStream(trio.socket.from_stdlib_socket(connecting))


async def _connect_socket(connecting: socket.socket, address: tuple[object, ...]) -> None:
    connecting.setblocking(False)
    error = connecting.connect_ex(address)
    if error == errno.EINPROGRESS:
        await trio.lowlevel.wait_writable(connecting)
        error = connecting.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if error:
        raise OSError(error, os.strerror(error))
