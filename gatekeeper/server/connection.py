"""One client connection, plain or with TLS, by Hypercorn's protocol.

Why not `hypercorn.trio.serve`: in 0.18 a connection whose client has disconnected is kept open by the
keep-alive timer until that expires. Measured: 900 streams on connections of their own left 708 sockets in
CLOSE-WAIT for 75 s; here none. Its timer for each request and its work around each write cost as much as a
third of a call (a unary call was 1.4 times the bare proxy's, and is 1.0). All else is Hypercorn's.
"""

from __future__ import annotations

import contextlib
import fcntl
import math
import os
import select
import socket
import sys
import termios
from typing import TYPE_CHECKING, cast

import h11
import trio
from hypercorn.events import Closed, Event, RawData, Updated
from hypercorn.trio.task_group import TaskGroup
from hypercorn.trio.tcp_server import MAX_RECV, TCPServer
from hypercorn.typing import ConnectionState

from gatekeeper.server.asgi_types import InlineApp
from gatekeeper.server.http1 import Http1
from gatekeeper.server.tls import TlsSession

if TYPE_CHECKING:
    from hypercorn.app_wrappers import ASGIWrapper
    from hypercorn.config import Config
    from hypercorn.protocol import ProtocolWrapper
    from hypercorn.trio.worker_context import WorkerContext

# Linux reports a half-closed connection; elsewhere that shows only once all data before it has been read.

HALF_CLOSE_EVENTS = getattr(select, "POLLRDHUP", select.POLLIN)
LINGER_SECONDS = 2.0  # seconds for a client to read the response before its unfinished request is cut off
INCOMPLETE_STATES = (h11.SEND_RESPONSE, h11.SEND_BODY, h11.ERROR)  # of the response; a WebSocket has none


class ClientConnection(TCPServer):
    """A connection that ends when its client disconnects, and that first writes without waiting: a lock, a
    cancel scope and two checkpoints for each write cost more than the write."""

    idle_since = math.inf  # on trio's clock; infinite while a request runs
    disconnected = False  # the client has disconnected with an incomplete request
    half_closed_before = False  # an earlier check has found it half-closed
    cleanly_half_closed = False  # the client half-closed after what may be a complete request

    def __init__(
        self,
        app: ASGIWrapper,
        config: Config,
        context: WorkerContext,
        stream: trio.SocketStream,
        inline_app: InlineApp | None,
        tls: TlsSession | None = None,
    ) -> None:
        # Hypercorn annotates the stream as its TLS one; here it is the socket's also with TLS.
        plain_stream = cast("trio.SSLStream[trio.SocketStream]", stream)
        super().__init__(app, config, context, ConnectionState({}), plain_stream)
        self.inline_app = inline_app
        self.tls = tls

    async def run(self) -> None:
        self.idle_since = trio.current_time()
        # Separate scopes: reading may end while a response is still being written.
        self.read_scope, self.idle_scope = trio.CancelScope(), trio.CancelScope()
        self.socket = cast("trio.SocketStream", self.stream).socket
        self.poller = select.poll()
        self.poller.register(
            self.socket.fileno(), HALF_CLOSE_EVENTS
        )  # POLLERR and POLLHUP are always reported
        try:
            # A client may have disconnected before it was accepted; then getpeername() fails.
            client, server = self.socket.getpeername()[:2], self.socket.getsockname()[:2]
        except OSError:
            return
        async with TaskGroup() as tasks:
            self.http = self._http(tasks, client, server)
            self.protocol = cast("ProtocolWrapper", self.http)
            await self.http.initiate()
            tasks.spawn(self._idle_timeout)  # pyright: ignore[reportUnknownMemberType]
            await self._read_data()

    def _http(self, tasks: TaskGroup, client: tuple[str, int], server: tuple[str, int]) -> Http1:
        return Http1(
            self.app,
            self.config,
            self.context,
            tasks,
            ConnectionState({"connection": self}),
            self.tls is not None,
            client,
            server,
            self.protocol_send,
            inline_app=self.inline_app,
            read=self._receive,
            write=self.write,
        )

    async def _read_data(self) -> None:
        """Reads until the client has disconnected or the last response is complete. A client that has only
        half-closed stays connected as long as a response is pending."""
        try:
            with self.read_scope:
                while data := await self._receive():
                    await self.http.handle(RawData(data))
                if self.http.response_pending and not self.disconnected:
                    await self.http.response_done.wait()
            self._send_close_notify()
            await self.http.handle(Closed())
        finally:
            self.disconnected = True
            # Also while a write waits for the client: Hypercorn shields it from cancellation.
            self.socket.close()
        self.idle_scope.cancel()

    async def _receive(self) -> bytes:
        """The next bytes from the client; empty at the end of the connection, clean or not."""
        try:
            if self.tls is not None:
                return await self.tls.receive_some(cast("trio.SocketStream", self.stream))
            # Past the layer that only translates errors, once for each request.
            return await self.socket.recv(MAX_RECV)
        except (trio.ClosedResourceError, trio.BrokenResourceError, OSError):
            self.disconnected = True
            return b""

    def is_disconnected(self) -> bool:
        """Whether the client has disconnected with an incomplete request, or the connection is broken: the
        socket tells it, also while nothing is read from it."""
        if self.disconnected:
            return True
        # Without reading: the body may not have been read yet and must stay in the socket's buffer.
        events = self.poller.poll(0)
        if not events:
            return False
        if events[0][1] & (select.POLLERR | select.POLLHUP):
            return True
        if not self.cleanly_half_closed:
            try:
                # With TLS nothing can be peeked at: what is read ahead has to be kept.
                if HALF_CLOSE_EVENTS == select.POLLIN and (self.tls or self._peek_unread()):
                    return False
                self.cleanly_half_closed = self.http.may_be_complete(self._peek_unread)
            except OSError:  # no descriptor is left for `dup`; the next check tries again
                return False
        # What trio has just read is for a moment neither in the socket nor with the protocol: the next check
        # decides.
        first_seen, self.half_closed_before = not self.half_closed_before, True
        return not (self.cleanly_half_closed or first_seen)

    def _peek_unread(self) -> bytes:
        """The unread bytes in the socket's buffer; the client has half-closed, so no more follow."""
        if self.tls is not None:
            return self.tls.read_ahead(self.socket.fileno())
        # trio's socket has no MSG_PEEK and owns its descriptor: hence a copy of that.
        with socket.socket(fileno=os.dup(self.socket.fileno())) as copy:
            size = int.from_bytes(fcntl.ioctl(copy, termios.FIONREAD, bytes(4)), sys.byteorder)
            return copy.recv(size, socket.MSG_PEEK | socket.MSG_DONTWAIT) if size else b""

    def _begin_lingering_close(self) -> None:
        """Half-closes the connection. A client that may still be sending gets a moment to read the response;
        what it sends meanwhile is discarded."""
        self.http.input_closed = True
        # Closing while the client still sends makes the system reset the connection, and a reset discards the
        # response that the client has not read yet (RFC 9112 §9.6).
        self.read_scope.deadline = trio.current_time() + (LINGER_SECONDS if self.http.peer_may_send else 0.0)
        self._send_close_notify()
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_WR)

    async def _idle_timeout(self) -> None:
        """One task for the connection's life, where Hypercorn starts and cancels one for each request."""
        keep, terminated = self.config.keep_alive_timeout, self.context.terminated
        with self.idle_scope:
            while not terminated.is_set():
                wait = self.idle_since + keep - trio.current_time()
                if wait > 0:
                    with trio.move_on_after(min(wait, keep)):
                        await terminated.wait()
                else:
                    self._shutdown_read()
                    # A request that came at the last moment still runs; only a connection that is still idle
                    # is closed.
                    await trio.sleep(LINGER_SECONDS)
                    if self.idle_since + keep < trio.current_time():
                        self.read_scope.cancel()
            # Otherwise the protocol closes it after its response.
            if self.idle_since < math.inf:
                self._shutdown_read()

    def _shutdown_read(self) -> None:
        """Shuts down the read side; data already received is still processed."""
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RD)

    async def protocol_send(self, event: Event) -> None:
        if isinstance(event, Updated):
            self.idle_since = trio.current_time() if event.idle else math.inf
        elif isinstance(event, RawData):
            try:
                rest = self._begin_write(event.data)
            except OSError:
                await self.http.handle(Closed())
            else:
                if rest:
                    await super().protocol_send(RawData(rest))
        else:
            self._begin_lingering_close()
            await self.http.handle(Closed())

    async def write(self, data: bytes) -> None:
        """Writes past Hypercorn's own shielded write, so that it can be cancelled. One task at a time; a trio
        error or OSError says that the connection is broken."""
        if rest := self._begin_write(data):
            async with self.send_lock:
                await self.stream.send_all(rest)

    def _begin_write(self, data: bytes) -> bytes:
        """Writes without waiting, unless another write waits; returns what is left for the slow path."""
        if not data:
            return data
        if self.send_lock.locked():
            return data if self.tls is None else self.tls.encrypt(data)
        return self.write_nowait(data)

    def write_nowait(self, data: bytes) -> bytes:
        """Writes without waiting, encrypted if there is TLS; returns the bytes for the socket that did not
        fit, which must go out before any others. Raises OSError if the connection is broken."""
        if self.tls is not None:
            data = self.tls.encrypt(data)
        try:
            written = os.write(self.socket.fileno(), data)
        except BlockingIOError:
            return data
        return data[written:] if written < len(data) else b""

    def _send_close_notify(self) -> None:
        """Tells a client with TLS that nothing is missing, unless the response is incomplete: then an end
        without this shows it. Without waiting: nobody reads what a full socket holds back."""
        if self.tls is not None and self.http.connection.our_state not in INCOMPLETE_STATES:
            with contextlib.suppress(OSError):
                os.write(self.socket.fileno(), self.tls.close_notify())
