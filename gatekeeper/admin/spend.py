"""Sums: `/spend`."""

from __future__ import annotations

from datetime import datetime

from quart import Blueprint, Response

from gatekeeper.admin.documents import answer
from gatekeeper.admin.gateway import gateway
from gatekeeper.admin.queries import LARGEST_LIMIT, read_query
from gatekeeper.times import iso, micros

blueprint = Blueprint("spend", __name__)


@blueprint.get("/spend")
async def spend() -> Response:
    """`rows` by one or two groups, and the `total` of all calls; `since` and `until` are the points of time
    that were meant, for who asks `/calls` for the same calls, and days and hours those of `timezone`.

    `limit` counts the rows; where more were found, `truncated` is true and `rest` adds these up. `top`
    counts the groups that have rows of their own: see `ledger.analytics.queries`.
    """
    query = read_query("by", "since", "until", "q", "limit", "top")
    limit = query.limit or LARGEST_LIMIT
    found = await gateway().ledger.analytics.spend(list(query.by), query.filter(), limit, query.top)
    bounds = {"since": instant(query.since), "until": instant(query.until)}
    return answer({**found.value, **bounds, "timezone": gateway().settings.timezone, **found.gaps})


def instant(moment: datetime | None) -> str | None:
    return None if moment is None else iso(micros(moment))
