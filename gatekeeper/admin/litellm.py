"""`/spend/tags` and `/spend/logs` as LiteLLM answers them, for scripts that moved here.

Its parameters are taken, dates as it means them (UTC; here the last day counts as a whole). In its shapes
money is a JSON number: the exact decimal, written out; null where it is unknown. Two things differ, because
here whatever is listed has an end: one answer has at most 1000 logs (`cursor`, the last `request_id`, goes on
with those before), and a range of dates does not turn logs into sums (`GET /spend` has sums).
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta

import msgspec
from quart import Blueprint, Response

from gatekeeper.admin.documents import Document, answer
from gatekeeper.admin.gateway import gateway
from gatekeeper.admin.queries import LARGEST_LIMIT, Query, call_cursor, read_query
from gatekeeper.ledger.conditions import Text
from gatekeeper.ledger.filters import Filter, Term
from gatekeeper.times import iso, micros

blueprint = Blueprint("litellm", __name__, url_prefix="/spend")

DATES = ("start_date", "end_date")
COLUMNS = {"api_key": "key_id", "user_id": "user_id", "request_id": "id"}


@blueprint.get("/tags")
async def tags() -> Response:
    """A call with several tags counts under each, one without tags under none."""
    query = read_query(*DATES)
    found = await gateway().ledger.analytics.spend(["tag"], Filter().within(*period(query)), limit=None)
    return answer(
        [
            {
                "individual_request_tag": row["tag"],
                "log_count": row["calls"],
                "total_spend": number(row["cost_usd"]),
            }
            for row in found.value["rows"]
            if row["tag"] is not None
        ]
    )


@blueprint.get("/logs")
async def logs() -> Response:
    """Finished calls, newest first. `api_key` is a key's secret, `token_id` or alias."""
    query = read_query(*DATES, *COLUMNS, "summarize", "limit", "cursor")
    wanted, before = chosen(query).within(*period(query)), call_cursor(query.cursor)
    found = await gateway().ledger.analytics.calls(wanted, query.limit or LARGEST_LIMIT, before)
    return answer([log(call) for call in found.value])


def period(query: Query) -> tuple[datetime | None, datetime | None]:
    """From the first moment of the first day until that of the day after the last, if there is one."""
    last = query.end_date
    after = None if last in (None, date.max) else last + timedelta(days=1)
    return midnight(query.start_date), midnight(after)


def midnight(day: date | None) -> datetime | None:
    return None if day is None else datetime.combine(day, time(), UTC)


def chosen(query: Query) -> Filter:
    asked = {column: getattr(query, name) for name, column in COLUMNS.items()}
    if query.api_key and (state := gateway().registry.find(query.api_key, gateway().micros())):
        asked["key_id"] = state.record.token_id
    terms = (Term((Text((column,), text),), negated=False) for column, text in asked.items() if text)
    return Filter(tuple(terms))


def number(decimal: str | None) -> msgspec.Raw | None:
    """The decimal as a JSON number, without passing through a float."""
    return None if decimal is None else msgspec.Raw(decimal.encode())


def log(call: Document) -> Document:
    """The row of `LiteLLM_SpendLogs` that the call would have been."""
    return {
        "request_id": call["id"],
        "call_type": call["action"] or "",
        "api_key": call["key_id"] or "",
        "spend": number(call["cost_usd"]),
        "total_tokens": call["total_tokens"],
        "prompt_tokens": call["prompt_tokens"],
        "completion_tokens": completion_tokens(call),
        "startTime": call["started_at"],
        "endTime": later(call["started_at"], call["duration_ms"]),
        "completionStartTime": later(call["started_at"], call["first_byte_ms"]),
        "model": call["model"] or "",
        "model_group": call["model"] or "",
        "custom_llm_provider": "gemini",
        "user": call["user_id"] or "",
        "end_user": call["user_id"] or "",
        "request_tags": call["tags"],
        "metadata": {"user_api_key_alias": call["key_alias"], "status_code": call["status"]},
        "cache_hit": "False",
        "status": "success" if call["outcome"] == "ok" else "failure",
        "session_id": call["trace_id"],
    }


def completion_tokens(call: Document) -> int | None:
    """Output as OpenAI counts it, thoughts included."""
    known = [count for name in ("output_tokens", "thoughts_tokens") if (count := call[name]) is not None]
    return sum(known) if known else None


def later(started_at: str, milliseconds: float | None) -> str | None:
    if milliseconds is None:
        return None
    moment = datetime.fromisoformat(started_at) + timedelta(milliseconds=milliseconds)
    return iso(micros(moment))
