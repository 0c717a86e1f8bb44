"""Google's free allowance of searches: so many of a Google project are free each day or month.

Paid tier, pricing page, "Grounding": with Google Search 1,500 requests a day (Gemini 2.5 Flash and Flash-Lite
together, 2.5 Pro by itself), and 5,000 queries a month for all of Gemini 3 and later together; with Google
Maps 1,500 requests a day for Flash, 10,000 for Pro, and 5,000 queries a month. No response says what is left,
so the gateway counts what it has taken itself, for each Google project; what others use of one is not known
here. Days and months are taken in UTC: Google does not name its zone.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date
from typing import NamedTuple

from gatekeeper.pricing.price_components import MAPS_QUERY, SEARCH_QUERY


class Allowance(NamedTuple):
    """`limit` searches each day, or each month; models of the same `pool` share it."""

    pool: str
    limit: int
    monthly: bool = False

    def period(self, day: date) -> date:
        """The first day of the period that a day is in."""
        return day.replace(day=1) if self.monthly else day


# `gemini-pro` is the alias of 1.0, and Robotics-ER 1.x pays by request, as 2.5 does.
_LATER = re.compile(r"gemini-(?!1\.|2\.|pro\Z|robotics-er-1\.)")
# By the kind of search, and by model: Gemini 2.5 and older is charged by request, the later ones by query.
ALLOWANCES: dict[str, tuple[tuple[re.Pattern[str], Allowance], ...]] = {
    SEARCH_QUERY: (
        (re.compile(r"gemini-2\.5-flash"), Allowance("search, Gemini 2.5 Flash", 1_500)),
        (re.compile(r"gemini-2\.5-pro"), Allowance("search, Gemini 2.5 Pro", 1_500)),
        (_LATER, Allowance("search, Gemini 3 and later", 5_000, monthly=True)),
    ),
    MAPS_QUERY: (
        (re.compile(r"gemini-2\.\d-flash"), Allowance("Maps, Gemini 2 Flash", 1_500)),
        (re.compile(r"gemini-2\.\d-pro"), Allowance("Maps, Gemini 2 Pro", 10_000)),
        (_LATER, Allowance("Maps, Gemini 3 and later", 5_000, monthly=True)),
    ),
}


def allowance_of(model: str, kind: str) -> Allowance | None:
    """The allowance for a model's searches of a kind (`grounding_search_query`, `grounding_maps_query`); None
    if it has none."""
    return next((free for names, free in ALLOWANCES[kind] if names.match(model)), None)


class Period(NamedTuple):
    """One project's use of one pool, in the period that begins on that day."""

    project: str
    pool: str
    starts: date


def period_of(project: str, model: str, kind: str, day: date) -> Period | None:
    """What a search of a model counts to on that day; None if it has no allowance."""
    allowance = allowance_of(model, kind)
    return Period(project, allowance.pool, allowance.period(day)) if allowance else None


def own_project(label: str | None) -> str:
    return label or ""


class FreeSearches:
    """How much each project has taken of its allowances. `used` may hold what was counted before;
    `project_of` tells the project of a Google key by its label."""

    def __init__(
        self, used: dict[Period, int] | None = None, project_of: Callable[[str | None], str] | None = None
    ) -> None:
        self.used = used or {}
        self._project_of = project_of or own_project

    def take(self, google_key: str | None, model: str, kind: str, searches: int, day: date) -> int:
        """Takes as many of the searches as are left of the allowance of the key's project; returns how many
        those are."""
        allowance = allowance_of(model, kind)
        if allowance is None:
            return 0
        period = Period(self._project_of(google_key), allowance.pool, allowance.period(day))
        before = self.used.get(period, 0)
        taken = min(searches, max(0, allowance.limit - before))
        self.used[period] = before + taken
        return taken
