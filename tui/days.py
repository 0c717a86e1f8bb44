"""Days of the local calendar in a log of calls. A call's id tells its day: the first 48 bits of a UUID of
version 7 are the milliseconds since 1970, and so its order is that of the rules between days, too.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from gatekeeper.client import formats

VERSION = slice(14, 15)
DIGITS = 12


@dataclass(frozen=True, slots=True)
class Day:
    """Its ids are not before `first`, which is how they begin and sorts before each, but before `next`."""

    first: str
    next: str
    title: str


def day_of(id: str) -> Day | None:  # noqa: A002 - the contract's name
    """The day in which a call started; None where the id does not tell."""
    try:
        if id[VERSION] != "7":
            return None
        moment = datetime.fromtimestamp(int(id.replace("-", "")[:DIGITS], 16) / 1000).astimezone()
        midnight = moment.replace(tzinfo=None, hour=0, minute=0, second=0, microsecond=0)
        return Day(first_id(midnight), first_id(midnight + timedelta(days=1)), formats.weekday(moment))
    except (ValueError, OverflowError, OSError):
        return None


def first_id(midnight: datetime) -> str:
    """How ids begin that are given from this local time on."""
    digits = f"{round(midnight.astimezone().timestamp() * 1000):0{DIGITS}x}"
    return f"{digits[:8]}-{digits[8:]}"
