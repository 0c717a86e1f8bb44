"""JSON values at random: mostly such as a schema describes, and now and then any other."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from typing import Any

from rig.json_schema import NAMED

TEXTS = (
    "",
    " ",
    "a",
    "x" * 300,
    "ä\U0001f511",
    "\x00",
    "web-frontend",
    "30d",
    "1.5",
    "-1",
    "2026-11-24",
    "gemini-*",
    "null",
)
ANY: tuple[Any, ...] = (None, True, 0, -1, 1.5, 2**70, "", "x", [], [[]], {}, {"a": {}}, *TEXTS)


def value(random: Random, schema: Mapping[str, Any], components: Mapping[str, Any], depth: int = 0) -> Any:
    """A value, wrong in one place in ten."""
    if random.random() < 0.1 or depth > 4:
        return random.choice(ANY)
    while "$ref" in schema:
        schema = components[schema["$ref"].removeprefix(NAMED)]
    if "enum" in schema:
        return random.choice(schema["enum"])
    if options := schema.get("anyOf"):
        return value(random, random.choice(options), components, depth + 1)
    kinds = schema.get("type", ["string", "object", "array"])
    kind = random.choice([kinds] if isinstance(kinds, str) else kinds)
    if kind == "object":
        return _members(random, schema, components, depth)
    if kind == "array":
        item = schema.get("items", {})
        return [value(random, item, components, depth + 1) for _ in range(random.randint(0, 3))]
    return _scalar(random, kind, schema)


def _members(
    random: Random, schema: Mapping[str, Any], components: Mapping[str, Any], depth: int
) -> dict[str, Any]:
    required = schema.get("required", ())
    chosen = random.choice(schema["oneOf"])["required"] if "oneOf" in schema else ()
    few = 3 / max(3, len(schema.get("properties", {})))
    return {
        name: value(random, member, components, depth + 1)
        for name, member in schema.get("properties", {}).items()
        if name in required or name in chosen or random.random() < few
    }


def _scalar(random: Random, kind: str, schema: Mapping[str, Any]) -> Any:
    examples = schema.get("examples", ())
    if examples and random.random() < 0.6:
        return examples[0]
    if kind == "boolean":
        return random.random() < 0.5
    if kind in ("integer", "number"):
        low = schema.get("minimum", -5)
        return random.choice([low, low + 1, schema.get("maximum", 10**6), random.randint(0, 1000)])
    return None if kind == "null" else random.choice(TEXTS)
