"""Live sessions while they run: what they are seen to use, what ends them, and many at a time."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from time import time_ns

import pytest
import trio
from rig.gateway import GOOGLE_KEY, Running, running
from rig.live import (
    LIVE_PATH,
    SETUP,
    LiveStandIn,
    ended,
    live_standing_in,
    nothing_is_left,
    session,
    sockets_open,
)
from rig.registry import block_key, delete_key, regenerate_key, update_key
from rig.websocket import frame, opened, rest
from rig.wire import reset
from websockets.frames import Opcode
from websockets.trio.client import ClientConnection
from websockets.trio.server import ServerConnection

from gatekeeper.keys.fields import parse_fields
from gatekeeper.keys.sessions import EphemeralToken
from gatekeeper.serve import server_config
from gatekeeper.server.asgi_types import Receive, Scope, Send
from gatekeeper.server.listener import serve_listener

CONSTRAINED = LIVE_PATH + "Constrained"
TOKEN = "auth_tokens/0123456789abcdef"


@pytest.fixture
async def google() -> AsyncIterator[LiveStandIn]:
    async with live_standing_in() as stand_in:
        yield stand_in


@pytest.fixture
async def gateway(google: LiveStandIn, tmp_path: Path) -> AsyncIterator[Running]:
    async with running(tmp_path / "data", google.url) as gateway:
        yield gateway


@pytest.fixture
async def guarded(google: LiveStandIn, tmp_path: Path) -> AsyncIterator[Running]:
    async with running(tmp_path / "guarded", google.url, master_key="master-of-the-tests") as gateway:
        yield gateway


def call_id(client: ClientConnection) -> str:
    assert client.response is not None
    return client.response.headers["x-gatekeeper-call-id"]


# Usage


def turn(number: int) -> str:
    """What Google sends at a turn's end."""
    usage = {
        "promptTokenCount": 100 * number,
        "responseTokenCount": 10 * number,
        "thoughtsTokenCount": number,
        "totalTokenCount": 111 * number,
    }
    return json.dumps({"serverContent": {"turnComplete": True}, "usageMetadata": usage})


async def test_the_usage_of_a_session_is_the_sum_of_its_turns(gateway: Running, google: LiveStandIn) -> None:
    async def takes_turns(session: ServerConnection) -> None:
        number = 0
        async for message in session:
            if message == SETUP:
                await session.send('{"setupComplete": {}}')
            else:
                number += 1
                # Google sends its JSON in binary frames.
                await session.send(turn(number).encode())

    google.script = takes_turns
    async with session(gateway) as client:
        await client.send(SETUP)
        await client.recv()
        for number in (1, 2, 3):
            await client.send('{"clientContent": {"turnComplete": true}}')
            assert await client.recv() == turn(number).encode()
            seen = (await gateway.client.get(f"/calls/{call_id(client)}")).json()
            # The message comes to the client first, and then to the meter.
            while seen["prompt_tokens"] != 100 * sum(range(number + 1)):
                seen = (await gateway.client.get(f"/calls/{call_id(client)}")).json()
            assert seen["outcome"] is None
    row = await gateway.row()
    assert (row["prompt_tokens"], row["output_tokens"], row["thoughts_tokens"]) == (600, 60, 6)
    assert (row["total_tokens"], row["cost_usd"], row["outcome"]) == (666, None, "ok")
    assert [usage["totalTokenCount"] for usage in json.loads(bytes(row["usage"]))] == [111, 222, 333]


# What ends it


@pytest.mark.parametrize(
    ("action", "reason"),
    [
        ("block", "GATEKEEPER_KEY_BLOCKED"),
        ("expire", "GATEKEEPER_KEY_EXPIRED"),
        ("delete", "GATEKEEPER_KEY_UNKNOWN"),
        ("regenerate", "GATEKEEPER_KEY_UNKNOWN"),
    ],
)
async def test_a_key_that_is_no_longer_valid_ends_its_sessions(
    guarded: Running, google: LiveStandIn, action: str, reason: str
) -> None:
    secret, registry = await guarded.key(key_alias="live"), guarded.gateway.registry
    now = time_ns() // 1000
    async with session(guarded, key=secret) as client, session(guarded, key="master-of-the-tests") as other:
        await client.send(SETUP)
        await client.recv()
        if action == "expire":
            fields = parse_fields({"duration": "1s"}, now=now - 2_000_000)
            await update_key(registry, "live", fields, now=now, by="test")
        else:
            change = {"block": block_key, "delete": delete_key, "regenerate": regenerate_key}[action]
            await change(registry, "live", now=now, by="test")
        code, text = await ended(client)
        assert code == 1008
        assert text is not None
        assert text.startswith(f"{reason}: ")
        await other.send("goes on")
        assert await other.recv() == "goes on"
    row = next(row for row in await guarded.rows() if row["key_alias"] == "live")
    assert (row["outcome"], row["reason"], row["status"]) == ("cut", reason, 101)
    await nothing_is_left(guarded, google)


async def test_the_end_of_a_drain_ends_sessions(gateway: Running, google: LiveStandIn) -> None:
    async with session(gateway) as client:
        await client.send(SETUP)
        await client.recv()
        assert gateway.gateway.proxy.has_admitted_calls
        gateway.gateway.proxy.cut_all()
        code, text = await ended(client)
    assert code == 1001
    assert text is not None
    assert text.startswith("GATEKEEPER_DRAINING: ")
    row = await gateway.row()
    assert (row["outcome"], row["reason"]) == ("cut", "GATEKEEPER_DRAINING")
    await nothing_is_left(gateway, google)


async def test_a_client_that_does_not_read_is_cut_off_all_the_same(
    gateway: Running, google: LiveStandIn
) -> None:
    """A frame is half sent: nothing may follow it."""

    async def floods(session: ServerConnection) -> None:
        while True:
            await session.send(bytes(1_000_000))

    google.script = floods
    async with opened(f"{gateway.url}/gemini{LIVE_PATH}?key=k"):
        (call,) = gateway.gateway.proxy.open_calls
        with trio.fail_after(5):
            while not call.transport.write_blocked:
                await trio.sleep(0.005)
        gateway.gateway.proxy.cut_all()
        await nothing_is_left(gateway, google)
    row = await gateway.row()
    assert row["outcome"] == "cut"
    assert row["response_bytes"] < 50_000_000


async def test_the_usage_that_a_lost_client_did_not_get_counts(gateway: Running, google: LiveStandIn) -> None:
    message = json.dumps(json.loads(turn(1)) | {"padding": "x" * 1_000_000})

    async def floods(session: ServerConnection) -> None:
        while True:
            await session.send(message)

    google.script = floods
    async with opened(f"{gateway.url}/gemini{LIVE_PATH}?key=k"):
        (call,) = gateway.gateway.proxy.open_calls
        with trio.fail_after(5):
            while not call.transport.write_blocked:
                await trio.sleep(0.005)
    row = await gateway.row()
    assert row["outcome"] == "client_disconnected"
    assert row["total_tokens"] == 111 * row["response_bytes"] // len(message)


async def test_an_upstream_that_does_not_read_is_not_sent_more(gateway: Running, google: LiveStandIn) -> None:
    async def sleeps(session: ServerConnection) -> None:
        session.pause_reading()
        await go_on.wait()
        session.resume_reading()

    go_on, google.script = trio.Event(), sleeps
    async with opened(f"{gateway.url}/gemini{LIVE_PATH}?key=k") as client:
        sent = 0
        with trio.move_on_after(0.5):
            while True:
                await client.send_all(frame(Opcode.BINARY, bytes(1_000_000)))
                sent += 1
        assert sent < 50
        (call,) = gateway.gateway.proxy.open_calls
        assert call.transport.received_bytes <= sent * 1_000_000
        reset(client)
    assert (await gateway.row())["outcome"] == "client_disconnected"
    go_on.set()
    await nothing_is_left(gateway, google)


# Ephemeral tokens


async def register(gateway: Running, token: str, key_id: str) -> None:
    at = time_ns() // 1000 + 60_000_000
    known = EphemeralToken(
        key_id=key_id, google_key="#1", user_id="joe", tags=("own",), expires_at=at, new_sessions_until=at
    )
    await gateway.gateway.proxy.context.sessions.add(token, known, 0)


@pytest.mark.parametrize("where", ["header", "header and key", "query"])
async def test_a_token_acts_as_the_key_that_created_it(
    guarded: Running, google: LiveStandIn, where: str
) -> None:
    secret = await guarded.key(key_alias="live")
    state = guarded.gateway.registry.find(secret, 0)
    assert state is not None
    await register(guarded, TOKEN, state.record.token_id)
    headers = {"Authorization": f"Token {TOKEN}"} if "header" in where else {}
    if "key" in where:
        headers["x-goog-api-key"] = TOKEN
    path = CONSTRAINED + (f"?access_token={TOKEN}" if where == "query" else "")
    async with session(guarded, path, None, additional_headers=headers) as client:
        await client.send(SETUP)
        await client.recv()
        await block_key(guarded.gateway.registry, "live", now=time_ns() // 1000, by="test")
        assert (await ended(client))[0] == 1008
    (request,) = google.requests
    assert request.headers.get_all("Authorization") == [f"Token {TOKEN}"]
    assert "x-goog-api-key" not in request.headers
    assert GOOGLE_KEY not in str(request.headers)
    assert TOKEN not in request.path
    row = await guarded.row()
    assert (row["key_alias"], row["user_id"], row["tags"]) == ("live", "joe", ["own"])
    assert (row["action"], row["outcome"]) == ("BidiGenerateContentConstrained", "cut")
    assert TOKEN not in str(row)


async def test_an_unknown_token_is_refused_but_in_open_mode(tmp_path: Path, google: LiveStandIn) -> None:
    path = f"{CONSTRAINED}?access_token={TOKEN}"
    async with (
        running(tmp_path / "guarded", google.url, master_key="master-of-the-tests") as guarded,
        session(guarded, path, None) as client,
    ):
        code, text = await ended(client)
        assert code == 1008
        assert text is not None
        assert text.startswith("GATEKEEPER_KEY_UNKNOWN: ")
        assert not google.requests
        assert (await guarded.row())["outcome"] == "refused"
    async with (
        running(tmp_path / "open", google.url) as gateway,
        session(gateway, path, None) as client,
    ):
        await client.send(SETUP)
        assert await client.recv() == SETUP
        await client.aclose()
        assert google.requests[0].headers["Authorization"] == f"Token {TOKEN}"
        row = await gateway.row()
        assert (row["key_id"], row["outcome"]) == ("open", "ok")


# Many


class Echo:
    """An upstream whose sessions cost little. `received`: how many messages."""

    def __init__(self) -> None:
        self.received = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] == "websocket.receive":
            self.received += 1
            await send({**message, "type": "websocket.send"})


@asynccontextmanager
async def echoing() -> AsyncIterator[tuple[str, Echo]]:
    app, stop = Echo(), trio.Event()
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as listener:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(serve_listener, app, server_config(), listener, stop)
            yield f"http://127.0.0.1:{listener.getsockname()[1]}", app
            stop.set()


async def test_many_sessions_echo_their_frames_in_order(tmp_path: Path) -> None:
    """The whole acceptance run: GATEKEEPER_SESSIONS=200x50 (sessions x frames of each)."""
    sessions, frames = map(int, os.environ.get("GATEKEEPER_SESSIONS", "40x50").split("x"))
    everyone_is_here = trio.Event()
    here = 0

    async def talk(url: str, number: int) -> None:
        nonlocal here
        texts = [f"{number}:{at}".encode() for at in range(frames)]
        async with opened(url) as client:
            here += 1
            if here == sessions:
                everyone_is_here.set()
            await everyone_is_here.wait()
            await client.send_all(b"".join(frame(Opcode.TEXT, text) for text in texts))
            expected = b"".join(frame(Opcode.TEXT, text, masked=False) for text in texts)
            received = b""
            while len(received) < len(expected):
                received += await client.receive_some()
            assert received == expected
            await client.send_all(frame(Opcode.CLOSE, b"\x03\xe8"))
            assert await rest(client) == b"\x88\x02\x03\xe8"

    async with echoing() as (url, echo), running(tmp_path / "data", url) as gateway:
        before = sockets_open()
        async with trio.open_nursery() as nursery:
            for number in range(sessions):
                nursery.start_soon(talk, f"{gateway.url}/gemini{LIVE_PATH}?key=k", number)
        proxy = gateway.gateway.proxy
        with trio.fail_after(30):
            while proxy.open_calls or proxy.context.upstream.open or sockets_open() > before:
                await trio.sleep(0.01)
            while len(rows := await gateway.rows()) < sessions:
                await trio.sleep(0.01)
    assert echo.received == sessions * frames
    assert {row["outcome"] for row in rows} == {"ok"}
    assert {row["request_bytes"] == row["response_bytes"] for row in rows} == {True}
