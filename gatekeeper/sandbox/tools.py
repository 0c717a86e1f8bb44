"""Function calls and grounding: when the sandbox calls a tool, and with what.

A function is called when the prompt names it (`get_weather`, or a word of it that tells something:
"weather"), or when the request says that one must be called (mode ANY). Once its result is there, the answer
is text, so that an SDK which calls functions by itself comes to an end.
"""

from __future__ import annotations

import base64
import hashlib
import re
from random import Random

from gatekeeper.sandbox.schemas import Filler
from gatekeeper.sandbox.tokens import count
from gatekeeper.sandbox.wire import Json, field, message, messages, repeated, text

# Words in functions' names that tell nothing of what they are about.
IDLE = {
    *("a", "all", "an", "and", "by", "for", "from", "of", "on", "the", "to", "with"),
    *(
        "call",
        "create",
        "delete",
        "do",
        "fetch",
        "find",
        "get",
        "list",
        "lookup",
        "make",
        "query",
        "read",
        "run",
    ),
    *("search", "send", "set", "show", "update", "current", "data", "function", "info", "tool"),
}
NO_PARAMETERS: Json = {"type": "object"}
SEARCH_RESULT_TOKENS = (
    165  # of the results that a search hands to the model; recorded: 100 to several thousand
)
WORD = re.compile(r"[A-Za-z][a-z]*|\d+")


def called(request: Json, ask: str, chance: Random, *, thinking: bool) -> Json | None:
    """The part with the function call that answers `request`; None if text answers it."""
    config = message(field(message(field(request, "toolConfig")), "functionCallingConfig"))
    mode = text(field(config, "mode")).upper()
    if mode == "NONE" or (mode != "ANY" and answered(request)):
        return None
    usable = offered(request, repeated(field(config, "allowedFunctionNames")))
    chosen = [item for item in usable if named(text(field(item, "name")), ask)]
    first = [*chosen, *(usable if mode == "ANY" else [])][:1]
    return function_call(first[0], ask, chance, thinking=thinking) if first else None


def offered(request: Json, allowed: list[object]) -> list[Json]:
    """The functions that may be called: all that are declared, or those of them that are allowed."""
    declared = [item for tool in messages(field(request, "tools")) for item in functions(tool)]
    return [item for item in declared if not allowed or field(item, "name") in allowed]


def functions(tool: Json) -> list[Json]:
    return messages(field(tool, "functionDeclarations"))


def answered(request: Json) -> bool:
    last = messages(field(request, "contents"))[-1:]
    return any(field(part, "functionResponse") for item in last for part in messages(field(item, "parts")))


def named(name: str, ask: str) -> bool:
    said = {word.lower() for word in re.findall(r"\w+", ask)}
    telling = {word.lower() for word in WORD.findall(name)} - IDLE
    return name.lower() in ask.lower() or bool(telling & said)


def function_call(declared: Json, ask: str, chance: Random, *, thinking: bool) -> Json:
    schema = message(field(declared, "parameters") or field(declared, "parametersJsonSchema"))
    names = re.findall(r"(?<=\s)[A-Z][\w-]*(?: [A-Z][\w-]*)*", ask)
    args = Filler(schema, chance, names).value(schema or NO_PARAMETERS)
    call: Json = {"name": text(field(declared, "name")), "args": args}
    if not thinking:
        return {"functionCall": call}
    call["id"] = f"{chance.getrandbits(48):012x}"
    return {"functionCall": call, "thoughtSignature": signature(ask)}


def signature(ask: str) -> str:
    """Opaque, as Google's are: a client has to hand it back, whatever it is."""
    return base64.b64encode(hashlib.sha512(ask.encode()).digest()).decode()


def grounding(request: Json, ask: str) -> tuple[Json, int]:
    """What a candidate carries of a web search or of pages read, and the tokens that the results took."""
    carried: Json = {}
    tools = messages(field(request, "tools"))
    pages = re.findall(r"https?://[^\s)>\"']+", ask)
    if any(field(tool, "googleSearch") is not None for tool in tools):
        carried["groundingMetadata"] = searched(ask)
    if pages and any(field(tool, "urlContext") is not None for tool in tools):
        status = "URL_RETRIEVAL_STATUS_SUCCESS"
        found = [{"retrievedUrl": page, "urlRetrievalStatus": status} for page in pages]
        carried["urlContextMetadata"] = {"urlMetadata": found}
    return carried, SEARCH_RESULT_TOKENS * len(carried) + count(ask) * bool(carried)


def searched(ask: str) -> Json:
    query = " ".join(ask.split())[:80]
    chunk: Json = {"web": {"uri": "https://example.com/article", "title": "example.com"}}
    entry: Json = {"renderedContent": '<div class="container"></div>'}
    return {"searchEntryPoint": entry, "groundingChunks": [chunk], "webSearchQueries": [query]}
