"""The schemas of virtual keys: the requests and responses of `/key/…`."""

from __future__ import annotations

from gatekeeper.admin.field_schemas import (
    FIELD_SCHEMAS,
    KEY_PROPERTIES,
    duration_field,
)
from gatekeeper.openapi.document import Operation
from gatekeeper.openapi.schema import (
    Schema,
    array,
    boolean,
    component,
    integer,
    members,
    nullable,
    text,
    texts,
    time,
)

MAX_BULK_KEYS = 10_000
NEW_KEY = component(
    "NewKey",
    members(
        "The fields of a key, all optional.",
        FIELD_SCHEMAS,
        optional=FIELD_SCHEMAS,
        additionalProperties=False,
        examples=[
            {"key_alias": "web-frontend", "models": ["gemini-2.5*"], "max_budget": "50", "tags": ["checkout"]}
        ],
    ),
)

KEY_NAME = text("A key's secret, `token_id` or alias.", "web-frontend", minLength=1)
_NAMING = {
    "key": KEY_NAME,
    "keys": array(
        "Several keys, each by its secret, `token_id` or alias.",
        KEY_NAME,
        minItems=1,
        examples=[["web", "ops"]],
    ),
    "token_id": text("The key with this id, whatever else has that name.", "key_0123456789abcdef"),
    "token_ids": texts("The keys with these ids.", "key_0123456789abcdef"),
    "alias": text("The key with this alias, whatever else has that name.", "web-frontend"),
    "key_aliases": texts("The keys with these aliases.", "web-frontend"),
}


def naming_body(meaning: str, fields: dict[str, Schema], example: dict[str, object]) -> Schema:
    """The schema of a request that names one or several keys, with these further fields. The unused naming
    fields may be null, as LiteLLM's clients send them."""
    naming = {name: nullable(schema) for name, schema in _NAMING.items()}
    body = members(meaning, naming | fields, optional=[*_NAMING, *fields], examples=[example])
    one_of = [{"required": [name], "properties": {name: {"not": {"type": "null"}}}} for name in _NAMING]
    return {**body, "additionalProperties": False, "oneOf": one_of}


_CHANGES = {name: schema for name, schema in FIELD_SCHEMAS.items() if name != "key"}
KEY_CHANGES = component(
    "KeyChanges",
    naming_body(
        "One key or several, and the fields to set; null resets one.",
        {**_CHANGES, "updated_at": nullable(time("Only if this is still the key's `updated_at`."))},
        {"key": "web-frontend", "max_budget": "80", "duration": None},
    ),
)
NAMED_KEYS = component("NamedKeys", naming_body("One key or several.", {}, {"key": "web-frontend"}))
KEYS_TO_ROTATE = component(
    "KeysToRotate",
    naming_body(
        "One key or several, and how long their old secrets stay valid.",
        {"grace": duration_field("How long the old secret stays valid; null: not at all.", "24h")},
        {"key": "web-frontend", "grace": "24h"},
    ),
)

_NEW_KEYS = array(
    "The keys, each with the fields of `/key/generate`.",
    NEW_KEY,
    minItems=1,
    maxItems=MAX_BULK_KEYS,
    examples=[[{"key_alias": "web-1"}, {"key_alias": "web-2"}]],
)
MANY_NEW_KEYS = component(
    "ManyNewKeys",
    members(
        "Many new keys.",
        {"keys": _NEW_KEYS, "dry_run": boolean("Whether to look for faults only.", example=False)},
        optional=["dry_run"],
        additionalProperties=False,
        examples=[{"keys": [{"key_alias": "web-1"}, {"key_alias": "web-2"}]}],
    ),
)

KEY = component("Key", members("A virtual key, without its secret.", KEY_PROPERTIES))


def key_answer(name: str, meaning: str, key: Schema) -> Schema:
    """The schema of a response: the document of one key, with `key`; or those of several."""
    one = component(name, members(meaning, {"key": key} | KEY_PROPERTIES))
    several = component(
        f"{name}s", members("One document for each key named by `keys`.", {"keys": array("In order.", one)})
    )
    return {"description": meaning, "anyOf": [one, several]}


SECRET = text("The secret, shown here only.", "sk-shown-once-and-never-again")
CHANGED_KEY = key_answer("ChangedKey", "The key as it is now.", KEY_PROPERTIES["token_id"])
KEY_WITH_NEW_SECRET = key_answer("KeyWithNewSecret", "The key with its new secret.", SECRET)
MADE_KEY = component("MadeKey", members("The new key, with its secret.", {"key": SECRET} | KEY_PROPERTIES))
MANY_MADE_KEYS = component(
    "ManyMadeKeys",
    members(
        "The new keys, in the order of the request.",
        {
            "keys": array("With their secrets; none with `dry_run`.", MADE_KEY),
            "valid": integer("How many of the request have no fault.", 2),
        },
    ),
)
DELETED_KEYS = component(
    "DeletedKeys",
    members("What was deleted.", {"deleted_keys": texts("Their `token_id`s.", "key_0123456789abcdef")}),
)
KEY_INFO = component("KeyInfo", members("A key.", {"key": KEY_PROPERTIES["token_id"], "info": KEY}))
NEXT_CURSOR = nullable(text("The `cursor` of the next page; null after the last.", "eyJ0aGUiOiJsYXN0In0"))
KEY_PAGE = component(
    "KeyPage", members("A page of keys.", {"keys": array("The keys.", KEY), "next_cursor": NEXT_CURSOR})
)
_CHANGE_PROBLEMS = (404, 409, 503)
GENERATE = Operation("Create a key", MADE_KEY, NEW_KEY, problems=(409, 503))
BULK = Operation("Create many keys", MANY_MADE_KEYS, MANY_NEW_KEYS, problems=(409, 503))
UPDATE = Operation("Change keys", CHANGED_KEY, KEY_CHANGES, headers=("If-Match",), problems=_CHANGE_PROBLEMS)
BLOCK = Operation("Block keys", CHANGED_KEY, NAMED_KEYS, problems=_CHANGE_PROBLEMS)
UNBLOCK = Operation("Unblock keys", CHANGED_KEY, NAMED_KEYS, problems=_CHANGE_PROBLEMS)
REGENERATE = Operation("Replace secrets", KEY_WITH_NEW_SECRET, KEYS_TO_ROTATE, problems=_CHANGE_PROBLEMS)
END_GRACE = Operation("End the grace of old secrets", CHANGED_KEY, NAMED_KEYS, problems=_CHANGE_PROBLEMS)
DELETE = Operation("Delete keys", DELETED_KEYS, NAMED_KEYS, problems=_CHANGE_PROBLEMS)
INFO = Operation("Show a key", KEY_INFO, query=("key",), problems=(404,))
LIST = Operation("List keys", KEY_PAGE, query=("q", "limit", "cursor", "sort"))
