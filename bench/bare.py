"""The smallest proxy on the same stack: raw ASGI on Hypercorn, one HTTP/1.1 connection per call from a stack.

No keys, no ledger, no meter, no timeouts, no answer to failures: what is left when everything that makes a
gateway is taken away. It asks upstream through h11 on a trio stream, or with `--httpcore` through httpcore2's
connection without its pool.
"""

import argparse
import ssl
from urllib.parse import urlsplit

import h11
import httpcore2
import trio
from httpcore2._async.http11 import AsyncHTTP11Connection
from httpcore2._backends.trio import TrioBackend
from hypercorn.config import Config
from hypercorn.trio import serve

PREFIX = len("/gemini")
HOP_BY_HOP = {b"connection", b"keep-alive", b"transfer-encoding", b"te", b"upgrade", b"host"}


class H11:
    """A connection of h11's; `status` and `headers` are the answer's once `ask` has returned."""

    def __init__(self, socket: trio.socket.SocketType, stream: trio.abc.Stream) -> None:
        self.socket, self.stream, self.http = socket, stream, h11.Connection(h11.CLIENT)

    @classmethod
    async def connect(cls, host: str, port: int, tls: ssl.SSLContext | None) -> "H11":
        plain = await trio.open_tcp_stream(host, port)
        secure = trio.SSLStream(plain, tls, server_hostname=host, https_compatible=True) if tls else plain
        return cls(plain.socket, secure)

    def lives(self) -> bool:
        return not self.socket.is_readable()

    async def event(self) -> h11.Event:
        while (event := self.http.next_event()) is h11.NEED_DATA:
            self.http.receive_data(await self.stream.receive_some(65536))
        return event

    async def ask(self, method: str, target: bytes, headers: list, body: bytes) -> None:
        sent = (h11.Request(method=method, target=target, headers=headers), h11.Data(data=body))
        await self.stream.send_all(b"".join(self.http.send(event) for event in (*sent, h11.EndOfMessage())))
        answer = await self.event()
        self.status, self.headers = answer.status_code, answer.headers

    async def chunk(self) -> bytes | None:
        if isinstance(event := await self.event(), h11.Data):
            return bytes(event.data)
        self.http.start_next_cycle()
        return None


class Httpcore:
    """The same by httpcore2."""

    def __init__(self, http: AsyncHTTP11Connection, url: httpcore2.URL) -> None:
        self.http, self.url = http, url

    @classmethod
    async def connect(cls, host: str, port: int, _: None) -> "Httpcore":
        stream = await TrioBackend().connect_tcp(host, port)
        origin = httpcore2.Origin(b"http", host.encode(), port)
        return cls(AsyncHTTP11Connection(origin, stream), httpcore2.URL(f"http://{host}:{port}"))

    def lives(self) -> bool:
        return not self.http.has_expired()

    async def ask(self, method: str, target: bytes, headers: list, body: bytes) -> None:
        url = httpcore2.URL(scheme=self.url.scheme, host=self.url.host, port=self.url.port, target=target)
        request = httpcore2.Request(method, url, headers=headers, content=body)
        self.answer = await self.http.handle_async_request(request)
        self.status, self.headers = self.answer.status, [(k.lower(), v) for k, v in self.answer.headers]
        self.body = aiter(self.answer.stream)

    async def chunk(self) -> bytes | None:
        if (chunk := await anext(self.body, None)) is None:
            await self.answer.aclose()
        return chunk


class Bare:
    """The ASGI application."""

    def __init__(self, kind: type[H11] | type[Httpcore], upstream: str) -> None:
        parts = urlsplit(upstream)
        self.kind, self.host, self.port = kind, parts.hostname, parts.port
        self.authority = parts.netloc.encode()
        self.tls = ssl.create_default_context() if parts.scheme == "https" else None
        self.idle: list[H11 | Httpcore] = []

    async def __call__(self, scope, receive, send) -> None:
        if scope["type"] == "lifespan":
            while (message := await receive())["type"] != "lifespan.shutdown":
                await send({"type": message["type"] + ".complete"})
            await send({"type": "lifespan.shutdown.complete"})
            return
        message = await receive()
        body = message["body"]
        while message["more_body"]:
            message = await receive()
            body += message["body"]
        connection = await self.take()
        query = b"?" + scope["query_string"] if scope["query_string"] else b""
        headers = [
            (b"host", self.authority),
            *(pair for pair in scope["headers"] if pair[0] not in HOP_BY_HOP),
        ]
        await connection.ask(scope["method"], scope["raw_path"][PREFIX:] + query, headers, body)
        await self.answer(connection, send)
        self.idle.append(connection)

    async def take(self) -> H11 | Httpcore:
        while self.idle:
            if (connection := self.idle.pop()).lives():
                return connection
        return await self.kind.connect(self.host, self.port, self.tls)

    async def answer(self, connection: H11 | Httpcore, send) -> None:
        headers = [pair for pair in connection.headers if pair[0] not in HOP_BY_HOP]
        left = next((int(value) for name, value in headers if name == b"content-length"), None)
        await send({"type": "http.response.start", "status": connection.status, "headers": headers})
        while (chunk := await connection.chunk()) is not None:
            left = None if left is None else left - len(chunk)
            await send({"type": "http.response.body", "body": chunk, "more_body": left != 0})
        if left != 0:
            await send({"type": "http.response.body", "body": b"", "more_body": False})


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("port", type=int)
    parser.add_argument("upstream", help="http://HOST:PORT, or https:// without --httpcore")
    parser.add_argument("--httpcore", action="store_true")
    given = parser.parse_args()
    config = Config()
    config.bind, config.backlog, config.errorlog = [f"127.0.0.1:{given.port}"], 4096, None
    config.keep_alive_timeout, config.keep_alive_max_requests = 75, 10**9
    config.include_date_header = config.include_server_header = False
    trio.run(serve, Bare(Httpcore if given.httpcore else H11, given.upstream), config)
