"""`/audit`: who changed what, newest first."""

from __future__ import annotations

from datetime import datetime

from quart import Blueprint, Response

from gatekeeper.admin.access import current_caller, current_gateway
from gatekeeper.admin.key_schemas import NEXT_CURSOR
from gatekeeper.admin.parameters import DEFAULT_LIMIT, names
from gatekeeper.admin.problems import invalid, invalid_cursor
from gatekeeper.admin.requests import json_response, read_query
from gatekeeper.keys.audit import AuditFilter, Change, audit_document
from gatekeeper.keys.virtual_key import Role
from gatekeeper.openapi.document import Operation, describe
from gatekeeper.openapi.schema import (
    array,
    choice,
    component,
    integer,
    mapping,
    members,
    nullable,
    text,
    time,
)
from gatekeeper.times import to_micros

blueprint = Blueprint("audit", __name__)


AUDIT_CHANGE = component(
    "AuditChange",
    members(
        "Who changed what, from where, when, from what to what.",
        {
            "id": integer("Grows with each change.", 17),
            "at": time("When."),
            "by": text(
                "Who: the id of a key, `master`, `open` in open mode, or `gateway` by itself.", "master"
            ),
            "by_alias": nullable(text("The alias of that key.", "ann")),
            "role": nullable(choice("The role that was used.", Role)),
            "address": nullable(text("The client's address.", "203.0.113.9")),
            "action": text("What was done.", "update"),
            "token_id": nullable(text("The changed key.", "key_0123456789abcdef")),
            "key_alias": nullable(text("Its alias after the change.", "web-frontend")),
            "target": nullable(text("What was changed, if it is no key.", "gatekeeper.duckdb")),
            "detail": mapping(
                "The fields that changed, each from what to what; of a deletion what was deleted.",
                {},
                {"rpm_limit": {"from": None, "to": 600}},
            ),
        },
    ),
)
AUDIT_PAGE = component(
    "AuditPage",
    members(
        "A page of changes, newest first.",
        {"changes": array("The changes.", AUDIT_CHANGE), "next_cursor": NEXT_CURSOR},
    ),
)
AUDIT = Operation(
    "List changes",
    AUDIT_PAGE,
    query=("action", "key", "by", "since", "until", "limit", "cursor"),
    problems=(503,),
)


@blueprint.get("/audit")
@describe(AUDIT)
async def audit_log() -> Response:
    """`{"changes": […], "next_cursor": …}`. `action`, `key` (the changed key or other target) and `by` accept
    several comma-separated names. A key is an id or the alias at the time; `by` may also be `master`, `open`
    or `gateway`."""
    query = read_query()
    limit = query.limit or DEFAULT_LIMIT
    wanted = AuditFilter(
        actions=query.action,
        keys=_names(query.key),
        by=query.by,
        since=_micros(query.since),
        until=_micros(query.until),
        before=_before(query.cursor),
    )
    # One more than the page size, to know whether there is a next page.
    entries = await current_gateway().audit.find(wanted, limit + 1)
    changes = [audit_document(entry) for entry in entries[:limit]]
    more = len(entries) > limit
    return json_response({"changes": changes, "next_cursor": str(changes[-1]["id"]) if more else None})


async def record_change(action: str, target: str, detail: dict[str, object]) -> None:
    """Logs a change by the current caller that is not made in the key store. Raises StoreFailed."""
    gateway = current_gateway()
    change = Change.of(action, gateway.now_micros(), current_caller().actor, detail, target=target)
    await gateway.audit.append(change)


def _names(keys: str | None) -> tuple[str, ...]:
    """Raises Problem for an empty name, which would match all changes that are not of a key."""
    try:
        return names(keys) if keys else ()
    except ValueError as allowed:
        raise invalid("key", f"`key`: {allowed}", str(allowed)) from None


def _micros(moment: datetime | None) -> int | None:
    return None if moment is None else to_micros(moment)


def _before(cursor: str | None) -> int | None:
    """The id of the last change of the previous page. Raises Problem."""
    if cursor is None:
        return None
    # 19 digits may be more than the 64 bits of SQLite's ids.
    if not (cursor.isascii() and cursor.isdecimal() and len(cursor) < 19):
        raise invalid_cursor("changes")
    return int(cursor)
