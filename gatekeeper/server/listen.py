"""HTTP on a listening socket, from now until told to stop."""

from __future__ import annotations

import errno
import os
import socket

import trio
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.config import Config
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import ASGIFramework

from gatekeeper.logs import Seldom
from gatekeeper.server.application import Direct
from gatekeeper.server.connection import ClientConnection

FULL = (errno.EMFILE, errno.ENFILE)  # of the process, of the machine
PAUSE = 0.1  # seconds without accepting, after the system has refused a connection


class Listener:
    """One listening socket and the connections that came by it. Nothing that goes wrong with one of them, or
    with accepting it, reaches another."""

    def __init__(
        self, app: ASGIFramework, config: Config, listener: socket.socket, directly: Direct | None
    ) -> None:
        self.app = ASGIWrapper(app)
        self.directly = directly
        self.config = config
        self.context = WorkerContext(None)
        self.listener = trio.SocketListener(trio.socket.from_stdlib_socket(listener))
        self.failed = Seldom("connection_failed")
        self.refused = Seldom("accept_failed")

    async def accept(self, connections: trio.Nursery) -> None:
        """Takes on connections until cancelled."""
        async with self.listener:
            while True:
                try:
                    stream = await self.listener.accept()
                except OSError as fault:
                    code = fault.errno or 0
                    kind = errno.errorcode.get(code, str(code))
                    todo = {"remedy": "raise the limit of open files (ulimit -n)"} if code in FULL else {}
                    self.refused.note(kind, detail=os.strerror(code), **todo)
                    # The connection is still in the queue: without a pause the same error comes at once, for
                    # ever.
                    await trio.sleep(PAUSE)
                else:
                    connections.start_soon(self.serve, stream)

    async def serve(self, stream: trio.SocketStream) -> None:
        """One connection. What it raises ends it, and only it; a cancellation, or an interrupt, passes."""
        try:
            await ClientConnection(self.app, self.config, self.context, stream, self.directly).run()
        # `except*`, because a connection's nursery raises groups; a cancellation among them passes.
        except* Exception as faults:  # noqa: BLE001  whatever it is, the other connections go on
            self.failed.note_each(faults)
        finally:
            stream.socket.close()


async def listen(
    app: ASGIFramework,
    config: Config,
    listener: socket.socket,
    stop: trio.Event,
    directly: Direct | None = None,
) -> None:
    """Accepts connections for an ASGI application, and for one that answers `directly`, until `stop`; then
    closes the idle ones, lets the others finish for `config.graceful_timeout` seconds, and returns. The
    socket is closed."""
    server = Listener(app, config, listener, directly)
    async with trio.open_nursery() as connections:
        async with trio.open_nursery() as accepting:
            accepting.start_soon(server.accept, connections)
            await stop.wait()
            accepting.cancel_scope.cancel()
        await server.context.terminated.set()
        connections.cancel_scope.deadline = trio.current_time() + config.graceful_timeout
