"""A long decode of three hops in the sandbox: three calls and three charges, one chain with its sum."""

from __future__ import annotations

import json
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio
from google import genai
from rig.gateway import Running, running

from gatekeeper.sandbox.server import serve_sandbox

MODEL = "/gemini/v1beta/models/gemini-2.5-flash"
INPUT, OUTPUT = Decimal("0.30") / 10**6, Decimal("2.50") / 10**6  # dollars for a token


async def decode(gateway: Running, action: str) -> list[dict[str, Any]]:
    """The last documents of the hops, as a client gets them that goes on by hand."""
    said: list[dict[str, Any]] = []
    body: dict[str, Any] = {"contents": [{"parts": [{"text": "!hops=3 Write a book"}]}]}
    while not said or said[-1]["candidates"][0]["finishReason"] == "CONTINUATION":
        answer = await gateway.client.post(MODEL + action, json=body)
        assert answer.status_code == 200
        found = json.loads(answer.text.rpartition("data: ")[2])
        said.append(found[-1] if isinstance(found, list) else found)
        body["continuationToken"] = said[-1]["candidates"][0].get("continuationToken")
    return said


def cost(usage: dict[str, int]) -> Decimal:
    written = usage["candidatesTokenCount"] + usage["thoughtsTokenCount"]
    return usage["promptTokenCount"] * INPUT + written * OUTPUT


@pytest.mark.parametrize(
    "action", [":generateContent", ":streamGenerateContent?alt=sse", ":streamGenerateContent"]
)
async def test_three_hops_are_three_charges_and_one_chain(
    cli: Any, tmp_path: Path, nursery: trio.Nursery, action: str
) -> None:
    port = await nursery.start(partial(serve_sandbox, "127.0.0.1", 0, time_scale=0))
    async with running(tmp_path / "data", f"http://127.0.0.1:{port}") as gateway:
        said = await decode(gateway, action)
        costs = [cost(each["usageMetadata"]) for each in said]
        rows = await gateway.rows()
        assert [Decimal(row["cost_usd"]) for row in rows] == costs
        assert [row["continues"] for row in rows] == [None, rows[0]["id"], rows[1]["id"]]
        spend = (await gateway.client.get("/spend", params={"by": "model"})).json()
        assert (spend["total"]["calls"], Decimal(spend["total"]["cost_usd"])) == (3, sum(costs))

        shown = await trio.to_thread.run_sync(cli, "calls", "show", rows[1]["id"], "--url", gateway.url)
        lines = [line.split() for line in shown.out.splitlines()]
        assert ["long", "decode,", "hop", "2", "of", "3"] in lines
        for number, row in enumerate(rows, 1):
            mark = ["▸"] if number == 2 else []
            line = next(line for line in lines if line[: len(mark) + 2] == [*mark, str(number), row["id"]])
            assert line[-2:] == [f"${costs[number - 1]:.12f}", row["finish_reason"]]
        total = next(line for line in lines if line[0:1] == ["total"] and "in" in line)
        assert total[-1] == f"${sum(costs):.12f}"


@pytest.mark.parametrize("streamed", [False, True])
async def test_googles_sdk_goes_on_by_itself_and_its_hops_are_linked(
    tmp_path: Path, nursery: trio.Nursery, streamed: bool
) -> None:
    """It spells the token in another alphabet than it got it in."""
    port = await nursery.start(partial(serve_sandbox, "127.0.0.1", 0, time_scale=0))
    async with running(tmp_path / "data", f"http://127.0.0.1:{port}") as gateway:

        def ask() -> str | None:
            options = {"base_url": f"{gateway.url}/gemini", "client_args": {"verify": False}}
            client = genai.Client(api_key="k", http_options=options)
            asked: dict[str, Any] = {"model": "gemini-2.5-flash", "contents": "!hops=3 Write a book"}
            if streamed:
                *_, last = client.models.generate_content_stream(**asked)
            else:
                last = client.models.generate_content(**asked)
            client.close()
            return last.candidates[0].finish_reason

        assert await trio.to_thread.run_sync(ask) == "STOP"
        rows = await gateway.rows()
        assert [row["continues"] for row in rows] == [None, rows[0]["id"], rows[1]["id"]]
        assert [row["stream"] for row in rows] == [streamed] * 3
