"""Function calls, grounding and structured output: when the sandbox calls a tool, and values for a schema.

A function is called if the prompt contains its name (`get_weather`, or a significant word of it: "weather"),
or if the request requires a call (mode ANY). If the request has a function result, the response is text, so
that an SDK with automatic function calling terminates.

A schema is Google's (OpenAPI 3.0, types in capitals, `propertyOrdering`) or JSON Schema
(`responseJsonSchema`, `parametersJsonSchema`; `$ref`, `const`, lists of types); the constraints are those
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

from gatekeeper.sandbox.google_json import Json, field, message, messages, repeated, text
from gatekeeper.sandbox.token_counts import text_tokens

# Words in functions' names that say nothing about their topic.
STOP_WORDS = {
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
# Tokens of the results of a search; recorded: 100 to several thousand.
SEARCH_RESULT_TOKENS = 165
WORD = re.compile(r"[A-Za-z][a-z]*|\d+")


def choose_function_call(request: Json, prompt_text: str, rng: Random, *, thinking: bool) -> Json | None:
    """The part with the function call in reply to `request`; None if the reply is text."""
    config = message(field(message(field(request, "toolConfig")), "functionCallingConfig"))
    mode = text(field(config, "mode")).upper()
    if mode == "NONE" or (mode != "ANY" and has_function_response(request)):
        return None
    usable = callable_functions(request, repeated(field(config, "allowedFunctionNames")))
    chosen = [item for item in usable if is_named_in(text(field(item, "name")), prompt_text)]
    first = [*chosen, *(usable if mode == "ANY" else [])][:1]
    return function_call(first[0], prompt_text, rng, thinking=thinking) if first else None


def callable_functions(request: Json, allowed: list[object]) -> list[Json]:
    """The functions that may be called: all declared ones, or the allowed ones among them."""
    declared = [item for tool in messages(field(request, "tools")) for item in functions(tool)]
    return [item for item in declared if not allowed or field(item, "name") in allowed]


def functions(tool: Json) -> list[Json]:
    return messages(field(tool, "functionDeclarations"))


def has_function_response(request: Json) -> bool:
    last = messages(field(request, "contents"))[-1:]
    return any(field(part, "functionResponse") for item in last for part in messages(field(item, "parts")))


def is_named_in(name: str, prompt_text: str) -> bool:
    prompt_words = {word.lower() for word in re.findall(r"\w+", prompt_text)}
    significant_words = {word.lower() for word in WORD.findall(name)} - STOP_WORDS
    return name.lower() in prompt_text.lower() or bool(significant_words & prompt_words)


def function_call(declared: Json, prompt_text: str, rng: Random, *, thinking: bool) -> Json:
    schema = message(field(declared, "parameters") or field(declared, "parametersJsonSchema"))
    # Capitalized words inside the prompt are likely arguments: a place, a person.
    names = re.findall(r"(?<=\s)[A-Z][\w-]*(?: [A-Z][\w-]*)*", prompt_text)
    args = SchemaValueGenerator(schema, rng, names).value(schema or NO_PARAMETERS)
    call: Json = {"name": text(field(declared, "name")), "args": args}
    if not thinking:
        return {"functionCall": call}
    call["id"] = f"{rng.getrandbits(48):012x}"
    return {"functionCall": call, "thoughtSignature": signature(prompt_text)}


def signature(prompt_text: str) -> str:
    """Opaque, like Google's: a client has to return it unchanged."""
    # Derived from the prompt, so that the same prompt gives the same bytes.
    return base64.b64encode(hashlib.sha512(prompt_text.encode()).digest()).decode()


def grounding(request: Json, prompt_text: str) -> tuple[Json, int]:
    """The grounding metadata of a web search or of retrieved URLs, and the tokens of their results."""
    extra_fields: Json = {}
    tools = messages(field(request, "tools"))
    pages = re.findall(r"https?://[^\s)>\"']+", prompt_text)
    if any(field(tool, "googleSearch") is not None for tool in tools):
        extra_fields["groundingMetadata"] = search_metadata(prompt_text)
    if pages and any(field(tool, "urlContext") is not None for tool in tools):
        status = "URL_RETRIEVAL_STATUS_SUCCESS"
        found = [{"retrievedUrl": page, "urlRetrievalStatus": status} for page in pages]
        extra_fields["urlContextMetadata"] = {"urlMetadata": found}
    return extra_fields, SEARCH_RESULT_TOKENS * len(extra_fields) + text_tokens(prompt_text) * bool(
        extra_fields
    )


def search_metadata(prompt_text: str) -> Json:
    query = " ".join(prompt_text.split())[:80]
    chunk: Json = {"web": {"uri": "https://example.com/article", "title": "example.com"}}
    entry: Json = {"renderedContent": '<div class="container"></div>'}
    return {"searchEntryPoint": entry, "groundingChunks": [chunk], "webSearchQueries": [query]}


# Further values are null, because a schema that references itself twice would never end.
MAX_VALUES = 2_000
# Below this depth optional properties and items are omitted.
OPTIONAL_DEPTH = 6
# Below this depth every value is null.
MAX_DEPTH = 40
MAX_ITEMS = 100
MAX_CHARACTERS = 10_000
WORDS = ("amber", "birch", "cobalt", "delta", "ember", "fjord", "garnet", "harbor", "indigo", "juniper")

FORMATS: dict[str, Callable[[Random], str]] = {
    "date-time": lambda rng: f"2026-{rng.randint(1, 12):02}-{rng.randint(1, 28):02}T09:30:00Z",
    "date": lambda rng: f"2026-{rng.randint(1, 12):02}-{rng.randint(1, 28):02}",
    "time": lambda rng: f"{rng.randint(0, 23):02}:30:00Z",
    "duration": lambda rng: f"PT{rng.randint(1, 59)}M",
    "email": lambda rng: f"{rng.choice(WORDS)}@example.com",
    "uri": lambda rng: f"https://example.com/{rng.choice(WORDS)}",
    "uuid": lambda rng: str(uuid.UUID(int=rng.getrandbits(128), version=4)),
}


class SchemaValueGenerator:
    """Generates values for parts of the schema `root`; strings without a format take `words` first."""

    def __init__(self, root: Json, rng: Random, words: list[str] | None = None) -> None:
        self._root = root
        self._rng = rng
        self._words = list(words or [])
        self._values_left = MAX_VALUES

    def value(self, schema: Json, depth: int = 0) -> object:
        self._values_left -= 1
        schema = self.resolve(schema, depth)
        choices = repeated(field(schema, "enum"))
        if self._values_left < 0 or depth > MAX_DEPTH:
            return None
        if "const" in schema:
            return schema["const"]
        return self._rng.choice(choices) if choices else self.value_of_type(schema, depth)

    def resolve(self, schema: Json, depth: int) -> Json:
        """Follows `$ref`, merges `allOf`, picks one of `anyOf` or `oneOf` (null at depth)."""
        # Bounded, because references may be circular.
        for _ in range(OPTIONAL_DEPTH):
            if reference := text(schema.get("$ref")):
                schema = self.dereference(reference)
            elif options := messages(field(schema, "anyOf") or field(schema, "oneOf")):
                schema = self.pick_option(options, depth)
            else:
                break
        for part in messages(field(schema, "allOf")):
            schema = schema | part
        return schema

    def dereference(self, reference: str) -> Json:
        found = self._root
        for step in reference.removeprefix("#").split("/")[1:]:
            found = message(found.get(step))
        return found

    def pick_option(self, options: list[Json], depth: int) -> Json:
        wanted = [option for option in options if (type_of(option) == "null") == (depth > OPTIONAL_DEPTH)]
        return self._rng.choice(wanted or options)

    def value_of_type(self, schema: Json, depth: int) -> object:
        match type_of(schema):
            case "object":
                return self.object(schema, depth)
            case "array":
                return self.array(schema, depth)
            case "integer":
                return self.integer(schema)
            case "number":
                return self.number(schema)
            case "boolean":
                return self._rng.random() < 0.5
            case "null":
                return None
            case _:
                return self.string(schema)

    def object(self, schema: Json, depth: int) -> Json:
        properties = message(field(schema, "properties"))
        required = repeated(field(schema, "required"))
        order = [text(name) for name in repeated(field(schema, "propertyOrdering"))]
        names = [name for name in order if name in properties]
        # An order may name only some of the properties, which come first.
        names += [name for name in properties if name not in names]
        wanted = [name for name in names if depth <= OPTIONAL_DEPTH or name in required]
        return {name: self.value(message(properties[name]), depth + 1) for name in wanted}

    def array(self, schema: Json, depth: int) -> list[object]:
        # A bound may be fractional, a number of items may not.
        minimum = math.ceil(bound(schema, "minItems", 0))
        maximum = math.floor(bound(schema, "maxItems", MAX_ITEMS))
        first = messages(field(schema, "prefixItems"))
        wanted = 0 if depth > OPTIONAL_DEPTH else max(len(first), self._rng.randint(1, 3))
        length = min(max(minimum, min(wanted, maximum)), MAX_ITEMS)
        item = message(field(schema, "items"))
        return [self.value(first[at] if at < len(first) else item, depth + 1) for at in range(length)]

    def integer(self, schema: Json) -> int:
        low, high = number_range(schema, step=1)
        return self._rng.randint(math.ceil(low), max(math.ceil(low), math.floor(high)))

    def number(self, schema: Json) -> float:
        low, high = number_range(schema, step=1e-6)
        return min(max(round(self._rng.uniform(low, high), 2), low), high)

    def string(self, schema: Json) -> str:
        if (string_format := text(field(schema, "format"))) in FORMATS:
            return FORMATS[string_format](self._rng)
        minimum = min(math.ceil(bound(schema, "minLength", 0)), MAX_CHARACTERS)
        maximum = max(bound(schema, "maxLength", MAX_CHARACTERS), minimum)
        word = self._words.pop(0) if self._words else " ".join(self._rng.sample(WORDS, 2))
        while len(word) < minimum:
            word += f" {self._rng.choice(WORDS)}"
        return word[: math.floor(maximum)]


def type_of(schema: Json) -> str:
    """The type in lower case, the first but null of several; without one, inferred from the schema."""
    names = [text(name).lower() for name in repeated(field(schema, "type"))]
    for name in names:
        if name != "null":
            return name
    if names:
        return "null"
    if "properties" in schema:
        return "object"
    return "array" if "items" in schema else "string"


def bound(schema: Json, name: str, default: float) -> float:
    """A bound; int64 ones are strings in Google's JSON (`"minItems": "2"`)."""
    value = field(schema, name)
    try:
        number = float(value) if isinstance(value, int | float | str) else default
    except ValueError:
        return default
    return number if math.isfinite(number) else default


def number_range(schema: Json, step: float) -> tuple[float, float]:
    """The minimum and the maximum: as given, or a hundred apart from the given one."""
    low = max(bound(schema, "minimum", -math.inf), bound(schema, "exclusiveMinimum", -math.inf) + step)
    high = min(bound(schema, "maximum", math.inf), bound(schema, "exclusiveMaximum", math.inf) - step)
    if math.isinf(low):
        low = min(1, high) if math.isinf(high) or high >= 1 else high - 100
    return low, max(low, low + 100 if math.isinf(high) else high)
