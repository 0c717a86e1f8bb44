"""Who changed which key, when, from what to what."""

from __future__ import annotations

import msgspec

from gatekeeper.times import iso


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One change of one key. `by` is who asked for it; `detail` says what changed, as the API shows it."""

    at: int
    by: str
    action: str
    token_id: str
    key_alias: str | None
    detail: dict[str, object] = {}


class Entry(msgspec.Struct, frozen=True):
    """A change in the trail; `id` grows."""

    id: int
    change: Change


def audit_document(entry: Entry) -> dict[str, object]:
    """The entry as the API shows it, JSON-ready."""
    change = entry.change
    return {
        "id": entry.id,
        "at": iso(change.at),
        "by": change.by,
        "action": change.action,
        "token_id": change.token_id,
        "key_alias": change.key_alias,
        "detail": change.detail,
    }


def difference(before: dict[str, object], after: dict[str, object]) -> dict[str, object]:
    """The fields of two key documents that differ, each as `{"from": …, "to": …}`; none that only
    follows from others."""
    return {
        name: {"from": before[name], "to": value}
        for name, value in after.items()
        if before[name] != value and name != "not_enforced"
    }
