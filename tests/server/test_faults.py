"""What goes wrong inside one connection ends that connection, and nothing else."""

from __future__ import annotations

import errno
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
from hypercorn.config import Config
from hypercorn.events import Closed, Event, RawData
from rig.logs import capture_logs
from rig.wire import connect, head, read

from gatekeeper.logs import HypercornLogger, RateLimitedLog
from gatekeeper.server import connection as server
from gatekeeper.server.asgi_types import InlineApp, Receive, Send
from gatekeeper.server.http1 import Http1
from gatekeeper.server.listener import serve_listener
from gatekeeper.server.simple_exchange import SimpleExchange

STREAMS = 300
PIECES = 5


class Injected(Exception):
    """Not one of the errors that a server library expects."""


STAGES = ("creation", "task", "data", "group", "send", "close", "idle")
CHUNKED = head("GET /", ["Transfer-Encoding: chunked"]) + b"0\r\n\r\n"


class Faulty(Http1):
    """Hypercorn's protocol, which raises at the stage that its connection's request names."""

    stage = ""  # for the connections that are made from now on

    def __init__(self, *words: Any, **named: Any) -> None:
        super().__init__(*words, **named)
        self.at = Faulty.stage
        self._raise_at("creation")
        if self.at == "task":
            self.task_group.spawn(self._fail)
        self._plain_send, self.send = self.send, self._send

    def _raise_at(self, *stages: str) -> None:
        if self.at in stages:
            raise Injected

    async def _fail(self) -> None:
        raise Injected

    async def _send(self, event: Event) -> None:
        self._raise_at("send")
        await self._plain_send(event)

    async def handle(self, event: Event) -> None:
        if isinstance(event, RawData) and event.data:
            self._raise_at("data")
            if self.at == "group":
                raise ExceptionGroup("two at once", [Injected(), ExceptionGroup("deep", [Injected()])])
        if isinstance(event, Closed):
            self._raise_at("close", "idle")
        await super().handle(event)


class FaultyExchange(SimpleExchange):
    """A plain request and its response, likewise."""

    def __init__(self, *words: Any) -> None:
        if Faulty.stage == "exchange":
            raise Injected
        super().__init__(*words)
        self.fails_at_end = Faulty.stage == "reuse"

    @property
    def is_reusable(self) -> bool:
        if self.fails_at_end:
            raise Injected
        return super().is_reusable


class Streams:
    """An application whose streams go on when they are told to."""

    def __init__(self) -> None:
        self.begun = 0
        self.go_on = trio.Event()

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        if scope["path"] == "/stream":
            await send({"type": "http.response.body", "body": b"begun ", "more_body": True})
            self.begun += 1
            await self.go_on.wait()
            for number in range(PIECES):
                await send({"type": "http.response.body", "body": b"%d " % number, "more_body": True})
        await send({"type": "http.response.body", "body": b"whole", "more_body": False})


@asynccontextmanager
async def served(app: Any, keep_alive: float = 75.0, prefix: bytes | None = None) -> AsyncIterator[str]:
    """`prefix`: of the targets that are answered in their connection's own task."""
    inline_app = None if prefix is None else InlineApp((prefix,), app)
    config, stop = Config(), trio.Event()
    config.keep_alive_timeout, config.graceful_timeout = keep_alive, 1
    config.logger_class = HypercornLogger  # pyright: ignore[reportAttributeAccessIssue]
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as listener:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(serve_listener, app, config, listener, stop, inline_app)
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
            stop.set()


async def until_closed(client: trio.SocketStream) -> bytes:
    received = b""
    try:
        while data := await client.receive_some():
            received += data
    except trio.BrokenResourceError:
        pass
    return received


async def meet(url: str, stage: str) -> None:
    """One connection that fails at a stage; returns once it has been closed."""
    Faulty.stage = stage
    async with await connect(url) as client:
        # A chunked one is not a plain request.
        plain = stage in ("exchange", "reuse")
        await client.send_all(head("GET /", []) if plain else CHUNKED)
        if stage == "close":
            await read(client, "GET")
            await client.send_eof()
        await until_closed(client)
    Faulty.stage = ""


@pytest.mark.parametrize("prefix", [None, b"/"])
async def test_what_a_connection_raises_ends_that_connection(
    monkeypatch: pytest.MonkeyPatch, prefix: bytes | None
) -> None:
    monkeypatch.setattr(server, "Http1", Faulty)
    monkeypatch.setattr(server, "SimpleExchange", FaultyExchange)
    streams = Streams()
    answers: list[bytes] = []

    async def follow(url: str) -> None:
        async with await connect(url) as client:
            await client.send_all(head("GET /stream", []))
            answer = await read(client, "GET")
            assert answer.whole
            answers.append(answer.body)

    with trio.fail_after(20), capture_logs() as logged:
        async with served(streams, 0.2, prefix) as url, trio.open_nursery() as nursery:
            for _ in range(STREAMS):
                nursery.start_soon(follow, url)
            while streams.begun < STREAMS:
                await trio.sleep(0.01)
            for stage in STAGES + (("exchange", "reuse") if prefix else ()):
                await meet(url, stage)
            async with await connect(url) as later:
                await later.send_all(head("GET /", []))
                assert (await read(later, "GET")).body == b"whole"
            streams.go_on.set()
    assert answers == [b"begun 0 1 2 3 4 whole"] * STREAMS
    kinds = [line["kind"] for line in logged if line["event"] == "connection_failed"]
    assert kinds == ["Injected"], "one line for a kind of error, however often it comes"


async def test_a_write_that_waits_does_not_keep_a_connection_that_failed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Hypercorn shields its writes from cancellation: the socket itself must be closed."""
    ended = trio.Event()

    async def endless(scope: dict[str, Any], receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        try:
            while True:
                await send({"type": "http.response.body", "body": bytes(2**20), "more_body": True})
                await trio.lowlevel.checkpoint()
        finally:
            ended.set()

    class AtItsSecond(Http1):
        seen = 0

        async def handle(self, event: Event) -> None:
            self.seen += isinstance(event, RawData)
            if self.seen == 2:
                raise Injected
            await super().handle(event)

    monkeypatch.setattr(server, "Http1", AtItsSecond)
    with trio.fail_after(5):
        async with served(endless) as url, await connect(url) as client:
            await client.send_all(head("GET /", []))
            await client.receive_some()
            await trio.sleep(0.1)  # until nothing more fits into the sockets
            await client.send_all(b"more")
            await ended.wait()


async def test_an_answer_whose_head_was_cut_is_broken_off() -> None:
    """The client must not take what comes behind it for a whole answer."""

    async def cancelled(scope: dict[str, Any], receive: Receive, send: Send) -> None:
        with trio.CancelScope() as cut:
            cut.cancel()
            headers = [(b"x-large", b"x" * 2**24)]
            await send({"type": "http.response.start", "status": 200, "headers": headers})

    with trio.fail_after(5), capture_logs() as logged:
        async with served(cancelled) as url, await connect(url) as client:
            await client.send_all(head("GET /", []))
            received = await until_closed(client)
    assert received.startswith(b"HTTP/1.1 200")
    assert b"\r\n\r\n" not in received
    assert logged == []


async def test_an_interrupt_passes_and_what_it_came_with_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Interrupted(Http1):
        async def handle(self, event: Event) -> None:
            raise BaseExceptionGroup("both", [KeyboardInterrupt(), Injected()])

    monkeypatch.setattr(server, "Http1", Interrupted)

    async def send_something() -> None:
        async with served(Streams()) as url, await connect(url) as client:
            await client.send_all(b"x")
            await trio.sleep_forever()

    with capture_logs() as logged, pytest.raises(BaseExceptionGroup) as caught:
        await send_something()
    passed, rest = caught.value.split(KeyboardInterrupt)
    assert (passed is not None, rest) == (True, None)
    assert [line["kind"] for line in logged] == ["Injected"]


async def test_an_accept_that_fails_is_tried_again_and_told_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plain, failures = trio.SocketListener.accept, [errno.EMFILE, errno.ENOBUFS, errno.EPERM, errno.EMFILE]

    async def accept(self: trio.SocketListener) -> trio.SocketStream:
        if failures:
            raise OSError(failures.pop(), "injected")
        return await plain(self)

    monkeypatch.setattr(trio.SocketListener, "accept", accept)
    with trio.fail_after(5), capture_logs() as logged:
        async with served(Streams()) as url, await connect(url) as client:
            await client.send_all(head("GET /", []))
            assert (await read(client, "GET")).body == b"whole"
    kinds = [line["kind"] for line in logged if line["event"] == "accept_failed"]
    assert kinds == ["EMFILE", "EPERM", "ENOBUFS"]


def test_a_flood_of_one_kind_is_a_line_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("gatekeeper.logs.monotonic", lambda: now[0])
    seldom = RateLimitedLog("connection_failed")
    with capture_logs() as logged:
        for seconds, kind in [
            (0, "KeyError"),
            (1, "KeyError"),
            (2, "OSError"),
            (57, "KeyError"),
            (1, "KeyError"),
        ]:
            now[0] += seconds
            seldom.record(kind, trace=["x.py:1 f"])
    assert [(line["kind"], line["count"]) for line in logged] == [
        ("KeyError", 1),
        ("OSError", 1),
        ("KeyError", 2),
    ]
