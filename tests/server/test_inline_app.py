"""Requests that run in their connection's own task."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import groupby
from pathlib import Path
from typing import Any

import trio
from hypercorn.config import Config
from rig.cases import cases
from rig.gateway import running
from rig.logs import capture_logs
from rig.standin import Reply, answer_ok, standing_in
from rig.wire import connect, head, read
from trio.testing import wait_all_tasks_blocked

from gatekeeper.logs import HypercornLogger
from gatekeeper.server.asgi_types import InlineApp, Receive, Send
from gatekeeper.server.listener import serve_listener
from gatekeeper.server.sockets import READS_IN_A_ROW

GET = head("GET /direct/a?b=c", [])


class Application:
    """Responds with the request, by plain ASGI. `tasks`: the tasks that it ran in."""

    def __init__(self) -> None:
        self.tasks: list[trio.lowlevel.Task] = []

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        self.tasks.append(trio.lowlevel.current_task())
        body = bytearray()
        while (message := await receive())["type"] == "http.request":
            body += message["body"]
            if not message["more_body"]:
                break
        if b"raise before" in body:
            raise ValueError("injected")
        said = message.get("malformed")
        said = (
            said.message.encode() if said else scope["raw_path"] + b" " + scope["query_string"] + b" " + body
        )
        await send({"type": "http.response.start", "status": 200, "headers": [(b"x-a", b"b")]})
        await send({"type": "http.response.body", "body": said, "more_body": True})
        if b"raise behind" in body:
            raise ValueError("injected")
        await send({"type": "http.response.body", "body": b"", "more_body": False})


@asynccontextmanager
async def served(app: Any) -> AsyncIterator[trio.SocketStream]:
    """A connection to it."""
    config, stop = Config(), trio.Event()
    config.logger_class = HypercornLogger  # pyright: ignore[reportAttributeAccessIssue]
    with trio.fail_after(5), socket.create_server(("127.0.0.1", 0)) as listener:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(serve_listener, app, config, listener, stop, InlineApp((b"/direct/",), app))
            async with await connect(f"http://127.0.0.1:{listener.getsockname()[1]}") as client:
                yield client
            stop.set()


def post(body: bytes) -> bytes:
    return head("POST /direct/a", [f"Content-Length: {len(body)}"]) + body


async def test_requests_of_a_connection_are_answered_in_its_task_and_in_turn() -> None:
    app = Application()
    async with served(app) as client:
        last = head("GET /direct/last", ["Connection: close"])
        await client.send_all(GET + post(b"1" * 200_000) + last)
        received = bytearray()
        while data := await client.receive_some():
            received += data
    assert re.findall(rb"/direct/\S*", received) == [b"/direct/a", b"/direct/a", b"/direct/last"]
    assert received.count(b"1" * 200_000) == 1
    assert len(set(app.tasks)) == 1


async def test_the_two_ways_take_turns_on_one_connection() -> None:
    app = Application()
    async with served(app) as client:
        for target in ("/direct/a", "/other", "/direct/b"):
            await client.send_all(head(f"GET {target}", []))
            assert (await read(client, "GET")).body == target.encode() + b"  "
    assert app.tasks[0] is app.tasks[2] is not app.tasks[1]


@cases("target", ["/direct/", "/other"])
async def test_both_ways_answer_alike(target: str) -> None:
    async with served(Application()) as client:
        await client.send_all(head(f"HEAD {target}", []))
        answer = await read(client, "HEAD")
        assert (answer.status, answer.headers["x-a"], answer.body, answer.whole) == (200, "b", b"", True)
        await client.send_all(head(f"POST {target}", ["Expect: 100-continue", "Content-Length: 1"]))
        assert (await client.receive_some()).startswith(b"HTTP/1.1 100")
        await client.send_all(b"x")
        assert (await read(client, "POST")).body == target.encode() + b"  x"
        await client.send_all(head(f"POST {target}", ["Transfer-Encoding: chunked"]) + b"zz\r\n")
        assert b"chunk" in (await read(client, "POST")).body


@cases("target", ["/direct/", "/other"])
@cases(("body", "status", "whole"), [("raise before", 500, True), ("raise behind", 200, False)])
async def test_what_an_application_raises_ends_its_request(
    target: str, body: str, status: int, whole: bool
) -> None:
    with capture_logs() as logged:
        async with served(Application()) as client:
            await client.send_all(head(f"POST {target}", [f"Content-Length: {len(body)}"]) + body.encode())
            answer = await read(client, "POST")
            assert (answer.status, answer.whole) == (status, whole)
            assert await client.receive_some() == b""
    assert [line["event"] for line in logged] == ["request_failed"]


class Hasty:
    """An application that waits for nothing. `turns`: how often another task had run, at each piece of a body
    and at its end."""

    def __init__(self) -> None:
        self.now = 0
        self.turns: list[int] = []

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        more = True
        while more:
            more = (await receive())["more_body"]
            self.turns.append(self.now)
        connection, framing = scope["state"]["connection"], scope["state"]["framing"]
        os.write(connection.socket.fileno(), framing.encode_response_head(204, []))
        framing.encode_end()

    async def count(self) -> None:
        while True:
            await trio.lowlevel.checkpoint()
            self.now += 1


@cases(
    ("sent", "requests", "pieces", "turns"),
    [
        (head("GET /direct/a", []) * 300, 300, 300, 100),
        (
            head("POST /direct/a", ["Transfer-Encoding: chunked"]) + b"1\r\nx\r\n" * 3000 + b"0\r\n\r\n",
            1,
            3001,
            20,
        ),
    ],
    ids=["pipelined requests", "many small chunks"],
)
async def test_what_comes_in_one_read_holds_up_nobody_else(
    sent: bytes, requests: int, pieces: int, turns: int
) -> None:
    app = Hasty()
    async with served(app) as client, trio.open_nursery() as nursery:
        nursery.start_soon(app.count)
        await client.send_all(sent)
        received = b""
        while received.count(b"HTTP/1.1 204") < requests:
            received += await client.receive_some()
        nursery.cancel_scope.cancel()
    assert len(app.turns) == pieces
    # trio runs the tasks of one round in any order, so that two turns of one may fall between two of another.
    assert len(set(app.turns)) >= turns


class Waiting:
    """An application that reads a body only once it may. `turns`: how often another task had run, at each
    piece."""

    def __init__(self) -> None:
        self.may_read = trio.Event()
        self.now = 0
        self.turns: list[int] = []

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        await self.may_read.wait()
        while (await receive())["more_body"]:
            self.turns.append(self.now)
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def count(self) -> None:
        while True:
            await trio.lowlevel.checkpoint()
            self.now += 1


async def test_a_large_body_holds_up_nobody_else() -> None:
    app, size = Waiting(), 64 * 2**20
    async with served(app) as client, trio.open_nursery() as nursery:
        nursery.start_soon(client.send_all, head("POST /direct/a", [f"Content-Length: {size}"]) + bytes(size))
        await wait_all_tasks_blocked(0.01)  # until nothing more fits into the sockets
        nursery.start_soon(app.count)
        app.may_read.set()
        assert (await client.receive_some()).startswith(b"HTTP/1.1 204")
        nursery.cancel_scope.cancel()
    # However much is there at once: some reads in a row, then the others. trio runs the tasks of one round in
    # any order, so that two turns of one may fall between two of another.
    in_a_row = max(len(list(same)) for _, same in groupby(app.turns))
    assert in_a_row <= 2 * (READS_IN_A_ROW + 1)


async def test_a_trailer_section_has_the_limit_of_a_head() -> None:
    async with served(Application()) as client:
        await client.send_all(
            head("POST /direct/a", ["Transfer-Encoding: chunked"]) + b"0\r\nx: " + b"y" * 300_000
        )
        body = (await read(client, "POST")).body
    assert body == b"The request is too large: its trailer section is over 16,384 bytes."


async def test_a_gateways_calls_take_this_way(tmp_path: Path) -> None:
    """h11, a task and a queue cost a call a third more, and nothing else would show them."""
    async with standing_in() as google, running(tmp_path / "data", google.url) as gateway:
        ways: list[bool] = []

        async def look(reply: Reply) -> None:
            (call,) = gateway.gateway.proxy.open_calls
            peer = call.transport.stream._connection
            ways.append(bool(peer and peer.simple_exchange))
            await answer_ok(reply)

        google.script = look
        path = "/gemini/v1beta/models/gemini-2.5-flash:generateContent"
        answers = [await gateway.client.post(path, json={}) for _ in range(2)]
        answers.append(await gateway.client.get("/gemini/v1beta/models"))
    assert [answer.status_code for answer in answers] == [200] * 3
    assert ways == [True] * 3
