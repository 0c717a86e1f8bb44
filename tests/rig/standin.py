"""A stand-in for Google that does exactly what a test's script says, byte for byte, over real sockets."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial

import h11
import trio


@dataclass
class Asked:
    """One request as it arrived."""

    method: str
    target: bytes
    headers: list[tuple[bytes, bytes]]
    body: bytes = b""
    chunks: list[bytes] = field(default_factory=list)
    connection: int = 0
    trailers: list[tuple[bytes, bytes]] = field(default_factory=list)

    def header(self, name: str) -> list[str]:
        return [value.decode() for key, value in self.headers if key == name.encode()]


class Reply:
    """What the script can do with one request: it holds the raw stream, nothing is done for it."""

    def __init__(self, stream: trio.SocketStream, asked: Asked) -> None:
        self.stream = stream
        self.asked = asked

    async def raw(self, data: bytes) -> None:
        await self.stream.send_all(data)

    async def json(self, body: bytes, status: int = 200, headers: tuple[str, ...] = ()) -> None:
        lines = [f"HTTP/1.1 {status} X", "Content-Type: application/json; charset=UTF-8", *headers]
        head = "\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""])
        await self.raw(head.encode() + body)

    async def chunked(
        self,
        chunks: list[bytes],
        content_type: str = "text/event-stream",
        status: int = 200,
        end: bool = True,
    ) -> None:
        lines = [f"HTTP/1.1 {status} X", f"Content-Type: {content_type}", "Transfer-Encoding: chunked"]
        await self.raw("\r\n".join([*lines, "", ""]).encode())
        for chunk in chunks:
            await self.raw(b"%x\r\n%b\r\n" % (len(chunk), chunk))
            await trio.lowlevel.checkpoint()
        if end:
            await self.raw(b"0\r\n\r\n")

    async def hung_up(self) -> None:
        """Returns when the other side has closed."""
        while await self.stream.receive_some():
            pass


Script = Callable[[Reply], Awaitable[None]]


class StandIn:
    """`asked` holds all requests in order; `script` answers the next ones. A script that returns leaves the
    connection open for the next request unless it closed it."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.script: Script = answer_ok
        self.connections = 0
        self.open = 0
        self.url = ""
        self._first_script: Script | None = None  # what the fixtures of a test have left

    async def begin_case(self) -> None:
        """See `rig.cases`."""
        self._first_script = self._first_script or self.script
        self.asked, self.script, self.connections = [], self._first_script, 0

    async def handle(self, stream: trio.SocketStream) -> None:
        self.connections += 1
        self.open += 1
        number = self.connections
        try:
            async with stream:
                while asked := await self.read(stream, number):
                    self.asked.append(asked)
                    await self.script(Reply(stream, asked))
        except (trio.BrokenResourceError, trio.ClosedResourceError, h11.RemoteProtocolError):
            pass
        finally:
            self.open -= 1

    async def read(self, stream: trio.SocketStream, number: int) -> Asked | None:
        http = h11.Connection(h11.SERVER)
        asked: Asked | None = None
        while True:
            event = http.next_event()
            if event is h11.NEED_DATA:
                data = await stream.receive_some()
                if not data and asked is None:
                    return None
                http.receive_data(data)
            elif isinstance(event, h11.Request):
                headers = list(event.headers)
                asked = Asked(event.method.decode(), event.target, headers, connection=number)
            elif isinstance(event, h11.Data):
                assert asked is not None
                asked.chunks.append(bytes(event.data))
            else:
                if asked is not None:
                    asked.body = b"".join(asked.chunks)
                    if isinstance(event, h11.EndOfMessage):
                        asked.trailers = list(event.headers)
                return asked


async def answer_ok(reply: Reply) -> None:
    await reply.json(b'{"candidates": [], "usageMetadata": {"promptTokenCount": 1, "totalTokenCount": 1}}')


@asynccontextmanager
async def standing_in() -> AsyncIterator[StandIn]:
    stand_in = StandIn()
    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(partial(trio.serve_tcp, stand_in.handle, 0, host="127.0.0.1"))
        port = listeners[0].socket.getsockname()[1]
        stand_in.url = f"http://127.0.0.1:{port}"
        yield stand_in
        nursery.cancel_scope.cancel()
