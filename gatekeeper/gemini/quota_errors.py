"""What a 429 from Google means for later calls: which quota is exhausted, until when, and whether for the key
or its whole project. Pure: the time is a parameter."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import msgspec

from gatekeeper.gemini.upstream_error import UpstreamError

SECOND = 1_000_000  # microseconds
PACIFIC = ZoneInfo("America/Los_Angeles")
"""Requests per day are reset at midnight Pacific time (https://ai.google.dev/gemini-api/docs/rate-limits)."""
DEFAULT_WAIT = 60.0  # seconds, without a RetryInfo
MIN_WAIT, MAX_WAIT = 1.0, 600.0  # seconds
SPEND_CAP_WAIT = 3600.0  # seconds: the gateway does not learn when somebody raises the cap
# Google's own spend caps, per project and tier (since 2026-04-01).
SPEND_CAP = re.compile(r"spend(?:ing)?[ -](?:cap|limit)", re.IGNORECASE)


class ExhaustedQuota(msgspec.Struct, frozen=True):
    """An exhausted quota, until `until` (microseconds since 1970). It applies to calls of `models`; if that
    is empty, to all calls. `whole_project`: to all keys of the project, not just this one."""

    cause: str
    until: int
    models: tuple[str, ...] = ()
    whole_project: bool = False


def exhausted_quotas(error: UpstreamError | None, model: str | None, now: int) -> list[ExhaustedQuota]:
    """The quotas that a 429 to a call of `model` reports. There is at least one: without details, that of the
    key for the model, for a minute."""
    if error is not None and SPEND_CAP.search(error.message):
        return [ExhaustedQuota("spend cap", now + round(SPEND_CAP_WAIT * SECOND), (), whole_project=True)]
    wait = DEFAULT_WAIT if error is None or error.retry_delay is None else error.retry_delay
    soon = now + round(min(max(wait, MIN_WAIT), MAX_WAIT) * SECOND)
    asked = () if model is None else (model,)
    if error is None or not error.quotas:
        return [ExhaustedQuota("quota", soon, asked)]
    return [
        ExhaustedQuota(
            quota.id,
            next_pacific_midnight(now) if quota.per_day else soon,
            # Under the quota's name of the model and the requested one, which may be an alias.
            tuple(dict.fromkeys(filter(None, (quota.model, model)))) if quota.per_model else (),
            whole_project=quota.per_project,
        )
        for quota in error.quotas
    ]


def next_pacific_midnight(now: int) -> int:
    """The next midnight in Los Angeles after `now`, both in microseconds since 1970."""
    here = datetime.fromtimestamp(now // SECOND, PACIFIC)
    # Calendar arithmetic: a day on which daylight saving time begins or ends has 23 or 25 hours.
    tomorrow = (here + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
    return int(tomorrow.astimezone(UTC).timestamp()) * SECOND
