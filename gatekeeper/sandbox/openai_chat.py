"""OpenAI-style chat completions (https://ai.google.dev/gemini-api/docs/openai): converts a request into a
generate request, and the response back.

As recorded: `completion_tokens` does not include thoughts, the total does. With `include_usage` every chunk
of a stream has the usage so far, and the last one counts. An error is the only element of an array."""

from __future__ import annotations

import json
from collections.abc import Iterator

from gatekeeper.sandbox.calls import (
    CHUNKS_BEFORE_ERROR,
    Calls,
    apply_fault,
    chunk_delays,
    respond_whole,
    unary_seconds,
)
from gatekeeper.sandbox.errors import OVERLOADED, Command, GoogleError, invalid
from gatekeeper.sandbox.generate import Call, GenerateResponse, respond
from gatekeeper.sandbox.google_json import Json, indented, message, messages, sorted_json, text
from gatekeeper.sandbox.http import (
    GOOGLE_HEADERS,
    JSON_TYPE,
    HttpResponse,
    Request,
    response,
    timing_header,
)
from gatekeeper.sandbox.routing import Parameters
from gatekeeper.sandbox.store import Clock

COMPACT_TYPE = b"application/json"
# The version in Google's error messages on these paths.
VERSION = "v1main"
FINISH_REASONS = {"STOP": "stop", "MAX_TOKENS": "length", "SAFETY": "content_filter"}
TOOL_MODES = {"none": "NONE", "auto": "AUTO", "required": "ANY"}


class ChatCompletions:
    def __init__(self, clock: Clock, calls: Calls) -> None:
        self._clock = clock
        self._calls = calls

    def answer(self, body: Json) -> Json:
        """The unary completion for `body`. Raises GoogleError."""
        call = self.call(body)
        return completion(respond_whole(call), self.about(call, body))

    def call(self, body: Json) -> Call:
        model = text(body.get("model")).removeprefix("models/")
        if not model:
            raise invalid("model is not specified")
        return self._calls.call(generate_request(body), VERSION, model)

    def about(self, call: Call, body: Json) -> Json:
        model = text(body.get("model")).removeprefix("models/")
        return {"created": int(self._clock()), "id": call.response_id, "model": model}

    def create(self, request: Request, _at: Parameters) -> HttpResponse:
        body = request.json()
        call = self.call(body)
        about = self.about(call, body)
        if body.get("stream") is True:
            with_usage = message(body.get("stream_options")).get("include_usage") is True
            return apply_fault(call.command, stream_response(respond(call), about, with_usage=with_usage))
        generated = respond_whole(call)
        document = completion(generated, about)
        wait = unary_seconds(generated)
        return apply_fault(call.command, response(200, COMPACT_TYPE, sorted_json(document), seconds=wait))


def generate_request(body: Json) -> Json:
    given = messages(body.get("messages"))
    instructions = [item for item in given if item.get("role") in ("system", "developer")]
    request: Json = {
        "contents": [content(item) for item in given if item not in instructions],
        "generationConfig": generation_config(body),
        "tools": tools(messages(body.get("tools"))),
        "toolConfig": tool_config(body.get("tool_choice")),
        "serviceTier": body.get("service_tier"),
        "cachedContent": google_options(body).get("cached_content"),
    }
    if instructions:
        parts = [part for item in instructions for part in parts_of(item.get("content"))]
        request["systemInstruction"] = {"parts": parts}
    return {name: value for name, value in request.items() if value}


def google_options(body: Json) -> Json:
    """Google's extensions: the SDK sends its `extra_body` either at the top level or nested under that
    name."""
    return message(message(body.get("extra_body") or body).get("google"))


def content(item: Json) -> Json:
    calls = [message(call.get("function")) for call in messages(item.get("tool_calls"))]
    called = [{"functionCall": {"name": call.get("name"), "args": parsed(call)}} for call in calls]
    match item.get("role"):
        case "assistant":
            return {"role": "model", "parts": [*parts_of(item.get("content")), *called]}
        case "tool":
            answered: Json = {"name": item.get("name"), "response": {"result": item.get("content")}}
            return {"role": "user", "parts": [{"functionResponse": answered}]}
        case "user":
            return {"role": "user", "parts": parts_of(item.get("content"))}
        case role:
            raise invalid(f"Invalid role: {role}. Use system, developer, user, assistant or tool.")


def parsed(call: Json) -> object:
    """Raises GoogleError (400) for arguments that are not JSON."""
    try:
        return json.loads(text(call.get("arguments")) or "{}")
    except ValueError as error:
        raise invalid("Function call arguments must be a JSON object.") from error


def parts_of(given: object) -> list[Json]:
    if isinstance(given, str):
        return [{"text": given}]
    parts: list[Json] = []
    for item in messages(given):
        match item.get("type"):
            case "image_url":
                parts.append(media_part(text(message(item.get("image_url")).get("url"))))
            case "input_audio":
                audio = message(item.get("input_audio"))
                kind = f"audio/{text(audio.get('format'))}"
                parts.append({"inlineData": {"mimeType": kind, "data": audio.get("data")}})
            case _:
                parts.append({"text": text(item.get("text"))})
    return parts


def media_part(url: str) -> Json:
    head, _, data = url.partition(";base64,")
    if data:
        return {"inlineData": {"mimeType": head.removeprefix("data:"), "data": data}}
    return {"fileData": {"mimeType": "image/*", "fileUri": url}}


def generation_config(body: Json) -> Json:
    thinking = message(google_options(body).get("thinking_config"))
    effort = text(body.get("reasoning_effort"))
    if effort:
        thinking = {"thinkingBudget": 0} if effort == "none" else {"thinkingLevel": effort}
    found: Json = {
        "maxOutputTokens": body.get("max_completion_tokens") or body.get("max_tokens"),
        "candidateCount": body.get("n"),
        "stopSequences": body.get("stop"),
        "seed": body.get("seed"),
        "thinkingConfig": thinking,
    }
    wanted = message(body.get("response_format"))
    if text(wanted.get("type")).startswith("json"):
        schema = message(wanted.get("json_schema")).get("schema")
        found |= {"responseMimeType": "application/json", "responseJsonSchema": schema}
    return {name: value for name, value in found.items() if value is not None}


def tools(given: list[Json]) -> list[Json]:
    declared: list[Json] = []
    for tool in given:
        function = message(tool.get("function"))
        names: Json = {"name": function.get("name"), "description": function.get("description")}
        declared.append(names | {"parametersJsonSchema": function.get("parameters")})
    return [{"functionDeclarations": declared}] if declared else []


def tool_config(choice: object) -> Json:
    """`none`, `auto`, `required`, or an object with the one function to call."""
    if isinstance(choice, str):
        return {"functionCallingConfig": {"mode": TOOL_MODES.get(choice, "AUTO")}}
    name = message(message(choice).get("function")).get("name")
    return {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": [name]}} if name else {}


def completion(generated: GenerateResponse, about: Json) -> Json:
    document = generated.unary()
    choices = [choice(item, "message") for item in messages(document.get("candidates"))]
    usage = completion_usage(message(document["usageMetadata"]))
    return {"object": "chat.completion", "choices": choices, "usage": usage, **about}


def choice(candidate: Json, name: str) -> Json:
    """A candidate, or a chunk of one, as OpenAI's `message` or `delta`."""
    parts = messages(message(candidate.get("content")).get("parts"))
    written = [text(part["text"]) for part in parts if "text" in part and not part.get("thought")]
    calls = [tool_call(part, at) for at, part in enumerate(part for part in parts if "functionCall" in part)]
    said: Json = {
        "role": "assistant",
        **({"content": "".join(written)} if written else {}),
        **({"tool_calls": calls} if calls else {}),
    }
    found: Json = {"index": candidate.get("index", 0), name: said}
    if reason := text(candidate.get("finishReason")):
        # OpenAI has a finish reason of its own for function calls, for which Google has STOP.
        found["finish_reason"] = "tool_calls" if calls else FINISH_REASONS.get(reason, "stop")
    return found


def tool_call(part: Json, index: int) -> Json:
    call = message(part["functionCall"])
    arguments = sorted_json(call["args"]).decode()
    function: Json = {"name": call["name"], "arguments": arguments}
    identity = text(call.get("id")) or f"function-call-{index}"
    found: Json = {"id": identity, "index": index, "type": "function", "function": function}
    if signature := part.get("thoughtSignature"):
        found["extra_content"] = {"google": {"thought_signature": signature}}
    return found


def completion_usage(reported: Json) -> Json:
    usage: Json = {
        "prompt_tokens": reported.get("promptTokenCount", 0),
        "completion_tokens": reported.get("candidatesTokenCount", 0),
        "total_tokens": reported.get("totalTokenCount", 0),
    }
    if cached := reported.get("cachedContentTokenCount"):
        usage["prompt_tokens_details"] = {"cached_tokens": cached}
    return usage


def chunks(generated: GenerateResponse, about: Json, *, with_usage: bool) -> Iterator[Json]:
    for chunk in generated.chunks():
        document: Json = {"object": "chat.completion.chunk", **about}
        document["choices"] = [choice(item, "delta") for item in messages(chunk.get("candidates"))]
        if with_usage:
            document["usage"] = completion_usage(message(chunk["usageMetadata"]))
        yield document


def stream_response(generated: GenerateResponse, about: Json, *, with_usage: bool) -> HttpResponse:
    found = [b"data: %s\n\n" % sorted_json(item) for item in chunks(generated, about, with_usage=with_usage)]
    if generated.call.command is Command.ERROR:
        failure = indented([GoogleError(*OVERLOADED).document()])
        found = [*found[: min(CHUNKS_BEFORE_ERROR, len(found) - 1)], b"data: " + failure + b"\n\n"]
    else:
        found.append(b"data: [DONE]\n\n")
    delays = [*chunk_delays(generated), 0.0]
    kind = ((b"content-type", b"text/event-stream"),)
    headers = (*kind, *timing_header(delays[0]), *GOOGLE_HEADERS)
    return HttpResponse(200, headers, list(zip(delays, found, strict=False)))


def openai_error(error: GoogleError, _request: Request) -> HttpResponse:
    return response(error.code, JSON_TYPE, indented([error.document()]) + b"\n")
