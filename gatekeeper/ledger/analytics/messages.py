"""What passes between the gateway, DuckDB, and the process of a person's query: rows, answers, errors.

It loads neither DuckDB nor trio: an idle gateway does without the one, the process of a query without the
other.

Calls go in as JSON text that is one parameter of one INSERT. That costs 14 ms for 500 calls, hardly more than
half of a millisecond of it under the GIL. `read_json` on a temporary file takes 7 ms, but needs room on a
disk that may be full and a file that DuckDB may open; `executemany` takes a second.
"""

from __future__ import annotations

from typing import Generic, NamedTuple, TypeVar

import msgspec

from gatekeeper.data_dir import ANALYTICS_FILE
from gatekeeper.ledger.call import COLUMNS, Call, Position

TEMPORARY = f"{ANALYTICS_FILE}.query.tmp"
"""Where, in the data folder, a query spills what is too much for its memory."""

T = TypeVar("T")


class AnalyticsError(Exception):
    """The analytics file cannot be used at present; the calls are safe in the journal."""


class FileHeld(AnalyticsError):
    """Another process has the file open; it can be ours when that process closes it."""


class FileUnusable(AnalyticsError):
    """The file is damaged, of another format, or cannot be written; somebody has to do something."""


class FileReplaced(AnalyticsError):
    """The file is another one than it was, and lacks calls: the journal is to be read again."""


class RowsRefused(FileUnusable):
    """DuckDB would not take rows, and it is not the disk's fault: it may be that of a row."""


class TookTooLong(AnalyticsError):
    """A question was stopped; a simpler one, or one of a shorter time, may do."""


class QueryRefused(ValueError):
    """A person's query is wrong, is not allowed, or passed a limit; the message says which and what to do."""


class QueryUnavailable(RuntimeError):
    """No person's query can be answered at present."""


class CursorError(ValueError):
    """A page is asked for after what is no call's id."""


class GroupingError(ValueError):
    """A sum is asked for by what it cannot be grouped by; `allowed` is what it can."""

    def __init__(self, message: str, allowed: list[str]) -> None:
        super().__init__(message)
        self.allowed = allowed


class Found(NamedTuple, Generic[T]):
    """`absence` says why the file was out of reach, None where it was not: then the calls are those since it
    was let go."""

    value: T
    absence: str | None

    @property
    def gaps(self) -> dict[str, bool | str]:
        """What a document says of it: `"partial": true` and why, or nothing."""
        return {"partial": True, "partial_reason": self.absence} if self.absence else {}


class Share(NamedTuple):
    """What another process may see: whether it may open the file, and rows that are not in it. `absence` says
    why that is not every call; None where it is."""

    attached: bool
    rows: str
    absence: str | None


class Request(msgspec.Struct):
    """A query, what it may use, and what the file does not have: `rows`, a JSON array.

    `attached` is false where the file is out of reach. `absence` says why calls are missing from what can be
    seen; None where none are.
    """

    folder: str
    query: str
    limit: int
    seconds: float
    memory: int
    largest_answer: int
    attached: bool
    rows: str
    absence: str | None


def out_of_memory(memory: int) -> str:
    return (
        f"The query needed more than the {mebibytes(memory)} of memory that a query may take; ask for fewer "
        "rows or smaller values, or lend the file to a program of yours: gatekeeper sql --exec"
    )


def too_large(largest: int) -> str:
    return (
        f"The answer is larger than {mebibytes(largest)}; choose fewer columns or rows, or lend the file to "
        "a program of yours: gatekeeper sql --exec"
    )


def mebibytes(size: int) -> str:
    return f"{size / 1024 / 1024:.3g} MiB"


# A value that a column cannot hold (an id that is no UUID, a count beyond 64 bits, a `usage` that is not
# quite JSON) becomes NULL. It must not become an error: the journal would offer the same row for ever, and
# none after it would arrive. `usage` travels as a string for this reason, and arrives byte for byte.

# What the columns are made from where the call keeps them in another form, or leaves the default out.
_SOURCES = {
    "started_at": "make_timestamptz(item.call.started_at)",
    "tags": "coalesce(item.call.tags, [])",
    "stream": "coalesce(item.call.stream, false)",
    "request_bytes": "coalesce(item.call.request_bytes, 0)",
    "response_bytes": "coalesce(item.call.response_bytes, 0)",
    "usage": "TRY_CAST(item.usage AS JSON)",
    "cost_usd": "TRY_CAST(item.call.cost_pico * 0.000000000001 AS DECIMAL(18,12))",
}


def _structure() -> str:
    """The types of the JSON's values, as `from_json` wants them to be told."""
    call: dict[str, str] = {**COLUMNS, "started_at": "BIGINT"}
    del call["cost_usd"], call["usage"]
    call["cost_pico"] = "BIGINT"
    item = {"segment": "BIGINT", "offset": "BIGINT", "usage": "VARCHAR", "call": call}
    return msgspec.json.encode([item]).decode()


NAMES = ", ".join(COLUMNS)
COLUMN_DEFINITIONS = ", ".join(f"{name} {kind}" for name, kind in COLUMNS.items())
ADDED_COLUMNS = ("error_message", "usage_note")
"""Columns that files made before them lack; a column is never dropped or re-typed."""
WITHOUT_TEXTS = "the analytics file did not take the texts of this row"
"""In `usage_note`."""
_OUR_WORDS = {"outcome", "key_id", "price_version"}
_TEXTS = {name for name, kind in COLUMNS.items() if kind == "VARCHAR"} - _OUR_WORDS
POSITION_DEFINITIONS = 'segment BIGINT, "offset" BIGINT'

_STRUCTURE = _structure()
_VALUES = ", ".join(_SOURCES.get(name, f"item.call.{name}") for name in COLUMNS)
_ITEMS = f"(SELECT unnest(from_json(?, '{_STRUCTURE}')) AS item)"

INSERT_CALLS = f"""
    INSERT INTO file.calls ({NAMES}) SELECT {_VALUES} FROM {_ITEMS}
    WHERE (item.segment, item."offset") > (?, ?)
"""  # noqa: S608
INSERT_PENDING = f"""
    INSERT INTO pending ({NAMES}, segment, "offset")
    SELECT {_VALUES}, item.segment, item."offset" FROM {_ITEMS}
"""  # noqa: S608


class Item(msgspec.Struct):
    segment: int
    offset: int
    usage: str | None
    call: Call


_ENCODER = msgspec.json.Encoder()


def encode(position: Position, call: Call) -> str:
    """The JSON of one row; any number of them make up an INSERT's first parameter, as a JSON array."""
    usage = None if call.usage is None else bytes(call.usage).decode(errors="replace")
    bare = msgspec.structs.replace(call, usage=None)
    return _ENCODER.encode(Item(position.segment, position.offset, usage, bare)).decode()


def without_texts(item: str) -> str:
    """The row of a call that DuckDB would not take, with its numbers and our own short words only."""
    bare = msgspec.json.decode(item, type=Item)
    bare.usage = None
    kept: dict[str, object] = {"tags": [], "method": "…", "path": "…", "usage_note": WITHOUT_TEXTS}
    bare.call = msgspec.structs.replace(bare.call, **dict.fromkeys(_TEXTS) | kept)
    return _ENCODER.encode(bare).decode()
