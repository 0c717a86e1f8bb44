"""Accepts connections on a listening socket until it is stopped; `connection` serves each.

Why not `hypercorn.trio.serve`: see `connection`.
"""

from __future__ import annotations

import errno
import os
import socket

import trio
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.config import Config
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import ASGIFramework

from gatekeeper.logs import RateLimitedLog
from gatekeeper.server.asgi_types import InlineApp
from gatekeeper.server.certificate import ServerCertificate
from gatekeeper.server.connection import ClientConnection
from gatekeeper.server.simple_exchange import SimpleRequests
from gatekeeper.server.tls import TlsAcceptor

FD_LIMIT_ERRNOS = (errno.EMFILE, errno.ENFILE)  # of the process, of the machine
SWEEP_SECONDS = 1.0  # seconds between two checks for idle connections
ACCEPT_RETRY_SECONDS = 0.1  # seconds until the next accept after one has failed


class Listener:
    """One listening socket and its connections. An error of one connection, or in accepting it, does not
    affect others."""

    def __init__(
        self,
        app: ASGIFramework,
        config: Config,
        listener: socket.socket,
        inline_app: InlineApp | None,
        certificate: ServerCertificate | None = None,
    ) -> None:
        self.app = ASGIWrapper(app)
        self.inline_app = inline_app
        self.simple_requests = (
            SimpleRequests(inline_app.prefixes, config.h11_max_incomplete_size) if inline_app else None
        )
        self.config = config
        self.context = WorkerContext(None)
        self.listener = trio.SocketListener(trio.socket.from_stdlib_socket(listener))
        self.tls = TlsAcceptor(certificate) if certificate else None
        self.open: set[ClientConnection] = set()
        self.connection_errors = RateLimitedLog("connection_failed")
        self.accept_errors = RateLimitedLog("accept_failed")

    async def accept(self, connections: trio.Nursery) -> None:
        """Accepts connections until cancelled."""
        async with self.listener:
            while True:
                try:
                    stream = await self.listener.accept()
                except OSError as error:
                    code = error.errno or 0
                    kind = errno.errorcode.get(code, str(code))
                    todo = (
                        {"remedy": "raise the limit of open files (ulimit -n)"}
                        if code in FD_LIMIT_ERRNOS
                        else {}
                    )
                    self.accept_errors.record(kind, detail=os.strerror(code), **todo)
                    # The connection is still in the queue: without a pause the same error would repeat at
                    # once.
                    await trio.sleep(ACCEPT_RETRY_SECONDS)
                else:
                    connections.start_soon(self.serve, stream)

    async def serve(self, stream: trio.SocketStream) -> None:
        """Runs one connection. An exception ends that connection only; cancellation and interrupts pass."""
        try:
            session = None
            if self.tls and not (session := await self.tls.accept(stream)):
                return
            connection = ClientConnection(
                self.app, self.config, self.context, stream, self.inline_app, self.simple_requests, session
            )
            self.open.add(connection)
            try:
                await connection.run()
            finally:
                self.open.discard(connection)
                connection.release()
        # `except*`, because a connection's nursery raises groups; a cancellation among them passes.
        except* Exception as errors:  # noqa: BLE001  whatever it is, the other connections continue
            self.connection_errors.record_exception_group(errors)
        finally:
            stream.socket.close()

    async def sweep(self) -> None:
        """Closes idle connections, in one task; Hypercorn starts and cancels a timer for each request."""
        while True:
            # A timeout of a second should not take two.
            await trio.sleep(min(SWEEP_SECONDS, self.config.keep_alive_timeout / 4))
            now = trio.current_time()
            for connection in self.open:
                connection.check_idle(now)


async def serve_listener(
    app: ASGIFramework,
    config: Config,
    listener: socket.socket,
    stop: trio.Event,
    inline_app: InlineApp | None = None,
    certificate: ServerCertificate | None = None,
) -> None:
    """Accepts connections for an ASGI application, and for `inline_app`, until `stop`; then closes the idle
    ones, lets the others finish for `config.graceful_timeout` seconds, and returns. The socket is closed.
    With a certificate they are TLS connections."""
    server = Listener(app, config, listener, inline_app, certificate)
    async with trio.open_nursery() as connections:
        async with trio.open_nursery() as accepting:
            accepting.start_soon(server.accept, connections)
            accepting.start_soon(server.sweep)
            await stop.wait()
            accepting.cancel_scope.cancel()
        # Before the loop: a connection whose request ends meanwhile then closes by itself.
        await server.context.terminated.set()
        for connection in server.open:
            connection.stop()
        # After the accepting has ended: no handshake begins any more.
        if server.tls:
            server.tls.cancel_handshakes()
        connections.cancel_scope.deadline = trio.current_time() + config.graceful_timeout
