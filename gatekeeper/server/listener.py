"""HTTP on a listening socket, from now until told to stop; each connection by Hypercorn's protocol.

Why not `hypercorn.trio.serve`: in 0.18 a connection whose client has hung up is held by the timer of its
idleness until the keep-alive time is over. Measured: 900 streams on connections of their own left 708 sockets
in CLOSE-WAIT for 75 s; here none. Its timer for each request and what it does around each write cost as much
as a third of a call (a unary call was 1.4 times the bare proxy's, and is 1.0). All else is Hypercorn's.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import math
import os
import select
import socket
import sys
import termios
from typing import TYPE_CHECKING, cast

import trio
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.config import Config
from hypercorn.events import Closed, Event, RawData, Updated
from hypercorn.trio.task_group import TaskGroup
from hypercorn.trio.tcp_server import MAX_RECV, TCPServer
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import ASGIFramework, ConnectionState

from gatekeeper.logs import Seldom
from gatekeeper.server.application import Direct
from gatekeeper.server.http1 import Http1

if TYPE_CHECKING:
    from hypercorn.app_wrappers import ASGIWrapper
    from hypercorn.config import Config
    from hypercorn.protocol import ProtocolWrapper
    from hypercorn.trio.worker_context import WorkerContext

# Linux tells that the client has ended its side; elsewhere that shows once all before it has been read.

ENDED = getattr(select, "POLLRDHUP", select.POLLIN)
LINGER = 2.0  # seconds that a client gets to read the answer to what it has not sent whole


class ClientConnection(TCPServer):
    """A connection that ends with its client, and writes at once what can be written without waiting: a lock,
    a cancel scope and two checkpoints for each write cost more than the write."""

    idle_since = math.inf  # on trio's clock; for ever while it is busy
    left = False  # the client has gone, and what it began is not whole
    ended_well = False  # its side, behind what may be a whole request

    def __init__(
        self,
        app: ASGIWrapper,
        config: Config,
        context: WorkerContext,
        stream: trio.SocketStream,
        directly: Direct | None,
    ) -> None:
        # Hypercorn annotates the stream of a plain connection as the TLS one.
        plain = cast("trio.SSLStream[trio.SocketStream]", stream)
        super().__init__(app, config, context, ConnectionState({}), plain)
        self.directly = directly

    async def run(self) -> None:
        self.idle_since = trio.current_time()
        # Scopes of their own: reading may end while an answer is still being written.
        self.reading, self.idling = trio.CancelScope(), trio.CancelScope()
        self.socket = cast("trio.SocketStream", self.stream).socket
        self.looking = select.poll()
        self.looking.register(self.socket.fileno(), ENDED)  # errors and hang-ups are always looked for
        try:
            # A client may have gone between its connect and our accept; then the system knows no name for it.
            client, server = self.socket.getpeername()[:2], self.socket.getsockname()[:2]
        except OSError:
            return  # it was gone before it could be asked who it is
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
            False,
            client,
            server,
            self.protocol_send,
            directly=self.directly,
            read=self._receive,
        )

    async def _read_data(self) -> None:
        """Until the client has left, or all has been said. A client that has ended its own side only is there
        as long as it can be answered."""
        try:
            with self.reading:
                while data := await self._receive():
                    await self.http.handle(RawData(data))
                if self.http.owes_answer and not self.left:
                    await self.http.answered.wait()
            await self.http.handle(Closed())
        finally:
            self.left = True
            # Also under a write that waits for the client: that is shielded from cancellation.
            self.socket.close()
        self.idling.cancel()

    async def _receive(self) -> bytes:
        """What has come; nothing at the end, proper or not."""
        try:
            return bytes(await self.stream.receive_some(MAX_RECV))
        except (trio.ClosedResourceError, trio.BrokenResourceError):
            self.left = True
            return b""

    def has_gone(self) -> bool:
        """Whether the client has left with what it began, or the connection is broken: the socket itself
        knows, also while nothing is read from it."""
        if self.left:
            return True
        # Without waiting and without reading: the body may be nobody's yet, and must stay where it is.
        looked = self.looking.poll(0)
        if not looked:
            return False
        if looked[0][1] & (select.POLLERR | select.POLLHUP):
            return True
        if not self.ended_well:
            try:
                if ENDED == select.POLLIN and self._unread():
                    return False
                self.ended_well = self.http.can_be_whole(self._unread)
            except OSError:  # no descriptor is left for a look: there will be another
                return False
        return not self.ended_well

    def _unread(self) -> bytes:
        """What the system has for us; the client has sent its last."""
        # trio's socket has no look at what is unread, and the descriptor is its own to close: hence a copy.
        with socket.socket(fileno=os.dup(self.socket.fileno())) as copy:
            size = int.from_bytes(fcntl.ioctl(copy, termios.FIONREAD, bytes(4)), sys.byteorder)
            return copy.recv(size, socket.MSG_PEEK | socket.MSG_DONTWAIT) if size else b""

    def _part(self) -> None:
        """Ends our side. A client that may be sending gets a moment to read what it was told before it is cut
        off, and what it sends is thrown away."""
        self.http.deaf = True
        # Closing on a client that still sends makes the system reset the connection, and a reset throws away
        # what the client has not read yet: the answer (RFC 9112 §9.6).
        self.reading.deadline = trio.current_time() + (LINGER if self.http.more_may_come else 0.0)
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_WR)

    async def _idle_timeout(self) -> None:
        """One task for the connection's life, where Hypercorn starts and cancels one for each request."""
        keep, terminated = self.config.keep_alive_timeout, self.context.terminated
        with self.idling:
            while not terminated.is_set():
                wait = self.idle_since + keep - trio.current_time()
                if wait > 0:
                    with trio.move_on_after(min(wait, keep)):
                        await terminated.wait()
                else:
                    self._take_no_more()
                    # What came at the last moment is still read and answered; only who stays idle is cut off.
                    await trio.sleep(LINGER)
                    if self.idle_since + keep < trio.current_time():
                        self.reading.cancel()
            # Else the protocol closes it after its answer.
            if self.idle_since < math.inf:
                self._take_no_more()

    def _take_no_more(self) -> None:
        """Has the reader find the end, behind what may just have come: that is still answered."""
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RD)

    async def protocol_send(self, event: Event) -> None:
        if isinstance(event, Updated):
            self.idle_since = trio.current_time() if event.idle else math.inf
        elif isinstance(event, RawData):
            # Hypercorn's own way waits for its lock; it is taken only for what does not fit at once.
            if rest := self._written_at_once(event.data):
                await super().protocol_send(RawData(rest))
        else:
            self._part()
            await self.http.handle(Closed())

    def _written_at_once(self, data: bytes) -> bytes:
        """What is left of the data for the way that waits, which also meets whatever error there is."""
        if data and not self.send_lock.locked():
            with contextlib.suppress(OSError):
                return data[os.write(self.socket.fileno(), data) :]
        return data


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
