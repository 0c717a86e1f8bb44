"""Requests of the admin API on the wire: short ones, which run in their connection's task, and others."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
import trio
from quart import request, request_started
from rig.logs import capture_logs
from rig.wire import Answer, connect, exchange, head, read

from gatekeeper.admin.app import AdminApi

GENERATE = "POST /key/generate"
SHORT_AND_OTHER = pytest.mark.parametrize("route", [GENERATE, "POST /google_key/drain"])


def url(admin: Any) -> str:
    return str(admin.client.base_url)


def created(answer: Answer) -> str:
    assert (answer.status, answer.headers["content-type"]) == (200, "application/json"), answer.body
    assert answer.headers["cache-control"] == "no-store"
    return json.loads(answer.body)["key_alias"]


def with_alias(alias: str, *headers: str) -> bytes:
    body = json.dumps({"key_alias": alias}).encode()
    return head(GENERATE, [f"Content-Length: {len(body)}", *headers]) + body


async def test_short_requests_run_in_the_task_of_their_connection_others_do_not(admin):
    tasks: dict[str, set[trio.lowlevel.Task]] = {}

    async def note(_app: AdminApi) -> None:
        tasks.setdefault(request.path, set()).add(trio.lowlevel.current_task())

    request_started.connect(note, admin.app)  # as long as `note` exists
    async with await connect(url(admin)) as client:
        for target in ("/key/list", "/group/list", "/user/list", "/models") * 2:
            await client.send_all(head(f"GET {target}", []))
            assert (await read(client, "GET")).status == 200
    assert tasks["/key/list"] == tasks["/group/list"] == tasks["/user/list"]
    assert (len(tasks["/key/list"]), len(tasks["/models"])) == (1, 2)


async def test_a_body_arrives_in_any_pieces(admin):
    assert created(await exchange(url(admin), GENERATE, chunks=[b'{"key_ali', b'as": "chunks"}'])) == "chunks"
    async with await connect(url(admin)) as client:
        for byte in with_alias("bytes"):
            await client.send_all(bytes([byte]))
        assert created(await read(client)) == "bytes"
        await client.send_all(head(GENERATE, ["Expect: 100-continue", "Content-Length: 24"]))
        assert (await client.receive_some()).startswith(b"HTTP/1.1 100")
        await client.send_all(b'{"key_alias": "awaited"}')
        assert created(await read(client)) == "awaited"
        await client.send_all(head(GENERATE, []))
        assert (await read(client)).status == 200


async def test_requests_that_come_together_are_answered_in_turn(admin):
    async with await connect(url(admin)) as client:
        last = with_alias("c", "Connection: close")
        await client.send_all(with_alias("a") + with_alias("a") + with_alias("b") + last)
        received = bytearray()
        while data := await client.receive_some():
            received += data
    assert re.findall(rb"HTTP/1.1 (\d+)", received) == [b"200", b"409", b"200", b"200"]
    assert [admin.gateway.registry.by_alias(alias) is not None for alias in "abc"] == [True] * 3


async def test_head_has_no_body_and_the_connection_goes_on(admin):
    async with await connect(url(admin)) as client:
        for method in ("HEAD", "GET"):
            await client.send_all(head(f"{method} /key/list", []))
            answer = await read(client, method)
            assert (answer.status, answer.whole) == (200, True)
            length = int(answer.headers["content-length"])
            assert length > 0
            assert len(answer.body) == (0 if method == "HEAD" else length)


@SHORT_AND_OTHER
async def test_a_malformed_body_is_a_problem_and_ends_the_connection(admin, route):
    async with await connect(url(admin)) as client:
        await client.send_all(head(route, ["Transfer-Encoding: chunked"]) + b"zz\r\n")
        answer = await read(client)
        assert (answer.status, answer.headers["content-type"]) == (400, "application/problem+json")
        assert "chunk" in json.loads(answer.body)["detail"]
        assert await client.receive_some() == b""


@SHORT_AND_OTHER
async def test_a_client_that_leaves_within_its_body_changes_nothing_and_is_no_error(admin, route):
    with capture_logs() as logged:
        async with await connect(url(admin)) as client:
            await client.send_all(with_alias("half").replace(GENERATE.encode(), route.encode())[:-1])
        # The next connection is accepted after it, and its end is waited for.
        assert created(await exchange(url(admin), GENERATE, body=b'{"key_alias": "whole"}')) == "whole"
        admin.stop.set()
    assert admin.gateway.registry.by_alias("half") is None
    assert logged == []


async def test_a_change_that_was_requested_is_made_though_its_client_has_left(admin):
    async with await connect(url(admin)) as client:
        await client.send_all(with_alias("left"))
    with trio.fail_after(5):
        while admin.gateway.registry.by_alias("left") is None:
            await trio.sleep(0.001)


async def test_who_has_no_key_is_told_before_the_body_is_sent(guarded):
    async with await connect(url(guarded)) as client:
        await client.send_all(head(GENERATE, ["Content-Length: 5"]))
        assert (await read(client)).status == 401
        await client.send_all(b'{"a":' + head("GET /healthz", []))  # the body, and the next request
        assert (await read(client)).status == 200
