"""Who changed which key when: `/audit`."""

from __future__ import annotations

from quart import Blueprint, Response

from gatekeeper.admin.documents import answer
from gatekeeper.admin.gateway import gateway
from gatekeeper.admin.problems import invalid
from gatekeeper.admin.queries import DEFAULT_LIMIT, read_query
from gatekeeper.keys.store import audit_document

blueprint = Blueprint("audit", __name__)


@blueprint.get("/audit")
async def trail() -> Response:
    """`{"changes": […], "next_cursor": …}`, the newest first; `by` is `master`, or `open` in open mode."""
    query = read_query("limit", "cursor")
    limit = query.limit or DEFAULT_LIMIT
    entries = list(await gateway().registry.trail(limit + 1, audit_cursor(query.cursor)))
    changes = [audit_document(entry) for entry in entries[:limit]]
    more = len(entries) > limit
    return answer({"changes": changes, "next_cursor": str(changes[-1]["id"]) if more else None})


def audit_cursor(cursor: str | None) -> int | None:
    """The id of the last change of the page before. Raises Problem."""
    if cursor is None:
        return None
    if not (cursor.isascii() and cursor.isdecimal() and len(cursor) < 19):
        raise invalid("cursor", "`cursor`: no page of changes ended there", "give a page's `next_cursor`")
    return int(cursor)
