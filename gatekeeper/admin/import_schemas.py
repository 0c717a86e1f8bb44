"""The documents of `/import` as schemas."""

from __future__ import annotations

from gatekeeper.admin.key_schemas import FIELD_SCHEMAS, budget_field
from gatekeeper.keys.field_values import ALIAS_LENGTH
from gatekeeper.keys.fields import GROUP_FIELDS
from gatekeeper.keys.import_fields import NOT_IMPORTED
from gatekeeper.openapi.operation import Operation
from gatekeeper.openapi.schema import (
    Schema,
    array,
    boolean,
    choice,
    component,
    integer,
    members,
    nullable,
    text,
    time,
)

KINDS = {"groups": "group", "users": "user", "keys": "key"}
"""The lists of a request, and what they are of."""
MAX_IMPORTED = 10_000
"""Of each list."""

_PAST = {
    "spend": budget_field("What it has spent in the running period of its budget.", "1.25"),
    "budget_reset_at": nullable(time("When that period ends; null: as if the budget were set now.")),
}
_OF_ACCOUNT = {name: FIELD_SCHEMAS[name] for name in GROUP_FIELDS}
_OF_KEY = {name: schema for name, schema in FIELD_SCHEMAS.items() if name not in NOT_IMPORTED}
_DIGEST = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
_NAMING = {
    "secret_hash": text("The SHA-256 of its secret, in hex.", _DIGEST, pattern="^[0-9a-f]{64}$"),
    "key_name": text("The masked secret.", "sk-...wxyz", pattern=r"^sk-\.\.\.[!-~]{0,4}$"),
}
_ENDS = {
    "previous_secret_hash": nullable(
        text("The SHA-256 of the secret before the last rotation.", _DIGEST[::-1], pattern="^[0-9a-f]{64}$")
    ),
    "previous_expires": nullable(time("Until when that one is valid.")),
    "expires": nullable(time("When it expires; null: never.")),
}
IMPORTED_KEY = component(
    "ImportedKey",
    members(
        "A key of another gateway: its secret's digest, and the fields of a key.",
        {**_NAMING, **_OF_KEY, **_ENDS, **_PAST},
        optional=[*_OF_KEY, *_ENDS, *_PAST],
        additionalProperties=False,
        examples=[
            {
                "secret_hash": _DIGEST,
                "key_name": "sk-...wxyz",
                "max_budget": "50",
                "budget_duration": "1mo",
                "spend": "12.5",
            }
        ],
    ),
)


def _account(name: str, what: str, field: str, example: str) -> Schema:
    naming = text(f"The {what}.", example, minLength=1, maxLength=ALIAS_LENGTH)
    return component(
        name,
        members(
            f"A {what} of another gateway: its name, and its limits.",
            {field: naming, **_OF_ACCOUNT, **_PAST},
            optional=[*_OF_ACCOUNT, *_PAST],
            additionalProperties=False,
            examples=[{field: example, "max_budget": "500", "spend": "100"}],
        ),
    )


_LISTS = {
    "groups": array(
        "Groups of keys.",
        _account("ImportedGroup", "group", "group", "imported-group"),
        maxItems=MAX_IMPORTED,
        examples=[[{"group": "imported-group", "max_budget": "500", "spend": "100"}]],
    ),
    "users": array(
        "End users.",
        _account("ImportedUser", "end user", "user_id", "imported-user"),
        maxItems=MAX_IMPORTED,
        examples=[[{"user_id": "imported-user", "rpm_limit": 60}]],
    ),
    "keys": array(
        "Virtual keys.",
        IMPORTED_KEY,
        maxItems=MAX_IMPORTED,
        examples=[[{"secret_hash": _DIGEST, "key_name": "sk-...wxyz", "group": "imported-group"}]],
    ),
}
_DRY_RUN = boolean("Whether to check only.", example=False)
IMPORT_REQUEST = component(
    "Import",
    members(
        "What comes from another gateway.",
        {**_LISTS, "dry_run": _DRY_RUN},
        optional=[*_LISTS, "dry_run"],
        additionalProperties=False,
        examples=[{name: schema["examples"][0] for name, schema in _LISTS.items()}],
    ),
)
_SKIPPED = component(
    "NotImported",
    members(
        "What was left as it is.",
        {
            "list": choice("The list of the request.", KINDS),
            "index": integer("Its place there, from 0.", 0, minimum=0),
            "reason": text("Why.", "it was imported before"),
        },
    ),
)
IMPORT_ANSWER = component(
    "Imported",
    members(
        "What was imported, or with `dry_run` would be.",
        {
            **{name: integer(f"How many {name}.", 1, minimum=0) for name in KINDS},
            "skipped": array("In the order of the request.", _SKIPPED),
        },
    ),
)
IMPORT = Operation("Import keys", IMPORT_ANSWER, IMPORT_REQUEST, problems=(409, 503))
