"""Changes of the audit log in the terminal application: the filter, the columns by the width of the screen,
and the details of one change.

The filter is `action:update,delete key:web by:ann since:7d`, by which `/audit` is asked. The gateway decides
which values are valid; here only the words are told apart.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from gatekeeper.client import formats
from gatekeeper.client.api_errors import Problem
from gatekeeper.client.audit import AuditChange, FieldChange, changed_fields, changed_thing, field_changes
from gatekeeper.client.columns import MEDIUM, Cell, Column, TextRole

FIELDS = ("action", "key", "by", "since", "until")
# A field with its value, which may be quoted; else anything up to the next space.
WORD = re.compile(r'(?P<field>[a-z]+):(?:"(?P<quoted>[^"]*)"|(?P<bare>[^\s"]+))(?=\s|$)|\S+')
ALLOWED = "action:update,delete  key:NAME  by:NAME  since:7d  until:TIME"

# What takes something away, or lets nobody in.
SEVERE = ("delete", "remove", "block")


class AuditFilterError(ValueError):
    """A word is no term of the filter; `problem` has its column."""

    def __init__(self, message: str, column: int) -> None:
        super().__init__(message)
        self.problem = Problem(title="Bad filter", detail=message, column=column)


@dataclass(frozen=True, slots=True)
class AuditRequest:
    """Which changes are shown: the filter as text, and its values by the API's names."""

    text: str = ""
    action: str | None = None
    key: str | None = None
    by: str | None = None
    since: str | None = None
    until: str | None = None


def parse_filter(text: str) -> AuditRequest:
    """Raises AuditFilterError for a word that is no term, and for a field that is given twice."""
    values: dict[str, str] = {}
    for word in WORD.finditer(text):
        field, column = word["field"], word.start() + 1
        if field not in FIELDS:
            raise AuditFilterError(f"{word[0]} is no term: write {ALLOWED}", column)
        if field in values:
            raise AuditFilterError(f"{field}: is given twice: join its values by commas", column)
        values[field] = word["bare"] if word["quoted"] is None else word["quoted"]
    return AuditRequest(text, **values)


def problem_at(text: str, problem: Problem) -> Problem:
    """The gateway's problem with a field, at the column where the filter has that field."""
    columns = {word["field"]: word.start() + 1 for word in WORD.finditer(text) if word["field"]}
    return Problem(title=problem.title, detail=problem.detail, column=columns.get(problem.field or ""))


def audit_columns(width: int, now: Callable[[], datetime]) -> list[Column[AuditChange]]:
    """The columns for a list of `width` cells."""

    def when(change: AuditChange) -> Cell:
        return when_text(change.at, now()), TextRole.DIM

    start = [Column("when", 12, when), Column("who", 10, who_cell, stretch=1)]
    what = Column("what", 12, what_cell, stretch=1)
    changes = Column("changes", 20, changes_cell, stretch=4)
    if width < MEDIUM:
        return [*start, Column("action", 13, action_cell), what, changes]
    middle = [Column("role", 8, role_cell), Column("from", 15, address_cell)]
    return [*start, *middle, Column("action", 18, action_cell), what, changes]


def when_text(at: datetime | None, now: datetime) -> str:
    """The time of day if that was today, else day and time; with the year if that is another."""
    if at is None:
        return formats.EMPTY
    local, today = at.astimezone(), now.astimezone()
    if local.date() == today.date():
        return formats.clock(at)
    if local.year == today.year:
        return f"{formats.day(at)} {local:%H:%M}"
    return f"{formats.day(at)} {local.year}"


def who(change: AuditChange) -> str:
    return change.by_alias or change.by or formats.EMPTY


def who_cell(change: AuditChange) -> Cell:
    return who(change), TextRole.PLAIN


def role_cell(change: AuditChange) -> Cell:
    return change.role or formats.EMPTY, TextRole.DIM


def address_cell(change: AuditChange) -> Cell:
    return change.address or formats.EMPTY, TextRole.DIM


def action_cell(change: AuditChange) -> Cell:
    return change.action, action_role(change)


def action_role(change: AuditChange) -> TextRole:
    return TextRole.WARNING if change.action.rpartition(".")[2] in SEVERE else TextRole.PLAIN


def what_cell(change: AuditChange) -> Cell:
    return changed_thing(change), TextRole.PLAIN


def changes_cell(change: AuditChange) -> Cell:
    return changed_fields(change), TextRole.DIM


def entry_lines(change: AuditChange) -> list[list[Cell]]:
    """All of a change: when, who, from where, what, and each field from what to what."""
    by = f"{change.by_alias} ({change.by})" if change.by_alias else change.by
    thing = changed_thing(change)
    known = {
        "when": formats.moment(change.at),
        "who": by + (f", as {change.role}" if change.role else ""),
        "from": change.address or "by the gateway itself",
        "what": thing if change.token_id in (None, thing) else f"{thing} ({change.token_id})",
    }
    fields = field_changes(change)
    width = max((len(field.name) for field in fields), default=0)
    return [
        [(change.action, action_role(change)), (f"  {thing}   change {change.id}", TextRole.PLAIN)],
        [],
        *([(f"{name:<6}", TextRole.DIM), (text, TextRole.PLAIN)] for name, text in known.items()),
        [],
        *(field_line(field, width) for field in fields),
        *([] if fields else [[("no field changed", TextRole.DIM)]]),
    ]


def field_line(field: FieldChange, width: int) -> list[Cell]:
    return [
        (f"{field.name:<{width}}  ", TextRole.DIM),
        (field.was, TextRole.PLAIN),
        (" → ", TextRole.DIM),
        (field.now, TextRole.ACCENT),
    ]
