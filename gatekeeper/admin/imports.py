"""`/import`: keys, groups and end users of another gateway, all of them or none.

The request has digests of secrets instead of secrets, and sets the spend. Both require the role `admin`: with
the digest of a secret that only somebody else knows, a caller could create a key for an unknown holder.
"""

from __future__ import annotations

from typing import NamedTuple

import trio
from quart import Blueprint, Response

from gatekeeper.admin.access import current_gateway
from gatekeeper.admin.error_responses import problem_of
from gatekeeper.admin.field_schemas import FIELD_SCHEMAS, budget_field
from gatekeeper.admin.key_bulk import MAX_FAULTS, are_objects
from gatekeeper.admin.keys import change_context
from gatekeeper.admin.problems import Problem, invalid
from gatekeeper.admin.requests import Document, json_response, read_fields
from gatekeeper.keys.cooperative import PART_SIZE
from gatekeeper.keys.field_values import ALIAS_LENGTH
from gatekeeper.keys.fields import GROUP_FIELDS, FieldError
from gatekeeper.keys.import_fields import NOT_IMPORTED, parse_incoming
from gatekeeper.keys.key_import import ImportRefused, Incoming
from gatekeeper.keys.secrets import hash_secret
from gatekeeper.openapi.document import Operation, describe
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

blueprint = Blueprint("imports", __name__)

KINDS = {"groups": "group", "users": "user", "keys": "key"}
"""The lists of a request, and the kind of their items."""
MAX_IMPORTED = 10_000
"""Limit of each list."""

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


class Place(NamedTuple):
    """A position in the request: a list, and the index in it."""

    list: str
    number: int

    def document(self) -> Document:
        return {"list": self.list, "index": self.number}


@blueprint.post("/import")
@describe(IMPORT)
async def import_all() -> Response:
    """Imports keys by the SHA-256 of their secrets, so that clients can keep using those; groups and end
    users; and the spend of each in the current period of its budget. One transaction: if anything is invalid,
    nothing is imported. What was imported before is not changed, and listed in `skipped`; so is a key that
    was deleted here. With `dry_run` everything is validated, but nothing is imported."""
    body = await read_fields()
    dry_run = body.get("dry_run", False)
    if not isinstance(dry_run, bool):
        raise invalid("dry_run", "`dry_run` is true or false", "give true or false")
    places, incoming = await _parse_all(body)
    gateway = current_gateway()
    master = gateway.settings.master_key
    try:
        skipped = await gateway.registry.imports.add(
            incoming, dry_run=dry_run, master_hash=master and hash_secret(master), **change_context()
        )
    except ImportRefused as error:
        fault = _fault(places[error.number], error.cause)
        raise _refusal([fault], problem_of(error.cause).status) from None
    left = {each.number for each in skipped}
    new = [place.list for number, place in enumerate(places) if number not in left]
    told = [{**places[each.number].document(), "reason": each.reason} for each in skipped]
    return json_response({**{name: new.count(name) for name in KINDS}, "skipped": told})


async def _parse_all(body: Document) -> tuple[list[Place], list[Incoming]]:
    """The items and their positions. Raises Problem with all faults."""
    places: list[Place] = []
    incoming: list[Incoming] = []
    faults: list[Document] = []
    now = current_gateway().now_micros()
    for name, kind in KINDS.items():
        given = body.get(name, [])
        if not are_objects(given) or len(given) > MAX_IMPORTED:
            allowed = f"a list of at most {MAX_IMPORTED:,} objects"
            raise invalid(name, f"`{name}` is {allowed}", allowed)
        for number, document in enumerate(given):
            place = Place(name, number)
            try:
                incoming.append(parse_incoming(kind, document, now))
                places.append(place)
            except FieldError as error:
                faults.append(_fault(place, error))
            if number % PART_SIZE == 0:
                await trio.lowlevel.checkpoint()
    if faults:
        raise _refusal(faults, 400)
    return places, incoming


def _fault(place: Place, error: Exception) -> Document:
    problem = problem_of(error)
    return {**place.document(), "field": problem.members.get("field"), "detail": problem.detail}


def _refusal(faults: list[Document], status: int) -> Problem:
    first = faults[0]
    at = f"{first['list']}[{first['index']}]"
    count = f"{len(faults)} have" if len(faults) > 1 else "One has"
    return Problem(
        status,
        f"{count} a fault, so nothing was imported. {at}: {first['detail']}",
        field=f"{at}.{first['field']}",
        faults=faults[:MAX_FAULTS],
    )
