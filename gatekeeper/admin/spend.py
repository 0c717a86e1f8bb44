"""Spend and prices: `/spend`, `/models`, `/prices`; and `/spend/tags` and `/spend/logs` in LiteLLM's format,
for scripts written for LiteLLM.

LiteLLM's parameters are accepted, with dates in UTC as there (here the last day is included as a whole). In
its format money is a JSON number: the exact decimal; null if unknown. There are two differences, because
every list is bounded here: a response has at most 1000 logs (`cursor`, the last `request_id`, continues with
earlier ones), and a range of dates returns logs, not sums (`GET /spend` has sums).
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta

import msgspec
from quart import Blueprint, Response

from gatekeeper.admin import spend_schemas
from gatekeeper.admin.access import current_gateway
from gatekeeper.admin.parameters import MAX_LIMIT
from gatekeeper.admin.requests import Document, Query, json_response, read_query
from gatekeeper.ledger.filters import Filter, Term
from gatekeeper.ledger.predicates import Equals
from gatekeeper.openapi.document import describe
from gatekeeper.pricing.price_documents import catalogue_document
from gatekeeper.times import iso, to_micros

blueprint = Blueprint("spend", __name__)


@blueprint.get("/spend")
@describe(spend_schemas.SPEND_SUMS)
async def spend() -> Response:
    """`rows` grouped by one or two columns, and the `total` of all calls; `since` and `until` are the
    resolved times, with which `/calls` returns the same calls; days, hours and minutes are those of
    `timezone`. A period without calls has no row.

    `limit` is the number of rows; if there are more, `truncated` is true and `rest` has their sums. `top` is
    the number of groups that have rows of their own.
    """
    query = read_query()
    limit = query.limit or MAX_LIMIT
    by = list(query.by) or ["none"]
    result = await current_gateway().ledger.analytics.spend(by, query.filter(), limit, query.top)
    bounds = {"since": instant(query.since), "until": instant(query.until)}
    return json_response(
        {**result.value, **bounds, "timezone": current_gateway().settings.timezone, **result.partial_fields}
    )


def instant(moment: datetime | None) -> str | None:
    return None if moment is None else iso(to_micros(moment))


@blueprint.get("/models")
@describe(spend_schemas.LIST_MODELS)
async def models() -> Response:
    """`seen`: the models in recorded calls, most recently used first, and whether they are in the catalogue;
    `priced`: the ids and globs in the catalogue."""
    read_query()
    result = await current_gateway().ledger.analytics.models()
    catalogue, today = current_gateway().catalogue, current_gateway().now().date()
    seen = [
        {**row, "priced": catalogue.find(catalogue.resolve_alias(row["model"], today)) is not None}
        for row in result.value
    ]
    priced = [name for model in catalogue.models() for name in model.ids]
    return json_response(
        {"seen": seen, "priced": priced, "price_version": catalogue.version, **result.partial_fields}
    )


@blueprint.get("/prices")
@describe(spend_schemas.SHOW_PRICES)
async def prices() -> Response:
    """The current prices of every component with its unit: those of this release, over which those of your
    own file take precedence. `own_file` is its path: that in the setting `prices`, else prices.toml in the
    data folder. `faults`: why the file in its current state is invalid; then the last valid state is used."""
    read_query()
    gateway = current_gateway()
    return json_response(
        {
            **catalogue_document(gateway.catalogue),
            "own_file": gateway.settings.own_prices.found(),
            "faults": gateway.proxy.context.price_faults,
        }
    )


COLUMNS = {"api_key": "key_id", "user_id": "user_id", "request_id": "id"}


@blueprint.get("/spend/tags")
@describe(spend_schemas.TAGS)
async def tags() -> Response:
    """The sums by tag. A call with several tags counts for each of them, one without tags is not included."""
    query = read_query()
    result = await current_gateway().ledger.analytics.spend(
        # LiteLLM's response is not paginated, so this has every tag.
        ["tag"],
        Filter().in_period(*period(query)),
        limit=None,
    )
    return json_response(
        [
            {
                "individual_request_tag": row["tag"],
                "log_count": row["calls"],
                "total_spend": json_number(row["cost_usd"]),
            }
            for row in result.value["rows"]
            # LiteLLM has no row for calls without a tag.
            if row["tag"] is not None
        ]
    )


@blueprint.get("/spend/logs")
@describe(spend_schemas.LOGS)
async def logs() -> Response:
    """Finished calls, newest first. `api_key` is a key's secret, `token_id` or alias."""
    query = read_query()
    wanted = query_filter(query).in_period(*period(query))
    result = await current_gateway().ledger.analytics.calls(wanted, query.limit or MAX_LIMIT, query.cursor)
    return json_response([spend_log_row(call) for call in result.value])


def period(query: Query) -> tuple[datetime | None, datetime | None]:
    """From midnight of the first day to midnight after the last day, if given."""
    last = query.end_date
    # There is no day after `date.max`.
    after = None if last in (None, date.max) else last + timedelta(days=1)
    return midnight(query.start_date), midnight(after)


def midnight(day: date | None) -> datetime | None:
    return None if day is None else datetime.combine(day, time(), UTC)


def query_filter(query: Query) -> Filter:
    values = {column: getattr(query, name) for name, column in COLUMNS.items()}
    if query.api_key and (
        state := current_gateway().registry.find(query.api_key, current_gateway().now_micros())
    ):
        values["key_id"] = state.record.token_id
    terms = (Term((Equals((column,), text),), negated=False) for column, text in values.items() if text)
    return Filter(tuple(terms))


def json_number(decimal: str | None) -> msgspec.Raw | None:
    """The decimal as a JSON number, without conversion to a float."""
    return None if decimal is None else msgspec.Raw(decimal.encode())


def spend_log_row(call: Document) -> Document:
    """The call as a row of LiteLLM's table `LiteLLM_SpendLogs`."""
    return {
        "request_id": call["id"],
        "call_type": call["action"] or "",
        "api_key": call["key_id"] or "",
        "spend": json_number(call["cost_usd"]),
        "total_tokens": call["total_tokens"],
        "prompt_tokens": call["prompt_tokens"],
        "completion_tokens": completion_tokens(call),
        "startTime": call["started_at"],
        "endTime": time_after(call["started_at"], call["duration_ms"]),
        "completionStartTime": time_after(call["started_at"], call["first_byte_ms"]),
        "model": call["model"] or "",
        "model_group": call["model"] or "",
        "custom_llm_provider": "gemini",
        "user": call["user_id"] or "",
        "end_user": call["user_id"] or "",
        "request_tags": call["tags"],
        "metadata": {"user_api_key_alias": call["key_alias"], "status_code": call["status"]},
        # A string, like the column of LiteLLM's table.
        "cache_hit": "False",
        "status": "success" if call["outcome"] == "ok" else "failure",
        "session_id": call["trace_id"],
    }


def completion_tokens(call: Document) -> int | None:
    """Output tokens as OpenAI counts them, including thoughts."""
    known = [count for name in ("output_tokens", "thoughts_tokens") if (count := call[name]) is not None]
    return sum(known) if known else None


def time_after(started_at: str, milliseconds: float | None) -> str | None:
    if milliseconds is None:
        return None
    moment = datetime.fromisoformat(started_at) + timedelta(milliseconds=milliseconds)
    return iso(to_micros(moment))
