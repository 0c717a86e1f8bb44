"""A call record: a `CallRecord` is a row of `calls`, a journal line and an API document.

The fields are the columns of the analytics file, in their order and with their meanings. Three of them have
a cheap internal form, which is converted for output: `started_at` is an integer of microseconds since 1970
(UTC), `cost_pico` an integer of pico-dollars (DECIMAL(18,12) holds it exactly), `usage` the raw JSON bytes
that Google sent.

Five fields are not columns, and are in the journal only. `group`: the group of its key. `charged_pico`: the
amount charged to budgets instead of the cost, if any, so that replaying the journal gives the same spend.
`continuations`: the digests of the tokens by which a later call may continue a long decode. `pending`: the
pending charge, until an `Amendment` completes the row. `made`: the resources that the call has created.

The size of a record is limited: whatever a client, a key or Google sends, a row takes some 70 KB at most, so
that no request fills memory and none makes a row that the analytics file cannot store. Truncation is marked:
a truncated text ends with `…`, and of too many tags the last is `…`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import StrEnum
from operator import attrgetter
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from gatekeeper.money import usd
from gatekeeper.times import iso

if TYPE_CHECKING:
    RawJson = msgspec.Raw | None
else:
    RawJson = msgspec.Raw  # msgspec decodes this, but not yet `Raw | None` (its issue 659)


Document = dict[str, Any]
"""A JSON object before msgspec encodes it."""


class Outcome(StrEnum):
    """How a call ended; `errors` in all sums counts the calls whose outcome is not `OK`."""

    OK = "ok"
    REFUSED = "refused"
    UPSTREAM_ERROR = "upstream_error"
    UPSTREAM_UNREACHABLE = "upstream_unreachable"
    UPSTREAM_BROKEN = "upstream_broken"
    CLIENT_DISCONNECTED = "client_disconnected"
    CUT = "cut"
    INTERRUPTED = "interrupted"


class Position(NamedTuple):
    """A position in the journal, such as a consumer's watermark. Positions are ordered as their calls
    ended."""

    segment: int
    offset: int


START = Position(0, 0)
"""Before every call."""


class PendingCharge(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A charge that is still to come for a call that has ended.

    `begun_by` is the id of that call. `resource` is the resource whose result has the cost, or the cached
    content that is stored; None: settled, nothing more will be charged. `videos`: how many were requested.
    For a cached content: its tokens, the time until which its storage is charged, and when it expires
    (microseconds since 1970).
    """

    begun_by: str
    resource: str | None = None
    videos: int | None = None
    tokens: int | None = None
    charged_until: int | None = None
    expires_at: int | None = None


class CreatedResources(msgspec.Struct, frozen=True, omit_defaults=True):
    """The names of the resources that a call has created, or found in a resource that it has read: the files
    of a finished batch. `key_id` is their owner, that of the resource read; None: the call's own key."""

    names: tuple[str, ...]
    key_id: str | None = None


# Not tracked by the garbage collector: thousands live in events and waiting rows, and none is in a reference
# cycle.
class CallRecord(msgspec.Struct, kw_only=True, omit_defaults=True, gc=False):
    """One call. Filled in while it runs; None is "not known", never 0."""

    id: str
    # Microseconds since 1970: an integer is compared and added up without a time zone.
    started_at: int
    duration_ms: float | None = None
    first_byte_ms: float | None = None
    gateway_ms: float | None = None
    key_id: str | None = None
    key_alias: str | None = None
    user_id: str | None = None
    # msgspec makes a new list for each call.
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
    # As Google sent it: a later version may read members that this one does not know.
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
    resource: str | None = None
    error_message: str | None = None
    block_reason: str | None = None
    usage_note: str | None = None
    continues: str | None = None
    # Billed units other than tokens, by price component; None: used, but the number is unknown.
    billed_units: dict[str, int | None] | None = None
    group: str | None = None
    charged_pico: int | None = None
    continuations: list[str] = []
    pending: PendingCharge | None = None
    made: CreatedResources | None = None


class Amendment(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A finished call whose cost became known after its end.

    `call` is its new row; only `AMENDED_COLUMNS` and `pending` differ. `charged_before` is what its key was
    charged until now (pico-dollars), `estimated_before` whether that was an estimate.
    """

    call: CallRecord
    charged_before: int = 0
    estimated_before: bool = False


JournalEntry = CallRecord | Amendment
"""What a consumer of the journal gets: a call that has ended, or an amendment of one."""

AMENDED_COLUMNS = (
    "model", "model_version", "prompt_tokens", "cached_tokens", "output_tokens", "thoughts_tokens",
    "tool_tokens", "total_tokens", "finish_reason", "usage", "service_tier", "cost_usd", "price_version",
    "usage_note", "billed_units",
)  # fmt: skip


# The columns of `calls` with their DuckDB types, for the table in the file and for inserting a batch.
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
    "resource": "VARCHAR",
    "error_message": "VARCHAR",
    "block_reason": "VARCHAR",
    "usage_note": "VARCHAR",
    "continues": "UUID",
    "billed_units": "JSON",
}


def call_document(call: CallRecord) -> Document:
    """The call as the API returns it: every column, in order, ready for JSON.

    `usage` stays `msgspec.Raw`, so encode with msgspec. A call in flight has `outcome` None.
    """
    known: Document = {name: getattr(call, name, None) for name in COLUMNS}
    known["started_at"] = iso(call.started_at)
    known["cost_usd"] = None if call.cost_pico is None else usd(call.cost_pico)
    return known


ELLIPSIS = "…"
MAX_TEXT = 256
"""Characters of a text that is not in `MAX_LENGTHS`."""
MAX_LENGTHS = {
    "path": 2048, "user_id": 512, "user_agent": 512, "resource": 512, "error_message": 500, "usage_note": 500,
}  # fmt: skip
MAX_TAGS = 64
MAX_TAG_LENGTH = 128
"""Characters."""
MAX_USAGE_BYTES = 16 * 1024
"""Bytes of `usage`, which is stored whole or not at all; Google's has less than 2,000."""

_TEXT_LIMITS = tuple(
    (name, MAX_LENGTHS.get(name, MAX_TEXT))
    for name, kind in COLUMNS.items()
    if kind == "VARCHAR" and name != "outcome"  # an `Outcome`, which is short
)
_text_values: Callable[[CallRecord], tuple[str | None, ...]] = attrgetter(*(name for name, _ in _TEXT_LIMITS))
_BASE_BYTES = 2000  # bytes of memory for a call without its texts
_BYTES_PER_CHARACTER = 2  # mostly 1, at most 4


def truncate(text: str, limit: int = MAX_TEXT) -> str:
    return text if len(text) <= limit else text[: limit - 1] + ELLIPSIS


def truncate_tags(tags: Iterable[str]) -> list[str]:
    # Truncate first: tags that differ only beyond the limit become the same tag, which must be there once.
    kept = list(dict.fromkeys(truncate(tag, MAX_TAG_LENGTH) for tag in tags))
    return kept if len(kept) <= MAX_TAGS else [*kept[: MAX_TAGS - 1], ELLIPSIS]


def truncate_fields(call: CallRecord) -> int:
    """Truncates fields that are too long. Idempotent. Returns the call's `memory_size`."""
    characters = _characters(call)
    # The sum is needed anyway, and cheaper than testing each.
    if characters > MAX_TEXT and max(map(len, filter(None, _text_values(call)))) > MAX_TEXT:
        for name, limit in _TEXT_LIMITS:
            if text := getattr(call, name):
                setattr(call, name, truncate(text, limit))
        characters = _characters(call)
    if call.tags and (len(call.tags) > MAX_TAGS or max(map(len, call.tags)) > MAX_TAG_LENGTH):
        call.tags = truncate_tags(call.tags)
    usage = 0 if call.usage is None else memoryview(call.usage).nbytes
    if usage > MAX_USAGE_BYTES:
        # Not truncated: half of a JSON object is not valid JSON.
        call.usage = None
        notes = (f"usage of {usage:,} bytes was not kept", call.usage_note)
        call.usage_note = truncate("; ".join(filter(None, notes)), MAX_LENGTHS["usage_note"])
    return _memory_size(call, characters, usage)


def memory_size(call: CallRecord) -> int:
    """Approximate bytes of memory that a call takes."""
    usage = 0 if call.usage is None else memoryview(call.usage).nbytes
    return _memory_size(call, _characters(call), usage)


def _characters(call: CallRecord) -> int:
    return sum(map(len, filter(None, _text_values(call))))


def _memory_size(call: CallRecord, characters: int, usage: int) -> int:
    if call.tags:
        characters += sum(map(len, call.tags))
    return _BASE_BYTES + usage + _BYTES_PER_CHARACTER * characters
