"""The calls of one long decode: each names the one before it, which is found by the token between them."""

from __future__ import annotations

import base64
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from rig.gateway import Running, running
from rig.standin import Reply, StandIn, standing_in
from rig.wire import exchange

from gatekeeper.gemini.continuation import token_digest

MODEL = "/gemini/v1beta/models/gemini-2.5-flash"
UNARY, EVENTS, ARRAY = ":generateContent", ":streamGenerateContent?alt=sse", ":streamGenerateContent"
TOKEN = base64.b64encode(b"\xfb\xff\xfe state" * 300).decode()
URL_TOKEN = TOKEN.replace("+", "-").replace("/", "_")


def hop(token: str | None, finish: str | None = "CONTINUATION") -> dict[str, Any]:
    candidate = {"content": {"parts": [{"text": "a"}]}, "finishReason": finish, "continuationToken": token}
    return {
        "candidates": [{name: value for name, value in candidate.items() if value}],
        "usageMetadata": {"promptTokenCount": 4, "candidatesTokenCount": 2, "totalTokenCount": 6},
        "modelVersion": "gemini-2.5-flash",
    }


class Decode:
    """Google: answers each request with the next of the hops, in the form that it asks for."""

    def __init__(self, *hops: dict[str, Any]) -> None:
        self.hops = list(hops)

    async def __call__(self, reply: Reply) -> None:
        body = json.dumps(self.hops.pop(0)).encode()
        if b"alt=sse" in reply.asked.target:
            await reply.chunked([b"data: " + body + b"\r\n\r\n"])
        elif b"stream" in reply.asked.target:
            await reply.chunked([b"[" + body, b"\n]"], "application/json")
        else:
            await reply.json(body)


async def ask(gateway: Running, action: str = UNARY, key: str = "k", **body: object) -> str:
    """The id of a call with this body."""
    request = {"contents": [{"parts": [{"text": "Tell it all"}]}], **body}
    url = MODEL + action
    answer = await exchange(
        gateway.url, f"POST {url}{'&' if '?' in url else '?'}key={key}", body=json.dumps(request).encode()
    )
    assert answer.status == 200
    return answer.headers["x-gatekeeper-call-id"]


async def links(gateway: Running) -> dict[str, str | None]:
    return {row["id"]: row["continues"] for row in await gateway.rows()}


@pytest.mark.parametrize("action", [UNARY, EVENTS, ARRAY])
@pytest.mark.parametrize("place", ["continuationToken", "continuation_token"])
async def test_each_hop_names_the_one_before(
    gateway: Running, google: StandIn, action: str, place: str
) -> None:
    google.script = Decode(hop(TOKEN), hop("second"), hop(None, "STOP"), hop(None, "STOP"))
    first = await ask(gateway, action)
    second = await ask(gateway, action, **{place: URL_TOKEN})
    third = await ask(gateway, action, **{place: "second"})
    other = await ask(gateway, action, **{place: "never seen"})
    assert await links(gateway) == {first: None, second: first, third: second, other: None}
    assert json.loads(google.asked[1].body)[place] == URL_TOKEN
    rows = await gateway.rows()
    assert [row["cost_usd"] for row in rows] == ["0.000006200000"] * 4
    assert [row["finish_reason"] for row in rows] == ["CONTINUATION", "CONTINUATION", "STOP", "STOP"]


async def test_a_body_of_any_size_names_it(gateway: Running, google: StandIn) -> None:
    google.script = Decode(hop(TOKEN), hop(None))
    first = await ask(gateway)
    prompt = [{"parts": [{"text": "x" * 400_000}]}]
    second = await ask(gateway, contents=prompt, continuationToken=TOKEN)
    assert (await links(gateway))[second] == first


async def test_a_stream_that_broke_goes_on_from_any_of_its_last_tokens(
    gateway: Running, google: StandIn
) -> None:
    checkpoints = [f"checkpoint {number}" for number in range(3)]

    async def breaks(reply: Reply) -> None:
        events = [b"data: %b\r\n\r\n" % json.dumps(hop(token, None)).encode() for token in checkpoints]
        await reply.chunked(events, end=False)
        await reply.stream.aclose()

    google.script = breaks
    first = await ask(gateway, EVENTS)
    google.script = Decode(hop(None), hop(None))
    for token in checkpoints[1:]:
        later = await ask(gateway, continuationToken=token)
        assert (await links(gateway))[later] == first
    assert (await gateway.rows())[0]["outcome"] == "upstream_broken"


async def test_interactions_go_on_too(gateway: Running, google: StandIn) -> None:
    async def interaction(reply: Reply) -> None:
        status = "requires_continuation" if len(google.asked) == 1 else "completed"
        await reply.json(
            json.dumps({"id": "i1", "status": status, "continuation_token": f"t{len(google.asked)}"}).encode()
        )

    google.script = interaction
    path = "POST /gemini/v1beta/interactions?key=k"
    for body in (b'{"model": "m", "input": "x"}', b'{"model": "m", "continuation_token": "t1"}'):
        assert (await exchange(gateway.url, path, body=body)).status == 200
    first, second = await gateway.rows()
    assert (first["continues"], second["continues"]) == (None, first["id"])


async def test_only_the_same_keys_call_is_named(guarded: Running, google: StandIn) -> None:
    google.script = Decode(hop(TOKEN), hop(None), hop(None))
    mine, theirs = await guarded.key(), await guarded.key()
    first = await ask(guarded, key=mine)
    leak = await ask(guarded, key=theirs, continuationToken=TOKEN)
    second = await ask(guarded, key=mine, continuationToken=TOKEN)
    assert await links(guarded) == {first: None, leak: None, second: first}


async def test_counting_is_no_hop(gateway: Running, google: StandIn) -> None:
    google.script = Decode(hop(TOKEN), {"totalTokens": 3})
    await ask(gateway)
    counted = await ask(gateway, ":countTokens", generateContentRequest={"continuationToken": TOKEN})
    assert (await links(gateway))[counted] is None


@pytest.mark.parametrize("stopped", [True, False], ids=["stopped", "killed"])
async def test_a_decode_goes_on_after_a_restart(tmp_path: Path, stopped: bool) -> None:
    data = tmp_path / "data"
    async with standing_in() as google:
        google.script = Decode(hop(TOKEN), hop(None))
        async with running(data, google.url) as gateway:
            first = await ask(gateway)
            # What is in the files now is what a killed process leaves.
            shutil.copytree(data, tmp_path / "killed")
        data = data if stopped else tmp_path / "killed"
        async with running(data, google.url) as gateway:
            second = await ask(gateway, continuationToken=TOKEN)
            assert (await links(gateway))[second] == first


async def test_the_token_is_stored_nowhere(tmp_path: Path) -> None:
    async with standing_in() as google:
        google.script = Decode(hop(TOKEN), hop(None))
        async with running(tmp_path / "data", google.url) as gateway:
            await ask(gateway)
            await ask(gateway, continuationToken=URL_TOKEN)
    files = [path.read_bytes() for path in (tmp_path / "data").rglob("*") if path.is_file()]
    assert any(token_digest(TOKEN).encode() in content for content in files)
    spellings = (TOKEN[:100].encode(), URL_TOKEN[:100].encode())
    assert not [content for content in files for spelling in spellings if spelling in content]
