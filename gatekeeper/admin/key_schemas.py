"""The documents of virtual keys as schemas: what `/key/generate` and `/key/update` take, field by field of
`keys.fields.FIELDS`, and what they answer."""

from __future__ import annotations

from gatekeeper.admin.policy_schemas import POLICY_FIELDS, POLICY_PROPERTIES
from gatekeeper.keys.field_values import ALIAS_LENGTH, GLOB_LENGTH, GLOBS, MAX_DOLLARS, TAG_LENGTH, TAGS
from gatekeeper.keys.limits import OnDisconnect, Share
from gatekeeper.keys.secrets import MIN_SECRET_LENGTH
from gatekeeper.keys.virtual_key import Role
from gatekeeper.openapi.operation import Operation
from gatekeeper.openapi.schema import (
    Schema,
    array,
    boolean,
    choice,
    component,
    integer,
    mapping,
    members,
    money,
    nullable,
    text,
    texts,
    time,
)

MAX_BULK_KEYS = 10_000
_DURATION = r"^[0-9]{1,12}(\.[0-9]{1,12})?(s|m|h|d|w|mo)$"
_PRINTABLE = r"\S"


_AMOUNT: Schema = {
    "type": ["number", "string"],
    "minimum": 0,
    "maximum": MAX_DOLLARS,
    "pattern": r"^[0-9]{1,13}(\.[0-9]{1,12})?$",
}
"""USD, as a number or, exactly, as a string."""


def budget_field(meaning: str, example: str) -> Schema:
    return {**nullable(_AMOUNT), "description": meaning, "examples": [example]}


def name_field(meaning: str, example: str) -> Schema:
    return nullable(text(meaning, example, pattern=_PRINTABLE, maxLength=ALIAS_LENGTH))


def names_field(meaning: str, *examples: str, most: int = GLOBS, length: int = GLOB_LENGTH) -> Schema:
    name: Schema = {"type": "string", "pattern": _PRINTABLE, "maxLength": length}
    return nullable(array(meaning, name, examples=[list(examples)], maxItems=most))


def count_field(meaning: str, example: int) -> Schema:
    return nullable(integer(meaning, example, minimum=1, maximum=2**63 - 1))


COUNT: Schema = {"type": "integer", "minimum": 1, "maximum": 2**63 - 1}
COUNTS = {"gemini-2.5-pro*": 60}


def counts_field(meaning: str) -> Schema:
    return nullable(mapping(meaning, COUNT, COUNTS))


AMOUNT: Schema = {"type": "string", "pattern": r"^[0-9]+\.[0-9]{12}$"}


def amounts_field(meaning: str) -> Schema:
    return nullable(mapping(meaning, _AMOUNT, {"gemini-2.5-pro*": "10"}))


def duration_field(meaning: str, example: str) -> Schema:
    return nullable(text(meaning, example, pattern=_DURATION))


def flag_field(meaning: str, *, example: bool = False) -> Schema:
    return nullable(boolean(meaning, example=example))


FIELD_SCHEMAS: dict[str, Schema] = {
    "key_alias": name_field("Unique name among existing keys, unlike an id or a secret.", "web-frontend"),
    "duration": duration_field("It expires so long from now.", "30d"),
    "models": names_field(
        "Models that it may use, or globs of their ids; none: any.", "gemini-2.5*", "gemini-embedding-001"
    ),
    "max_budget": budget_field("Budget in USD; null: none.", "50"),
    "soft_budget": budget_field("A budget in USD that only warns; null: none.", "40"),
    "model_max_budget": amounts_field("Budgets in USD of some of its models, by model or glob of models."),
    "budget_duration": duration_field(
        "Period after which `spend` begins at 0 again; null: it never does.", "30d"
    ),
    "tpm_limit": count_field("Tokens a minute.", 1_000_000),
    "rpm_limit": count_field("Calls a minute.", 600),
    "model_rpm_limit": counts_field("Calls a minute, by model or glob of models."),
    "model_tpm_limit": counts_field("Tokens a minute, by model or glob of models."),
    "max_parallel_requests": count_field("Calls at the same time.", 20),
    "tags": names_field("Tags of all its calls.", "checkout", most=TAGS, length=TAG_LENGTH),
    "metadata": nullable(mapping("A JSON object of your own.", {}, {"team": "shop"})),
    "user_id": name_field("End user of calls that name none.", "user-17"),
    "allowed_routes": names_field(
        "Actions that it may call, or globs of paths after /gemini; none: any.",
        "generateContent",
        "/v1beta/models/*",
    ),
    "blocked": flag_field("Whether its calls are refused."),
    "key": nullable(
        text(
            "A secret of your own; without it the gateway makes one.",
            "a-secret-of-your-own-choice",
            pattern=f"^[!-~]{{{MIN_SECRET_LENGTH},}}$",
        )
    ),
    "group": name_field("Group that it belongs to.", "shop"),
    "on_disconnect": nullable(
        choice("When a client leaves: `cancel` the call, or `finish` it for the exact cost.", OnDisconnect)
    ),
    "share": nullable(
        choice("Who else sees what it has made (files, caches …): its `group` or `all`; null: nobody.", Share)
    ),
    "allow_unpriced": flag_field(
        "With a budget: models without a price may be used; each call is charged the most that it can cost."
    ),
    **POLICY_FIELDS,
    "role": nullable(choice("What it may do here, null: see its own data. Only an admin gives one.", Role)),
}
"""What each field of a request takes; null resets it to its default."""

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
    """A request that names one key or several, with these fields. One way of naming is used; the others may
    be null: LiteLLM's clients send those."""
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

KEY_PROPERTIES: dict[str, Schema] = {
    "token_id": text("Its id, which stays when its secret changes.", "key_0123456789abcdef"),
    "key_name": text("The masked secret.", "sk-...wxyz"),
    "previous_key_name": nullable(text("The masked secret before the last rotation.", "sk-...abcd")),
    "previous_expires": nullable(time("Until when that one is valid.")),
    "previous_used_at": nullable(time("When that one was last used, since the gateway has started.")),
    "key_alias": nullable(text("Its unique name.", "web-frontend")),
    "expires": nullable(time("When it expires; null: never.")),
    "blocked": boolean("Whether its calls are refused.", example=False),
    "models": texts("Models that it may use, or globs; none: any.", "gemini-2.5*"),
    "max_budget": nullable(money("Its budget in", "50.000000000000")),
    "soft_budget": nullable(money("A budget that only warns, in", "40.000000000000")),
    "model_max_budget": mapping(
        "Budgets in USD of some models, by model or glob.", AMOUNT, {"gemini-2.5-pro*": "10.000000000000"}
    ),
    "budget_duration": nullable(text("Period after which `spend` begins at 0 again.", "30d")),
    "budget_reset_at": nullable(time("When its budget's period ends.")),
    "spend": money("What its calls of this period have cost, in", "1.204500000000"),
    "spend_estimated": money("The upper bounds of unknown costs in `spend`, in", "0.000000000000"),
    "tpm_limit": nullable(integer("Tokens a minute.", 1_000_000)),
    "rpm_limit": nullable(integer("Calls a minute.", 600)),
    "model_rpm_limit": mapping("Calls a minute, by model or glob of models.", COUNT, COUNTS),
    "model_tpm_limit": mapping("Tokens a minute, by model or glob of models.", COUNT, COUNTS),
    "max_parallel_requests": nullable(integer("Calls at the same time.", 20)),
    "tags": texts("Tags of all its calls.", "checkout"),
    "metadata": mapping("The JSON object given.", {}, {"team": "shop"}),
    "user_id": nullable(text("End user of calls that name none.", "user-17")),
    "group": nullable(text("Group that it belongs to.", "shop")),
    "allowed_routes": texts("Actions that it may call, or globs of paths; none: any.", "generateContent"),
    "on_disconnect": nullable(choice("What happens when a client leaves.", OnDisconnect)),
    "share": nullable(choice("Who else sees what it has made; null: nobody.", Share)),
    "allow_unpriced": boolean("Whether models without a price may be used.", example=False),
    **POLICY_PROPERTIES,
    "role": nullable(choice("What it may do here; null: see its own data.", Role)),
    "created_at": time("When it was made."),
    "updated_at": time("When it was last changed."),
    "last_used_at": nullable(time("When its last call ended.")),
}

KEY = component("Key", members("A virtual key, without its secret.", KEY_PROPERTIES))


def key_answer(name: str, meaning: str, key: Schema) -> Schema:
    """The key's document with `key`; or those of several."""
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
