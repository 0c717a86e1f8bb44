"""One object in memory for equal values of many keys: most keys have the limits, the group and the tags that
Without it 100,000 records would take three times the memory."""

from __future__ import annotations

from enum import Enum
from operator import attrgetter
from typing import Any, get_args

import msgspec
from msgspec.structs import force_setattr

from gatekeeper.keys.virtual_key import KeyRecord

MAX_SHARED = 100_000  # distinct values, some 10 MB; beyond that sharing begins anew

# What is different in each key.
_OWN = ("token_id", "secret_hash", "key_name", "key_alias", "previous")


def _is_shared(name: str, kind: Any) -> bool:
    # Flags and enumerated values are equal to a number or text of another type; there is one object of each.
    kinds = [part for part in (kind, *get_args(kind)) if isinstance(part, type)]
    return name not in _OWN and not any(issubclass(part, bool | Enum) for part in kinds)


_FIELDS = tuple(
    field.name for field in msgspec.structs.fields(KeyRecord) if _is_shared(field.name, field.type)
)
_values_of = attrgetter(*_FIELDS)
_EMPTY: dict[str, Any] = {}
_known: dict[object, Any] = {}


def share_values(record: KeyRecord) -> KeyRecord:
    """The same record, with values of earlier ones where they are equal. Records are never changed, nor may
    their values be."""
    if len(_known) > MAX_SHARED:
        # What records have of it stays theirs; only later ones share anew.
        _known.clear()
    for name, value in zip(_FIELDS, _values_of(record), strict=True):
        if value is None or value is _EMPTY:
            continue
        if value.__class__ is not dict:
            # The record is frozen, but nobody else's yet, and the value is equal.
            force_setattr(record, name, _known.setdefault(value, value))
        elif not value:
            force_setattr(record, name, _EMPTY)
    return record


def share_time(micros: int) -> int:
    """The same time; the windows of many keys begin and end together."""
    return _known.setdefault(micros, micros)
