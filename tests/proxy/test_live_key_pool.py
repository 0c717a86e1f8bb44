"""Live sessions of a gateway with two Google keys: a handshake goes to another key, an open session stays."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from rig.gateway import Running, running
from rig.live import SETUP, LiveStandIn, ended, live_standing_in, session
from websockets.datastructures import Headers
from websockets.exceptions import InvalidStatus
from websockets.http11 import Request, Response
from websockets.trio.server import ServerConnection

from gatekeeper.keys.google_key_health import KeyHealth


@pytest.fixture
async def google() -> AsyncIterator[LiveStandIn]:
    async with live_standing_in() as stand_in:
        yield stand_in


@pytest.fixture
async def gateway(google: LiveStandIn, tmp_path: Path) -> AsyncIterator[Running]:
    async with running(tmp_path / "data", google.url, gemini_api_key="AIzaOne,AIzaTwo") as gateway:
        yield gateway


def used(google: LiveStandIn) -> list[str]:
    return [request.headers["x-goog-api-key"] for request in google.requests]


def health(gateway: Running) -> dict[str, KeyHealth]:
    pool = gateway.gateway.google_keys.pool
    return {each.label: each for each in pool.health(gateway.gateway.now_micros())}


def refusing(status: int, message: str, *keys: str) -> object:
    body = b'{"error": {"code": %d, "message": "%b", "status": "X"}}' % (status, message.encode())
    headers = Headers({"Content-Type": "application/json", "Content-Length": str(len(body))})

    def refuse(request: Request) -> Response | None:
        return Response(status, "No", headers, body) if request.headers["x-goog-api-key"] in keys else None

    return refuse


@pytest.mark.parametrize(
    ("status", "message", "state"),
    [
        (429, "Resource has been exhausted", "cooling"),
        (401, "Invalid credentials", "refused"),
        (503, "Overloaded", "ok"),
    ],
)
async def test_a_handshake_that_is_refused_goes_to_another_key(
    gateway: Running, google: LiveStandIn, status: int, message: str, state: str
) -> None:
    google.refuse = refusing(status, message, "AIzaOne")  # pyright: ignore[reportAttributeAccessIssue]
    async with session(gateway) as client:
        await client.send(SETUP)
        assert await client.recv() == SETUP
    assert used(google) == ["AIzaOne", "AIzaTwo"]
    row = await gateway.row()
    assert (row["upstream_key"], row["outcome"]) == ("#2", "ok")
    assert health(gateway)["#1"].state == state


async def test_where_both_refuse_the_last_refusal_passes(gateway: Running, google: LiveStandIn) -> None:
    google.refuse = refusing(429, "No", "AIzaOne", "AIzaTwo")  # pyright: ignore[reportAttributeAccessIssue]
    with pytest.raises(InvalidStatus) as raised:
        async with session(gateway):
            pass
    assert raised.value.response.status_code == 429
    assert used(google) == ["AIzaOne", "AIzaTwo"]
    assert (await gateway.row())["error_message"] == "No Tried before with #1 (429)."


@pytest.mark.parametrize(
    ("code", "reason", "state"),
    [
        (1007, "API key not valid. Please pass a valid API key.", "refused"),
        (1011, "You exceeded your current quota, please check your plan.", "cooling"),
        (1011, "Internal error encountered.", "ok"),
    ],
)
async def test_the_next_session_avoids_the_key_of_one_that_google_has_ended(
    gateway: Running, google: LiveStandIn, code: int, reason: str, state: str
) -> None:
    async def end(client: ServerConnection) -> None:
        if client.request is not None and client.request.headers["x-goog-api-key"] == "AIzaOne":
            await client.aclose(code, reason)
        else:
            await google.echo(client)

    google.script = end
    async with session(gateway) as client:
        await ended(client)
    assert health(gateway)["#1"].state == state
    for _ in range(2):
        async with session(gateway) as client:
            if state == "ok":
                continue
            await client.send(SETUP)
            assert await client.recv() == SETUP
    assert used(google)[1:] == (["AIzaTwo", "AIzaOne"] if state == "ok" else ["AIzaTwo"] * 2)
