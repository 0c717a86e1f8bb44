"""Usage adds up, whatever is asked, and a stream tells the same as an answer at once."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rig.cases import cases

FLASH, OLD = "gemini-3.8-flash", "gemini-2.0-flash"
PNG = {"inlineData": {"mimeType": "image/png", "data": "iVBORw0KGgo="}}
MP3 = {"inlineData": {"mimeType": "audio/mpeg", "data": "A" * 40_000}}
MP4 = {"inlineData": {"mimeType": "video/mp4", "data": "A" * 40_000}}
PDF = {"inlineData": {"mimeType": "application/pdf", "data": "A" * 80_000}}
WEATHER = {
    "name": "get_weather",
    "parameters": {"type": "OBJECT", "properties": {"city": {"type": "STRING"}}, "required": ["city"]},
}


def prompt(text: str, **rest: object) -> dict:
    return {"contents": [{"role": "user", "parts": [{"text": text}]}], **rest}


ASKS = st.one_of(
    st.text(max_size=200),
    st.sampled_from(
        ["Write a story about rain", "haiku on tea", "list of ideas", "Say hello", "hi", "code for x"]
    ),
)
TOOLS = st.sampled_from(
    [[], [{"googleSearch": {}}], [{"functionDeclarations": [WEATHER]}], [{"urlContext": {}}]]
)
CONFIGS = st.fixed_dictionaries(
    {},
    optional={
        "candidateCount": st.integers(1, 3),
        "maxOutputTokens": st.integers(1, 300),
        "stopSequences": st.lists(st.text(min_size=1, max_size=2), max_size=2),
        "responseMimeType": st.sampled_from(["text/plain", "application/json"]),
        "seed": st.integers(0, 5),
        "thinkingConfig": st.fixed_dictionaries(
            {}, optional={"thinkingBudget": st.integers(-1, 500), "includeThoughts": st.booleans()}
        ),
    },
)
NAMES = st.sampled_from(
    [
        "contents",
        "parts",
        "text",
        "tools",
        "generationConfig",
        "role",
        "inlineData",
        "fileData",
        "requests",
        "content",
    ]
)
SHAPES = st.recursive(
    st.none() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=12,
)
PARTS = st.lists(st.sampled_from([PNG, MP3, MP4, PDF]), max_size=2)


@given(
    prompt_text=ASKS,
    media=PARTS,
    config=CONFIGS,
    tools=TOOLS,
    model=st.sampled_from([FLASH, OLD, "gemini-none-such"]),
)
def test_usage_adds_up_and_a_stream_says_the_same(offline, prompt_text, media, config, tools, model):
    body = {
        "contents": [{"parts": [*media, {"text": prompt_text}]}],
        "generationConfig": config,
        "tools": tools,
    }
    whole, chunks = offline.generate(body, model), offline.stream(body, model)
    for response in [whole, *chunks]:
        assert_adds_up(response["usageMetadata"])
    assert chunks[-1]["usageMetadata"] == whole["usageMetadata"]
    spoken = [chunk["usageMetadata"].get("candidatesTokenCount", 0) for chunk in chunks]
    assert spoken == sorted(spoken)
    for index in range(config.get("candidateCount", 1)):
        assert "".join(offline.text_of(chunk, index) for chunk in chunks) == offline.text_of(whole, index)
    if "maxOutputTokens" in config:
        usage = whole["usageMetadata"]
        spent = usage.get("candidatesTokenCount", 0) + usage.get("thoughtsTokenCount", 0)
        assert spent <= config["maxOutputTokens"] * config.get("candidateCount", 1)


def assert_adds_up(usage: dict) -> None:
    parts = ("promptTokenCount", "candidatesTokenCount", "thoughtsTokenCount", "toolUsePromptTokenCount")
    assert usage.get("totalTokenCount", 0) == sum(usage.get(name, 0) for name in parts)
    assert 0 not in usage.values()
    for total, details in (
        ("promptTokenCount", "promptTokensDetails"),
        ("candidatesTokenCount", "candidatesTokensDetails"),
        ("toolUsePromptTokenCount", "toolUsePromptTokensDetails"),
    ):
        if details in usage:
            assert sum(item["tokenCount"] for item in usage[details]) == usage[total]


@settings(max_examples=40)
@given(prompt_text=ASKS, media=PARTS, instruction=st.text(max_size=50))
def test_counting_tokens_agrees_with_the_prompt_of_a_call(offline, prompt_text, media, instruction):
    body = {
        "contents": [{"parts": [*media, {"text": prompt_text}]}],
        "systemInstruction": {"parts": {"text": instruction}},
    }
    usage = offline.generate(body)["usageMetadata"]
    for counted in (body, {"generateContentRequest": {"model": f"models/{FLASH}", **body}}):
        counts = offline.document(offline.post(f"/v1beta/models/{FLASH}:countTokens", counted))
        assert counts.get("totalTokens") == usage.get("promptTokenCount")
        assert counts.get("promptTokensDetails") == usage.get("promptTokensDetails")


@given(body=st.binary(max_size=60) | SHAPES)
def test_whatever_is_sent_gets_an_answer_of_google_s(offline, body):
    for action in (
        "generateContent",
        "streamGenerateContent",
        "countTokens",
        "embedContent",
        "batchEmbedContents",
    ):
        model = "gemini-embedding-001" if "mbed" in action else FLASH
        answer = offline.post(f"/v1beta/models/{model}:{action}", body)
        assert answer.status in (200, 400, 403)
        assert json.loads(offline.said(answer)) is not None


@cases(
    ("part", "modality", "tokens"),
    [
        (PNG, "IMAGE", 258),
        (MP3, "AUDIO", 60),
        (MP4, "VIDEO", 31),
        (PDF, "DOCUMENT", 516),
        ({"text": "x" * 9}, "TEXT", 3),
    ],
)
def test_media_count_by_modality(offline, part, modality, tokens):
    usage = offline.generate({"contents": {"parts": part}})["usageMetadata"]
    assert usage["promptTokensDetails"] == [{"modality": modality, "tokenCount": tokens}]
    assert usage["promptTokenCount"] == tokens


@cases(
    ("model", "config", "thinks"),
    [
        (FLASH, {}, True),
        (FLASH, {"thinkingBudget": 0}, False),
        (FLASH, {"thinkingLevel": "minimal"}, False),
        (FLASH, {"thinkingLevel": "HIGH"}, True),
        (OLD, {"thinkingBudget": 100}, False),
    ],
)
def test_models_that_think_report_it(offline, model, config, thinks):
    usage = offline.generate(prompt("Why?", generationConfig={"thinkingConfig": config}), model)[
        "usageMetadata"
    ]
    assert ("thoughtsTokenCount" in usage) is thinks
    assert usage.get("thoughtsTokenCount", 1) <= 500


@pytest.mark.parametrize(
    ("model", "kind", "modality", "tokens"),
    [
        ("gemini-2.5-flash-image", "image/png", "IMAGE", 1290),
        ("gemini-2.5-flash-preview-tts", "audio/L16;codec=pcm;rate=24000", "AUDIO", 50),
        ("gemini-9-flash-tts", "audio/L16;codec=pcm;rate=24000", "AUDIO", 50),
    ],
)
def test_images_and_speech_are_counted_by_their_modality(offline, model, kind, modality, tokens):
    answer = offline.generate(prompt("one two three four five"), model)
    (part,) = answer["candidates"][0]["content"]["parts"]
    assert part["inlineData"]["mimeType"] == kind
    usage = answer["usageMetadata"]
    assert usage["candidatesTokensDetails"] == [{"modality": modality, "tokenCount": tokens}]
    assert usage["totalTokenCount"] == usage["promptTokenCount"] + tokens
    wanted = prompt("Say hello") | {"generationConfig": {"responseModalities": ["TEXT"]}}
    assert offline.text_of(offline.generate(wanted, model)) == "hello"
