"""What `/import` answers."""

from __future__ import annotations

import msgspec


class NotImported(msgspec.Struct, frozen=True):
    """What was left as it is, by its place in a list of the request, from 0."""

    list: str
    index: int
    reason: str


class Imported(msgspec.Struct, frozen=True):
    """How many of each were imported, or with `dry_run` would be."""

    groups: int = 0
    users: int = 0
    keys: int = 0
    skipped: tuple[NotImported, ...] = ()
