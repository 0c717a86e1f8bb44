"""Values fit their schemas: the generator against an independent check of the same rules."""

from __future__ import annotations

import json
from datetime import date, datetime
from uuid import UUID

from hypothesis import given, settings
from hypothesis import strategies as st
from rig.cases import cases

from gatekeeper.sandbox.model_output import seeded_random
from gatekeeper.sandbox.tools import SchemaValueGenerator

NUMBER = st.integers(-50, 50)
WORDS = st.lists(st.text(max_size=5), min_size=1, max_size=3)
LEAVES = st.one_of(
    st.sampled_from(
        [{"type": "STRING"}, {"type": "BOOLEAN"}, {"type": "null"}, {"type": ["null", "integer"]}]
    ),
    st.just({"const": {"a": [1]}}),
    st.builds(
        lambda low, high: {"type": "string", "minLength": low, "maxLength": high},
        st.integers(0, 16),
        st.integers(16, 20),
    ),
    st.builds(lambda words: {"type": "STRING", "enum": words}, WORDS),
    st.fixed_dictionaries({"type": st.sampled_from(["INTEGER", "number"])}, optional={"minimum": NUMBER}),
    st.fixed_dictionaries({"type": st.sampled_from(["integer", "NUMBER"])}, optional={"maximum": NUMBER}),
    st.builds(lambda low: {"type": "integer", "minimum": low, "maximum": low + 2}, NUMBER),
)
SCHEMAS = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.dictionaries(st.text(max_size=4), inner, max_size=3).map(
            lambda fields: {"type": "OBJECT", "properties": fields, "required": list(fields)[:1]}
        ),
        st.builds(lambda item: {"type": "array", "items": item, "minItems": 2, "maxItems": "4"}, inner),
        st.lists(inner, min_size=1, max_size=2).map(lambda options: {"anyOf": options}),
    ),
    max_leaves=8,
)
TYPES = {
    "string": str,
    "integer": int,
    "number": int | float,
    "boolean": bool,
    "null": type(None),
    "array": list,
    "object": dict,
}


def fits(value: object, schema: dict) -> bool:
    if "anyOf" in schema:
        return any(fits(value, option) for option in schema["anyOf"])
    if "const" in schema:
        return value == schema["const"]
    types = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    right = any(isinstance(value, TYPES[name.lower()]) for name in types)
    return right and value in schema.get("enum", [value]) and fits_in(value, schema)


def fits_in(value: object, schema: dict) -> bool:
    match value:
        case bool() | None:
            return True
        case int() | float():
            return schema.get("minimum", value) <= value <= schema.get("maximum", value)
        case str():
            return schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", 99)
        case list():
            return 2 <= len(value) <= 4 and all(fits(item, schema["items"]) for item in value)
        case dict():
            known, needed = schema["properties"], set(schema["required"])
            return needed <= set(value) <= set(known) and all(fits(value[key], known[key]) for key in value)
    return False


@given(schema=SCHEMAS, seed=st.integers(0, 20))
def test_a_value_fits_its_schema(schema, seed):
    value = SchemaValueGenerator(schema, seeded_random(seed)).value(schema)
    assert fits(value, schema)
    assert json.loads(json.dumps(value)) == value


@settings(max_examples=30)
@given(schema=SCHEMAS, key=st.sampled_from(["responseSchema", "responseJsonSchema"]))
def test_structured_output_is_json_that_fits(offline, schema, key):
    config = {"responseMimeType": "application/json", key: schema}
    body = {"contents": [{"parts": [{"text": "x"}]}], "generationConfig": config}
    assert fits(json.loads(offline.text_of(offline.generate(body))), schema)


def test_json_without_a_schema_is_an_object(offline):
    config = {"responseMimeType": "application/json"}
    body = {"contents": [{"parts": [{"text": "x"}]}], "generationConfig": config}
    assert isinstance(json.loads(offline.text_of(offline.generate(body))), dict)


@cases(
    ("form", "read"),
    [("date-time", datetime.fromisoformat), ("date", date.fromisoformat), ("uuid", UUID), ("email", str)],
)
def test_formats_are_kept(form, read):
    schema = {"type": "string", "format": form}
    written = SchemaValueGenerator(schema, seeded_random(form)).value(schema)
    assert read(written)


def test_fields_come_in_the_order_asked_for():
    fields = {"a": {"type": "INTEGER"}, "b": {"type": "INTEGER"}}
    schema = {"type": "OBJECT", "properties": fields, "propertyOrdering": ["b"]}
    assert list(SchemaValueGenerator(schema, seeded_random(1)).value(schema)) == ["b", "a"]


def test_a_list_of_kinds_starts_with_them():
    schema = {"type": "array", "prefixItems": [{"type": "integer"}, {"type": "boolean"}], "maxItems": 2}
    first, second = SchemaValueGenerator(schema, seeded_random(1)).value(schema)
    assert isinstance(first, int)
    assert isinstance(second, bool)


def test_what_is_asked_for_together_is_met_together():
    schema = {"allOf": [{"type": "integer", "minimum": 5}, {"maximum": 5}]}
    assert SchemaValueGenerator(schema, seeded_random(1)).value(schema) == 5


def test_a_schema_that_holds_itself_comes_to_an_end():
    tree = {"type": "object", "properties": {"next": {"anyOf": [{"$ref": "#/$defs/tree"}, {"type": "null"}]}}}
    schema = {"$ref": "#/$defs/tree", "$defs": {"tree": tree}}
    depth, value = 0, SchemaValueGenerator(schema, seeded_random(1)).value(schema)
    while value:
        depth, value = depth + 1, value.get("next")
    assert 1 <= depth <= 10


def test_a_schema_that_must_hold_itself_twice_comes_to_an_end():
    twice = {"type": "object", "properties": {"a": {"$ref": "#"}, "b": {"$ref": "#"}}, "required": ["a", "b"]}
    assert len(json.dumps(SchemaValueGenerator(twice, seeded_random(1)).value(twice))) < 100_000


KEYWORDS = [
    "type",
    "properties",
    "items",
    "enum",
    "anyOf",
    "minimum",
    "maximum",
    "minItems",
    "maxLength",
    "$ref",
]
STRANGE = st.recursive(
    st.none() | st.integers() | st.text(max_size=3) | st.floats(allow_nan=False),
    lambda inner: st.dictionaries(st.sampled_from(KEYWORDS), inner | st.lists(inner, max_size=2), max_size=3),
    max_leaves=8,
)


@given(schema=st.dictionaries(st.sampled_from(KEYWORDS), STRANGE, max_size=3))
def test_no_schema_is_too_strange(schema):
    value = SchemaValueGenerator(schema, seeded_random(1)).value(schema)
    assert json.loads(json.dumps(value)) == value
