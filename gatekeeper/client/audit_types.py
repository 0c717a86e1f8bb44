"""The documents of `/audit`."""

from __future__ import annotations

from datetime import datetime

import msgspec


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
