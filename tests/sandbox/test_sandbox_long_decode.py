"""A long decode in the sandbox: as many requests as its prompt asks for, each but the last with a token."""

from __future__ import annotations

import base64
import itertools

import pytest
from rig.cases import cases

from gatekeeper.sandbox.google_json import Json


def prompt(text: str, **rest: object) -> Json:
    return {"contents": [{"role": "user", "parts": [{"text": text}]}], **rest}


def last(response: Json | list[Json]) -> Json:
    return response[-1] if isinstance(response, list) else response


@pytest.mark.parametrize("form", ["generate", "stream"])
@pytest.mark.parametrize("hops", [1, 3])
def test_a_decode_of_so_many_hops(offline, form, hops):
    ask = getattr(offline, form)
    body = prompt(f"!hops={hops} Write a book")
    said, texts = [], []
    for _ in range(hops):
        response = ask(body)
        said.append(last(response))
        texts.append("".join(map(offline.text_of, response if form == "stream" else [response])))
        token = last(response)["candidates"][0].get("continuationToken")
        body = prompt(f"!hops={hops} Write a book", continuationToken=token)
    reasons = [each["candidates"][0]["finishReason"] for each in said]
    assert reasons == ["CONTINUATION"] * (hops - 1) + ["STOP"]
    assert "continuationToken" not in said[-1]["candidates"][0]
    assert len(set(texts)) == hops
    for before, after in itertools.pairwise(each["usageMetadata"] for each in said):
        written = before["candidatesTokenCount"] + before["thoughtsTokenCount"]
        assert after["promptTokenCount"] == before["promptTokenCount"] + written


def test_only_the_last_chunk_has_the_token(offline):
    *chunks, end = offline.stream(prompt("!hops=2 Write a book"))
    assert chunks
    assert not any("continuationToken" in chunk["candidates"][0] for chunk in chunks)
    assert "continuationToken" in end["candidates"][0]


def test_a_token_comes_back_as_sdks_send_it(offline):
    token = offline.generate(prompt("!hops=2 a"))["candidates"][0]["continuationToken"]
    sent = base64.urlsafe_b64encode(base64.b64decode(token)).decode().rstrip("=")
    for name in ("continuationToken", "continuation_token"):
        assert (
            offline.generate(prompt("!hops=2 a", **{name: sent}))["candidates"][0]["finishReason"] == "STOP"
        )


@cases("token", ["nonsense", "e30=", "é", "bm8="])
def test_another_token_is_refused(offline, token):
    path = "/v1beta/models/gemini-3.8-flash:generateContent"
    answer = offline.post(path, prompt("a", continuationToken=token))
    assert answer.status == 400
    assert offline.document(answer)["error"]["message"] == "The continuation token is not valid."


@cases("words", ["!hops", "!hops=0 a", "!hops=100 a", "!hops=3a", "a !hops=3", "!hops=-1"])
def test_what_is_no_command(offline, words):
    assert offline.generate(prompt(words))["candidates"][0]["finishReason"] == "STOP"
