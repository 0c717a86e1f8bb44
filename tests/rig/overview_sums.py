"""What the sample gateway's calls add up to by minute, by day and month, and by tag, key and model."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

NOW = datetime(2026, 11, 24, 13, 7, 32, tzinfo=UTC)
# From when on: calls, errors, tokens, cost.
TOTALS = {
    "2026-11-24T00:00:00Z": (9_214, 31, 61_000_000, "1075.000000000000"),
    "2026-11-23T00:00:00Z": (8_102, 12, 55_000_000, "960.200000000000"),
    "2026-11-01T00:00:00Z": (296_290, 1_129, 1_643_200_000, "28410.120000000000"),
    "2026-10-01T00:00:00Z": (310_004, 988, 1_700_000_000, "30112.400000000000"),
}
GROUPS: dict[str, tuple[tuple[str | None, str], ...]] = {
    "tag": (
        ("checkout", "612.400000000000"),
        ("eval", "301.120000000000"),
        ("search", "101.550000000000"),
        (None, "58.900000000000"),
        ("probe", "0.881200000000"),
        ("intern", "0.110000000000"),
    ),
    "key": (
        ("web-frontend", "714.000000000000"),
        ("nightly-eval", "301.120000000000"),
        ("intern-bot", "59.770000000000"),
        ("open", "0.110000000000"),
    ),
    "model": (
        ("gemini-2.5-pro", "801.300000000000"),
        ("gemini-2.5-flash", "271.000000000000"),
        ("gemini-3.1-pro-preview", "2.700000000000"),
        ("gemini-9-ultra", ""),
    ),
}


def sums(since: str, unpriced: int = 0) -> dict[str, Any]:
    calls, errors, tokens, cost = TOTALS[since]
    fields = {"calls": calls, "errors": errors, "total_tokens": tokens, "cost_usd": cost}
    return {**fields, "unpriced_calls": unpriced}


def by_minute() -> list[dict[str, Any]]:
    """Busier towards the end, with a pause, and errors now and then."""
    rows = []
    for back in range(60):
        calls = 0 if 20 < back < 26 else 48 - back * 2 // 3 - back % 7 * 3
        if calls > 0:
            at = NOW.replace(second=0) - timedelta(minutes=back)
            errors = 3 if back in (4, 5, 31) else 0
            row = {"minute": f"{at:%Y-%m-%dT%H:%M:00Z}", "calls": calls, "errors": errors}
            rows.append({**row, "total_tokens": calls * 6_613, "cost_usd": "0.5"})
    return rows[::-1]


def groups(by: str, since: str) -> list[dict[str, Any]]:
    """The groups, and as one more row those beyond them."""
    rows = [
        {by: name, "calls": 900 // place, "errors": place - 1, "cost_usd": cost or None}
        | ({} if cost else {"unpriced_calls": 41})
        for place, (name, cost) in enumerate(GROUPS[by], start=1)
    ]
    rest = {by: None, "other": True, "groups": 7, "calls": 12, "errors": 0, "cost_usd": "0.030000000000"}
    return [*rows, rest] if by == "tag" else rows


def overview(by: str, since: str) -> dict[str, Any] | None:
    """The answer to a question of the Overview screen, without its bounds; None for any other question."""
    if by == "minute":
        total = {
            "calls": 1_204,
            "errors": 9,
            "total_tokens": 7_962_052,
            "cost_usd": "30.0",
            "unpriced_calls": 0,
        }
        return {"rows": by_minute(), "total": total}
    if since not in TOTALS:
        return None
    if by == "none":
        return {"rows": [], "total": sums(since, unpriced=41 if since.startswith("2026-11-01") else 0)}
    return {"rows": groups(by, since), "total": sums(since)} if by in GROUPS else None
