"""What calls cost and what costs what: `/spend`, `/models`, `/prices`; and `/spend/tags` and `/spend/logs` as
LiteLLM answers them, for scripts that moved here.

LiteLLM's parameters are taken, dates as it means them (UTC; here the last day counts as a whole). In its
shapes money is a JSON number: the exact decimal, written out; null where it is unknown. Two things differ,
because here whatever is listed has an end: one answer has at most 1000 logs (`cursor`, the last `request_id`,
goes on with those before), and a range of dates does not turn logs into sums (`GET /spend` has sums).
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta

import msgspec
from quart import Blueprint, Response

from gatekeeper.admin.gateway import gateway
from gatekeeper.admin.requests import LARGEST_LIMIT, Document, Query, answer, read_query
from gatekeeper.ledger.filters import Filter, Term
from gatekeeper.ledger.predicates import Text
from gatekeeper.pricing.catalogue import catalogue_document
from gatekeeper.times import iso, to_micros

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
    return None if moment is None else iso(to_micros(moment))


@blueprint.get("/models")
async def models() -> Response:
    """`seen`: the models that calls asked for, the last used first, and whether the catalogue knows them;
    `priced`: the ids, or globs of ids, that it knows."""
    read_query()
    found = await gateway().ledger.analytics.models()
    catalogue, today = gateway().catalogue, gateway().now().date()
    seen = [
        {**row, "priced": catalogue.find(catalogue.resolve_alias(row["model"], today)) is not None}
        for row in found.value
    ]
    priced = [name for model in catalogue.models() for name in model.ids]
    return answer({"seen": seen, "priced": priced, "price_version": catalogue.version, **found.gaps})


@blueprint.get("/prices")
async def prices() -> Response:
    """The catalogue in force. Prices are dollars for a million tokens of each component."""
    read_query()
    return answer(catalogue_document(gateway().catalogue))


DATES = ("start_date", "end_date")
COLUMNS = {"api_key": "key_id", "user_id": "user_id", "request_id": "id"}


@blueprint.get("/spend/tags")
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
            # LiteLLM has no row for calls without a tag.
            if row["tag"] is not None
        ]
    )


@blueprint.get("/spend/logs")
async def logs() -> Response:
    """Finished calls, newest first. `api_key` is a key's secret, `token_id` or alias."""
    query = read_query(*DATES, *COLUMNS, "summarize", "limit", "cursor")
    wanted = chosen(query).within(*period(query))
    found = await gateway().ledger.analytics.calls(wanted, query.limit or LARGEST_LIMIT, query.cursor)
    return answer([log(call) for call in found.value])


def period(query: Query) -> tuple[datetime | None, datetime | None]:
    """From the first moment of the first day until that of the day after the last, if there is one."""
    last = query.end_date
    # There is no day after the last one that Python knows.
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
    return iso(to_micros(moment))
