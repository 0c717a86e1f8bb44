"""`/audit`: who changed what, newest first."""

from __future__ import annotations

from datetime import datetime

from quart import Blueprint, Response

from gatekeeper.admin.access import current_caller
from gatekeeper.admin.audit_schemas import AUDIT
from gatekeeper.admin.gateway import current_gateway
from gatekeeper.admin.parameters import DEFAULT_LIMIT, names
from gatekeeper.admin.problems import invalid, invalid_cursor
from gatekeeper.admin.requests import json_response, read_query
from gatekeeper.keys.audit import AuditFilter, Change, audit_document
from gatekeeper.openapi.operation import describe
from gatekeeper.times import to_micros

blueprint = Blueprint("audit", __name__)


@blueprint.get("/audit")
@describe(AUDIT)
async def audit_log() -> Response:
    """`{"changes": […], "next_cursor": …}`. `action`, `key` (what was changed) and `by` take several
    names with commas; a key is an id or the alias at that time, `by` also `master`, `open` or `gateway`."""
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
    # One more than a page has, which shows whether there is a next page.
    entries = await current_gateway().audit.find(wanted, limit + 1)
    changes = [audit_document(entry) for entry in entries[:limit]]
    more = len(entries) > limit
    return json_response({"changes": changes, "next_cursor": str(changes[-1]["id"]) if more else None})


async def record_change(action: str, target: str, detail: dict[str, object]) -> None:
    """Logs a change by the current caller of what is not in the key store. Raises StoreFailed."""
    gateway = current_gateway()
    change = Change.of(action, gateway.now_micros(), current_caller().actor, detail, target=target)
    await gateway.audit.append(change)


def _names(keys: str | None) -> tuple[str, ...]:
    """Raises Problem for an empty one, which each change has that is of no key."""
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
