"""What a 429 says about later calls: which quota, until when, for which models, for whom."""

from __future__ import annotations

from datetime import UTC, datetime

from rig.cases import cases

from gatekeeper.gemini.quota_errors import SECOND, ExhaustedQuota, exhausted_quotas, next_pacific_midnight
from gatekeeper.gemini.upstream_error import MAX_QUOTAS, UpstreamError, read_error

NOW = round(datetime(2026, 11, 29, 12, tzinfo=UTC).timestamp()) * SECOND
MIDNIGHT = round(datetime(2026, 11, 30, 8, tzinfo=UTC).timestamp()) * SECOND
MINUTE = "GenerateRequestsPerMinutePerProjectPerModel-FreeTier"
DAY = "GenerateRequestsPerDayPerProjectPerModel-FreeTier"
TOKENS = "GenerateContentInputTokensPerModelPerMinute-FreeTier"
SHARED = "GenerateRequestsPerDayPerProject"


def said(
    *quotas: tuple[str, str | None], retry: str | None = None, message: str = "used up"
) -> UpstreamError:
    violations = [
        {"quotaId": quota, **({"quotaDimensions": {"model": model}} if model else {})}
        for quota, model in quotas
    ]
    details: list[object] = [
        {"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": violations}
    ]
    if retry:
        details.append({"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": retry})
    return read_error({"code": 429, "message": message, "status": "RESOURCE_EXHAUSTED", "details": details})


def after(seconds: float) -> int:
    return NOW + round(seconds * SECOND)


@cases(
    ("error", "model", "expected"),
    [
        (None, "m", [ExhaustedQuota("quota", after(60), ("m",))]),
        (None, None, [ExhaustedQuota("quota", after(60))]),
        (said(), "m", [ExhaustedQuota("quota", after(60), ("m",))]),
        (said(retry="7s"), "m", [ExhaustedQuota("quota", after(7), ("m",))]),
        (said((MINUTE, "m"), retry="23.512s"), "m", [ExhaustedQuota(MINUTE, after(23.512), ("m",), True)]),
        (said((MINUTE, "models/m")), "m", [ExhaustedQuota(MINUTE, after(60), ("m",), True)]),
        (
            said((MINUTE, "m"), retry="0s"),
            "m-latest",
            [ExhaustedQuota(MINUTE, after(1), ("m", "m-latest"), True)],
        ),
        (said((MINUTE, "m"), retry="90000s"), "m", [ExhaustedQuota(MINUTE, after(600), ("m",), True)]),
        # The delay of a daily quota is told by the calendar, whatever RetryInfo says.
        (said((DAY, "m"), retry="20s"), "m", [ExhaustedQuota(DAY, MIDNIGHT, ("m",), True)]),
        (said((TOKENS, None)), "m", [ExhaustedQuota(TOKENS, after(60), ("m",))]),
        (said((SHARED, None)), "m", [ExhaustedQuota(SHARED, MIDNIGHT, (), True)]),
        (
            said((DAY, "m"), (TOKENS, "m"), retry="5s"),
            "m",
            [ExhaustedQuota(DAY, MIDNIGHT, ("m",), True), ExhaustedQuota(TOKENS, after(5), ("m",))],
        ),
        (
            said(message="Your project has exceeded its monthly spending cap."),
            "m",
            [ExhaustedQuota("spend cap", after(3600), (), True)],
        ),
    ],
)
def test_a_429_says_which_quota_is_used_up(
    error: UpstreamError | None, model: str | None, expected: list[ExhaustedQuota]
) -> None:
    assert exhausted_quotas(error, model, NOW) == expected


@cases(
    ("now", "midnight"),
    [
        ("2026-11-29T12:00:00", "2026-11-30T08:00:00"),
        ("2026-11-30T07:59:59", "2026-11-30T08:00:00"),
        ("2026-11-30T08:00:00", "2026-12-01T08:00:00"),
        ("2026-07-01T12:00:00", "2026-07-02T07:00:00"),
        # The night in which summer time begins, and the one in which it ends.
        ("2026-03-08T08:30:00", "2026-03-09T07:00:00"),
        ("2026-11-01T07:30:00", "2026-11-02T08:00:00"),
    ],
)
def test_a_day_ends_at_midnight_in_los_angeles(now: str, midnight: str) -> None:
    def micros(text: str) -> int:
        return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * SECOND

    assert next_pacific_midnight(micros(now)) == micros(midnight)


def test_of_very_many_quotas_some_are_kept() -> None:
    assert len(said(*[(f"Quota{number}", None) for number in range(100)]).quotas) == MAX_QUOTAS


def test_what_is_no_violation_is_left_out() -> None:
    detail = {"@type": "google.rpc.QuotaFailure", "violations": [1, {"quotaId": 7}, {"quotaId": "Q"}]}
    assert [quota.id for quota in read_error({"details": [detail]}).quotas] == ["Q"]
