"""JSON Schemas (draft 2020-12, the dialect of OpenAPI 3.1), and the named ones of the document.

Each value has a meaning and an example, from which the examples of whole documents are put together.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, cast

Document = dict[str, Any]
"""A JSON object."""
Schema = Document
"""A JSON Schema."""

COMPONENTS: dict[str, Schema] = {}
"""The named schemas, as they are in `components.schemas`."""

_PREFIX = "#/components/schemas/"


def text(meaning: str, example: str, **rules: object) -> Schema:
    """A string; `rules` are further keywords of JSON Schema, here and below."""
    return {"type": "string", "description": meaning, "examples": [example], **rules}


def integer(meaning: str, example: int, **rules: object) -> Schema:
    return {"type": "integer", "description": meaning, "examples": [example], **rules}


def number(meaning: str, example: float, **rules: object) -> Schema:
    return {"type": "number", "description": meaning, "examples": [example], **rules}


def boolean(meaning: str, *, example: bool) -> Schema:
    return {"type": "boolean", "description": meaning, "examples": [example]}


def choice(meaning: str, values: Iterable[str]) -> Schema:
    allowed = list(values)
    return {"type": "string", "enum": allowed, "description": meaning, "examples": [allowed[0]]}


def time(meaning: str, example: str = "2026-11-24T13:05:00.000000Z") -> Schema:
    """A point in time in UTC."""
    return text(meaning, example, format="date-time")


def money(meaning: str, example: str = "0.000107500000") -> Schema:
    """An exact amount of USD."""
    return text(f"{meaning} USD, an exact decimal.", example, pattern=r"^-?[0-9]+(\.[0-9]+)?$")


def array(meaning: str, items: Schema, **rules: object) -> Schema:
    return {"type": "array", "items": items, "description": meaning, **rules}


def texts(meaning: str, *examples: str, **rules: object) -> Schema:
    """A list of strings."""
    return array(meaning, {"type": "string"}, examples=[list(examples)], **rules)


def anything(meaning: str, example: object) -> Schema:
    """JSON whose form is somebody else's."""
    return {"description": meaning, "examples": [example]}


def nullable(schema: Schema) -> Schema:
    """The same, or null."""
    # Neither has a `type` that null could be added to.
    if "$ref" in schema or "anyOf" in schema:
        return {"anyOf": [schema, {"type": "null"}]}
    kinds: str | list[str] = schema["type"]
    enum = {"enum": [*schema["enum"], None]} if "enum" in schema else {}
    return {**schema, "type": [*([kinds] if isinstance(kinds, str) else kinds), "null"], **enum}


def members(
    meaning: str, properties: Mapping[str, Schema], *, optional: Iterable[str] = (), **rules: object
) -> Schema:
    """An object; what is not `optional` is always there."""
    required = [name for name in properties if name not in set(optional)]
    requires = {"required": required} if required else {}
    return {"type": "object", "description": meaning, "properties": dict(properties), **requires, **rules}


def mapping(meaning: str, values: Schema, example: object) -> Schema:
    """An object whose names are data."""
    return {"type": "object", "description": meaning, "additionalProperties": values, "examples": [example]}


def component(name: str, schema: Schema) -> Schema:
    """Names a schema; returns the reference to it. Raises ValueError if the name is taken."""
    if name in COMPONENTS:
        raise ValueError(f"there is a schema {name} already")
    COMPONENTS[name] = schema
    return {"$ref": _PREFIX + name}


def resolved(schema: Schema) -> Schema:
    """The schema itself, where it is a reference."""
    while "$ref" in schema:
        schema = COMPONENTS[schema["$ref"].removeprefix(_PREFIX)]
    return schema


def property_names(schema: Schema) -> tuple[str, ...]:
    """The members that an object may have."""
    return tuple(resolved(schema).get("properties", {}))


def example_of(schema: Schema) -> object:
    """An example: its own, or that of its parts."""
    schema = resolved(schema)
    if examples := schema.get("examples"):
        return examples[0]
    if alternatives := schema.get("anyOf") or schema.get("oneOf"):
        return example_of(alternatives[0])
    if schema.get("type") == "array":
        return [example_of(schema["items"])]
    properties = cast("dict[str, Schema]", schema.get("properties", {}))
    return {name: example_of(value) for name, value in properties.items()}
