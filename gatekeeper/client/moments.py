"""Points in time as text."""

from __future__ import annotations

from datetime import datetime

from gatekeeper.client import formats
from gatekeeper.client.formats import EMPTY


def moment(at: datetime | None, timespec: str = "milliseconds") -> str:
    """A time in this machine's zone, in a form that `--since` and others read back as the same time:
    `2026-11-24 14:07:21.418+01:00`."""
    if at is None:
        return EMPTY
    return at.astimezone().isoformat(" ", timespec).replace("+00:00", "Z")


def short_moment(at: datetime | None, now: datetime) -> str:
    """The time of day if that is today, else the day and the minute: `14:07:21`, `24 Nov 14:07`."""
    if at is None:
        return EMPTY
    local = at.astimezone()
    return formats.clock(at) if local.date() == now.date() else f"{formats.day(at)} {local:%H:%M}"


def plain_moment(at: datetime, now: datetime) -> str:
    """The day and the minute, for people: `1 Dec 00:00`, of another year `1 Dec 2027 00:00`."""
    local = at.astimezone()
    year = "" if local.year == now.astimezone().year else f" {local.year}"
    return f"{formats.day(at)}{year} {local:%H:%M}"
