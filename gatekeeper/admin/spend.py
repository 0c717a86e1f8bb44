"""Sums: `/spend`."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from quart import Blueprint, Response

from gatekeeper.admin.documents import Document, answer
from gatekeeper.admin.gateway import gateway
from gatekeeper.admin.problems import invalid
from gatekeeper.admin.queries import LARGEST_LIMIT, Query, read_query
from gatekeeper.admin.questions import ask
from gatekeeper.times import iso, micros

if TYPE_CHECKING:
    from gatekeeper.ledger.analytics import Analytics

blueprint = Blueprint("spend", __name__)


@blueprint.get("/spend")
async def spend() -> Response:
    """`rows` by one or two groups, and the `total` of all calls; `since` and `until` are the points of time
    that were meant, for who asks `/calls` for the same calls, and days and hours those of `timezone`.

    `limit` counts the rows; where more were found, `truncated` is true and `rest` adds these up. `top`
    counts the groups that have rows of their own: see `ledger.spend`.
    """
    query = read_query("by", "since", "until", "q", "limit", "top")
    wanted, limit = query.filter(), query.limit or LARGEST_LIMIT

    def question(analytics: Analytics) -> Document:
        check_groups(query)
        return analytics.spend(list(query.by), wanted, query.since, query.until, limit, query.top)

    found = await ask(question)
    bounds = {"since": instant(query.since), "until": instant(query.until)}
    return answer({**found.value, **bounds, "timezone": gateway().settings.timezone, **found.gaps})


def instant(moment: datetime | None) -> str | None:
    return None if moment is None else iso(micros(moment))


def check_groups(query: Query) -> None:
    """Raises Problem. In DuckDB's thread only: what knows the groups brings DuckDB."""
    from gatekeeper.ledger.spend import GROUPS, grouping

    try:
        grouping(list(query.by), query.top)
    except ValueError as problem:
        raise invalid("by", f"`by`: {problem}", [*GROUPS, "none"]) from None
