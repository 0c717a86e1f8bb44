"""The `!` commands, over a real connection: whoever tries the gateway sees what can go wrong."""

from __future__ import annotations

import json
import re

import httpx2
import pytest
from rig.cases import cases

from gatekeeper.sandbox import errors
from gatekeeper.sandbox.errors import COMMANDS, Command

GENERATE = "/v1beta/models/gemini-3.8-flash:generateContent"
STREAM = "/v1beta/models/gemini-3.8-flash:streamGenerateContent"
COUNT = "/v1beta/models/gemini-3.8-flash:countTokens"


def prompt(text: str) -> dict:
    return {"contents": [{"role": "user", "parts": [{"text": text}]}]}


def events(raw: str) -> list[dict]:
    return [json.loads(line[6:]) for line in raw.split("\r\n\r\n") if line]


def test_the_table_the_manual_and_the_code_know_the_same_commands():
    assert set(COMMANDS) == {command.value for command in Command}
    assert set(COMMANDS) == set(re.findall(r"`(!\w+)`", errors.__doc__.partition("The errors, ")[0]))


async def test_the_front_page_lists_the_commands_and_asks_for_no_key(sandbox_url):
    async with httpx2.AsyncClient(verify=False) as client:
        page = await client.get(sandbox_url)
    assert page.status_code == 200
    assert all(f"{word} " in page.text and meaning in page.text for word, meaning in COMMANDS.items())


@cases(
    ("command", "status"),
    [
        ("!400", "INVALID_ARGUMENT"),
        ("!401", "UNAUTHENTICATED"),
        ("!403", "PERMISSION_DENIED"),
        ("!404", "NOT_FOUND"),
        ("!429", "RESOURCE_EXHAUSTED"),
        ("!500", "INTERNAL"),
        ("!503", "UNAVAILABLE"),
        ("!504", "DEADLINE_EXCEEDED"),
    ],
)
@cases("path", [GENERATE, f"{STREAM}?alt=sse", COUNT])
async def test_errors_on_command(google, command, status, path):
    answer = await google.post(path, json=prompt(f"  {command} please"))
    error = answer.json()["error"]
    assert answer.status_code == error["code"] == int(command[1:])
    assert error["status"] == status


async def test_a_used_up_quota_says_which_and_for_how_long(google):
    answer = await google.post(GENERATE, json=prompt("!429"))
    details = {item["@type"].rpartition(".")[2]: item for item in answer.json()["error"]["details"]}
    assert details["RetryInfo"]["retryDelay"] == "23.512s"
    assert "PerMinute" in details["QuotaFailure"]["violations"][0]["quotaId"]
    assert "retry-after" not in answer.headers


async def test_only_the_last_word_of_the_user_is_a_command(google):
    body = prompt("!500")
    body["contents"] += [
        {"role": "model", "parts": [{"text": "!503"}]},
        {"role": "user", "parts": [{"text": "What does !404 mean?"}]},
    ]
    assert (await google.post(GENERATE, json=body)).status_code == 200


async def test_a_withheld_answer(google):
    for response in (
        (await google.post(GENERATE, json=prompt("!safety"))).json(),
        *events((await google.post(f"{STREAM}?alt=sse", json=prompt("!safety"))).text),
    ):
        [candidate] = response["candidates"]
        assert candidate["finishReason"] == "SAFETY"
        assert candidate["content"] == {}
        assert any(rating.get("blocked") for rating in candidate["safetyRatings"])
        assert response["usageMetadata"]["totalTokenCount"] == response["usageMetadata"]["promptTokenCount"]


async def test_a_refused_prompt(google):
    response = (await google.post(GENERATE, json=prompt("!blocked"))).json()
    assert response["promptFeedback"] == {"blockReason": "PROHIBITED_CONTENT"}
    assert "candidates" not in response
    assert response["usageMetadata"]["promptTokenCount"] == 2


async def test_a_stream_that_reports_an_error(google):
    *before, last = events((await google.post(f"{STREAM}?alt=sse", json=prompt("!error"))).text)
    assert len(before) == 3
    assert all("candidates" in event for event in before)
    assert last["error"]["status"] == "UNAVAILABLE"
    elements = (await google.post(STREAM, json=prompt("!error"))).json()
    assert "error" in elements[-1]
    assert (await google.post(GENERATE, json=prompt("!error"))).status_code == 503


@pytest.mark.parametrize("path", [GENERATE, f"{STREAM}?alt=sse", STREAM, COUNT])
async def test_a_connection_that_breaks(google, path):
    received = bytearray()
    with pytest.raises(httpx2.RemoteProtocolError):
        await receive(google, path, received)
    *events, last = received.split(b"\r\n\r\n")
    assert last
    assert all(json.loads(event[6:])["candidates"] for event in events)
    with pytest.raises(json.JSONDecodeError):
        json.loads(last.removeprefix(b"data: "))


async def receive(google: httpx2.AsyncClient, path: str, into: bytearray) -> None:
    async with google.stream("POST", path, json=prompt("!cut")) as answer:
        assert answer.status_code == 200
        async for data in answer.aiter_raw():
            into.extend(data)


def test_what_is_slow_begins_late_and_what_is_long_takes_a_minute(offline):
    for path in (GENERATE, STREAM, COUNT):
        assert 10 <= offline.post(path, prompt("!slow")).pieces[0][0] <= 11
    waits = [wait for wait, _ in offline.post(STREAM, prompt("!long"), alt="sse").pieces]
    assert sum(waits) == pytest.approx(60)
    assert len(waits) > 100
    assert max(waits) < 2
    assert sum(wait for wait, _ in offline.post(GENERATE, prompt("!long")).pieces) == pytest.approx(20)


async def test_embedding_obeys_errors_too(google):
    content = prompt("!503")["contents"][0]
    path = "/v1beta/models/gemini-embedding-001:embedContent"
    assert (await google.post(path, json={"content": content})).status_code == 503
