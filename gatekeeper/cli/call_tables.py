"""The tables of finished calls and of calls in flight."""

from __future__ import annotations

from dataclasses import replace

from gatekeeper.cli.table_layout import DROPPED_FIRST, TableColumn
from gatekeeper.client import call_columns, formats
from gatekeeper.client.call_text import call_state
from gatekeeper.client.call_types import Call
from gatekeeper.client.columns import Cell, Column, TextRole
from gatekeeper.client.formats import local_now, short_moment, timestamp
from gatekeeper.client.reasons import cause
from gatekeeper.ledger.analytics.call_pages import SORTS


def started_cell(call: Call) -> Cell:
    return timestamp(call.started_at, "seconds"), TextRole.DIM


def short_started_cell(call: Call) -> Cell:
    """The time of day today, else the day and the minute."""
    return short_moment(call.started_at, local_now()), TextRole.DIM


def state_cell(call: Call) -> Cell:
    state = call_state(call, local_now())
    return str(state), TextRole.DIM if call.outcome == "ok" else state.role


def tags_cell(call: Call) -> Cell:
    """Also of a failed call: the reason has a column of its own here, unlike on a screen."""
    return " ".join(call.tags or ()), TextRole.DIM


def error_cell(call: Call) -> Cell:
    """Why it failed, in words, then the sentence."""
    known = cause(call)
    return ": ".join(
        part for part in (known.words if known else "", call.error_message) if part
    ), TextRole.ERROR


def brief_error_cell(call: Call) -> Cell:
    """Why it failed, in words; of a reason without any, the sentence."""
    known = cause(call)
    return (known.words if known else call.error_message or ""), TextRole.ERROR


def _number(column: Column[Call], drop: int) -> TableColumn[Call]:
    return TableColumn(column.title, 0, column.cell, right=True, drop=drop)


STARTED: TableColumn[Call] = TableColumn("started", 0, started_cell, short=short_started_cell)
ID: TableColumn[Call] = TableColumn("id", 0, lambda call: (call.id, TextRole.PLAIN), drop=DROPPED_FIRST)
KEY: TableColumn[Call] = TableColumn("key", 14, call_columns.key_cell)
MODEL: TableColumn[Call] = TableColumn(
    "model", 14, call_columns.model_cell, short=call_columns.short_model_cell
)
ACTION: TableColumn[Call] = TableColumn("action", 0, call_columns.action_cell, drop=3)
STATUS: TableColumn[Call] = TableColumn("status", 0, state_cell)
TAGS: TableColumn[Call] = TableColumn("tags", 10, tags_cell, drop=4)

FINISHED: tuple[Column[Call], ...] = (
    STARTED,
    ID,
    KEY,
    MODEL,
    ACTION,
    STATUS,
    _number(call_columns.TOTAL, 8),
    _number(call_columns.IN, 5),
    _number(call_columns.CACHED, 2),
    _number(call_columns.OUT, 7),
    call_columns.COST,
    TAGS,
    TableColumn("error", 60, error_cell, drop=9, brief=brief_error_cell),
)
"""At 80 cells: when, whose, which model, how it ended, how long it took, what it cost, and errors if any."""

IN_FLIGHT: tuple[Column[Call], ...] = (
    STARTED,
    ID,
    KEY,
    MODEL,
    ACTION,
    replace(STATUS, title="running"),
    _number(call_columns.FIRST, 5),
    _number(call_columns.IN, 7),
    _number(call_columns.OUT, 8),
    TAGS,
    TableColumn("user", 8, call_columns.user_cell, drop=2),
)

_SHOWN_AS = {
    "id": "started",
    "key_alias": "key",
    "model": "model",
    "action": "action",
    "status": "status",
    "duration_ms": "total",
    "prompt_tokens": "in",
    "cached_tokens": "cached",
    "output_tokens": "out",
    "cost_usd": "cost",
}
"""The titles of the columns of the ledger that have a column of the table."""


def sorted_table(sort: str | None) -> list[Column[Call]]:
    """The columns of finished calls in that order, the one sorted by always among them."""
    name = (sort or "-started").removeprefix("-")
    field = SORTS.get(name, "id")
    if (title := _SHOWN_AS.get(field)) is None:
        at = FINISHED.index(call_columns.COST)
        return [*FINISHED[:at], _any_column(name, field), *FINISHED[at:]]
    return [
        replace(each, drop=0) if isinstance(each, TableColumn) and each.title == title else each
        for each in FINISHED
    ]


def _any_column(title: str, field: str) -> Column[Call]:
    def cell(call: Call) -> Cell:
        value: object = getattr(call, field)
        if field.endswith("_ms"):
            return call_columns.duration_cell(call, value if isinstance(value, float) else None)
        if isinstance(value, int):
            return formats.count(value), TextRole.PLAIN
        return (formats.EMPTY, TextRole.DIM) if value is None else (str(value), TextRole.PLAIN)

    text = field not in _NUMBERS
    return TableColumn(title, 10 if text else 0, cell, right=not text)


_NUMBERS = frozenset(
    field for field in SORTS.values() if field.endswith(("_ms", "_tokens", "_bytes")) or field == "status"
)
