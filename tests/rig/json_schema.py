"""A JSON Schema validator of the keywords that our document uses, stricter than JSON Schema in one point: a
member that is not described is a fault, so that none is answered without a description."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

Schema = Mapping[str, Any]

TYPES: dict[str, tuple[type, ...]] = {
    "null": (type(None),), "boolean": (bool,), "integer": (int,), "number": (int, float), "string": (str,),
    "array": (list, tuple), "object": (dict,),
}  # fmt: skip
NAMED = "#/components/schemas/"


def faults(value: object, schema: Schema, components: Schema, at: str = "$") -> list[str]:
    """What is wrong with the value, each with its place."""
    return list(_faults(value, schema, components, at))


def _faults(value: Any, schema: Schema, components: Schema, at: str) -> Iterator[str]:
    while "$ref" in schema:
        schema = components[schema["$ref"].removeprefix(NAMED)]
    for keyword in ("anyOf", "oneOf"):
        if keyword in schema and "properties" not in schema:
            tried = [faults(value, option, components, at) for option in schema[keyword]]
            if all(tried):
                yield f"{at} is none of {keyword}: {tried}"
    allowed = schema.get("type")
    names = [allowed] if isinstance(allowed, str) else allowed
    if names and not any(_is(value, name) for name in names):
        yield f"{at} is {value!r}, not {names}"
        return
    if "enum" in schema and value not in schema["enum"]:
        yield f"{at} is {value!r}, not one of {schema['enum']}"
    if isinstance(value, str):
        yield from _text_faults(value, schema, at)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        if not schema.get("minimum", value) <= value <= schema.get("maximum", value):
            yield f"{at} is {value}, out of bounds"
    elif isinstance(value, list | tuple):
        if len(value) < schema.get("minItems", 0):
            yield f"{at} is too short"
        for index, item in enumerate(value):
            yield from _faults(item, schema.get("items", {}), components, f"{at}[{index}]")
    elif isinstance(value, dict) and ("properties" in schema or "additionalProperties" in schema):
        yield from _member_faults(value, schema, components, at)


def _is(value: object, name: str) -> bool:
    # True is an int to Python.
    return isinstance(value, TYPES[name]) and (name == "boolean" or not isinstance(value, bool))


def _text_faults(value: str, schema: Schema, at: str) -> Iterator[str]:
    if "pattern" in schema and not re.search(schema["pattern"], value):
        yield f"{at} is {value!r}, not {schema['pattern']}"
    if not schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", len(value)):
        yield f"{at} has {len(value)} characters"


def _member_faults(value: Mapping[str, Any], schema: Schema, components: Schema, at: str) -> Iterator[str]:
    properties, others = schema.get("properties", {}), schema.get("additionalProperties", False)
    yield from (f"{at} lacks {name}" for name in schema.get("required", ()) if name not in value)
    # Of what is required in one of them, and not null.
    given = {name for name, member in value.items() if member is not None}
    if "oneOf" in schema and sum(set(one["required"]) <= given for one in schema["oneOf"]) != 1:
        yield f"{at} has not exactly one of {schema['oneOf']}"
    for name, member in value.items():
        if name in properties:
            yield from _faults(member, properties[name], components, f"{at}.{name}")
        elif others is False:
            yield f"{at}.{name} is not described"
        elif others is not True:
            yield from _faults(member, others, components, f"{at}.{name}")
