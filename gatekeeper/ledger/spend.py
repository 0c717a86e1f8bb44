"""Where the money went: calls counted and added up by one or two of `GROUPS`.

Sums are of what is known and stay exact: DECIMAL inside, text outside. A sum of nothing known is NULL, for
what calls without a price cost is not 0; how many of these there are is `unpriced_calls`. Of no calls at
all every sum is known, and 0.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, tzinfo
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from gatekeeper.gemini.money import usd
from gatekeeper.ledger.conditions import Sql
from gatekeeper.ledger.rows import Document

if TYPE_CHECKING:  # who only asks which groups there are need not load DuckDB
    from duckdb import DuckDBPyConnection

GROUPS = {
    "tag": "tag",
    "model": "model",
    "key": "coalesce(key_alias, key_id)",
    "user": "user_id",
    "day": "CAST(started_at AT TIME ZONE '{zone}' AS DATE)",
    # The moment at which the hour began by the zone's clocks: the hour that they go through twice in
    # autumn is two hours, and in a zone that is half an hour off the hours are its own.
    "hour": "epoch_us(started_at) - epoch_us(started_at AT TIME ZONE '{zone}') % 3600000000",
}
PERIODS = ("day", "hour")
SUMS = {
    "calls": "count(*)",
    "errors": "count(*) FILTER (WHERE outcome <> 'ok')",
    "prompt_tokens": "TRY_CAST(sum(prompt_tokens) AS BIGINT)",
    "cached_tokens": "TRY_CAST(sum(cached_tokens) AS BIGINT)",
    "output_tokens": "TRY_CAST(sum(output_tokens) AS BIGINT)",
    "cost_usd": "CAST(sum(cost_usd) AS VARCHAR)",
    "unpriced_calls": "count(*) - count(cost_usd)",
}
NOTHING: Document = {name: usd(0) if name == "cost_usd" else 0 for name in SUMS}


class Spend:
    """Answers in one time zone. Raises ValueError where there is no such zone."""

    def __init__(self, timezone: str) -> None:
        try:
            self._zone: tzinfo = UTC if timezone == "UTC" else ZoneInfo(timezone)
        except (KeyError, OSError) as error:
            raise ValueError(f'no time zone is called "{timezone}"; write UTC or Europe/Berlin') from error
        self._groups = {name: group.format(zone=timezone) for name, group in GROUPS.items()}

    def answer(self, con: DuckDBPyConnection, by: list[str], where: Sql, limit: int) -> Document:
        """`rows`, the costliest first or, by day or hour, in order of time (the latest `limit` of them),
        and their `total`, in which a call with several tags counts once. Raises ValueError for `by`.
        """
        groups = grouping(by)
        question, values = where
        found = con.execute(f"SELECT {_list(SUMS)} FROM calls WHERE {question}", values).fetchall()  # noqa: S608
        total = dict(zip(SUMS, found[0], strict=True))
        total = total if total["calls"] else NOTHING
        return {"rows": self._rows(con, groups, where, limit) if groups else [total], "total": total}

    def _rows(self, con: DuckDBPyConnection, groups: list[str], where: Sql, limit: int) -> list[Document]:
        columns = {f'"{name}"': self._groups[name] for name in groups} | SUMS
        found = con.execute(_grouped(groups, _list(columns), where[0]), [*where[1], limit]).fetchall()
        rows = [dict(zip([*groups, *SUMS], row, strict=True)) for row in found]
        for period in set(PERIODS).intersection(groups):
            rows.sort(key=lambda row: row[period])
        return [row | {name: self._shown(row[name]) for name in groups if name in PERIODS} for row in rows]

    def _shown(self, period: date | int) -> str:
        if isinstance(period, date):
            return period.isoformat()
        moment = datetime.fromtimestamp(period // 1_000_000, self._zone)
        return moment.isoformat().replace("+00:00", "Z")


def grouping(by: list[str]) -> list[str]:
    """One or two groups, or none of them. Raises ValueError with what is allowed."""
    groups = [] if by == ["none"] else by
    if len(groups) > 2 or len(set(groups)) < len(groups) or not set(groups) <= set(GROUPS):
        raise ValueError(
            f'"{",".join(by)}" is no way to group; write one or two of {", ".join(GROUPS)}, or none'
        )
    return groups


def _grouped(groups: list[str], columns: str, question: str) -> str:
    tag = ", unnest(CASE WHEN len(tags) > 0 THEN tags ELSE [NULL] END) AS tag" if "tag" in groups else ""
    periods = [f'"{name}" DESC' for name in groups if name in PERIODS]
    order = [*periods, "sum(cost_usd) DESC NULLS LAST", "calls DESC", *(f'"{name}"' for name in groups)]
    names = ", ".join(f'"{name}"' for name in groups)
    return f"""
        SELECT {columns} FROM (SELECT *{tag} FROM calls WHERE {question})
        GROUP BY {names} ORDER BY {", ".join(order)} LIMIT ?
    """  # noqa: S608


def _list(columns: dict[str, str]) -> str:
    return ", ".join(f"{expression} AS {name}" for name, expression in columns.items())
