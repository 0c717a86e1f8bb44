"""Points in time as text."""

from __future__ import annotations

from datetime import datetime

from gatekeeper.client.formats import EMPTY


def moment(at: datetime | None, timespec: str = "milliseconds") -> str:
    """A time in this machine's zone, in a form that `--since` and others read back as the same time:
    `2026-11-24 14:07:21.418+01:00`."""
    if at is None:
        return EMPTY
    return at.astimezone().isoformat(" ", timespec).replace("+00:00", "Z")
