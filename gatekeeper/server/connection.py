"""One client connection, cleartext or TLS. Simple requests are served by `simple_exchange`, all others by
Hypercorn's protocol.

Why not `hypercorn.trio.serve`: in 0.18 a connection whose client has disconnected is kept open by the
keep-alive timer until that expires. Measured: 900 streams on connections of their own left 708 sockets in
CLOSE-WAIT for 75 s; here none. Its timer for each request and its work around each write cost as much as a
third of a call (a unary call was 1.4 times the bare proxy's, and is 1.0). All else is Hypercorn's.
"""

from __future__ import annotations

import contextlib
import math
import os
import socket
from typing import TYPE_CHECKING, cast

import h11
import trio
from hypercorn.events import Closed, Event, RawData, Updated
from hypercorn.trio.task_group import TaskGroup
from hypercorn.typing import ConnectionState

from gatekeeper.server.asgi_types import InlineApp, Scope, http_scope
from gatekeeper.server.client_socket import ClientSocket
from gatekeeper.server.http1 import Http1
from gatekeeper.server.simple_exchange import SimpleExchange, SimpleRequests
from gatekeeper.server.tls import TlsSession
from gatekeeper.server.websocket_stream import CONNECTION_ERRORS

if TYPE_CHECKING:
    from hypercorn.app_wrappers import ASGIWrapper
    from hypercorn.config import Config
    from hypercorn.trio.worker_context import WorkerContext

LINGER_SECONDS = 2.0  # seconds for a client to read the response before its incomplete request is cut off
INCOMPLETE_STATES = (h11.SEND_RESPONSE, h11.SEND_BODY, h11.ERROR)  # of the response; a WebSocket has none


class ClientConnection(ClientSocket):
    """One client connection, which ends when its client disconnects. Simple requests to the inline
    application bypass Hypercorn's protocol."""

    idle_since = math.inf  # on trio's clock; infinite while a request runs
    http: Http1 | None = None  # made for the first request that is not a simple one
    simple_exchange: SimpleExchange | None = None  # the last request, if it was a simple one
    closing = False  # the response to the last request was sent, or broken off

    def __init__(
        self,
        app: ASGIWrapper,
        config: Config,
        context: WorkerContext,
        stream: trio.SocketStream,
        inline_app: InlineApp | None,
        simple_requests: SimpleRequests | None,
        tls: TlsSession | None = None,
    ) -> None:
        super().__init__(stream, tls)
        self.app, self.config, self.context = app, config, context
        self.inline_app = inline_app
        self.simple_requests = simple_requests
        self.read_scope = trio.CancelScope()

    async def run(self) -> None:
        self.idle_since = trio.current_time()
        try:
            # A client may have disconnected before it was accepted; then getpeername() fails.
            self.client, self.server = self.socket.getpeername()[:2], self.socket.getsockname()[:2]
        except OSError:
            return
        # Accepted while the server was told to stop.
        if self.context.terminated.is_set():
            self.shutdown_read()
        # Most connections never need Hypercorn's protocol, and the nursery of its tasks.
        if data := await self._serve_simple():
            async with TaskGroup() as tasks:
                self.http = self._http(tasks)
                await self._serve_all(self.http, data)

    def release(self) -> None:
        """Breaks reference cycles at the connection's end: the garbage collector, which would free them, runs
        seldom."""
        self.simple_exchange = None
        if self.http is not None:
            self.http.connection_state.clear()
            self.http = None

    async def _serve_simple(self) -> bytes:
        """Serves simple requests until the client disconnects, or sends another kind of request, whose
        beginning it returns."""
        surplus, other = b"", b""
        try:
            with self.read_scope:
                while not other and (data := surplus or await self.receive()):
                    # While the connection is being closed, input is discarded.
                    if self.closing:
                        continue
                    if parsed := self._parse_simple(data):
                        # The bytes are in the exchange now, which frees them early: a call may run for
                        # minutes.
                        data = surplus = b""
                        surplus = await self._run_simple(*parsed)
                    else:
                        other = data
            if not other:
                self._send_close_notify()
        finally:
            if not other:
                self._close_socket()
        return other

    def _parse_simple(self, data: bytes) -> tuple[SimpleExchange, Scope] | None:
        """The simple request to the inline application that `data` begins with; None if there is none. Only
        the exchange has its body, and frees it once it was read: otherwise a stream would keep its prompt in
        memory to the end."""
        request = self.simple_requests and self.simple_requests.parse(data)
        if request is None:
            return None
        exchange = self.simple_exchange = SimpleExchange(request, self.receive, self._send_raw)
        state = {"connection": self, "framing": exchange}
        peers = (self.tls is not None, self.client, self.server)
        return exchange, http_scope(request.method, request.target, request.headers, *peers, state)

    async def _run_simple(self, exchange: SimpleExchange, scope: Scope) -> bytes:
        """Returns what was received of the next request."""
        self.idle_since = math.inf
        try:
            await cast("InlineApp", self.inline_app).app(scope, exchange.receive, exchange.send)
        except Exception:  # noqa: BLE001  an application's error ends its request, and is logged as by Hypercorn
            await self.config.log.exception("Error in ASGI Framework")
            # Otherwise the connection is closed, which shows that the response is incomplete.
            if not exchange.response_started:
                await self._send_raw(exchange.internal_error())
        # Closed after this response: what was written may be incomplete, the rest of the request was not
        # read, or the server was told to stop.
        if self.write_failed or not exchange.is_reusable or self.context.terminated.is_set():
            await self.protocol_send(Closed())
            return b""
        self.idle_since = trio.current_time()
        # A refused call has no checkpoint: without this, pipelined ones would block all other tasks.
        if exchange.surplus:
            await trio.lowlevel.checkpoint()
        return exchange.surplus

    async def _serve_all(self, http: Http1, data: bytes) -> None:
        """Serves requests until the client has disconnected or the last response is complete. A client that
        has only half-closed stays connected as long as a response is pending."""
        # A scope can be entered once, and that of `_serve_simple` was.
        self.read_scope = trio.CancelScope()
        try:
            with self.read_scope:
                while data:
                    data = await self._process(http, data) or await self.receive()
                # A half-closed client has nothing more to send, and still reads.
                if http.response_pending and not self.disconnected:
                    await http.response_done.wait()
            self._send_close_notify()
            # Hypercorn passes it on as `http.disconnect` to the application that runs.
            await http.handle(Closed())
        finally:
            self._close_socket()

    def _close_socket(self) -> None:
        self.disconnected = True
        # Also while a write waits for the client: Hypercorn shields it from cancellation.
        self.socket.close()

    def _http(self, tasks: TaskGroup) -> Http1:
        return Http1(
            self.app,
            self.config,
            self.context,
            tasks,
            ConnectionState({"connection": self}),
            self.tls is not None,
            self.client,
            self.server,
            self.protocol_send,
            inline_app=self.inline_app,
            read=self.receive,
            write=self.write,
        )

    async def _process(self, http: Http1, data: bytes) -> bytes:
        """Runs a simple request, and returns what was received of the next one; passes anything else to
        Hypercorn's protocol."""
        if http.is_idle and (parsed := self._parse_simple(data)) is not None:
            return await self._run_simple(*parsed)
        self.simple_exchange = None
        await http.handle(RawData(data))
        return b""

    async def _send_raw(self, data: bytes) -> None:
        """Writes data; an error is ignored, because reading reports a broken connection."""
        with contextlib.suppress(*CONNECTION_ERRORS):
            await self.write(data)

    def may_be_complete(self) -> bool:
        """Whether the request that is being read may be complete with the bytes so far."""
        if self.simple_exchange is not None:
            return not self.simple_exchange.unread or len(self.peek_unread()) >= self.simple_exchange.unread
        # `peek_unread` is asked only where h11 is within a body: it is several system calls.
        return self.http is None or self.http.may_be_complete(self.peek_unread)

    def _begin_lingering_close(self) -> None:
        """Half-closes the connection (RFC 9112 §9.6). A client that may still be sending gets some time to
        read the response; what it sends is discarded."""
        self.closing = True
        if self.http is not None:
            self.http.input_closed = True
        # Closing while the client still sends makes the system reset the connection, and a reset discards the
        # response that the client has not read yet (RFC 9112 §9.6).
        peer_may_send = self.http is not None and self.http.peer_may_send
        if self.simple_exchange is not None:
            peer_may_send = self.simple_exchange.unread > 0
        # A deadline of now ends the reading at once: without a request under way there is nothing to wait
        # for.
        self.read_scope.deadline = trio.current_time() + (LINGER_SECONDS if peer_may_send else 0.0)
        self._send_close_notify()
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_WR)

    def check_idle(self, now: float) -> None:
        """Closes the connection if it has been idle for too long; polled by the listener."""
        overdue = now - self.idle_since - self.config.keep_alive_timeout
        if overdue > LINGER_SECONDS:
            self.read_scope.cancel()
        # A request that came at the last moment still runs; only a connection that is still idle is closed.
        elif overdue > 0:
            self.shutdown_read()

    def stop(self) -> None:
        """Closes the connection if it is idle; otherwise that is done after its response."""
        if self.idle_since < math.inf:
            self.shutdown_read()

    async def protocol_send(self, event: Event) -> None:
        if isinstance(event, Updated):
            self.idle_since = trio.current_time() if event.idle else math.inf
        elif isinstance(event, RawData):
            try:
                # Hypercorn's protocol must not be cancelled while it sends.
                await self.write_shielded(event.data)
            except CONNECTION_ERRORS:
                await self._handle_closed()
        else:
            self._begin_lingering_close()
            await self._handle_closed()

    async def _handle_closed(self) -> None:
        if self.http is not None:
            await self.http.handle(Closed())

    def _send_close_notify(self) -> None:
        """Sends a TLS close_notify, unless the response is incomplete, which the client detects by its
        absence. Does not wait: a client with a full socket does not read."""
        if self.tls is None:
            return
        incomplete = self.http is not None and self.http.connection.our_state in INCOMPLETE_STATES
        if self.simple_exchange is not None:
            incomplete = not self.simple_exchange.response_complete
        if not incomplete:
            with contextlib.suppress(OSError):
                os.write(self.socket.fileno(), self.tls.close_notify())
