"""A ledger of 120 days for the Spend screen, which sums it as the gateway does: a record is some calls."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from functools import cache
from typing import Any

from rig.admin_gateway import NOW, Request

HOURS = (2, 9, 12, 17, 21)
TERM = re.compile(r'(-?)(tag|model|label|user|key):("?)([^" ]+)\3')
ULTRA = "gemini-9-ultra"


@dataclass(frozen=True)
class Record:
    at: datetime
    tags: tuple[str, ...]
    model: str
    key: str
    user: str | None
    calls: int
    cost: Decimal | None
    errors: int = 0

    def groups(self, name: str) -> tuple[str | None, ...]:
        if name == "tag":
            return self.tags or (None,)
        if name in ("day", "week", "hour"):
            monday = self.at - timedelta(days=self.at.weekday())
            return (
                {"day": f"{self.at:%F}", "week": f"{monday:%F}", "hour": f"{self.at:%FT%H}:00:00Z"}[name],
            )
        return (getattr(self, "key" if name == "label" else name),)

    def matches(self, q: str) -> bool:
        terms = TERM.findall(q)
        return all(
            (bool(self.groups(name) != (None,)) if value == "*" else value in self.groups(name))
            != bool(minus)
            for minus, name, _, value in terms
        )


def record(at: datetime, tags: str, model: str, key: str, user: str | None, calls: int, cost: str) -> Record:
    errors = calls // 200 + (at.day % 7 == 0)
    return Record(at, tuple(tags.split()), model, key, user, calls, Decimal(cost) * calls, errors)


@cache
def ledger() -> tuple[Record, ...]:
    return tuple(sorted(records(), key=lambda one: one.at))


def records() -> Iterator[Record]:
    for back in range(120):
        day = (NOW - timedelta(days=back)).replace(hour=0, minute=20, second=0)
        busy = 3 if day.weekday() < 5 else 1
        for hour in HOURS:
            at = day + timedelta(hours=hour)
            if at >= NOW:
                continue
            more = busy * (140 - back) * (3 if hour in (9, 12) else 1)
            yield record(at, "checkout eu", "gemini-2.5-flash", "web-frontend", "u-4711", more * 4, "0.0009")
            yield record(at, "checkout", "gemini-2.5-pro", "web-frontend", None, more, "0.0021")
            yield record(at, "", "gemini-2.5-flash-lite", "intern-bot", None, 40 * busy, "0.0011")
            if back < 20:
                yield record(at, "search", "gemini-2.5-flash", "search-api", None, 30 + back, "0.0117")
            if 35 < back < 70:
                yield record(at, "legacy", "gemini-2.0-flash", "old-script", None, 50, "0.0043")
            if hour == 2:
                yield record(at, "eval", "gemini-2.5-pro", "nightly-eval", None, 200 + back * 3, "0.0281")
        if back in (1, 4, 9):
            at = day + timedelta(hours=2)
            yield Record(at, ("eval",), ULTRA, "nightly-eval", None, 10, None)
        if back == 3:
            yield Record(day, ("probe",), "gemini-2.5-flash", "intern-bot", None, 3, Decimal(0), 3)


def spend(request: Request) -> Any:
    return json.loads(summed(tuple(request.query.items()), NOW))


@cache
def summed(asked: tuple[tuple[str, str], ...], _now: datetime) -> bytes:
    """Once for each question: many tests begin with the same ones."""
    query = dict(asked)
    since, until = moment(query.get("since", "2026-01-01T00:00:00Z")), moment(query.get("until", "0s"))
    found = [one for one in ledger() if since <= one.at < until and one.matches(query.get("q", ""))]
    names = [name for name in query["by"].split(",") if name != "none"]
    period = [name for name in names if name in ("day", "week", "hour")]
    [name] = [name for name in names if name not in period] or [""]
    leaders = grouped(found, [name] if name else [])
    top = int(query.get("top", 1000))
    own = [groups[0] for groups, _ in leaders[:top]] if name else []
    rows = []
    for groups, members in grouped(found, names):
        if not name or groups[-1] in own:
            rows.append({**dict(zip(names, groups, strict=True)), **sums(members)})
    if name and len(leaders) > top:
        rest = [one for one in found if not set(one.groups(name)) <= set(own)]
        for groups, members in grouped(rest, period):
            others = {"other": True, "groups": len(leaders) - top, name: None}
            rows.append({**dict(zip(period, groups, strict=True)), **others, **sums(members)})
    unpriced = sum(one.calls for one in found if one.cost is None)
    document = {
        "rows": rows,
        "total": sums(found),
        "unpriced_models": [{"model": ULTRA, "calls": unpriced}] if unpriced else [],
        "since": since.isoformat(),
        "until": until.isoformat(),
        "timezone": "UTC",
    }
    return json.dumps(document).encode()


def moment(text: str) -> datetime:
    """A time, or seconds ago."""
    return NOW - timedelta(seconds=int(text[:-1])) if text[-1] == "s" else datetime.fromisoformat(text)


def grouped(found: list[Record], names: list[str]) -> list[tuple[tuple[str | None, ...], list[Record]]]:
    groups: dict[tuple[str | None, ...], list[Record]] = {} if names else {(): []}
    for one in found:
        keys: list[tuple[str | None, ...]] = [()]
        for name in names:
            keys = [(*key, value) for key in keys for value in one.groups(name)]
        for key in keys:
            groups.setdefault(key, []).append(one)
    return sorted(groups.items(), key=lambda item: -cost(item[1]))


def cost(members: list[Record]) -> Decimal:
    return sum((one.cost for one in members if one.cost is not None), Decimal(0))


def sums(members: list[Record]) -> dict[str, Any]:
    calls = sum(one.calls for one in members)
    unpriced = sum(one.calls for one in members if one.cost is None)
    known = any(one.cost is not None for one in members) or not members
    return {
        "calls": calls,
        "errors": sum(one.errors for one in members),
        "prompt_tokens": calls * 5200,
        "cached_tokens": calls * 1200 if any(one.key == "web-frontend" for one in members) else 0,
        "output_tokens": calls * 410,
        "total_tokens": calls * 5610,
        "cost_usd": f"{cost(members):.12f}" if known else None,
        "unpriced_calls": unpriced,
    }
