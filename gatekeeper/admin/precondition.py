"""What a change expects: that nobody has changed the thing since the caller has read it."""

from __future__ import annotations

from datetime import datetime

from quart import request

from gatekeeper.admin.problems import invalid
from gatekeeper.ledger.call import Document
from gatekeeper.times import to_micros


def pop_expected(body: Document) -> int | None:
    """Removes `updated_at` from a body: a change is made only if nobody has changed it since then. The header
    `If-Match` says the same. Microseconds since 1970. Raises Problem."""
    text = body.pop("updated_at", None)
    if text is None and (header := request.headers.get("If-Match")):
        # An entity tag is quoted, and may be a weak one (RFC 9110, 8.8.3).
        text = header.strip().removeprefix("W/").strip('"')
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        allowed = "give the `updated_at` of the document that was read"
        raise invalid("updated_at", f"`updated_at` is no time of a change: {allowed}", allowed)
    return to_micros(moment)
