"""What a 429 from Google means for later calls: which quota is exhausted, until when, and for which key or
project. Pure: the time is given."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import msgspec

from gatekeeper.gemini.upstream_error import UpstreamError

SECOND = 1_000_000  # microseconds
PACIFIC = ZoneInfo("America/Los_Angeles")
"""Requests per day are reset at midnight Pacific time (https://ai.google.dev/gemini-api/docs/rate-limits)."""
DEFAULT_WAIT = 60.0  # seconds, where no RetryInfo says how long
MIN_WAIT, MAX_WAIT = 1.0, 600.0  # seconds
SPEND_CAP_WAIT = 3600.0  # seconds: who raises the cap does not tell us
# Google's own caps of spend, per project and tier (since 2026-04-01).
SPEND_CAP = re.compile(r"spend(?:ing)?[ -](?:cap|limit)", re.IGNORECASE)


class Exhausted(msgspec.Struct, frozen=True):
    """A quota that is used up. `until`: microseconds since 1970; `models`: of these only, else of all calls
    that such a quota counts; `whole_project`: of all keys of the project, not of this one alone."""

    cause: str
    until: int
    models: tuple[str, ...] = ()
    whole_project: bool = False


def exhausted(error: UpstreamError | None, model: str | None, now: int) -> list[Exhausted]:
    """What a 429 to a call of `model` says. There is always one: without details it is the key's, for that
    model, for a minute."""
    if error is not None and SPEND_CAP.search(error.message):
        return [Exhausted("spend cap", now + round(SPEND_CAP_WAIT * SECOND), (), whole_project=True)]
    wait = DEFAULT_WAIT if error is None or error.retry_delay is None else error.retry_delay
    soon = now + round(min(max(wait, MIN_WAIT), MAX_WAIT) * SECOND)
    asked = () if model is None else (model,)
    if error is None or not error.quotas:
        return [Exhausted("quota", soon, asked)]
    return [
        Exhausted(
            quota.id,
            next_pacific_midnight(now) if quota.per_day else soon,
            # By the name that the quota has, and by the one that was asked for: an alias is another.
            tuple(dict.fromkeys(filter(None, (quota.model, model)))) if quota.per_model else (),
            whole_project=quota.per_project,
        )
        for quota in error.quotas
    ]


def next_pacific_midnight(now: int) -> int:
    """The next midnight of Los Angeles after `now`, both in microseconds since 1970."""
    here = datetime.fromtimestamp(now // SECOND, PACIFIC)
    # By the calendar: a day of the change to or from summer time has 23 or 25 hours.
    tomorrow = (here + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
    return int(tomorrow.astimezone(UTC).timestamp()) * SECOND
