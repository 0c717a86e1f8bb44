"""Google's free allowance of searches per Google project and day or month.

Paid tier, pricing page, "Grounding": with Google Search 1,500 requests a day (Gemini 2.5 Flash and Flash-Lite
together, 2.5 Pro by itself), and 5,000 queries a month for all of Gemini 3 and later together; with Google
Maps 1,500 requests a day for Flash, 10,000 for Pro, and 5,000 queries a month. No response says what is left,
so the gateway counts its own use for each Google project; other users of the project are unknown to it. Days
and months are in UTC, because Google does not document the time zone.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date
from typing import NamedTuple

from gatekeeper.pricing.price_components import MAPS_QUERY, SEARCH_QUERY


class Allowance(NamedTuple):
    """`limit` searches per day, or per month if `monthly`; models of the same `pool` share it."""

    pool: str
    limit: int
    monthly: bool = False

    def period(self, day: date) -> date:
        """The first day of the period that contains `day`."""
        return day.replace(day=1) if self.monthly else day


# `gemini-pro` is an alias of 1.0, and Robotics-ER 1.x is charged by request, like 2.5.
_LATER = re.compile(r"gemini-(?!1\.|2\.|pro\Z|robotics-er-1\.)")
# By kind of search and by model: Gemini 2.5 and older are charged by request, later models by query.
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
    """The allowance of a model for a kind of search (`grounding_search_query`, `grounding_maps_query`); None
    if it has none."""
    return next((free for names, free in ALLOWANCES[kind] if names.match(model)), None)


class Period(NamedTuple):
    """A period of a pool's allowance in a project, by its first day."""

    project: str
    pool: str
    starts: date


def period_of(project: str, model: str, kind: str, day: date) -> Period | None:
    """The period that a search by a model on that day counts towards; None if it has no allowance."""
    allowance = allowance_of(model, kind)
    return Period(project, allowance.pool, allowance.period(day)) if allowance else None


def own_project(label: str | None) -> str:
    return label or ""


class FreeSearches:
    """Counts how much of its allowances each project has used. `used` has the stored counts; `project_of`
    returns the project of a Google key, by its label."""

    def __init__(
        self, used: dict[Period, int] | None = None, project_of: Callable[[str | None], str] | None = None
    ) -> None:
        self.used = used or {}
        self._project_of = project_of or own_project

    def take(self, google_key: str | None, model: str, kind: str, searches: int, day: date) -> int:
        """Takes searches from the allowance of the key's project, as far as it has any left; returns how many
        were taken, which are free."""
        allowance = allowance_of(model, kind)
        if allowance is None:
            return 0
        period = Period(self._project_of(google_key), allowance.pool, allowance.period(day))
        before = self.used.get(period, 0)
        taken = min(searches, max(0, allowance.limit - before))
        self.used[period] = before + taken
        return taken
