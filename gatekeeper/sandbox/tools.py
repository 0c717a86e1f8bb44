"""Function calls, grounding and structured output: when the sandbox calls a tool, and values for a schema.

A function is called when the prompt names it (`get_weather`, or a word of it that tells something:
"weather"), or when the request says that one must be called (mode ANY). Once its result is there, the answer
is text, so that an SDK which calls functions by itself comes to an end.

A schema is Google's (OpenAPI 3.0, types in capitals, `propertyOrdering`) or JSON Schema
(`responseJsonSchema`, `parametersJsonSchema`; `$ref`, `const`, lists of types); of constraints, those count
that Google honours: enum, required, ranges, lengths, numbers of items, formats
(https://ai.google.dev/api/caching#Schema).
"""

from __future__ import annotations

import base64
import hashlib
import math
import re
import uuid
from collections.abc import Callable
from random import Random

from gatekeeper.sandbox.models import count
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
# Of the results that a search hands to the model; recorded: 100 to several thousand.
SEARCH_RESULT_TOKENS = 165
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
    # Words with a capital inside the prompt are likely what the arguments are to hold: a place, a person.
    names = re.findall(r"(?<=\s)[A-Z][\w-]*(?: [A-Z][\w-]*)*", ask)
    args = Filler(schema, chance, names).value(schema or NO_PARAMETERS)
    call: Json = {"name": text(field(declared, "name")), "args": args}
    if not thinking:
        return {"functionCall": call}
    call["id"] = f"{chance.getrandbits(48):012x}"
    return {"functionCall": call, "thoughtSignature": signature(ask)}


def signature(ask: str) -> str:
    """Opaque, as Google's are: a client has to hand it back, whatever it is."""
    # Of the prompt, so that the same prompt is answered with the same bytes.
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


# Then only null: a schema that refers to itself twice would never end
MOST_VALUES = 2_000
# Below it optional properties and items are left out
DEEP = 6
# Below it there is only null
DEEPEST = 40
MOST_ITEMS = 100
MOST_CHARACTERS = 10_000
WORDS = ("amber", "birch", "cobalt", "delta", "ember", "fjord", "garnet", "harbor", "indigo", "juniper")

FORMATS: dict[str, Callable[[Random], str]] = {
    "date-time": lambda chance: f"2026-{chance.randint(1, 12):02}-{chance.randint(1, 28):02}T09:30:00Z",
    "date": lambda chance: f"2026-{chance.randint(1, 12):02}-{chance.randint(1, 28):02}",
    "time": lambda chance: f"{chance.randint(0, 23):02}:30:00Z",
    "duration": lambda chance: f"PT{chance.randint(1, 59)}M",
    "email": lambda chance: f"{chance.choice(WORDS)}@example.com",
    "uri": lambda chance: f"https://example.com/{chance.choice(WORDS)}",
    "uuid": lambda chance: str(uuid.UUID(int=chance.getrandbits(128), version=4)),
}


class Filler:
    """Makes values for parts of the schema `root`; `words` are used up first where a string is free."""

    def __init__(self, root: Json, chance: Random, words: list[str] | None = None) -> None:
        self._root = root
        self._chance = chance
        self._words = list(words or [])
        self._left = MOST_VALUES

    def value(self, schema: Json, depth: int = 0) -> object:
        self._left -= 1
        schema = self.resolved(schema, depth)
        choices = repeated(field(schema, "enum"))
        if self._left < 0 or depth > DEEPEST:
            return None
        if "const" in schema:
            return schema["const"]
        return self._chance.choice(choices) if choices else self.typed(schema, depth)

    def resolved(self, schema: Json, depth: int) -> Json:
        """Follows `$ref`, joins `allOf`, picks one of `anyOf` or `oneOf`: null where it gets deep."""
        # Not for ever: a reference may lead back to itself.
        for _ in range(DEEP):
            if reference := text(schema.get("$ref")):
                schema = self.referred(reference)
            elif options := messages(field(schema, "anyOf") or field(schema, "oneOf")):
                schema = self.picked(options, depth)
            else:
                break
        for part in messages(field(schema, "allOf")):
            schema = schema | part
        return schema

    def referred(self, reference: str) -> Json:
        found = self._root
        for step in reference.removeprefix("#").split("/")[1:]:
            found = message(found.get(step))
        return found

    def picked(self, options: list[Json], depth: int) -> Json:
        wanted = [option for option in options if (kind(option) == "null") == (depth > DEEP)]
        return self._chance.choice(wanted or options)

    def typed(self, schema: Json, depth: int) -> object:
        match kind(schema):
            case "object":
                return self.object(schema, depth)
            case "array":
                return self.array(schema, depth)
            case "integer":
                return self.integer(schema)
            case "number":
                return self.number(schema)
            case "boolean":
                return self._chance.random() < 0.5
            case "null":
                return None
            case _:
                return self.string(schema)

    def object(self, schema: Json, depth: int) -> Json:
        properties = message(field(schema, "properties"))
        required = repeated(field(schema, "required"))
        order = [text(name) for name in repeated(field(schema, "propertyOrdering"))]
        names = [name for name in order if name in properties]
        names += [name for name in properties if name not in names]
        wanted = [name for name in names if depth <= DEEP or name in required]
        return {name: self.value(message(properties[name]), depth + 1) for name in wanted}

    def array(self, schema: Json, depth: int) -> list[object]:
        # A bound may be a fraction; no number of items is.
        least = math.ceil(limit(schema, "minItems", 0))
        most = math.floor(limit(schema, "maxItems", MOST_ITEMS))
        first = messages(field(schema, "prefixItems"))
        wish = 0 if depth > DEEP else max(len(first), self._chance.randint(1, 3))
        length = min(max(least, min(wish, most)), MOST_ITEMS)
        item = message(field(schema, "items"))
        return [self.value(first[at] if at < len(first) else item, depth + 1) for at in range(length)]

    def integer(self, schema: Json) -> int:
        low, high = bounds(schema, step=1)
        return self._chance.randint(math.ceil(low), max(math.ceil(low), math.floor(high)))

    def number(self, schema: Json) -> float:
        low, high = bounds(schema, step=1e-6)
        return min(max(round(self._chance.uniform(low, high), 2), low), high)

    def string(self, schema: Json) -> str:
        if (form := text(field(schema, "format"))) in FORMATS:
            return FORMATS[form](self._chance)
        least = min(math.ceil(limit(schema, "minLength", 0)), MOST_CHARACTERS)
        most = max(limit(schema, "maxLength", MOST_CHARACTERS), least)
        word = self._words.pop(0) if self._words else " ".join(self._chance.sample(WORDS, 2))
        while len(word) < least:
            word += f" {self._chance.choice(WORDS)}"
        return word[: math.floor(most)]


def kind(schema: Json) -> str:
    """The type in lower case, the first but null of several; else what the rest of the schema tells."""
    names = [text(name).lower() for name in repeated(field(schema, "type"))]
    for name in names:
        if name != "null":
            return name
    if names:
        return "null"
    if "properties" in schema:
        return "object"
    return "array" if "items" in schema else "string"


def limit(schema: Json, name: str, default: float) -> float:
    """A bound; Google writes int64 ones (`"minItems": "2"`) as strings."""
    value = field(schema, name)
    try:
        number = float(value) if isinstance(value, int | float | str) else default
    except ValueError:
        return default
    return number if math.isfinite(number) else default


def bounds(schema: Json, step: float) -> tuple[float, float]:
    """The least and the largest number allowed: as given, or a hundred apart from the one that is."""
    low = max(limit(schema, "minimum", -math.inf), limit(schema, "exclusiveMinimum", -math.inf) + step)
    high = min(limit(schema, "maximum", math.inf), limit(schema, "exclusiveMaximum", math.inf) - step)
    if math.isinf(low):
        low = min(1, high) if math.isinf(high) or high >= 1 else high - 100
    return low, max(low, low + 100 if math.isinf(high) else high)
