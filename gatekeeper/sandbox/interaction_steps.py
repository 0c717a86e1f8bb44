"""Converts a generated response into an interaction's steps, usage and events, in the recorded format:
compact JSON with sorted keys, events with an `event:` line and LF."""

from __future__ import annotations

from collections.abc import Iterator

from gatekeeper.sandbox.generate import GenerateResponse
from gatekeeper.sandbox.google_json import Json, field, message, messages, sorted_json, text
from gatekeeper.sandbox.tools import signature

DONE = b"event: done\ndata: [DONE]\n\n"
# `status` by finish reason; `failed` for any other.
STATUSES = {"STOP": "completed", "MAX_TOKENS": "incomplete"}
SEARCH_ID = "search_1"


def steps(generated: GenerateResponse) -> list[Json]:
    """The steps of the first candidate: thought, search, function call or text."""
    if not generated.candidates:
        return []
    candidate = generated.candidates[0].unary()
    parts = candidate.deltas[0].parts
    found: list[Json] = []
    if generated.thoughts:
        summary = [{"type": "text", "text": text(part["text"])} for part in parts if part.get("thought")]
        thought: Json = {"type": "thought", "signature": signature(generated.call.prompt_text)}
        found.append(thought | ({"summary": summary} if summary else {}))
    found += search_steps(message(candidate.extra_fields.get("groundingMetadata")))
    found += [call_step(message(part["functionCall"])) for part in parts if "functionCall" in part]
    written = [text(part["text"]) for part in parts if "text" in part and not part.get("thought")]
    if written:
        contents = [{"type": "text", "text": item} for item in written]
        found.append({"type": "model_output", "content": contents})
    found += [media_step(message(part["inlineData"])) for part in parts if "inlineData" in part]
    return found


def search_steps(grounding: Json) -> list[Json]:
    if not grounding:
        return []
    return [
        {
            "type": "google_search_call",
            "id": SEARCH_ID,
            "search_type": "web_search",
            "arguments": {"queries": grounding["webSearchQueries"]},
        },
        {
            "type": "google_search_result",
            "call_id": SEARCH_ID,
            "result": [{"search_suggestions": '<div class="container"></div>'}],
        },
    ]


def media_step(blob: Json) -> Json:
    """A step with an image or speech."""
    mime = text(blob["mimeType"])
    content: Json = {"type": mime.partition("/")[0], "mime_type": mime, "data": blob["data"]}
    return {"type": "model_output", "content": [content]}


def call_step(call: Json) -> Json:
    return {
        "type": "function_call",
        "id": text(call.get("id")) or f"call_{text(call.get('name'))}",
        "name": call["name"],
        "arguments": call["args"],
    }


def status_of(generated: GenerateResponse) -> str:
    if not generated.candidates:
        return "failed"
    candidate = generated.candidates[0]
    if any("functionCall" in part for delta in candidate.deltas for part in delta.parts):
        return "requires_action"
    return STATUSES.get(candidate.finish, "failed")


def interaction_usage(reported: Json) -> Json:
    """The usage of a generate call in the format of the Interactions API, which includes zeros."""
    details = messages(field(reported, "promptTokensDetails"))
    return {
        "total_tokens": reported.get("totalTokenCount", 0),
        "total_input_tokens": reported.get("promptTokenCount", 0),
        "input_tokens_by_modality": [
            {"modality": text(item["modality"]).lower(), "tokens": item["tokenCount"]} for item in details
        ],
        "total_cached_tokens": reported.get("cachedContentTokenCount", 0),
        "total_output_tokens": reported.get("candidatesTokenCount", 0),
        "total_tool_use_tokens": reported.get("toolUsePromptTokenCount", 0),
        "total_thought_tokens": reported.get("thoughtsTokenCount", 0),
    }


def grounding_count(found: list[Json]) -> Json:
    searched = any(step["type"] == "google_search_call" for step in found)
    return {"grounding_tool_count": [{"type": "google_search", "count": 1}]} if searched else {}


def events(document: Json, text_pieces: list[str]) -> Iterator[Json]:
    """The events of the interaction `document`; its text is streamed in `text_pieces`."""
    about: Json = {name: document[name] for name in ("id", "object", "model", "agent") if name in document}
    named: Json = {"interaction_id": document.get("id", ""), "status": "in_progress"}
    yield {"event_type": "interaction.created", "interaction": about | {"status": "in_progress"}}
    yield {"event_type": "interaction.status_update", **named}
    for index, step in enumerate(messages(document.get("steps"))):
        start, deltas = step_parts(step, text_pieces)
        yield {"event_type": "step.start", "index": index, "step": start}
        for delta in deltas:
            yield {"event_type": "step.delta", "index": index, "delta": delta}
        yield {"event_type": "step.stop", "index": index}
    # The steps were sent in earlier events.
    whole: Json = {name: value for name, value in document.items() if name != "steps"}
    yield {"event_type": "interaction.completed", "interaction": whole}


def step_parts(step: Json, text_pieces: list[str]) -> tuple[Json, list[Json]]:
    """The step as it starts, and its deltas."""
    match step["type"]:
        case "thought":
            said = messages(step.get("summary"))
            summary: list[Json] = [{"type": "thought_summary", "content": item} for item in said]
            signed: Json = {"type": "thought_signature", "signature": step["signature"]}
            return {"type": "thought"}, [*summary, signed]
        case "function_call":
            arguments = sorted_json(step["arguments"]).decode()
            start: Json = {**step, "arguments": {}}
            return start, [{"type": "arguments_delta", "arguments": arguments}]
        case "model_output" if text_pieces:
            return {"type": "model_output"}, [{"type": "text", "text": piece} for piece in text_pieces]
        case "model_output":
            return {"type": "model_output"}, messages(step["content"])
        case _:
            return step, []


def text_pieces(generated: GenerateResponse) -> list[str]:
    """The text of the first candidate, in the pieces of its stream."""
    parts = [part for item in generated.candidates[:1] for delta in item.deltas for part in delta.parts]
    return [text(part["text"]) for part in parts if "text" in part and not part.get("thought")]


def event_bytes(event: Json) -> bytes:
    return b"event: %s\ndata: %s\n\n" % (text(event["event_type"]).encode(), sorted_json(event))
