"""The audit log: the documents of `/audit`, and their changes in words."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

import msgspec

from gatekeeper.client.formats import EMPTY, round_money, timestamp

# As the API writes them.
MONEY = re.compile(r"[0-9]+\.[0-9]{12}")
TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z")


class AuditChange(msgspec.Struct, frozen=True):
    """One change. `by` is a key's id, `master`, `open` or `gateway`; `target` what was changed, if no key;
    `detail` has for each field `{"from": …, "to": …}`."""

    id: int = 0
    at: datetime | None = None
    by: str = ""
    by_alias: str | None = None
    role: str | None = None
    address: str | None = None
    action: str = ""
    token_id: str | None = None
    key_alias: str | None = None
    target: str | None = None
    detail: dict[str, object] = {}


class AuditPage(msgspec.Struct, frozen=True):
    changes: tuple[AuditChange, ...] = ()
    next_cursor: str | None = None


class FieldChange(NamedTuple):
    """A field's value before and after."""

    name: str
    was: str
    now: str

    def __str__(self) -> str:
        return f"{self.name} {self.was} → {self.now}"


class _FromTo(msgspec.Struct, frozen=True, rename={"was": "from", "now": "to"}):
    was: object
    now: object


def changed_thing(change: AuditChange) -> str:
    """The changed object: a key's alias, else its id, else the object's name."""
    return change.key_alias or change.token_id or change.target or EMPTY


def changed_fields(change: AuditChange) -> str:
    """`rpm_limit 3 → 7, …`"""
    return ", ".join(
        f"{name} … → {EMPTY}" if fields is None else str(fields) for name, fields in _changes(change)
    )


def field_changes(change: AuditChange) -> list[FieldChange]:
    """All changed fields; for a deletion, each field that the object had."""
    found: list[FieldChange] = []
    for name, fields in _changes(change):
        if fields is not None:
            found.append(fields)
        elif isinstance(whole := change.detail[name], Mapping):
            members = msgspec.convert(whole, dict[str, object]).items()
            found += [FieldChange(member, value_text(value), EMPTY) for member, value in members if value]
        else:
            found.append(FieldChange(name, value_text(whole), EMPTY))
    return found


def _changes(change: AuditChange) -> Iterator[tuple[str, FieldChange | None]]:
    """Each field with how it changed; None for what is no change but was there as a whole."""
    for name, value in change.detail.items():
        try:
            each = msgspec.convert(value, _FromTo)
        except msgspec.ValidationError:
            yield name, None
        else:
            yield name, FieldChange(name, value_text(each.was), value_text(each.now))


def value_text(value: object) -> str:
    """A value of a field: money without trailing zeros, a time in this machine's zone, text as it is,
    anything else as JSON."""
    if value is None:
        return EMPTY
    if not isinstance(value, str):
        return msgspec.json.encode(value).decode()
    if MONEY.fullmatch(value):
        return round_money(Decimal(value))
    return _time_text(value) if TIME.fullmatch(value) else value


def _time_text(text: str) -> str:
    """Text that only looks like a time stays as it is: an alias may be anything."""
    try:
        return timestamp(datetime.fromisoformat(text), "seconds")
    except (ValueError, OverflowError):
        return text
