"""Each shape in which Google's APIs report what a call has used, read from the body as it arrives, however it
is cut into chunks."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rig.recordings import RECORDINGS, SHARES, Recording, recorded, written

from gatekeeper.gemini.meter import meter_for, meter_options
from gatekeeper.gemini.response_parser import ResponseSummary
from gatekeeper.gemini.routes import route
from gatekeeper.gemini.token_usage import Usage
from gatekeeper.gemini.usage import read_usage

Json = dict[str, Any]
JSON_TYPE, EVENTS = "application/json; charset=UTF-8", "text/event-stream"


def text(tokens: int, kind: str = "TEXT") -> Json:
    return {"modality": kind, "tokenCount": tokens}


def generated(usage: Json, **more: Any) -> Json:
    parts = [{"text": "ü"}, {"functionCall": {"args": {"usageMetadata": {"totalTokenCount": 1}}}}]
    return {"candidates": [{"content": {"parts": parts}}], "usageMetadata": usage} | more


def unary(document: Json) -> bytes:
    return json.dumps(document, indent=2).encode()


def sse(*documents: Json) -> bytes:
    return b"".join(b"data: %b\r\n\r\n" % json.dumps(document).encode() for document in documents)


def events(*documents: Json) -> bytes:
    """As Interactions write them."""
    lines = [(str(each["event_type"]), json.dumps(each, ensure_ascii=False)) for each in documents]
    whole = "".join(f"event: {name}\ndata: {data}\n\n" for name, data in lines)
    return (whole + "event: done\ndata: [DONE]\n\n").encode()


def chat(*documents: Json) -> bytes:
    return b"".join(b"data: %b\n\n" % json.dumps(each).encode() for each in documents) + b"data: [DONE]\n\n"


def array(*documents: Json) -> bytes:
    return b"[" + b"\n,\r\n".join(unary(document) for document in documents) + b"\n]\n"


@dataclass(frozen=True)
class Shape:
    path: str
    body: bytes
    expected: Usage | None
    media_type: str = JSON_TYPE
    units: dict[str, int | None] = field(default_factory=dict[str, "int | None"])


FLASH = "/v1beta/models/gemini-2.5-flash"
FIRST = {"promptTokenCount": 8, "candidatesTokenCount": 9, "totalTokenCount": 30, "thoughtsTokenCount": 13}
LAST = {"promptTokenCount": 8, "candidatesTokenCount": 4, "totalTokenCount": 12}
READ_LAST = Usage(prompt=8, output=4, thoughts=0, tool=0, total=12)
STEP = {"total_input_tokens": 10, "total_output_tokens": 5, "total_tokens": 15}
TOTAL = {
    "total_input_tokens": 30,
    "total_output_tokens": 9,
    "total_thought_tokens": 1,
    "total_tokens": 40,
    "input_tokens_by_modality": [{"modality": "text", "tokens": 30}],
    "grounding_tool_count": [{"type": "google_search", "count": 2}],
}
READ_TOTAL = Usage(prompt=30, output=9, thoughts=1, tool=0, total=40, prompt_details=(("text", 30),))
COMPLETION = {"prompt_tokens": 35, "completion_tokens": 12, "total_tokens": 109}
READ_COMPLETION = Usage(prompt=35, output=12, thoughts=62, tool=0, total=109)
CHOICE = {"choices": [{"delta": {"content": "a"}, "index": 0}], "model": "gemini-2.5-flash", "usage": None}

SHAPES = {
    "generateContent": Shape(f"{FLASH}:generateContent", unary(generated(LAST)), READ_LAST),
    "a stream of events": Shape(
        f"{FLASH}:streamGenerateContent", sse(generated(FIRST), generated(LAST)), READ_LAST, EVENTS
    ),
    "whose last event has none": Shape(
        f"{FLASH}:streamGenerateContent",
        sse(generated(LAST), {"candidates": [{"finishReason": "STOP"}]}),
        READ_LAST,
        EVENTS,
    ),
    "a stream in an array": Shape(
        f"{FLASH}:streamGenerateContent", array(generated(FIRST), generated(LAST)), READ_LAST
    ),
    "tool use": Shape(
        f"{FLASH}:generateContent",
        unary(
            generated(
                {
                    "promptTokenCount": 31,
                    "candidatesTokenCount": 12,
                    "thoughtsTokenCount": 48,
                    "toolUsePromptTokenCount": 981,
                    "totalTokenCount": 1072,
                    "toolUsePromptTokensDetails": [text(981)],
                }
            )
        ),
        Usage(prompt=31, output=12, thoughts=48, tool=981, total=1072, tool_details=(("text", 981),)),
    ),
    "an image": Shape(
        "/v1beta/models/gemini-2.5-flash-image:generateContent",
        unary(
            generated(
                {
                    "promptTokenCount": 280,
                    "candidatesTokenCount": 1302,
                    "totalTokenCount": 1582,
                    "promptTokensDetails": [text(22), text(258, "IMAGE")],
                    "candidatesTokensDetails": [text(1290, "IMAGE")],
                }
            )
        ),
        Usage(
            prompt=280,
            output=1302,
            thoughts=0,
            tool=0,
            total=1582,
            prompt_details=(("text", 22), ("image", 258)),
            output_details=(("image", 1290),),
        ),
    ),
    "sound": Shape(
        "/v1beta/models/gemini-2.5-flash-preview-tts:generateContent",
        unary(
            generated(
                {
                    "promptTokenCount": 5,
                    "candidatesTokenCount": 100,
                    "totalTokenCount": 105,
                    "candidatesTokensDetails": [text(100, "AUDIO")],
                }
            )
        ),
        Usage(prompt=5, output=100, thoughts=0, tool=0, total=105, output_details=(("audio", 100),)),
    ),
    "a tuned model": Shape(
        "/v1beta/tunedModels/t:generateContent",
        unary(generated(LAST, modelVersion="tunedModels/t")),
        READ_LAST,
    ),
    "searches": Shape(
        f"{FLASH}:generateContent",
        unary(
            {
                "candidates": [{"groundingMetadata": {"webSearchQueries": ["a", "", "b", "a"]}}],
                "usageMetadata": LAST,
            }
        ),
        READ_LAST,
        units={"grounding_search_query": 2},
    ),
    "an embedding": Shape(
        "/v1beta/models/gemini-embedding-001:embedContent",
        unary({"embedding": {"values": [0.5] * 9}, "usageMetadata": {"promptTokenCount": 4}}),
        Usage(prompt=4),
    ),
    "an embedding without usage": Shape(
        "/v1beta/models/gemini-embedding-001:embedContent", unary({"embedding": {"values": [0.5]}}), None
    ),
    "embeddings of the second generation": Shape(
        "/v1beta/models/gemini-embedding-2:batchEmbedContents",
        unary(
            {
                "embeddings": [{"values": [0.5]}],
                "usageMetadata": {
                    "promptTokenCount": 261,
                    "promptTokenDetails": [text(3), text(258, "IMAGE")],
                },
            }
        ),
        Usage(prompt=261, prompt_details=(("text", 3), ("image", 258))),
    ),
    "a cache": Shape(
        "/v1beta/cachedContents",
        unary({"name": "cachedContents/c", "usageMetadata": {"totalTokenCount": 5000}}),
        Usage(total=5000),
    ),
    "an interaction": Shape(
        "/v1beta/interactions",
        unary({"id": "i", "object": "interaction", "usage": TOTAL}),
        READ_TOTAL,
    ),
    "a stream of an interaction": Shape(
        "/v1beta/interactions",
        events(
            {"event_type": "interaction.created", "interaction": {"id": "i", "usage": STEP}},
            {"event_type": "step.delta", "delta": {"text": "ü"}, "metadata": {"total_usage": STEP}},
            {"event_type": "step.stop", "usage": TOTAL, "step_usage": STEP},
            {"event_type": "interaction.completed", "interaction": {"id": "i"}},
        ),
        READ_TOTAL,
        EVENTS,
    ),
    "a stream of an interaction that ends with its total": Shape(
        "/v1beta/interactions",
        events(
            {"event_type": "step.stop", "usage": STEP, "step_usage": STEP},
            {"event_type": "interaction.completed", "interaction": {"id": "i", "usage": TOTAL}},
        ),
        READ_TOTAL,
        EVENTS,
    ),
    "the last delta of an interaction": Shape(
        "/v1beta/interactions",
        events(
            {"event_type": "step.delta", "metadata": {"total_usage": STEP}},
            {"event_type": "step.delta", "metadata": {"total_usage": TOTAL}},
        ),
        READ_TOTAL,
        EVENTS,
    ),
    "a chat completion": Shape(
        "/v1beta/openai/chat/completions",
        unary({"choices": [{"message": {"content": "a"}}], "usage": COMPLETION}),
        READ_COMPLETION,
    ),
    "a stream of chat completions": Shape(
        "/v1beta/openai/chat/completions",
        chat(CHOICE, CHOICE | {"usage": COMPLETION}),
        READ_COMPLETION,
        EVENTS,
    ),
    "whose last chunk has no choices": Shape(
        "/v1beta/openai/chat/completions",
        chat(CHOICE, CHOICE, {"choices": [], "usage": COMPLETION}),
        READ_COMPLETION,
        EVENTS,
    ),
    "that was not asked for its usage": Shape(
        "/v1beta/openai/chat/completions", chat(CHOICE, CHOICE), None, EVENTS
    ),
    "an embedding in OpenAI's form": Shape(
        "/v1beta/openai/embeddings",
        unary({"data": [{"embedding": [0.5]}], "usage": {"prompt_tokens": 5, "total_tokens": 5}}),
        Usage(prompt=5, output=0, thoughts=0, tool=0, total=5),
    ),
    "a batch that was just made": Shape(
        f"{FLASH}:batchGenerateContent", unary({"name": "batches/b", "metadata": {"usage": LAST}}), None
    ),
}


def metered(
    path: str, body: bytes, media_type: str, sizes: list[int], method: str = "POST"
) -> ResponseSummary:
    found = route(method, path.encode(), b"alt=sse" if media_type == EVENTS else b"")
    reading = meter_options(method, found, 200, media_type.encode())
    assert reading
    meter = meter_for(media_type.encode(), None, *reading)
    at = count = 0
    while at < len(body):
        size = sizes[count % len(sizes)]
        meter.feed(body[at : at + size])
        at, count = at + size, count + 1
    return meter.finish()


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES.keys())
@settings(max_examples=10)
@given(sizes=st.lists(st.integers(1, 60), min_size=1, max_size=6))
def test_a_shape_is_read_at_any_chunking(shape: Shape, sizes: list[int]) -> None:
    summary = metered(shape.path, shape.body, shape.media_type, sizes)
    assert (summary.usage and read_usage(summary.usage)) == shape.expected
    assert summary.billed_units == shape.units
    assert summary.complete


COLUMNS = ("prompt", "cached", "candidates", "thoughts", "tool_use", "total")
PROVED = ("prompt", "candidates", "thoughts", "tool_use")


def differs(recording: Recording, sizes: list[int]) -> dict[str, object]:
    """What of the usage is not as indexed."""
    # A long body is cut in a hundred places.
    cuts = [max(size, len(recording.body) // 100) for size in sizes]
    path, _, _ = recording.target.partition("?")
    summary = metered(path, recording.body, recording.content_type, cuts)
    usage = (summary.usage and read_usage(summary.usage)) or Usage()
    counts = (usage.prompt, usage.cached, usage.output, usage.thoughts, usage.tool, usage.total)
    found = dict(zip(COLUMNS, counts, strict=True))
    indexed = {name: int(recording.indexed.get(name) or -1) for name in COLUMNS}
    return {
        name: count
        for name, count in found.items()
        if (-1 if count is None else count) != indexed[name]
        # A 0 that the total proves; thoughts that an OpenAI-style answer has in its total only
        and not (indexed[name] == -1 and name in PROVED and (not count or recording.kind == "openai_compat"))
    }


USED = ("unary", "sse", "json_array_stream", "embed", "interactions", "openai_compat")


@lru_cache(1)
def played(share: int) -> list[Recording]:
    source = recorded if RECORDINGS else written
    return [each for each in source(share) if each.kind in USED and each.method == "POST"]


@pytest.mark.parametrize("share", range(SHARES))
@settings(max_examples=3)
@given(sizes=st.lists(st.integers(1, 400), min_size=1, max_size=6))
def test_recorded_usage_is_as_indexed_at_any_chunking(share: int, sizes: list[int]) -> None:
    used = played(share)
    wrong = {each.id: found for each in used if (found := differs(each, sizes))}
    assert not wrong
    assert used
