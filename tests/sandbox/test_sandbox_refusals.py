"""What is refused is refused in Google's words; what Google's parser lets pass, passes."""

from __future__ import annotations

import gzip
import json
import re

import pytest
from rig.cases import cases

from gatekeeper.sandbox.http import inflated

FLASH, OLD = "gemini-3.8-flash", "gemini-2.0-flash"


def prompt(text: str, **rest: object) -> dict:
    return {"contents": [{"role": "user", "parts": [{"text": text}]}], **rest}


@cases(
    ("body", "message"),
    [
        ({}, "contents is not specified"),
        ({"contents": []}, "contents is not specified"),
        ({"contents": [{"role": "user"}]}, "contents[0].parts: contents.parts must not be empty"),
        ({"contents": [{"role": "system", "parts": [{"text": "x"}]}]}, "Please use a valid role"),
        (prompt("x", generationConfig={"candidateCount": 9}), "candidate_count"),
        (prompt("x", generationConfig={"maxOutputTokens": 0}), "max_output_tokens"),
        (
            prompt("x", generationConfig={"maxOutputTokens": "lots"}),
            "'generation_config.max_output_tokens' (TYPE_INT32), \"lots\"",
        ),
        (prompt("x" * 4_200_000), "exceeds the maximum number of tokens allowed (1048576)"),
        (b'{"contents": [}', 'Unexpected token.\n{"contents": [}\n              ^'),
        (b"[]", "Root element must be a message"),
        (b"\xff", "Invalid JSON payload received."),
        (b"[" * 50_000, "Invalid JSON payload received."),
    ],
)
def test_bad_requests_are_refused_in_google_s_words(offline, body, message):
    answer = offline.post(f"/v1beta/models/{FLASH}:generateContent", body)
    assert answer.status == 400
    assert offline.document(answer)["error"]["status"] == "INVALID_ARGUMENT"
    assert message in offline.document(answer)["error"]["message"]


@pytest.mark.parametrize(
    "body",
    [
        b'{"contents": [{"parts": [{"text": "Say ,] and ,}",},],},],}',
        b'{"contents": [{"parts": [{"text": "Say ,] and ,}"} , \n ]}]\n,\n}',
    ],
)
def test_commas_may_trail_but_stay_in_strings(offline, body):
    assert offline.text_of(offline.generate(body)) == ",] and ,}"


@pytest.mark.parametrize("body", [b'{,"contents": 1}', b'{"contents": [1,,]}', b'{"a": "x,]'])
def test_other_stray_commas_are_errors(offline, body):
    assert offline.post(f"/v1beta/models/{FLASH}:generateContent", body).status == 400


async def test_a_request_may_be_compressed(google):
    path, plain = f"/v1beta/models/{FLASH}:countTokens", json.dumps(prompt("x" * 4000)).encode()
    counted = (await google.post(path, content=plain)).json()

    async def ask(body):
        return await google.post(path, content=body, headers={"content-encoding": "gzip"})

    assert (await ask(gzip.compress(plain))).json() == counted
    for broken in (plain, gzip.compress(plain)[:-9]):
        assert (await ask(broken)).status_code == 400
    small = gzip.compress(plain)
    assert (inflated(small, len(plain)), inflated(small, len(plain) - 1)) == (plain, None)


def test_a_model_of_another_family_is_unknown(offline):
    answer = offline.post("/v1beta/models/gpt-4:streamGenerateContent", prompt("x"), alt="sse")
    assert answer.status == 404
    assert (b"content-type", b"text/event-stream") in answer.headers
    assert re.match(
        r"models/gpt-4 is not found for API version v1beta", offline.document(answer)["error"]["message"]
    )


def test_the_error_of_an_array_stream_is_its_only_element(offline):
    answer = offline.post("/v1beta/models/gpt-4:streamGenerateContent", prompt("x"))
    assert json.loads(offline.said(answer))[0]["error"]["code"] == 404


def test_an_embedding_model_does_not_write_and_a_writing_one_does_not_embed(offline):
    assert offline.post("/v1beta/models/gemini-embedding-001:generateContent", prompt("x")).status == 404
    assert (
        offline.post(f"/v1beta/models/{FLASH}:embedContent", {"content": {"parts": [{"text": "x"}]}}).status
        == 404
    )
