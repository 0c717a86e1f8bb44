"""A client of `/calls/stream` that reads block by block."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlencode

import h11
import trio


class Listener:
    """One connection, on which the stream is read block by block."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self._stream = stream
        self._http = h11.Connection(h11.CLIENT)
        self._text = ""

    async def ask(self, target: str, headers: dict[str, str]) -> h11.Response:
        request = h11.Request(method="GET", target=target, headers=[("Host", "localhost"), *headers.items()])
        await self._stream.send_all(self._http.send(request) + self._http.send(h11.EndOfMessage()))
        return await self._next()

    async def _next(self) -> Any:
        with trio.fail_after(5):
            while (event := self._http.next_event()) is h11.NEED_DATA:
                self._http.receive_data(await self._stream.receive_some())
        return event

    async def block(self) -> str | None:
        """What stands before the next blank line; None at the stream's end."""
        while "\n\n" not in self._text:
            event = await self._next()
            if isinstance(event, h11.EndOfMessage):
                assert self._text == ""
                return None
            self._text += event.data.decode()
        block, self._text = self._text.split("\n\n", 1)
        return block

    async def event(self) -> dict[str, str] | None:
        """The next one that is no comment and no tick."""
        while (block := await self.block()) is not None:
            fields = dict(line.split(": ", 1) for line in block.split("\n") if not line.startswith(":"))
            if fields and fields["event"] != "tick":
                return fields
        return None


@asynccontextmanager
async def listening(
    admin: Any, last: str | None = None, secret: str | None = None, **params: str
) -> AsyncIterator[Listener]:
    url = admin.client.base_url
    async with await trio.open_tcp_stream(url.host, url.port) as stream:
        listener = Listener(stream)
        headers = {"Last-Event-ID": last} if last else {}
        if secret:
            headers["Authorization"] = f"Bearer {secret}"
        response = await listener.ask(f"/calls/stream?{urlencode(params)}", headers)
        assert response.status_code == 200
        assert (b"content-type", b"text/event-stream") in list(response.headers)
        assert await listener.block() == ":"  # at once: this is how a client knows that it is connected
        yield listener
