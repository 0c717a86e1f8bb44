"""Sums: `/spend`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from quart import Blueprint, Response

from gatekeeper.admin.documents import Document, answer
from gatekeeper.admin.problems import invalid
from gatekeeper.admin.queries import LARGEST_LIMIT, Query, read_query
from gatekeeper.admin.questions import ask

if TYPE_CHECKING:
    from gatekeeper.ledger.analytics import Analytics

blueprint = Blueprint("spend", __name__)


@blueprint.get("/spend")
async def spend() -> Response:
    """`rows` by one or two groups, of which `limit` counts the rows, and the `total` of all of them."""
    query = read_query("by", "since", "until", "q", "limit")
    wanted, limit = query.filter(), query.limit or LARGEST_LIMIT

    def question(analytics: Analytics) -> Document:
        check_groups(query)
        return analytics.spend(list(query.by), wanted, query.since, query.until, limit)

    found = await ask(question)
    return answer({**found.value, **found.gaps})


def check_groups(query: Query) -> None:
    """Raises Problem. In DuckDB's thread only: what knows the groups brings DuckDB."""
    from gatekeeper.ledger.spend import GROUPS, grouping

    try:
        grouping(list(query.by))
    except ValueError as problem:
        raise invalid("by", f"`by`: {problem}", [*GROUPS, "none"]) from None
