"""The schemas of calls: the columns of the ledger, and the responses of `/calls` and `/sql`."""

from __future__ import annotations

from typing import NamedTuple

from gatekeeper.admin.key_schemas import NEXT_CURSOR
from gatekeeper.ledger.analytics.call_pages import CHAIN_FIELDS
from gatekeeper.ledger.call import COLUMNS, Outcome
from gatekeeper.openapi.document import Operation
from gatekeeper.openapi.schema import (
    Schema,
    array,
    boolean,
    component,
    integer,
    members,
    money,
    nullable,
    text,
    texts,
)


class Column(NamedTuple):
    """The meaning of a column of the ledger, with an example."""

    meaning: str
    example: object = None


_CALL_ID = "019ab2c3-d4e5-7f60-8192-a3b4c5d6e7f8"
_USAGE = {"promptTokenCount": 1204, "candidatesTokenCount": 331, "totalTokenCount": 1535}

COLUMN_MEANINGS: dict[str, Column] = {
    "id": Column("UUIDv7; also the header x-gatekeeper-call-id.", _CALL_ID),
    "started_at": Column("When the headers of the request had arrived.", "2026-11-24T13:05:00.000000Z"),
    "duration_ms": Column("Milliseconds to the last byte sent to the client.", 566.2),
    "first_byte_ms": Column("Milliseconds to the first byte sent to the client.", 528.1),
    "gateway_ms": Column("The part of `first_byte_ms` that was not spent waiting for Google.", 1.4),
    "key_id": Column("The key's `token_id`, or `open` or `master`.", "key_0123456789abcdef"),
    "key_alias": Column("The key's alias at that time.", "web-frontend"),
    "user_id": Column("The end user.", "user-17"),
    "tags": Column("Tags of the call and of its key.", ["checkout"]),
    "method": Column("The HTTP method.", "POST"),
    "path": Column(
        "The path after /gemini, without its query.", "/v1beta/models/gemini-2.5-flash:generateContent"
    ),
    "action": Column("The called method of the API.", "generateContent"),
    "model": Column("The requested model, without `models/`.", "gemini-2.5-flash"),
    "model_version": Column("The model that served the call.", "gemini-2.5-flash"),
    "stream": Column("Whether the response is a stream.", False),
    "status": Column("The HTTP status sent to the client; null: none.", 200),
    "outcome": Column("How it ended; null in flight.", "ok"),
    "reason": Column("Why it failed: the gateway's reason, or that of Google's error.", None),
    "prompt_tokens": Column("Tokens of the prompt, cached ones included.", 1204),
    "cached_tokens": Column("Tokens of the prompt that came from a cache.", None),
    "output_tokens": Column("Tokens of the candidates, without thoughts.", 331),
    "thoughts_tokens": Column("Tokens of thoughts.", None),
    "tool_tokens": Column("Tokens of tool results in the prompt.", None),
    "total_tokens": Column("Tokens in total.", 1535),
    "usage": Column("`usageMetadata`, or the usage of another API, as received.", _USAGE),
    "service_tier": Column("The service tier: standard, flex, priority or batch.", "standard"),
    "cost_usd": Column("The cost in USD; null: unknown, or not known yet.", "0.001188700000"),
    "price_version": Column("The catalogue that priced it.", "2026-11-20-1a2b3c4d"),
    "finish_reason": Column("Why the model stopped.", "STOP"),
    "request_bytes": Column("Bytes of the request's body.", 4816),
    "response_bytes": Column("Bytes of the response's body.", 2210),
    "upstream_key": Column("The label of the Google key used.", "key-1"),
    "user_agent": Column("The client's User-Agent.", "google-genai-sdk/1.50.0"),
    "trace_id": Column("The trace of the client's `traceparent`.", None),
    "resource": Column("The resource that it created or accessed.", "files/abc"),
    "error_message": Column("Google's message or the gateway's own, without secrets.", None),
    "block_reason": Column("Why the prompt was blocked.", None),
    "usage_note": Column("What was wrong with the reported usage, or estimated.", None),
    "continues": Column("The previous call of a long decode that this one continues.", None),
    "billed_units": Column("Quantities billed other than tokens, by price component.", None),
}
NOT_NULL = ("id", "started_at", "tags", "stream", "request_bytes", "response_bytes")

_KINDS: dict[str, Schema] = {
    "UUID": {"type": "string", "format": "uuid"},
    "TIMESTAMPTZ": {"type": "string", "format": "date-time"},
    "DOUBLE": {"type": "number"},
    "VARCHAR": {"type": "string"},
    "VARCHAR[]": {"type": "array", "items": {"type": "string"}},
    "BOOLEAN": {"type": "boolean"},
    "SMALLINT": {"type": "integer"},
    "BIGINT": {"type": "integer"},
    "DECIMAL(18,12)": {"type": "string", "pattern": r"^[0-9]+\.[0-9]+$"},
    "JSON": {"type": ["object", "array"]},
}
"""By SQL type of the column."""


def _column(name: str, kind: str) -> Schema:
    meaning, example = COLUMN_MEANINGS[name]
    outcomes = {"enum": list(Outcome)} if name == "outcome" else {}
    schema = {**_KINDS[kind], **outcomes, "description": meaning, "examples": [example]}
    return schema if name in NOT_NULL else nullable(schema)


CALL_PROPERTIES = {name: _column(name, kind) for name, kind in COLUMNS.items()}
CALL = component("Call", members("A call: one row of the ledger.", CALL_PROPERTIES))
PARTIAL: dict[str, Schema] = {
    "partial": boolean("Set where calls of the analytics file are missing.", example=True),
    "partial_reason": text("Why they are missing.", "another program has the analytics file open"),
}
CALL_PAGE = component(
    "CallPage",
    members(
        "A page of calls.",
        {"calls": array("The calls.", CALL), "next_cursor": NEXT_CURSOR, **PARTIAL},
        optional=PARTIAL,
    ),
)

_LINE = members(
    "One component: `usd` is `quantity` times `unit_usd`, for the size of `unit`.",
    {
        "component": text("What was used.", "input"),
        "quantity": text("How much of it.", "1204"),
        "unit": text("The unit of the price.", "per_1m_tokens"),
        "unit_usd": text("The price of a unit in USD.", "0.3"),
        "usd": text("What it costs in USD.", "0.0003612"),
    },
)
COST = component(
    "Cost",
    members(
        "A cost line by line, by the prices in force.",
        {
            "model": text("The model.", "gemini-2.5-flash"),
            "cost_usd": nullable(text("The sum in USD, an exact decimal; null: unknown.", "0.0011887")),
            "lines": array("Its components.", _LINE),
            "price_version": text("The catalogue.", "2026-11-20-1a2b3c4d"),
            "notes": texts("Why it is 0 or unknown, or not that of the row."),
        },
    ),
)
SUMS: dict[str, Schema] = {
    "calls": integer("Calls.", 212_000),
    "errors": integer("Those whose outcome is not `ok`.", 848),
    "prompt_tokens": nullable(integer("Their sum.", 1_200_000_000)),
    "cached_tokens": nullable(integer("Their sum.", 732_000_000)),
    "output_tokens": nullable(integer("Their sum, without thoughts.", 96_000_000)),
    "thoughts_tokens": nullable(integer("Their sum.", 41_000_000)),
    "total_tokens": nullable(
        integer("The sum of the totals as Google reports them, thoughts and tools included.", 1_340_000_000)
    ),
    "cost_usd": nullable(money("The known part of the cost (null: none is known), in", "612.400000000000")),
    "unpriced_calls": integer("Calls of unknown cost.", 2),
}
_HOP = members("One of its calls.", {name: CALL_PROPERTIES[name] for name in CHAIN_FIELDS})
_DETAILS: dict[str, Schema] = {
    "cost": nullable(COST) | {"description": "The arithmetic of the cost; null in flight."},
    "chain": array("The calls of the long decode that it is part of.", _HOP),
    "chain_total": members("The sums of these calls.", SUMS),
}
CALL_DETAIL = component(
    "CallDetail",
    members("A call, finished or in flight.", CALL_PROPERTIES | _DETAILS, optional=("chain", "chain_total")),
)
EVENTS = text(
    "Events: `call.started`, `call.finished` and `call.amended` (data: the call), `gap` "
    '(`{"missed": n}`), `budget.warning` (an account has reached its soft budget), `tick` each second '
    "(calls, errors, in_flight, tokens, cost_usd).",
    'id: 1764000000000001\nevent: gap\ndata: {"missed": 3}\n\n',
)

SQL_REQUEST = component(
    "SqlRequest",
    members(
        "A query.",
        {
            "query": text("One SELECT on the table `calls`.", "SELECT count(*) FROM calls", minLength=1),
            "limit": integer("How many rows are answered.", 100, minimum=1, maximum=1000),
        },
        optional=("limit",),
        additionalProperties=False,
    ),
)
SQL_ROWS = component(
    "SqlRows",
    members(
        "The rows found.",
        {
            "columns": texts("Their names.", "count_star()"),
            "types": texts("Their types in DuckDB.", "BIGINT"),
            "rows": array("The rows.", array("Its values.", {}, examples=[[17]])),
            "truncated": boolean("Whether there are more rows.", example=False),
            **PARTIAL,
        },
        optional=PARTIAL,
    ),
)
LOAN_REQUEST = component(
    "LoanRequest",
    members(
        "For how long.",
        {"seconds": integer("The loan ends by itself after this.", 60, minimum=1, maximum=3600)},
        additionalProperties=False,
    ),
)
LOAN = component(
    "Loan",
    members(
        "The file on loan.",
        {
            "file": text("Its path on the gateway's machine.", "/srv/gatekeeper/data/gatekeeper.duckdb"),
            "seconds": integer("When the loan ends by itself.", 60),
        },
    ),
)
LOAN_ENDED = component("LoanEnded", members("Done.", {"returned": boolean("Always.", example=True)}))

LIST = Operation(
    "List calls",
    CALL_PAGE,
    query=("q", "since", "until", "sort", "running", "limit", "cursor"),
    problems=(503,),
)
SHOW = Operation("Show a call", CALL_DETAIL, problems=(404, 503))
STREAM = Operation(
    "Follow calls", EVENTS, query=("q",), headers=("Last-Event-ID",), media_type="text/event-stream"
)
SQL = Operation("Query calls with SQL", SQL_ROWS, SQL_REQUEST, problems=(503,))
LEND = Operation("Lend the analytics file", LOAN, LOAN_REQUEST, problems=(409, 503))
RETURN = Operation("End the loan", LOAN_ENDED, problems=(503,))
