"""Probes are answered alike before the admin API is loaded and after."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from rig.cases import cases
from rig.gateway import running
from rig.wire import Answer, exchange

UPSTREAM = "http://127.0.0.1:9"  # nobody is there, and nobody asks
REQUESTS = (
    "GET /healthz",
    "HEAD /healthz",
    "GET /readyz",
    "HEAD /readyz",
    "GET http://localhost/healthz",
)


async def dateless(url: str, line: str, body: bytes | None = None) -> Answer:
    """The answer without its date: a second may begin between two of them."""
    answer = await exchange(url, line, body=body)
    headers = {name: value for name, value in answer.headers.items() if name != "date"}
    fields = [(name, value) for name, value in answer.fields if name.lower() != "date"]
    return replace(answer, headers=headers, fields=fields)


async def answers(url: str) -> list[Answer]:
    return [await dateless(url, line) for line in REQUESTS]


@pytest.mark.parametrize(("draining", "status"), [(False, 200), (True, 503)])
async def test_quart_would_answer_the_same(tmp_path: Path, draining: bool, status: int) -> None:
    async with running(tmp_path, UPSTREAM) as gateway:
        gateway.gateway.proxy.context.draining = draining
        before = await answers(gateway.url)
        assert (await gateway.client.get("/")).status_code == 200  # loads the admin API
        after = await answers(gateway.url)
    assert before == after
    assert [answer.status for answer in before] == [200, 200, status, status, 200]
    assert b"ready" in before[2].body
    assert before[3].body == b""
    assert before[0].headers["cache-control"] == "no-store"


@cases(
    ("line", "body", "status"),
    [
        ("GET /healthz?verbose=1", None, 400),
        ("POST /healthz", b"", 405),
        ("GET /healthz", b"{}", 200),
        ("OPTIONS /healthz", None, 200),
        ("GET /healthz/", None, 404),
    ],
)
async def test_any_other_request_is_the_admin_apis(
    tmp_path: Path, line: str, body: bytes | None, status: int
) -> None:
    async with running(tmp_path, UPSTREAM) as gateway:
        first, second = (
            await dateless(gateway.url, line, body),
            await dateless(gateway.url, line, body),
        )
    assert first == second
    assert first.status == status
