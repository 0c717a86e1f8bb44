"""The data exchanged between the gateway, DuckDB, and the query subprocess: rows, requests, results, errors.

Imports neither DuckDB nor trio: an idle gateway does not load the one, a query subprocess not the other.

Calls are inserted as JSON text, one parameter of one INSERT. That costs 6 ms, and 7 µs a call, which hardly
hold the GIL. `read_json` on a temporary file is no faster, needs space on a disk that may be full, and a file
that DuckDB is allowed to open; `executemany` takes a second for 500 calls.
"""

from __future__ import annotations

from typing import Generic, NamedTuple, TypeVar

import msgspec

from gatekeeper.data_dir import ANALYTICS_FILE
from gatekeeper.ledger.call import AMENDED_COLUMNS, COLUMNS, CallRecord, Position
from gatekeeper.pricing.cost_notes import GIVEN_UP
from gatekeeper.suggestions import did_you_mean

TEMP_DIR = f"{ANALYTICS_FILE}.query.tmp"
"""The folder, in the data folder, where a query spills data that exceeds its memory."""

T = TypeVar("T")


class AnalyticsError(Exception):
    """The analytics file cannot be used at present; the calls are safe in the journal."""


class FileLocked(AnalyticsError):
    """Another process has the file open; it can be opened when that process closes it."""


class FileUnusable(AnalyticsError):
    """The file is damaged, has another format, or cannot be written; an administrator must act."""


class FileReplaced(AnalyticsError):
    """The file was replaced by one that lacks calls: the journal must be read again."""


class RowsRejected(FileUnusable):
    """DuckDB rejected the rows, and the disk is not the cause: a row may be."""


class QueryTimeout(AnalyticsError):
    """A query was interrupted; a simpler one, or one of a shorter period, may succeed."""


class QueryRefused(ValueError):
    """A user-supplied query is wrong, not allowed, or exceeded a limit; the message says which and what to
    do."""


class QueryUnavailable(RuntimeError):
    """User-supplied queries cannot be executed at present."""


class CursorError(ValueError):
    """The cursor is not that of a page of calls in the order asked for."""


class SortError(ValueError):
    """Calls cannot be sorted by this; `allowed` has what they can be sorted by."""

    field = "sort"

    def __init__(self, sort: str, allowed: list[str]) -> None:
        near = did_you_mean(sort.removeprefix("-"), allowed, "sort by").replace("?", "? Sort by")
        super().__init__(
            f'calls cannot be sorted by "{sort}"; {near} {", ".join(allowed)}, '
            "with `-` before it from high to low"
        )
        self.allowed = allowed


class GroupingError(ValueError):
    """A sum cannot be grouped in this way; `allowed` has the valid groups."""

    field = "by"

    def __init__(self, message: str, allowed: list[str]) -> None:
        super().__init__(message)
        self.allowed = allowed


class AnalyticsResult(NamedTuple, Generic[T]):
    """The result of a query. `missing_reason` says why the file could not be read; then the result covers
    only the calls since it was closed. None if it could be read."""

    value: T
    missing_reason: str | None

    @property
    def partial_fields(self) -> dict[str, bool | str]:
        """`"partial": true` and `partial_reason` for the response, or nothing."""
        return {"partial": True, "partial_reason": self.missing_reason} if self.missing_reason else {}


class SharedSnapshot(NamedTuple):
    """The data for a query subprocess: whether it may open the file, and rows that are not in it.
    `missing_reason` says why calls are missing from both; None if none are."""

    attached: bool
    rows: str
    missing_reason: str | None


class QueryRequest(msgspec.Struct):
    """A query, its limits, and the rows that are not in the file, as a JSON array.

    `attached` is false if the file cannot be read. `missing_reason` says why calls are missing; None if none
    are.
    """

    folder: str
    query: str
    limit: int
    seconds: float
    memory: int
    max_response_bytes: int
    attached: bool
    rows: str
    missing_reason: str | None


def out_of_memory(memory: int) -> str:
    return (
        f"The query needed more than the {mebibytes(memory)} of memory that a query may take; ask for fewer "
        "rows or smaller values, or open the file with another program: gatekeeper sql --exec"
    )


def too_large(largest: int) -> str:
    return (
        f"The result is larger than {mebibytes(largest)}; choose fewer columns or rows, or open the file "
        "with another program: gatekeeper sql --exec"
    )


def mebibytes(size: int) -> str:
    return f"{size / 1024 / 1024:.3g} MiB"


# A value that a column cannot store (an id that is not a UUID, a count beyond 64 bits, a `usage` that is not
# valid JSON) becomes NULL. It must not become an error: the journal would offer the same row forever, and no
# later row would be stored. `usage` is passed as a string for this reason, and is stored byte for byte.

# The expressions of columns that the call has in another form, or omits if they have their default.
_COLUMN_EXPRESSIONS = {
    "started_at": "make_timestamptz(item.call.started_at)",
    "tags": "coalesce(item.call.tags, [])",
    "stream": "coalesce(item.call.stream, false)",
    "request_bytes": "coalesce(item.call.request_bytes, 0)",
    "response_bytes": "coalesce(item.call.response_bytes, 0)",
    "usage": "TRY_CAST(item.usage AS JSON)",
    "cost_usd": "TRY_CAST(item.call.cost_pico * 0.000000000001 AS DECIMAL(18,12))",
}


def _json_structure() -> str:
    """The types of the JSON values, in the format of DuckDB's `from_json`."""
    call: dict[str, str] = {**COLUMNS, "started_at": "BIGINT"}
    del call["cost_usd"], call["usage"]
    call["cost_pico"] = "BIGINT"
    item = {"segment": "BIGINT", "offset": "BIGINT", "usage": "VARCHAR", "call": call}
    return msgspec.json.encode([item]).decode()


COLUMN_NAMES = ", ".join(COLUMNS)
COLUMN_DEFINITIONS = ", ".join(f"{name} {kind}" for name, kind in COLUMNS.items())
ADDED_COLUMNS = (
    "resource", "error_message", "block_reason", "usage_note", "continues", "billed_units"
)  # fmt: skip
"""Columns that were added later, so that older files lack them; a column is never dropped or re-typed."""
SEARCHES_NOT_KEPT = f"{GIVEN_UP} it may have searched, which rows of its time do not say"
GIVE_UP_SEARCHES = f"""
    UPDATE file.calls SET usage_note = concat_ws('; ', usage_note, '{SEARCHES_NOT_KEPT}')
    WHERE cost_usd IS NULL AND (tool_tokens > 0 OR contains(CAST(usage AS VARCHAR), 'grounding_tool_count'))
"""  # noqa: S608
"""For rows from before `billed_units`, whose cost their searches may have kept unknown: a repricing by the
tokens alone would leave those out."""
TEXT_DROPPED_NOTE = "the analytics file did not take the texts of this row"
"""In `usage_note`."""
_CONTROLLED_COLUMNS = {"outcome", "key_id", "price_version"}
_TEXTS = {name for name, kind in COLUMNS.items() if kind == "VARCHAR"} - _CONTROLLED_COLUMNS
POSITION_DEFINITIONS = 'segment BIGINT, "offset" BIGINT'
ADJUSTMENTS = {
    "run_id": "UUID",
    "adjusted_at": "TIMESTAMPTZ",
    "call_id": "UUID",
    "old_cost_usd": "DECIMAL(18,12)",
    "old_price_version": "VARCHAR",
    "new_cost_usd": "DECIMAL(18,12)",
    "new_price_version": "VARCHAR",
    "key_id": "VARCHAR",
    "ended_at": "TIMESTAMPTZ",
    "charge_usd": "DECIMAL(18,12)",
    "estimated_usd": "DECIMAL(18,12)",
}
"""The columns of the table `adjustments`: each row that a run of `prices reprice` changed, with its figures
before and after. `charge_usd` is by how much the budgets of the call are charged more (negative: less),
`estimated_usd` which part of that are estimates; a call counts in the budget window in which it ended."""
ADJUSTMENT_DEFINITIONS = ", ".join(f"{name} {kind}" for name, kind in ADJUSTMENTS.items())

_JSON_STRUCTURE = _json_structure()
_VALUES = ", ".join(_COLUMN_EXPRESSIONS.get(name, f"item.call.{name}") for name in COLUMNS)
_AMENDED_VALUES = ", ".join(
    f"{name} = {_COLUMN_EXPRESSIONS.get(name, f'item.call.{name}')}" for name in AMENDED_COLUMNS
)
# The parameter is in a list: what depends on parameters only DuckDB evaluates while it plans, value by value,
# and that takes as long as all else of the INSERT.
_ITEMS = f"(SELECT unnest(from_json(text, '{_JSON_STRUCTURE}')) AS item FROM (SELECT unnest([?]) AS text))"  # noqa: S608

INSERT_CALLS = f"""
    INSERT INTO file.calls ({COLUMN_NAMES}) SELECT {_VALUES} FROM {_ITEMS}
    WHERE (item.segment, item."offset") > (?, ?)
"""  # noqa: S608
AMEND_CALLS = f"""
    UPDATE file.calls SET {_AMENDED_VALUES} FROM {_ITEMS} AS amended WHERE calls.id = item.call.id
"""  # noqa: S608
INSERT_PENDING = f"""
    INSERT INTO pending ({COLUMN_NAMES}, segment, "offset")
    SELECT {_VALUES}, item.segment, item."offset" FROM {_ITEMS}
"""  # noqa: S608


class InsertItem(msgspec.Struct):
    segment: int
    offset: int
    usage: str | None
    call: CallRecord


_ENCODER = msgspec.json.Encoder()


def encode_row(position: Position, call: CallRecord) -> str:
    """The JSON of one row; a JSON array of rows is the first parameter of an INSERT."""
    # Its bytes are Google's, and need not be UTF-8, which the parameter of a query must be.
    usage = None if call.usage is None else bytes(call.usage).decode(errors="replace")
    bare = msgspec.structs.replace(call, usage=None)
    return _ENCODER.encode(InsertItem(position.segment, position.offset, usage, bare)).decode()


def drop_text_columns(item: str) -> str:
    """The row of a call that DuckDB rejected, with only its numbers and `_CONTROLLED_COLUMNS`."""
    bare = msgspec.json.decode(item, type=InsertItem)
    bare.usage = None
    # Columns that a `CallRecord` must have a text in.
    kept: dict[str, object] = {"tags": [], "method": "…", "path": "…", "usage_note": TEXT_DROPPED_NOTE}
    bare.call = msgspec.structs.replace(bare.call, **dict.fromkeys(_TEXTS) | kept)
    return _ENCODER.encode(bare).decode()
