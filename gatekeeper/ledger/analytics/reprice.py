"""Reprices rows of the analytics file in one transaction: updates the rows, and records the figures before
and after in the table `adjustments`.

Calls with the same priced columns on the same day are priced once. Rows that keep their cost are not touched,
so a second run changes nothing, and a row has the version of the catalogue that gave it its cost.

Rows whose cost does not follow from their usage are skipped: refused, failed and free calls, those whose cost
was estimated, and those that reported neither usage nor units (or whose usage was too large to be stored).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import NamedTuple
from uuid import UUID

import msgspec
from duckdb import DuckDBPyConnection

from gatekeeper.ledger.analytics.database import Database
from gatekeeper.ledger.analytics.messages import ADJUSTMENTS
from gatekeeper.ledger.analytics.row_prices import priced
from gatekeeper.pricing.catalogue import Catalogue
from gatekeeper.pricing.cost_notes import BUDGET_NOTE, NOT_BY_USAGE
from gatekeeper.pricing.priced_call import NEVER_RAN

IN_PERIOD = "started_at >= make_timestamptz(?) AND started_at < coalesce(make_timestamptz(?), 'infinity')"
CHANGED = "new_cost IS DISTINCT FROM old_cost"

BATCH = 20_000  # distinct calls

# `has_failed` of gatekeeper/pricing/priced_call.py, in SQL.
HAS_FAILED = f"(coalesce(outcome, '') IN {NEVER_RAN} OR coalesce(status, 0) >= 400)"
# A cost of 0 without a catalogue is that of a free call, whatever its model costs. The text of BUDGET_NOTE
# has that of ESTIMATED in it, which is one of NOT_BY_USAGE.
_HAS_PRICE = f"""
    NOT {HAS_FAILED}
    AND NOT (cost_usd IS NOT DISTINCT FROM 0 AND price_version IS NULL)
    AND (usage IS NOT NULL OR (billed_units IS NOT NULL AND total_tokens IS NULL AND prompt_tokens IS NULL))
    AND NOT list_bool_or([contains(replace(coalesce(usage_note, ''), '{BUDGET_NOTE}', ''), text)
                          for text in {list(NOT_BY_USAGE)}])
"""
_DISTINCT = f"""
    CREATE TEMP TABLE distinct_calls AS SELECT row_number() OVER () - 1 AS number, * FROM (
        SELECT model, model_version, service_tier, action, CAST(usage AS VARCHAR) AS usage,
               CAST(billed_units AS VARCHAR) AS billed_units,
               CAST(started_at AT TIME ZONE 'UTC' AS DATE) AS day, list(rowid) AS places
        FROM file.calls WHERE {IN_PERIOD} AND {_HAS_PRICE} GROUP BY ALL
    )
"""  # noqa: S608
_BATCH = """
    SELECT number, len(places), model, model_version, service_tier, action, usage, billed_units, day
    FROM distinct_calls WHERE number >= ? AND number < ?
"""
_INSERT_PRICES = """
    INSERT INTO prices SELECT unnest(batch.numbers), unnest(batch.picos)
    FROM (SELECT from_json(?, '{"numbers": ["BIGINT"], "picos": ["BIGINT"]}') AS batch)
"""
# Without an estimate a call of unknown cost was charged nothing.
_ESTIMATE = f"TRY_CAST(regexp_extract(usage_note, '{BUDGET_NOTE} ([0-9.]+) USD', 1) AS DECIMAL(18,12))"
_PRICED = f"""
    CREATE TEMP TABLE priced AS
    SELECT place, id, model, started_at, key_id, cost_usd AS old_cost, price_version AS old_version, new_cost,
           make_timestamptz(
               epoch_us(started_at) + CAST(round(coalesce(duration_ms, 0) * 1000) AS BIGINT)
           ) AS ended_at,
           coalesce({_ESTIMATE}, 0) AS estimate
    FROM file.calls AS calls JOIN (
        SELECT unnest(places) AS place, CAST(pico * 0.000000000001 AS DECIMAL(18,12)) AS new_cost
        FROM distinct_calls JOIN prices USING (number)
    ) ON calls.rowid = place
"""  # noqa: S608
_INSERT_ADJUSTMENTS = f"""
    INSERT INTO file.adjustments ({", ".join(ADJUSTMENTS)})
    SELECT ?, make_timestamptz(?), id, old_cost, old_version,
           new_cost, CASE WHEN new_cost IS NOT NULL THEN ? END, key_id, ended_at,
           coalesce(new_cost, estimate) - coalesce(old_cost, estimate),
           CASE WHEN new_cost IS NULL THEN estimate ELSE 0 END
           - CASE WHEN old_cost IS NULL THEN estimate ELSE 0 END
    FROM priced WHERE {CHANGED}
"""  # noqa: S608
_UPDATE_CALLS = f"""
    UPDATE file.calls AS calls
    SET cost_usd = new_cost, price_version = CASE WHEN new_cost IS NOT NULL THEN ? END
    FROM priced WHERE calls.rowid = place AND {CHANGED}
"""  # noqa: S608

LARGEST = 10
REASONS = 20
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


class Run(NamedTuple):
    """One run: its id and time, the period in which its calls started, and the prices. Times are microseconds
    since 1970."""

    id: UUID
    at: int
    since: int
    until: int | None
    catalogue: Catalogue


def reprice(
    database: Database, run: Run, *, dry_run: bool, before_commit: Callable[[], None] = lambda: None
) -> Report:
    """Reprices the attached file; a dry run changes nothing. `before_commit` is called if there are changes
    to commit. Raises FileUnusable; then nothing has changed, unless the commit itself failed."""
    con = database.con
    with database.map_errors():
        con.execute("BEGIN")
        reasons = _price_all(con, run)
        con.execute(_PRICED)
        report = read_report(con, run.since, run.until, reasons)
        if dry_run or not report.changed:
            con.execute("ROLLBACK")
            return report
        con.execute(_INSERT_ADJUSTMENTS, [run.id, run.at, run.catalogue.version])
        con.execute(_UPDATE_CALLS, [run.catalogue.version])
        # The mark first: keys are charged only for runs with a mark, so a committed run must have one.
        before_commit()
        con.execute("COMMIT")
        return report


def _price_all(con: DuckDBPyConnection, run: Run) -> Reasons:
    con.execute(_DISTINCT, [run.since, run.until])
    con.execute("CREATE TEMP TABLE prices (number BIGINT, pico BIGINT)")
    ((count,),) = con.execute("SELECT count(*) FROM distinct_calls").fetchall()
    reasons = Reasons(Counter(), Counter())
    batches = (con.execute(_BATCH, [start, start + BATCH]).fetchall() for start in range(0, count, BATCH))
    for prices in priced(run.catalogue, batches, count):
        reasons.unknown.update(prices.unknown)
        reasons.faults.update(prices.faults)
        batch = msgspec.json.encode({"numbers": prices.numbers, "picos": prices.picos})
        con.execute(_INSERT_PRICES, [batch.decode()])
    return reasons


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
