"""The SQL queries on finished calls, on the view `calls`.

The spend report counts and sums calls by one or two of `GROUPS`. Sums are of the known values and exact:
DECIMAL in SQL, text in JSON. A sum without any known value is NULL, because the cost of calls without a price
is not 0; their number is `unpriced_calls`, and `unpriced_models` has the models that served most of them. If
there are no calls at all, every sum is 0.

A truncated result says so: if `limit` leaves rows out, `truncated` is true and `rest` has their number and
sums. With `top`, only so many groups have rows of their own, those with the highest cost in the whole range;
in each period the others are summed in one more row, with `other`.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, tzinfo
from typing import TYPE_CHECKING, NamedTuple
from zoneinfo import ZoneInfo

import msgspec

from gatekeeper.gemini.actions import CACHE_STORAGE_ACTION
from gatekeeper.ledger.analytics.messages import GroupingError
from gatekeeper.ledger.call import COLUMNS, Document
from gatekeeper.ledger.predicates import KEY_LABEL_SQL, Sql
from gatekeeper.money import usd
from gatekeeper.suggestions import did_you_mean
from gatekeeper.times import iso

if TYPE_CHECKING:  # importing `GROUPS` alone must not load DuckDB
    from duckdb import DuckDBPyConnection

GROUPS = {
    "tag": "tag",
    "model": "model",
    "key": KEY_LABEL_SQL,
    "user": "user_id",
    "day": "CAST(started_at AT TIME ZONE '{zone}' AS DATE)",
    # Its Monday.
    "week": "CAST(date_trunc('week', started_at AT TIME ZONE '{zone}') AS DATE)",
    # The start of the hour in local time, as an instant: the hour that is repeated in autumn stays two hours,
    # and in a zone with an offset of half an hour the hours are local ones.
    "hour": "epoch_us(started_at) - epoch_us(started_at AT TIME ZONE '{zone}') % 3600000000",
    "minute": "epoch_us(started_at) - epoch_us(started_at AT TIME ZONE '{zone}') % 60000000",
}
PERIODS = ("day", "week", "hour", "minute")
IS_REQUEST = f"action IS DISTINCT FROM '{CACHE_STORAGE_ACTION}'"
SUMS = {
    # The storage of a cached content is a charge that no request made.
    "calls": f"count(*) FILTER (WHERE {IS_REQUEST})",
    "errors": "count(*) FILTER (WHERE outcome <> 'ok')",
    "prompt_tokens": "sum(prompt_tokens)",
    "cached_tokens": "sum(cached_tokens)",
    "output_tokens": "sum(output_tokens)",
    "thoughts_tokens": "sum(thoughts_tokens)",
    "total_tokens": "sum(total_tokens)",
    "cost_usd": "sum(cost_usd)",
    "unpriced_calls": "count(*) - count(cost_usd)",
}
ZERO_SUMS: Document = {name: usd(0) if name == "cost_usd" else 0 for name in SUMS}

_SELECT_SUMS = ", ".join(
    # DuckDB sums BIGINTs as HUGEINT: a sum beyond 64 bits becomes NULL, not an error.
    f"CAST({name} AS VARCHAR)" if name == "cost_usd" else f"TRY_CAST({name} AS BIGINT)"
    for name in SUMS
)
_SUMS_OF_SUMS = ", ".join(f"sum({name}) AS {name}" for name in SUMS)
# A call without tags would vanish in unnest; it is counted under NULL.
_TAGS_OR_NULL = "CASE WHEN len(tags) > 0 THEN tags ELSE [NULL] END"


_COLUMN_FORMATS = {
    "UUID": "CAST({} AS VARCHAR)",
    "TIMESTAMPTZ": "epoch_us({})",
    "DECIMAL(18,12)": "CAST({} AS VARCHAR)",
    "JSON": "CAST({} AS VARCHAR)",
}

SELECT_COLUMNS = ", ".join(_COLUMN_FORMATS.get(kind, "{}").format(name) for name, kind in COLUMNS.items())
"""The select list for `row_document`: its types need no other package to convert them to Python."""

MAX_UNPRICED_MODELS = 20  # that a report names
# By the model version that served the call, because that one is priced.
_UNPRICED_SQL = """
    SELECT coalesce(model_version, model) AS model, count(*) AS calls FROM calls
    WHERE {condition} AND cost_usd IS NULL GROUP BY 1 ORDER BY calls DESC, model LIMIT ?
"""

_MODELS_SQL = f"""
    SELECT model, count(*) FILTER (WHERE {IS_REQUEST}), epoch_us(max(started_at)) AS last,
           CAST(sum(cost_usd) AS VARCHAR), count(*) - count(cost_usd)
    FROM calls WHERE model IS NOT NULL GROUP BY model ORDER BY last DESC, model
"""  # noqa: S608


def call(con: DuckDBPyConnection, call_id: str) -> Document | None:
    """The finished call with that id, None if there is none."""
    select = f"SELECT {SELECT_COLUMNS} FROM calls WHERE id = TRY_CAST(? AS UUID)"  # noqa: S608
    found = con.execute(select, [call_id]).fetchall()
    return row_document(found[0]) if found else None


def models(con: DuckDBPyConnection) -> list[Document]:
    """The requested models, most recently used first, with their calls and known cost."""
    names = ("model", "calls", "last_used_at", "cost_usd", "unpriced_calls")
    found = [dict(zip(names, row, strict=True)) for row in con.execute(_MODELS_SQL).fetchall()]
    return [{**row, "last_used_at": iso(row["last_used_at"])} for row in found]


def unpriced_models(con: DuckDBPyConnection, where: Sql) -> Document:
    """The models that served the calls without a known cost, those with the most such calls first; None: not
    known. If there are more than `MAX_UNPRICED_MODELS`, `unpriced_models_truncated` is true."""
    query = _UNPRICED_SQL.format(condition=where[0])
    found = con.execute(query, [*where[1], MAX_UNPRICED_MODELS + 1]).fetchall()
    named = [{"model": model, "calls": calls} for model, calls in found[:MAX_UNPRICED_MODELS]]
    cut = {"unpriced_models_truncated": True} if len(found) > MAX_UNPRICED_MODELS else {}
    return {"unpriced_models": named, **cut}


class GroupQuery(NamedTuple):
    """A SELECT of sums, in the order in which rows are kept under a limit, with the values for its `?`."""

    columns: list[str]
    query: str
    values: list[object]


class Sums:
    """The spend report in one time zone. Raises ValueError if there is no such zone."""

    def __init__(self, timezone: str) -> None:
        try:
            self._zone: tzinfo = UTC if timezone == "UTC" else ZoneInfo(timezone)
        except (KeyError, OSError) as error:
            raise ValueError(f'no time zone is called "{timezone}"; write UTC or Europe/Berlin') from error
        self._groups = {name: group.format(zone=timezone) for name, group in GROUPS.items()}

    def report(
        self, con: DuckDBPyConnection, by: list[str], where: Sql, limit: int | None, top: int | None = None
    ) -> Document:
        """`rows`, the most expensive first or, by day, week, hour or minute, in order of time (the latest
        `limit`), and their `total`, in which a call with several tags counts once. Raises GroupingError.

        With `top` the rows of a period are in the order of their groups' cost in the whole range, `other`
        last. `other` has every call with a group outside the top, counted once; so the rows of a period add
        up to its total, except by tag, where a call may have one tag in the top and another outside.
        """
        groups = parse_groups(by, top)
        query = f"SELECT {_SELECT_SUMS} FROM (SELECT {_select_list(SUMS)} FROM calls WHERE {where[0]})"  # noqa: S608
        total = dict(zip(SUMS, con.execute(query, where[1]).fetchall()[0], strict=True))
        # Each row has a cost, or is unpriced.
        is_empty = total["cost_usd"] is None and not total["unpriced_calls"]
        total = ZERO_SUMS if is_empty else total
        unpriced: Document = {"unpriced_models": []}
        if total["unpriced_calls"]:
            unpriced = unpriced_models(con, where)
        if not groups:
            return {"rows": [total], "total": total, **unpriced}
        rows, rest = (
            self._top_groups(con, groups, where, limit, top)
            if top
            else self._all_groups(con, groups, where, limit)
        )
        truncation = {"truncated": True, "rest": rest} if rest else {}
        return {"rows": [self._format_row(row) for row in rows], "total": total, **unpriced, **truncation}

    def _all_groups(
        self, con: DuckDBPyConnection, groups: list[str], where: Sql, limit: int | None
    ) -> tuple[list[Document], Document | None]:
        tag = f", unnest({_TAGS_OR_NULL}) AS tag" if "tag" in groups else ""
        source = f"SELECT *{tag} FROM calls WHERE {where[0]}"  # noqa: S608
        order = ["cost_usd DESC NULLS LAST", "calls DESC", *(f'"{name}"' for name in groups)]
        return _fetch(con, self._group_query(groups, source, order, where[1]), limit)

    def _top_groups(
        self, con: DuckDBPyConnection, groups: list[str], where: Sql, limit: int | None, top: int
    ) -> tuple[list[Document], Document | None]:
        periods, names = split_periods(groups)
        leaders, others = self._all_groups(con, names, where, top)
        # A call's places: the ranks of its groups among the leaders; all other groups share the last place.
        group = ", ".join("tag" if name == "tag" else self._groups[name] for name in names)
        place = f"coalesce(list_position(CAST(? AS VARCHAR[][]), [{group}]), {len(leaders) + 1})"
        tags = _TAGS_OR_NULL if "tag" in names else "[NULL]"
        places = f"unnest(list_distinct(list_transform({tags}, lambda tag: {place})))"
        source = f"SELECT *, {places} AS place FROM calls WHERE {where[0]}"  # noqa: S608
        values = [[[row[name] for name in names] for row in leaders], *where[1]]
        rows, rest = _fetch(con, self._group_query([*periods, "place"], source, ["place"], values), limit)
        known = [{name: row[name] for name in names} for row in leaders]
        if others:
            known.append({**dict.fromkeys(names), "other": True, "groups": others["rows"]})
        return [dict.fromkeys(groups) | known[row.pop("place") - 1] | row for row in rows], rest

    def _group_query(
        self, names: list[str], source: str, order: list[str], values: list[object]
    ) -> GroupQuery:
        columns = {f'"{name}"': self._groups.get(name, name) for name in names} | SUMS
        latest = [f'"{name}" DESC' for name in split_periods(names)[0]]
        by = ", ".join(f'"{name}"' for name in names)
        query = f"""
            SELECT * FROM (SELECT {_select_list(columns)} FROM ({source}) GROUP BY {by})
            ORDER BY {", ".join([*latest, *order])}
        """  # noqa: S608
        return GroupQuery(names, query, values)

    def _format_row(self, row: Document) -> Document:
        return row | {name: self._format_period(row[name]) for name in PERIODS if name in row}

    def _format_period(self, period: date | int) -> str:
        if isinstance(period, date):
            return period.isoformat()
        moment = datetime.fromtimestamp(period // 1_000_000, self._zone)
        return moment.isoformat().replace("+00:00", "Z")


def split_periods(groups: list[str]) -> tuple[list[str], list[str]]:
    """Splits groups into periods and others."""
    return [name for name in groups if name in PERIODS], [name for name in groups if name not in PERIODS]


def parse_groups(by: list[str], top: int | None = None) -> list[str]:
    """Checks that these are one or two groups, or `none`. Raises GroupingError with what is allowed."""
    groups = [] if by == ["none"] else by
    if len(groups) > 2 or len(set(groups)) < len(groups) or not set(groups) <= set(GROUPS):
        unknown = [name for name in groups if name not in GROUPS]
        near = did_you_mean(unknown[0], GROUPS, "write") if unknown else "write"
        raise GroupingError(
            f'"{",".join(by)}" is not a valid grouping; {near.replace("?", "? Write")} one or two of '
            f"{', '.join(GROUPS)}, or none",
            [*GROUPS, "none"],
        )
    if top and not split_periods(groups)[1]:
        names = ", ".join(split_periods(list(GROUPS))[1])
        raise GroupingError(
            f'"{",".join(by)}" has no group that `top` could choose from; add one of {names}',
            [*GROUPS, "none"],
        )
    return groups


def _fetch(
    con: DuckDBPyConnection, grouped: GroupQuery, limit: int | None
) -> tuple[list[Document], Document | None]:
    """At most `limit` rows (None: all), those of periods in order of time; and the number and sums of the
    rows left out, if any."""
    names, query, values = grouped
    columns = ", ".join(f'"{name}"' for name in names)
    some = f"SELECT {columns}, {_SELECT_SUMS} FROM ({query} LIMIT ?)"  # noqa: S608
    # To DuckDB a LIMIT of NULL is none. One row more shows whether there are others.
    found = con.execute(some, [*values, None if limit is None else limit + 1]).fetchall()
    rows = [dict(zip([*names, *SUMS], row, strict=True)) for row in found[:limit]]
    for period in split_periods(names)[0]:
        rows.sort(key=lambda row: row[period])
    if limit is None or len(found) <= limit:
        return rows, None
    others = f"SELECT count(*) AS rows, {_SUMS_OF_SUMS} FROM ({query} OFFSET ?)"  # noqa: S608
    counted = f"SELECT rows, {_SELECT_SUMS} FROM ({others})"  # noqa: S608
    rest = con.execute(counted, [*values, limit]).fetchall()[0]
    return rows, dict(zip(["rows", *SUMS], rest, strict=True))


def _select_list(columns: dict[str, str]) -> str:
    return ", ".join(f"{expression} AS {name}" for name, expression in columns.items())


def row_document(row: tuple[object, ...]) -> Document:
    """A row of `SELECT_COLUMNS` as `ledger.call.call_document` has a call."""
    known: Document = dict(zip(COLUMNS, row, strict=True))
    known["started_at"] = iso(known["started_at"])
    for name in ("usage", "billed_units"):
        known[name] = None if known[name] is None else msgspec.Raw(known[name].encode())
    return known
