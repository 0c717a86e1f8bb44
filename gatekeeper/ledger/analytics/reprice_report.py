"""What a run of `prices reprice` has found: counts of calls, sums by model, the largest changes.

Sums are of the known costs; amounts are decimal texts with all their places.
"""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

import msgspec
from duckdb import DuckDBPyConnection

LARGEST = 10
REASONS = 20

IN_PERIOD = "started_at >= make_timestamptz(?) AND started_at < coalesce(make_timestamptz(?), 'infinity')"
CHANGED = "new_cost IS DISTINCT FROM old_cost"
_DIFFERENCE = "coalesce(new_cost, 0) - coalesce(old_cost, 0)"
_COUNTS = f"""
    SELECT count(*), count(*) FILTER (WHERE {CHANGED}),
           count(*) FILTER (WHERE old_cost IS NULL AND new_cost IS NOT NULL),
           count(*) FILTER (WHERE old_cost IS NOT NULL AND new_cost IS NULL)
    FROM priced
"""  # noqa: S608
_MODELS = f"""
    SELECT model, count(*), count(*) FILTER (WHERE {CHANGED}) AS changed,
           CAST(sum(old_cost) AS VARCHAR), CAST(sum(new_cost) AS VARCHAR),
           CAST(sum({_DIFFERENCE}) AS VARCHAR)
    FROM priced GROUP BY model HAVING changed > 0 ORDER BY abs(sum({_DIFFERENCE})) DESC, model
"""  # noqa: S608
_LARGEST = f"""
    SELECT CAST(id AS VARCHAR), model, CAST(old_cost AS VARCHAR), CAST(new_cost AS VARCHAR),
           CAST({_DIFFERENCE} AS VARCHAR)
    FROM priced WHERE {CHANGED} ORDER BY abs({_DIFFERENCE}) DESC, id LIMIT {LARGEST}
"""  # noqa: S608


class ModelChange(msgspec.Struct, frozen=True):
    """The calls of one model that have a price by their usage, `changed` of them. Sums are those of the known
    costs; None if there is none."""

    model: str | None
    calls: int
    changed: int
    old_usd: str | None
    new_usd: str | None
    difference_usd: str


class CallChange(msgspec.Struct, frozen=True):
    id: str
    model: str | None
    old_usd: str | None
    new_usd: str | None
    difference_usd: str


class Unpriced(msgspec.Struct, frozen=True):
    """So many calls have no known cost, for this reason."""

    reason: str
    calls: int


class Report(msgspec.Struct, frozen=True):
    """Of the calls `looked_at`, `left_alone` have no price by their usage. `changed` includes the others'
    `newly_priced` and `now_unknown`; those that a fault kept from being priced are unchanged."""

    looked_at: int
    left_alone: int
    changed: int
    newly_priced: int
    now_unknown: int
    models: list[ModelChange]
    largest: list[CallChange]
    unknown: list[Unpriced]
    faults: list[Unpriced]


class Reasons(NamedTuple):
    """Why calls have no price, and which faults kept others from being priced, each with their number."""

    unknown: Counter[str]
    faults: Counter[str]


def read_report(con: DuckDBPyConnection, since: int, until: int | None, reasons: Reasons) -> Report:
    """The report on the temporary table `priced`."""
    looked_at = f"SELECT count(*) FROM file.calls WHERE {IN_PERIOD}"  # noqa: S608
    ((total,),) = con.execute(looked_at, [since, until]).fetchall()
    ((priced, changed, newly_priced, now_unknown),) = con.execute(_COUNTS).fetchall()
    return Report(
        looked_at=total,
        left_alone=total - priced - reasons.faults.total(),
        changed=changed,
        newly_priced=newly_priced,
        now_unknown=now_unknown,
        models=[ModelChange(*row) for row in con.execute(_MODELS).fetchall()],
        largest=[CallChange(*row) for row in con.execute(_LARGEST).fetchall()],
        unknown=[Unpriced(*item) for item in reasons.unknown.most_common(REASONS)],
        faults=[Unpriced(*item) for item in reasons.faults.most_common(REASONS)],
    )
