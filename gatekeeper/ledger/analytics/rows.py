"""How calls go into a DuckDB table and come out of it.

In: as JSON text that is one parameter of one INSERT. That costs 14 ms for 500 calls, hardly more than half
of a millisecond of it under the GIL. `read_json` on a temporary file takes 7 ms, but needs room on a disk
that may be full and a file that DuckDB may open; `executemany` takes a second.

A value that a column cannot hold (an id that is no UUID, a count beyond 64 bits, a `usage` that is not
quite JSON) becomes NULL. It must not become an error: the journal would offer the same row for ever, and
none after it would arrive. `usage` travels as a string for this reason, and arrives byte for byte.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

import msgspec

from gatekeeper.ledger.entry import COLUMNS, Call, Position
from gatekeeper.times import iso

Document = dict[str, Any]
"""What will be a JSON object; msgspec encodes it."""

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
_SHOWN = {
    "UUID": "CAST({} AS VARCHAR)",
    "TIMESTAMPTZ": "epoch_us({})",
    "DECIMAL(18,12)": "CAST({} AS VARCHAR)",
    "JSON": "CAST({} AS VARCHAR)",
}


def _structure() -> str:
    """The types of the JSON's values, as `from_json` wants them to be told."""
    call: dict[str, str] = {**COLUMNS, "started_at": "BIGINT"}
    del call["cost_usd"], call["usage"]
    call["cost_pico"] = "BIGINT"
    item = {"segment": "BIGINT", "offset": "BIGINT", "usage": "VARCHAR", "call": call}
    return msgspec.json.encode([item]).decode()


NAMES = ", ".join(COLUMNS)
SHOWN = ", ".join(_SHOWN.get(kind, "{}").format(name) for name, kind in COLUMNS.items())
"""The select list whose rows `shown` understands: no type in it needs more than plain Python."""
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


def shown(row: tuple[Any, ...]) -> Document:
    """A row of `SHOWN` as `entry.document` shows a call."""
    known = dict(zip(COLUMNS, row, strict=True))
    known["started_at"] = iso(known["started_at"])
    known["usage"] = None if known["usage"] is None else msgspec.Raw(known["usage"].encode())
    return known


def cursor(before: str) -> str:
    try:
        return str(UUID(before))
    except ValueError:
        raise ValueError(f'"{before}" is no cursor; give the id of the last call of a page') from None
