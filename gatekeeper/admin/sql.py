"""The analytics file for others: `/sql` asks it, `/sql/lend` and `/sql/return` hand it over and back."""

from __future__ import annotations

from http import HTTPStatus

from quart import Blueprint, Response

from gatekeeper.admin.gateway import gateway
from gatekeeper.admin.problems import Problem, invalid
from gatekeeper.admin.requests import LARGEST_LIMIT, Document, answer, read_fields
from gatekeeper.data_dir import ANALYTICS_FILE

blueprint = Blueprint("sql", __name__, url_prefix="/sql")

LONGEST_LOAN = 3600  # seconds


@blueprint.post("")
async def query() -> Response:
    """One SELECT on `calls`: `{"columns", "types", "rows", "truncated"}`, at most `limit` rows."""
    body = await read_fields("query", "limit")
    text, limit = body.get("query"), whole(body, "limit", LARGEST_LIMIT, default=LARGEST_LIMIT)
    if not isinstance(text, str) or not text.strip():
        raise invalid("query", "`query` is missing", "a text with one SELECT on the table calls")
    found = await gateway().ledger.analytics.sql(text, limit)
    # As the query's process wrote it: to decode and encode 16 MiB again would hold up the event loop.
    return Response(found, content_type="application/json")


@blueprint.post("/lend")
async def lend() -> Response:
    """Brings the file up to date and lets go of it, for `seconds` or until it is returned. Calls made
    meanwhile wait, and questions are answered from those. 409 where another program has it already."""
    seconds = whole(await read_fields("seconds"), "seconds", LONGEST_LOAN)
    if not await gateway().ledger.analytics.lend(seconds):
        raise Problem(
            HTTPStatus.CONFLICT,
            f"Another program has {ANALYTICS_FILE} open: wait until it is done, or end it",
        )
    return answer({"file": str((gateway().settings.data / ANALYTICS_FILE).resolve()), "seconds": seconds})


@blueprint.post("/return")
async def take_back() -> Response:
    await read_fields()
    gateway().ledger.analytics.take_back()
    return answer({"returned": True})


def whole(body: Document, field: str, largest: int, default: int | None = None) -> int:
    """A positive whole number of the body. Raises Problem."""
    value = body.get(field, default)
    # JSON's true is an int to Python.
    if not isinstance(value, int) or isinstance(value, bool) or not 0 < value <= largest:
        allowed = f"a whole number from 1 to {largest}"
        raise invalid(field, f"`{field}` is {allowed}", allowed)
    return value
