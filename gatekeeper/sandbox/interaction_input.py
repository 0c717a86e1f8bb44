"""Converts an Interactions request into an equivalent generate request.

The input is a text, a content, or a list of contents, turns (`role`) or steps (`type`), like the API's
history (https://ai.google.dev/api/interactions-api).
"""

from __future__ import annotations

from gatekeeper.sandbox.google_json import Json, field, message, messages, repeated, text

MEDIA_TYPES = ("image", "audio", "video", "document")
# Google's own tools: their names here and in a generate request.
TOOLS = {
    "google_search": "googleSearch",
    "url_context": "urlContext",
    "code_execution": "codeExecution",
    "google_maps": "googleMaps",
    "file_search": "fileSearch",
}


def input_contents(given: object) -> list[Json]:
    """Converts an input into contents; consecutive ones of the same role are not merged."""
    if isinstance(given, str):
        return [{"role": "user", "parts": [{"text": given}]}]
    items = [{"type": "text", "text": item} if isinstance(item, str) else item for item in repeated(given)]
    found = messages(items)
    if any(item.get("role") or "content" in item or is_step(item) for item in found):
        # A content without parts (for example only a thought) would be an error in a generate request.
        return [content for item in found if (content := turn(item))["parts"]]
    parts = [part for item in found for part in part_of(item)]
    return [{"role": "user", "parts": parts}] if parts else []


def is_step(item: Json) -> bool:
    return text(item.get("type")) in ("user_input", "model_output", "function_call", "thought")


def turn(item: Json) -> Json:
    """Converts a turn, a step or a single content into one content of a generate request."""
    given = item.get("content")
    contents: list[Json] = [{"type": "text", "text": given}] if isinstance(given, str) else messages(given)
    parts = [part for content in (contents if "content" in item else [item]) for part in part_of(content)]
    of_model = item.get("role") == "model" or item.get("type") in ("model_output", "function_call", "thought")
    return {"role": "model" if of_model else "user", "parts": parts}


def part_of(content: Json) -> list[Json]:
    """Converts a content into parts; none for content that a model does not read (thoughts, and results of
    Google's tools)."""
    match text(content.get("type")):
        case "text":
            return [{"text": text(content.get("text"))}]
        case kind if kind in MEDIA_TYPES:
            mime = text(content.get("mime_type")) or f"{kind}/*"
            if "data" in content:
                return [{"inlineData": {"mimeType": mime, "data": content["data"]}}]
            return [{"fileData": {"mimeType": mime, "fileUri": content.get("uri")}}]
        case "function_call":
            return [{"functionCall": {"name": content.get("name"), "args": content.get("arguments")}}]
        case "function_result":
            result = content.get("result")
            return [{"functionResponse": {"name": content.get("name"), "response": {"result": result}}}]
        case _:
            return []


def generate_request(body: Json, history: list[Json]) -> Json:
    """The generate request; `history` are the contents of the previous interactions."""
    config = message(field(body, "generationConfig"))
    contents = input_contents(body.get("input"))
    request: Json = {
        "contents": [*history, *contents] if contents else [],
        "generationConfig": generation_config(config, body),
        "serviceTier": body.get("service_tier"),
        "cachedContent": body.get("cached_content"),
        "tools": tools(messages(body.get("tools"))),
    }
    if instruction := text(field(body, "systemInstruction")):
        request["systemInstruction"] = {"parts": [{"text": instruction}]}
    # `any`, or an object with the allowed names.
    choice = message(config.get("tool_choice"))
    allowed = message(choice.get("allowed_tools"))
    mode = text(config.get("tool_choice")) or text(allowed.get("mode"))
    if mode:
        calling: Json = {"mode": mode, "allowedFunctionNames": allowed.get("tools")}
        request["toolConfig"] = {"functionCallingConfig": calling}
    return {name: value for name, value in request.items() if value}


def generation_config(config: Json, body: Json) -> Json:
    summaries = text(config.get("thinking_summaries")) in ("auto", "concise", "detailed")
    thinking: Json = {"thinkingLevel": config.get("thinking_level"), "includeThoughts": summaries}
    found: Json = {
        "maxOutputTokens": config.get("max_output_tokens"),
        "stopSequences": config.get("stop_sequences"),
        "seed": config.get("seed"),
        "thinkingConfig": {name: value for name, value in thinking.items() if value},
    }
    # A JSON schema, either directly or wrapped in an object.
    for wanted in messages(body.get("response_format")):
        is_format = wanted.get("type") == "text" or "schema" in wanted
        schema = wanted.get("schema") if is_format else wanted
        if schema:
            found |= {"responseMimeType": "application/json", "responseJsonSchema": schema}
    return {name: value for name, value in found.items() if value is not None}


def tools(given: list[Json]) -> list[Json]:
    functions = [tool for tool in given if tool.get("type") == "function"]
    declared = [
        {
            "name": tool.get("name"),
            "description": tool.get("description"),
            "parametersJsonSchema": tool.get("parameters"),
        }
        for tool in functions
    ]
    own: list[Json] = [{TOOLS[kind]: {}} for tool in given if (kind := text(tool.get("type"))) in TOOLS]
    return [*([{"functionDeclarations": declared}] if declared else []), *own]
