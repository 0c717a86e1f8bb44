"""One call as the ledger keeps it: a `Call` is a row of `calls`, a journal line and an API document.

The fields are the columns of the contract, in its order, with its meanings. Three of them are kept in a
form that computes and travels cheaply, and are rendered at the edges: `started_at` is an integer of
microseconds since 1970 (UTC), `cost_pico` an integer of pico-dollars (DECIMAL(18,12) holds it exactly),
`usage` the raw JSON bytes that Google sent.

One field is no column: `charged_pico`, what the key's budget is charged in place of the cost, if
anything. It is on the line, so that whoever counts the journal again counts the same.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from gatekeeper.money import usd
from gatekeeper.times import iso

if TYPE_CHECKING:
    RawJson = msgspec.Raw | None
else:
    RawJson = msgspec.Raw  # msgspec decodes this, but not yet `Raw | None` (its issue 659)


class Outcome(StrEnum):
    """How a call ended; `errors` in every sum is whatever is not `OK`."""

    OK = "ok"
    REFUSED = "refused"
    UPSTREAM_ERROR = "upstream_error"
    UPSTREAM_UNREACHABLE = "upstream_unreachable"
    UPSTREAM_BROKEN = "upstream_broken"
    CLIENT_DISCONNECTED = "client_disconnected"
    CUT = "cut"
    INTERRUPTED = "interrupted"


class Position(NamedTuple):
    """A place in the journal: how far a consumer has come. Positions order as their calls ended."""

    segment: int
    offset: int


class Call(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One call. Filled in while it runs; None is "not known", never 0."""

    id: str
    started_at: int
    duration_ms: float | None = None
    first_byte_ms: float | None = None
    gateway_ms: float | None = None
    key_id: str | None = None
    key_alias: str | None = None
    user_id: str | None = None
    tags: list[str] = []
    method: str
    path: str
    action: str | None = None
    model: str | None = None
    model_version: str | None = None
    stream: bool = False
    status: int | None = None
    outcome: Outcome | None = None
    reason: str | None = None
    prompt_tokens: int | None = None
    cached_tokens: int | None = None
    output_tokens: int | None = None
    thoughts_tokens: int | None = None
    tool_tokens: int | None = None
    total_tokens: int | None = None
    usage: RawJson = None
    service_tier: str | None = None
    cost_pico: int | None = None
    price_version: str | None = None
    finish_reason: str | None = None
    request_bytes: int = 0
    response_bytes: int = 0
    upstream_key: str | None = None
    user_agent: str | None = None
    trace_id: str | None = None
    error_message: str | None = None
    usage_note: str | None = None
    charged_pico: int | None = None


# The columns of `calls` with their DuckDB types: what the file declares, what a batch is read with.
COLUMNS: dict[str, str] = {
    "id": "UUID",
    "started_at": "TIMESTAMPTZ",
    "duration_ms": "DOUBLE",
    "first_byte_ms": "DOUBLE",
    "gateway_ms": "DOUBLE",
    "key_id": "VARCHAR",
    "key_alias": "VARCHAR",
    "user_id": "VARCHAR",
    "tags": "VARCHAR[]",
    "method": "VARCHAR",
    "path": "VARCHAR",
    "action": "VARCHAR",
    "model": "VARCHAR",
    "model_version": "VARCHAR",
    "stream": "BOOLEAN",
    "status": "SMALLINT",
    "outcome": "VARCHAR",
    "reason": "VARCHAR",
    "prompt_tokens": "BIGINT",
    "cached_tokens": "BIGINT",
    "output_tokens": "BIGINT",
    "thoughts_tokens": "BIGINT",
    "tool_tokens": "BIGINT",
    "total_tokens": "BIGINT",
    "usage": "JSON",
    "service_tier": "VARCHAR",
    "cost_usd": "DECIMAL(18,12)",
    "price_version": "VARCHAR",
    "finish_reason": "VARCHAR",
    "request_bytes": "BIGINT",
    "response_bytes": "BIGINT",
    "upstream_key": "VARCHAR",
    "user_agent": "VARCHAR",
    "trace_id": "VARCHAR",
    "error_message": "VARCHAR",
    "usage_note": "VARCHAR",
}


def document(call: Call) -> dict[str, Any]:
    """The call as the API shows it and the file takes it: every column, in order, JSON-ready.

    `usage` stays `msgspec.Raw`, so encode with msgspec. A call in flight has `outcome` None.
    """
    known: dict[str, Any] = {name: getattr(call, name, None) for name in COLUMNS}
    known["started_at"] = iso(call.started_at)
    known["cost_usd"] = None if call.cost_pico is None else usd(call.cost_pico)
    return known
