"""The Live API: turns, their usage, tools, what closes a session and how."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.trio.client import connect

from gatekeeper.sandbox.live import MAX_HISTORY_CHARACTERS, MAX_MEDIA_BYTES

MODEL = "models/gemini-2.0-flash-live-001"
PATH = "/ws/google.ai.generativelanguage.v1beta.GenerativeService.BidiGenerateContent"
TEXT = {"model": MODEL, "generationConfig": {"responseModalities": ["TEXT"]}}
TOOL = {"functionDeclarations": [{"name": "get_weather"}]}


def said_by_user(text: str) -> dict:
    turns = [{"role": "user", "parts": [{"text": text}]}]
    return {"clientContent": {"turns": turns, "turnComplete": True}}


class Session:
    def __init__(self, socket) -> None:
        self.socket = socket

    async def send(self, **message: object) -> None:
        await self.socket.send(json.dumps(message))

    async def next(self) -> dict:
        frame = await self.socket.recv()
        assert isinstance(frame, bytes), "as Google's"
        return json.loads(frame)

    async def say(self, text: str) -> list[dict]:
        await self.send(
            clientContent={"turns": [{"role": "user", "parts": [{"text": text}]}], "turnComplete": True}
        )
        return await self.turn()

    async def turn(self) -> list[dict]:
        messages = [await self.next()]
        while "usageMetadata" not in messages[-1]:
            messages.append(await self.next())
        return messages

    async def closed(self) -> tuple[int, str]:
        with pytest.raises(ConnectionClosed) as caught:
            await self.next()
        return caught.value.rcvd.code, caught.value.rcvd.reason


@pytest.fixture
def live(sandbox_url: str) -> Callable:
    @asynccontextmanager
    async def opened(setup: dict | None = TEXT, path: str = PATH, **headers: str) -> AsyncIterator[Session]:
        sent = headers or {"x-goog-api-key": "any"}
        url = sandbox_url.replace("http", "ws") + path
        async with connect(url, additional_headers=sent, proxy=None) as socket:
            session = Session(socket)
            if setup is not None:
                await session.send(setup=setup)
                assert await session.next() == {"setupComplete": {}}
            yield session

    return opened


def said(messages: list[dict]) -> str:
    turns = [message.get("serverContent", {}).get("modelTurn", {}) for message in messages]
    return "".join(part.get("text", "") for turn in turns for part in turn.get("parts", []))


async def test_a_turn_ends_with_its_usage(live):
    async with live() as session:
        messages = await session.say("Say hello")
        assert said(messages) == "hello"
        assert messages[-2:] == [
            {"serverContent": {"generationComplete": True}},
            {
                "serverContent": {"turnComplete": True},
                "usageMetadata": {
                    "promptTokenCount": 3,
                    "responseTokenCount": 2,
                    "totalTokenCount": 5,
                    "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 3}],
                    "responseTokensDetails": [{"modality": "TEXT", "tokenCount": 2}],
                },
            },
        ]
        second = await session.say("Say hello")
        assert second[-1]["usageMetadata"]["promptTokenCount"] == 3 + 2 + 3, "all that was said"
        assert len(await session.say("Write a story")) > 8


async def test_turns_may_come_in_parts_and_as_realtime_text(live):
    async with live() as session:
        await session.send(client_content={"turns": [{"parts": [{"text": "four"}]}]})
        assert (await session.say("Say hello"))[-1]["usageMetadata"]["promptTokenCount"] == 4
        await session.send(realtimeInput={"text": "Say bye"})
        assert said(await session.turn()) == "bye"


async def test_audio_in_and_out(live):
    setup = {
        "model": MODEL,
        "generationConfig": {"responseModalities": ["AUDIO"]},
        "outputAudioTranscription": {},
        "inputAudioTranscription": {},
    }
    async with live(setup) as session:
        for _ in range(2):
            await session.send(realtimeInput={"audio": {"mimeType": "audio/pcm", "data": "A" * 4000}})
        await session.send(realtimeInput={"audioStreamEnd": True})
        messages = await session.turn()
    contents = [message["serverContent"] for message in messages]
    assert "inputTranscription" in contents[0]
    assert "text" in contents[1]["outputTranscription"]
    assert contents[2]["modelTurn"]["parts"][0]["inlineData"]["mimeType"] == "audio/pcm;rate=24000"
    usage = messages[-1]["usageMetadata"]
    assert usage["promptTokensDetails"] == [{"modality": "AUDIO", "tokenCount": 12}]
    assert [detail["modality"] for detail in usage["responseTokensDetails"]] == ["AUDIO"]


async def test_thoughts_are_left_out_of_the_total(live):
    async with live(TEXT | {"model": "models/gemini-3.8-live"}) as session:
        usage = (await session.say("Say hello"))[-1]["usageMetadata"]
    assert usage["thoughtsTokenCount"] > 0
    assert usage["totalTokenCount"] == usage["promptTokenCount"] + usage["responseTokenCount"]


async def test_a_tool_is_called_and_its_result_read(live):
    async with live(TEXT | {"tools": [TOOL]}) as session:
        called = await session.say("Weather in Oslo?")
        (call,) = called[0]["toolCall"]["functionCalls"]
        assert call["name"] == "get_weather"
        result = {"id": call["id"], "name": call["name"], "response": {"output": "rain"}}
        await session.send(toolResponse={"functionResponses": [result]})
        assert said(await session.turn())


async def test_a_session_goes_on_from_its_handle(live):
    async with live(TEXT | {"sessionResumption": {}}) as session:
        await session.say("Say hello")
        update = (await session.next())["sessionResumptionUpdate"]
    async with live(TEXT | {"sessionResumption": {"handle": update["newHandle"]}}) as session:
        assert (await session.say("Say hello"))[-1]["usageMetadata"]["promptTokenCount"] == 8


@pytest.mark.parametrize(
    ("setup", "message", "code", "reason"),
    [
        (None, {"clientContent": {}}, 1007, "setup must be the first"),
        (None, {"setup": {"model": "models/none"}}, 1008, "models/none is not found"),
        (None, {"setup": {"model": "models/gemini-2.5-flash"}}, 1008, "is not found"),
        (None, {"setup": TEXT | {"sessionResumption": {"handle": "x"}}}, 1008, "session not found"),
        (TEXT, {"setup": TEXT}, 1007, "setup must be the first"),
        (TEXT, {"unknown": {}}, 1007, 'Unknown name "unknown"'),
        (
            TEXT,
            said_by_user("!429"),
            1011,
            "quota",
        ),
        (TEXT, {"realtimeInput": {"text": "!error"}}, 1011, "Internal error"),
        (TEXT, {"realtimeInput": {"audio": {"data": "A" * (MAX_MEDIA_BYTES + 1)}}}, 1007, "too long"),
    ],
)
async def test_what_closes_a_session(live, setup, message, code, reason):
    async with live(setup) as session:
        await session.send(**message)
        found = await session.closed()
    assert found[0] == code
    assert reason in found[1]


async def test_the_oldest_turns_are_forgotten(live):
    async with live() as session:
        counts = []
        for _ in range(10):
            messages = await session.say(f"Say {'a' * (MAX_HISTORY_CHARACTERS // 8)}")
            counts.append(messages[-1]["usageMetadata"]["promptTokenCount"])
    assert counts == sorted(counts)
    assert counts[-1] == counts[-2] <= MAX_HISTORY_CHARACTERS // 4


async def test_a_session_can_be_slow_and_of_a_newer_model(live):
    async with live(TEXT | {"model": "models/gemini-9-live"}) as session:
        await session.send(realtimeInput={"text": "!slow Say hello"})
        assert (await session.turn())[0] == {"serverContent": {}}


async def test_a_frame_that_is_no_json(live):
    async with live() as session:
        await session.socket.send("{")
        assert (await session.closed())[0] == 1007


async def test_a_cut_breaks_the_connection(live):
    async with live() as session:
        await session.send(realtimeInput={"text": "!cut"})
        with pytest.raises(ConnectionClosed) as caught:
            await session.next()
    assert caught.value.rcvd is None


@pytest.mark.parametrize(
    ("headers", "query", "code"),
    [
        ({"x-goog-api-key": "invalid"}, "", 1007),
        ({"x-other": "x"}, "", 1008),
        ({"x-other": "x"}, "?key=k", None),
    ],
)
async def test_a_key_is_needed(live, headers, query, code):
    if code is None:
        # Two slashes, as @google/genai asks for it where the base URL has no path.
        async with live(TEXT, f"/{PATH}{query}", **headers):
            return
    async with live(None, PATH + query, **headers) as session:
        assert (await session.closed())[0] == code


async def test_an_ephemeral_token_opens_one_session(google, live):
    ask = {"bidiGenerateContentSetup": {"model": MODEL}}
    token = (await google.post("/v1alpha/auth_tokens", json=ask)).json()["name"]
    path = PATH.replace("v1beta", "v1alpha") + "Constrained"
    async with live({"model": "models/other"}, path, authorization=f"Token {token}"):
        pass
    async with live(None, f"{path}?access_token={token}") as session:
        assert await session.closed() == (1008, "Ephemeral token not found, used up or expired.")
    many = (await google.post("/v1alpha/auth_tokens", json=ask | {"uses": 0})).json()["name"]
    for _ in range(2):
        async with live({}, f"{path}?access_token={many}"):
            pass
    for bad in ({"uses": "x"}, {"expireTime": "2000-01-01T00:00:00Z"}):
        assert (await google.post("/v1alpha/auth_tokens", json=bad)).status_code == 400


async def test_other_paths_are_nothing(live):
    with pytest.raises(InvalidStatus) as caught:
        async with live(None, "/ws/other"):
            pass
    assert caught.value.response.status_code == 404
