"""A client that says exactly what a test wants on the wire."""

from __future__ import annotations

import contextlib
import functools
import json
import socket
import ssl
import struct
from dataclasses import dataclass, field
from typing import Self
from urllib.parse import urlsplit

import h11
import pytest
import trio

# For tests with the fixture `gateway`.
PLAIN_AND_TLS = pytest.mark.parametrize("gateway", ["http", "https"], indirect=True)


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes
    whole: bool  # whether it came to its proper end
    phrase: str = ""  # after the status code
    fields: list[tuple[str, str]] = field(default_factory=list)  # all headers, in their order
    trailers: list[tuple[str, str]] = field(default_factory=list)
    informational: list[tuple[int, str, dict[str, str]]] = field(default_factory=list)  # 1xx before it

    @property
    def reason(self) -> str:
        """Of an error in Google's shape, also where it is the last event of a stream."""
        document = self.body.rpartition(b"data: ")[2]
        return json.loads(document)["error"]["details"][0]["reason"]


@functools.cache
def _trusting(protocols: tuple[str, ...]) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if protocols:
        context.set_alpn_protocols(list(protocols))
    return context


class TlsClient:
    """A `SocketStream` over TLS, as HTTP uses it: the end may come without close_notify."""

    def __init__(self, stream: trio.SocketStream, *protocols: str) -> None:
        context = _trusting(protocols)
        self.tls = trio.SSLStream(stream, context, server_hostname="localhost", https_compatible=True)
        self.send_all, self.receive_some = self.tls.send_all, self.tls.receive_some
        self.send_eof, self.setsockopt, self.socket = stream.send_eof, stream.setsockopt, stream.socket

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.tls.aclose()


Stream = trio.SocketStream | TlsClient


async def connect(url: str, source: str | None = None) -> Stream:
    """`source`: the loopback address that the client comes from."""
    parts = urlsplit(url)
    stream = await trio.open_tcp_stream(parts.hostname or "", parts.port or 80, local_address=source)
    if parts.scheme == "http":
        return stream
    client = TlsClient(stream)
    await client.tls.do_handshake()
    return client


def reset(client: Stream) -> None:
    """Has the client break its connection when it closes it, as one does that has not read everything."""
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def head(line: str, headers: list[str]) -> bytes:
    return "\r\n".join([f"{line} HTTP/1.1", "Host: localhost", *headers, "", ""]).encode()


async def exchange(
    url: str,
    line: str,
    *,
    body: bytes | None = None,
    chunks: list[bytes] | None = None,
    headers: list[str] | None = None,
) -> Answer:
    """One request on a connection of its own, and its answer. `line` is method and target."""
    fields = list(headers or [])
    payload = b""
    if chunks is not None:
        fields.append("Transfer-Encoding: chunked")
        payload = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n"
    elif body is not None:
        fields.append(f"Content-Length: {len(body)}")
        payload = body
    async with await connect(url) as stream:
        with contextlib.suppress(trio.BrokenResourceError):  # it may answer before it has read everything
            await stream.send_all(head(line, fields) + payload)
        return await read(stream, line.split()[0])


async def read(stream: Stream, method: str = "POST", received: bytes = b"") -> Answer:
    """The answer, of which so much has been `received` already."""
    http = h11.Connection(h11.CLIENT)
    http.send(h11.Request(method=method, target="/", headers=[("host", "x"), ("content-length", "0")]))
    http.send(h11.EndOfMessage())
    if received:
        http.receive_data(received)
    answer = Answer(0, {}, b"", whole=False)
    chunks: list[bytes] = []
    while not answer.whole:
        try:
            event = http.next_event()
            if event is h11.NEED_DATA:
                http.receive_data(await stream.receive_some())
                continue
        except (h11.RemoteProtocolError, trio.BrokenResourceError):
            break
        if isinstance(event, h11.Response):
            answer.status = event.status_code
            answer.phrase = event.reason.decode("latin-1")
            answer.fields = [(name.decode(), value.decode("latin-1")) for name, value in event.headers]
            answer.headers = dict(answer.fields)
        elif isinstance(event, h11.InformationalResponse):
            headers = {name.decode(): value.decode("latin-1") for name, value in event.headers}
            answer.informational.append((event.status_code, event.reason.decode("latin-1"), headers))
        elif isinstance(event, h11.Data):
            chunks.append(event.data)
        elif isinstance(event, h11.EndOfMessage):
            answer.whole = True
            answer.trailers = [(name.decode(), value.decode("latin-1")) for name, value in event.headers]
        elif isinstance(event, h11.ConnectionClosed):
            break
    answer.body = b"".join(chunks)
    return answer
