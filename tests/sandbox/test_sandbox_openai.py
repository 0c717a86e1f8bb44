"""The paths in OpenAI's form, with the bytes of recorded ones."""

from __future__ import annotations

import base64
import json
import struct

import httpx2
import pytest

PATH = "/v1beta/openai"
CHAT = f"{PATH}/chat/completions"
HELLO = {"model": "gemini-2.5-flash", "messages": [{"role": "user", "content": "Say hello"}]}
TOOL = {"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object"}}}


async def chat(google: httpx2.AsyncClient, **rest: object) -> dict:
    answer = await google.post(CHAT, json=HELLO | rest)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/json"
    return answer.json()


async def streamed(google: httpx2.AsyncClient, **rest: object) -> list[dict]:
    answer = await google.post(CHAT, json=HELLO | {"stream": True} | rest)
    *events, last, rest_of_it = answer.text.split("\n\n")
    assert (last, rest_of_it) == ("data: [DONE]", "")
    return [json.loads(event.removeprefix("data: ")) for event in events]


async def test_a_completion(google):
    made = await chat(google)
    assert (made["object"], made["model"]) == ("chat.completion", HELLO["model"])
    assert made["choices"] == [
        {"finish_reason": "stop", "index": 0, "message": {"role": "assistant", "content": "hello"}}
    ]
    usage = made["usage"]
    assert usage["prompt_tokens"] == 3
    assert usage["total_tokens"] > usage["prompt_tokens"] + usage["completion_tokens"], "thoughts"
    quiet = await chat(google, reasoning_effort="none")
    assert quiet["usage"] == {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}


async def test_a_stream_has_usage_in_every_chunk_or_in_none(google):
    ask = {"messages": [{"role": "user", "content": "Write a story about bees"}]}
    whole = await chat(google, **ask)
    silent = await streamed(google, **ask)
    assert not any("usage" in chunk for chunk in silent)
    told = await streamed(google, **ask, stream_options={"include_usage": True})
    assert all("usage" in chunk for chunk in told)
    assert told[-1]["usage"] == whole["usage"]
    assert told[-1]["choices"][0]["finish_reason"] == "stop"
    deltas = [chunk["choices"][0]["delta"] for chunk in silent]
    assert "".join(delta["content"] for delta in deltas) == whole["choices"][0]["message"]["content"]
    assert len({chunk["id"] for chunk in silent}) == 1


async def test_a_tool_is_called_and_its_result_read(google):
    ask = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Weather in Oslo?"}]
    made = await chat(google, messages=ask, tools=[TOOL])
    (choice,) = made["choices"]
    (call,) = choice["message"]["tool_calls"]
    assert (choice["finish_reason"], call["function"]["name"]) == ("tool_calls", "get_weather")
    last = (await streamed(google, messages=ask, tools=[TOOL]))[-1]
    assert last["choices"][0]["delta"]["tool_calls"][0]["function"] == call["function"]
    then = [*ask, choice["message"], {"role": "tool", "tool_call_id": call["id"], "content": "rain"}]
    assert (await chat(google, messages=then, tools=[TOOL]))["choices"][0]["finish_reason"] == "stop"
    forced = {"type": "function", "function": {"name": "get_weather"}}
    made = await chat(google, tools=[TOOL], tool_choice=forced)
    assert made["choices"][0]["finish_reason"] == "tool_calls"
    assert "tool_calls" not in (await chat(google, messages=ask, tools=[TOOL], tool_choice="none"))["choices"]


@pytest.mark.parametrize(
    ("content", "tokens"),
    [
        ([{"type": "text", "text": "four"}], 1),
        ([{"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}], 258),
        ([{"type": "input_audio", "input_audio": {"data": "A" * 4000, "format": "wav"}}], 6),
    ],
)
async def test_content_comes_in_many_forms(google, content, tokens):
    made = await chat(google, messages=[{"role": "user", "content": content}])
    assert made["usage"]["prompt_tokens"] == tokens


async def test_options_are_those_of_a_generate_call(google):
    schema = {"type": "object", "properties": {"age": {"type": "integer"}}}
    wanted = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    made = await chat(google, response_format=wanted, n=2)
    assert [isinstance(json.loads(item["message"]["content"])["age"], int) for item in made["choices"]] == [
        True,
        True,
    ]
    short = await chat(google, messages=[{"role": "user", "content": "Write a story"}], max_tokens=20)
    assert short["choices"][0]["finish_reason"] == "length"


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        (CHAT, HELLO | {"messages": [{"role": "user", "content": "!429"}]}, 429),
        (CHAT, HELLO | {"messages": [{"role": "user", "content": "!error"}]}, 503),
        (CHAT, HELLO | {"model": "gpt-4"}, 404),
        (CHAT, HELLO | {"messages": []}, 400),
        (CHAT, HELLO | {"messages": [{"role": "wizard", "content": "x"}]}, 400),
        (CHAT, {"messages": HELLO["messages"]}, 400),
        (f"{PATH}/embeddings", {"model": "gemini-embedding-001"}, 400),
        (f"{PATH}/embeddings", {"model": "gemini-embedding-001", "input": "!503"}, 503),
        (f"{PATH}/images/generations", {"model": "gemini-2.5-flash", "prompt": "x"}, 404),
        (f"{PATH}/images/generations", {"model": "imagen-4.0-generate-001", "prompt": "x", "n": 99}, 400),
    ],
)
async def test_an_error_is_the_only_element_of_an_array(google, path, body, status):
    answer = await google.post(path, json=body)
    (element,) = answer.json()
    assert answer.status_code == element["error"]["code"] == status


async def test_a_bad_key_too(sandbox_url):
    async with httpx2.AsyncClient(base_url=sandbox_url, verify=False) as client:
        answer = await client.post(CHAT, json=HELLO, headers={"authorization": "Bearer invalid"})
    assert answer.json()[0]["error"]["details"][0]["reason"] == "API_KEY_INVALID"


async def test_a_stream_can_fail(google):
    ask = HELLO | {"messages": [{"role": "user", "content": "!error"}], "stream": True}
    assert (await google.post(CHAT, json=ask)).text.rstrip().endswith("]")


async def test_models(google):
    listed = (await google.get(f"{PATH}/models")).json()
    assert listed["object"] == "list"
    flash = next(item for item in listed["data"] if item["id"] == "models/gemini-2.5-flash")
    for name in ("gemini-2.5-flash", "models%2Fgemini-2.5-flash"):
        assert (await google.get(f"{PATH}/models/{name}")).json() == flash
    assert (await google.get(f"{PATH}/models/none")).json()[0]["error"]["code"] == 404


async def test_embeddings_as_numbers_and_as_base64(google):
    ask = {"model": "gemini-embedding-2", "input": ["four", "five"], "dimensions": 8}
    plain = (await google.post(f"{PATH}/embeddings", json=ask)).json()
    assert plain["usage"] == {"prompt_tokens": 2, "total_tokens": 2}
    packed = (await google.post(f"{PATH}/embeddings", json=ask | {"encoding_format": "base64"})).json()
    for one, other in zip(plain["data"], packed["data"], strict=True):
        assert struct.unpack("<8f", base64.b64decode(other["embedding"])) == pytest.approx(one["embedding"])
    single = {"model": "gemini-embedding-001", "input": "x"}
    assert "usage" not in (await google.post(f"{PATH}/embeddings", json=single)).json(), "as natively"


async def test_images(google):
    ask = {"model": "imagen-4.0-generate-001", "prompt": "a cat", "n": 2, "response_format": "b64_json"}
    made = (await google.post(f"{PATH}/images/generations", json=ask)).json()["data"]
    assert [base64.b64decode(item["b64_json"])[:4] for item in made] == [b"\x89PNG"] * 2
    native = {"instances": [{"prompt": "a cat"}], "parameters": {"sampleCount": 2}}
    path = "/v1beta/models/imagen-4.0-generate-001:predict"
    predictions = (await google.post(path, json=native)).json()["predictions"]
    assert [item["bytesBase64Encoded"] for item in predictions] == [item["b64_json"] for item in made]
    for bad in ({}, native | {"parameters": {"sampleCount": 9}}):
        assert (await google.post(path, json=bad)).status_code == 400
    assert (await google.post(path.replace("imagen-4.0-generate-001", "x"), json=native)).status_code == 404
