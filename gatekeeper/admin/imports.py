"""`/import`: keys, groups and end users of another gateway, all of them or none.

Its caller gives digests of secrets in place of secrets, and sets what has been spent. Neither is for less
than the role `admin`: with the digest of a secret that somebody else knows, a key could be planted whose
holder nobody sees.
"""

from __future__ import annotations

from typing import NamedTuple

import trio
from quart import Blueprint, Response

from gatekeeper.admin.error_responses import problem_of
from gatekeeper.admin.gateway import current_gateway
from gatekeeper.admin.import_schemas import IMPORT, KINDS, MAX_IMPORTED
from gatekeeper.admin.key_bulk import MAX_FAULTS, are_objects
from gatekeeper.admin.keys import change_context
from gatekeeper.admin.problems import Problem, invalid
from gatekeeper.admin.requests import Document, json_response, read_fields
from gatekeeper.keys.fields import FieldError
from gatekeeper.keys.import_fields import parse_incoming
from gatekeeper.keys.key_import import ImportRefused, Incoming
from gatekeeper.keys.secrets import hash_secret
from gatekeeper.keys.turns import AT_ONCE
from gatekeeper.openapi.operation import describe

blueprint = Blueprint("imports", __name__)


class Place(NamedTuple):
    """Where something is in the request: a list, and the place in it from 0."""

    list: str
    number: int

    def document(self) -> Document:
        return {"list": self.list, "index": self.number}


@blueprint.post("/import")
@describe(IMPORT)
async def import_all() -> Response:
    """Keys by the SHA-256 of their secrets, which their clients keep; groups and end users; and what each has
    spent in the running period of its budget. One transaction: if anything has a fault, nothing is imported.
    What was imported before is left as it is, and named in `skipped`; so is a key that was deleted here. With
    `dry_run` nothing is imported, but all is checked."""
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
    """What is given, and where. Raises Problem with all faults."""
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
            if number % AT_ONCE == 0:
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
