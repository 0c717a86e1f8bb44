"""Hypercorn's HTTP on one connection.

Why not `hypercorn.trio.serve`: in 0.18 a connection whose client has hung up is held by the timer of its
idleness until the keep-alive time is over. Measured: 900 streams on connections of their own left 708 sockets
in CLOSE-WAIT for 75 s; here none. Its timer for each request and what it does around each write cost as much
as a third of a call (a unary call was 1.4 times the bare proxy's, and is 1.0). All else is Hypercorn's.
"""

from __future__ import annotations

import contextlib
import math
import os
import socket
from typing import TYPE_CHECKING, cast

import trio
from hypercorn.events import Closed, Event, RawData, Updated
from hypercorn.trio.task_group import TaskGroup
from hypercorn.trio.tcp_server import MAX_RECV, TCPServer
from hypercorn.typing import ConnectionState

from gatekeeper.server.http1 import Http1

if TYPE_CHECKING:
    from hypercorn.protocol import ProtocolWrapper

LINGER = 2.0  # seconds that a client gets to read the answer to what it has not sent whole


class Peer(TCPServer):
    """A connection that ends with its client, and writes at once what can be written without waiting: a lock,
    a cancel scope and two checkpoints for each write cost more than the write."""

    idle_since = math.inf  # on trio's clock; for ever while it is busy
    parting = False  # all has been said; what still comes is not looked at

    async def run(self) -> None:
        self.idle_since = trio.current_time()
        self.reading, self.idling = trio.CancelScope(), trio.CancelScope()
        self.socket = cast("trio.SocketStream", self.stream).socket
        try:
            async with TaskGroup() as tasks:
                self.protocol = cast("ProtocolWrapper", self._http(tasks))
                tasks.spawn(self._idle_timeout)  # pyright: ignore[reportUnknownMemberType]
                await self._read_data()
        except OSError:
            pass  # it was gone before it could be asked who it is
        finally:
            await self._close()

    def _http(self, tasks: TaskGroup) -> Http1:
        self.http = Http1(
            self.app,
            self.config,
            self.context,
            tasks,
            ConnectionState(self.state),
            False,
            self.socket.getpeername()[:2],
            self.socket.getsockname()[:2],
            self.protocol_send,
        )
        return self.http

    async def _read_data(self) -> None:
        try:
            with self.reading:
                while data := await self._receive():
                    if not self.parting:
                        await self.protocol.handle(RawData(data))
            if not self.parting:
                await self.protocol.handle(RawData(b""))
            await self.protocol.handle(Closed())
        except Exception:
            # Or a write that waits for the client, shielded from cancellation, would keep the connection.
            self.socket.close()
            raise
        self.idling.cancel()

    async def _receive(self) -> bytes:
        """What has come; nothing at the end, also where there is no proper one."""
        try:
            return bytes(await self.stream.receive_some(MAX_RECV))
        except (trio.ClosedResourceError, trio.BrokenResourceError):
            return b""

    def _part(self) -> None:
        """Ends our side, and leaves the client a moment to read what it was told before it is cut off."""
        self.parting = True
        self.reading.deadline = trio.current_time() + LINGER
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_WR)

    async def _idle_timeout(self) -> None:
        """One task for the connection's life, where Hypercorn starts and cancels one for each request."""
        keep = self.config.keep_alive_timeout
        with self.idling:
            while (wait := self.idle_since + keep - trio.current_time()) > 0:
                with trio.move_on_after(min(wait, keep)):
                    await self.context.terminated.wait()
                    if self.idle_since == math.inf:
                        return  # the protocol closes it after its answer
                    break
            with trio.CancelScope(shield=True):
                await self._initiate_server_close()

    async def protocol_send(self, event: Event) -> None:
        if isinstance(event, Updated):
            self.idle_since = trio.current_time() if event.idle else math.inf
            return
        if isinstance(event, RawData):
            event = RawData(self._written_at_once(event.data))
            if not event.data:
                return
        if isinstance(event, Closed) and self.http.more_may_come:
            self._part()
            await self.protocol.handle(Closed())
            return
        await super().protocol_send(event)

    def _written_at_once(self, data: bytes) -> bytes:
        """What is left of the data for the way that waits, which also meets whatever error there is."""
        if data and not self.send_lock.locked():
            with contextlib.suppress(OSError):
                return data[os.write(self.socket.fileno(), data) :]
        return data
