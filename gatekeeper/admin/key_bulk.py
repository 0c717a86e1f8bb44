"""`/key/bulk`: many keys at once, all of them or none."""

from __future__ import annotations

from typing import TypeGuard, cast

import trio
from quart import Blueprint, Response

from gatekeeper.admin import key_schemas
from gatekeeper.admin.access import current_caller, current_gateway
from gatekeeper.admin.error_responses import problem_of
from gatekeeper.admin.key_requests import check_may_set_role, parse_key
from gatekeeper.admin.key_schemas import MAX_BULK_KEYS
from gatekeeper.admin.keys import change_context, key_response
from gatekeeper.admin.problems import Problem, invalid
from gatekeeper.admin.requests import Document, json_response, read_fields
from gatekeeper.keys.cooperative import PART_SIZE, map_in_parts
from gatekeeper.keys.fields import FieldError, KeyFields
from gatekeeper.keys.key_writer import CreationRefused
from gatekeeper.openapi.document import describe

blueprint = Blueprint("key_bulk", __name__)

MAX_FAULTS = 100  # faults in a response


@blueprint.post("/key/bulk")
@describe(key_schemas.BULK)
async def bulk() -> Response:
    """Creates at most 10,000 keys in one transaction: if one of them is invalid, none is created, and
    `faults` has the index in the list (from 0) and the field of each fault. With `dry_run` none is
    created."""
    body = await read_fields()
    given, dry_run = body.get("keys"), body.get("dry_run", False)
    if not are_objects(given) or not 0 < len(given) <= MAX_BULK_KEYS:
        allowed = f"a list of 1 to {MAX_BULK_KEYS:,} objects, each with the fields of a key"
        raise invalid("keys", f"`keys` is {allowed}", allowed)
    if not isinstance(dry_run, bool):
        raise invalid("dry_run", "`dry_run` is true or false", "give true or false")
    fields = await _parse_all(given)
    try:
        made = await current_gateway().registry.create_all(fields, dry_run=dry_run, **change_context())
    except CreationRefused as error:
        raise _refusal([_fault(error.index, error.cause)], problem_of(error.cause).status) from None
    if dry_run:
        return json_response({"keys": [], "valid": len(made)})
    documents = await map_in_parts(lambda key: key_response(key[1], key[0]), made)
    return json_response({"keys": documents, "valid": len(made)})


async def _parse_all(given: list[Document]) -> list[KeyFields]:
    """Raises Problem with all faults."""
    found: list[KeyFields] = []
    faults: list[Document] = []
    now, is_admin = current_gateway().now_micros(), current_caller().is_admin
    for number, document in enumerate(given):
        if not is_admin:
            # Raised at once, not collected: a caller without permission must not get the list of faults.
            check_may_set_role(document, f"keys[{number}].role")
        try:
            found.append(parse_key(document, now))
        except FieldError as error:
            faults.append(_fault(number, error))
        if number % PART_SIZE == 0:
            await trio.lowlevel.checkpoint()
    if faults:
        raise _refusal(faults, 400)
    return found


def _fault(number: int, error: Exception) -> Document:
    problem = problem_of(error)
    return {"index": number, "field": problem.members.get("field"), "detail": problem.detail}


def _refusal(faults: list[Document], status: int) -> Problem:
    first = faults[0]
    count = f"{len(faults)} keys have" if len(faults) > 1 else "One key has"
    return Problem(
        status,
        f"{count} a fault, so none was created. keys[{first['index']}]: {first['detail']}",
        field=f"keys[{first['index']}].{first['field']}",
        faults=faults[:MAX_FAULTS],
    )


def are_objects(value: object) -> TypeGuard[list[Document]]:
    """Whether this is a list of JSON objects."""
    return isinstance(value, list) and all(isinstance(item, dict) for item in cast("list[object]", value))
