"""Every question about finished calls, as DuckDB is asked it on the view `calls`.

Sums say where the money went: calls counted and added up by one or two of `GROUPS`. They are of what is
known and stay exact: DECIMAL inside, text outside. A sum of nothing known is NULL, for what calls without a
price cost is not 0; how many of these there are is `unpriced_calls`. Of no calls at all every sum is known,
and 0.

No answer is cut in silence. Where `limit` leaves rows out, `truncated` is true and `rest` says how many they
are and what they add up to. With `top`, only so many groups have rows of their own, those that cost most in
the whole range; in each period what is left is one row more, with `other`.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, tzinfo
from typing import TYPE_CHECKING, NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec

from gatekeeper.ledger.analytics.messages import CursorError, GroupingError
from gatekeeper.ledger.call import COLUMNS, Document
from gatekeeper.ledger.filters import Filter
from gatekeeper.ledger.predicates import LABEL, Sql
from gatekeeper.money import usd
from gatekeeper.times import iso

if TYPE_CHECKING:  # who only asks which groups there are need not load DuckDB
    from duckdb import DuckDBPyConnection

GROUPS = {
    "tag": "tag",
    "model": "model",
    "key": LABEL,
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
    "prompt_tokens": "sum(prompt_tokens)",
    "cached_tokens": "sum(cached_tokens)",
    "output_tokens": "sum(output_tokens)",
    "cost_usd": "sum(cost_usd)",
    "unpriced_calls": "count(*) - count(cost_usd)",
}
NOTHING: Document = {name: usd(0) if name == "cost_usd" else 0 for name in SUMS}

_SUMS_SHOWN = ", ".join(
    f"CAST({name} AS VARCHAR)" if name == "cost_usd" else f"TRY_CAST({name} AS BIGINT)" for name in SUMS
)
_ADDED = ", ".join(f"sum({name}) AS {name}" for name in SUMS)
# A call without tags has none to be unnested, and counts under NULL.
_TAGS = "CASE WHEN len(tags) > 0 THEN tags ELSE [NULL] END"


_FORMS = {
    "UUID": "CAST({} AS VARCHAR)",
    "TIMESTAMPTZ": "epoch_us({})",
    "DECIMAL(18,12)": "CAST({} AS VARCHAR)",
    "JSON": "CAST({} AS VARCHAR)",
}

SHOWN = ", ".join(_FORMS.get(kind, "{}").format(name) for name, kind in COLUMNS.items())
"""The select list whose rows `shown` understands: no type in it needs more than plain Python."""

# The inner SELECT reads the ids of all rows, the outer one all columns of a few.
_PAGE = """
    SELECT {shown} FROM calls WHERE id IN (SELECT id FROM calls WHERE {question} ORDER BY id DESC LIMIT ?)
    ORDER BY id DESC
"""
_MODELS = """
    SELECT model, count(*), epoch_us(max(started_at)) AS last, CAST(sum(cost_usd) AS VARCHAR),
           count(*) - count(cost_usd)
    FROM calls WHERE model IS NOT NULL GROUP BY model ORDER BY last DESC, model
"""


def calls(con: DuckDBPyConnection, wanted: Filter, limit: int, before: str | None = None) -> list[Document]:
    """At most `limit` calls as `ledger.call.document` shows them, newest (that is, highest `id`) first.

    `before` is the id of the last call of the page before. Raises CursorError where it is no id.
    """
    question, values = wanted.where()
    if before is not None:
        question, values = f"{question} AND id < CAST(? AS UUID)", [*values, cursor(before)]
    page = _PAGE.format(shown=SHOWN, question=question)
    return [shown(row) for row in con.execute(page, [*values, limit]).fetchall()]


def call(con: DuckDBPyConnection, call_id: str) -> Document | None:
    """The finished call of that id, None where there is none."""
    select = f"SELECT {SHOWN} FROM calls WHERE id = TRY_CAST(? AS UUID)"  # noqa: S608
    found = con.execute(select, [call_id]).fetchall()
    return shown(found[0]) if found else None


def models(con: DuckDBPyConnection) -> list[Document]:
    """The models that were asked for, the last used first, with their calls and known cost."""
    names = ("model", "calls", "last_used_at", "cost_usd", "unpriced_calls")
    found = [dict(zip(names, row, strict=True)) for row in con.execute(_MODELS).fetchall()]
    return [{**row, "last_used_at": iso(row["last_used_at"])} for row in found]


class Grouped(NamedTuple):
    """A SELECT of sums, in the order in which its rows are wanted most, with the values for its `?`."""

    columns: list[str]
    query: str
    values: list[object]


class Sums:
    """Answers in one time zone. Raises ValueError where there is no such zone."""

    def __init__(self, timezone: str) -> None:
        try:
            self._zone: tzinfo = UTC if timezone == "UTC" else ZoneInfo(timezone)
        except (KeyError, OSError) as error:
            raise ValueError(f'no time zone is called "{timezone}"; write UTC or Europe/Berlin') from error
        self._groups = {name: group.format(zone=timezone) for name, group in GROUPS.items()}

    def answer(
        self, con: DuckDBPyConnection, by: list[str], where: Sql, limit: int | None, top: int | None = None
    ) -> Document:
        """`rows`, the costliest first or, by day or hour, in order of time (the latest `limit` of them),
        and their `total`, in which a call with several tags counts once. Raises GroupingError.

        With `top` the rows of a period stand in the order of their groups' cost in the whole range, `other`
        last. It is every call that has a group outside the top, counted once; so the rows of a period add
        up to its total, except by tag, where a call may have one tag in the top and another outside.
        """
        groups = grouping(by, top)
        query = f"SELECT {_SUMS_SHOWN} FROM (SELECT {_list(SUMS)} FROM calls WHERE {where[0]})"  # noqa: S608
        total = dict(zip(SUMS, con.execute(query, where[1]).fetchall()[0], strict=True))
        total = total if total["calls"] else NOTHING
        if not groups:
            return {"rows": [total], "total": total}
        rows, rest = (
            self._top(con, groups, where, limit, top) if top else self._all(con, groups, where, limit)
        )
        cut = {"truncated": True, "rest": rest} if rest else {}
        return {"rows": [self._shown(row) for row in rows], "total": total, **cut}

    def _all(
        self, con: DuckDBPyConnection, groups: list[str], where: Sql, limit: int | None
    ) -> tuple[list[Document], Document | None]:
        tag = f", unnest({_TAGS}) AS tag" if "tag" in groups else ""
        source = f"SELECT *{tag} FROM calls WHERE {where[0]}"  # noqa: S608
        order = ["cost_usd DESC NULLS LAST", "calls DESC", *(f'"{name}"' for name in groups)]
        return _fetched(con, self._grouped(groups, source, order, where[1]), limit)

    def _top(
        self, con: DuckDBPyConnection, groups: list[str], where: Sql, limit: int | None, top: int
    ) -> tuple[list[Document], Document | None]:
        periods, names = split(groups)
        leaders, others = self._all(con, names, where, top)
        # A call's places: those of its groups among the leaders, and one more for all the others.
        group = ", ".join("tag" if name == "tag" else self._groups[name] for name in names)
        place = f"coalesce(list_position(CAST(? AS VARCHAR[][]), [{group}]), {len(leaders) + 1})"
        tags = _TAGS if "tag" in names else "[NULL]"
        places = f"unnest(list_distinct(list_transform({tags}, lambda tag: {place})))"
        source = f"SELECT *, {places} AS place FROM calls WHERE {where[0]}"  # noqa: S608
        values = [[[row[name] for name in names] for row in leaders], *where[1]]
        rows, rest = _fetched(con, self._grouped([*periods, "place"], source, ["place"], values), limit)
        known = [{name: row[name] for name in names} for row in leaders]
        if others:
            known.append({**dict.fromkeys(names), "other": True, "groups": others["rows"]})
        return [dict.fromkeys(groups) | known[row.pop("place") - 1] | row for row in rows], rest

    def _grouped(self, names: list[str], source: str, order: list[str], values: list[object]) -> Grouped:
        columns = {f'"{name}"': self._groups.get(name, name) for name in names} | SUMS
        latest = [f'"{name}" DESC' for name in split(names)[0]]
        by = ", ".join(f'"{name}"' for name in names)
        query = f"""
            SELECT * FROM (SELECT {_list(columns)} FROM ({source}) GROUP BY {by})
            ORDER BY {", ".join([*latest, *order])}
        """  # noqa: S608
        return Grouped(names, query, values)

    def _shown(self, row: Document) -> Document:
        return row | {name: self._period(row[name]) for name in PERIODS if name in row}

    def _period(self, period: date | int) -> str:
        if isinstance(period, date):
            return period.isoformat()
        moment = datetime.fromtimestamp(period // 1_000_000, self._zone)
        return moment.isoformat().replace("+00:00", "Z")


def split(groups: list[str]) -> tuple[list[str], list[str]]:
    """The periods among the groups, and the others."""
    return [name for name in groups if name in PERIODS], [name for name in groups if name not in PERIODS]


def grouping(by: list[str], top: int | None = None) -> list[str]:
    """One or two groups, or none of them. Raises GroupingError with what is allowed."""
    groups = [] if by == ["none"] else by
    if len(groups) > 2 or len(set(groups)) < len(groups) or not set(groups) <= set(GROUPS):
        raise GroupingError(
            f'"{",".join(by)}" is no way to group; write one or two of {", ".join(GROUPS)}, or none',
            [*GROUPS, "none"],
        )
    if top and not split(groups)[1]:
        names = ", ".join(split(list(GROUPS))[1])
        raise GroupingError(
            f'"{",".join(by)}" has no group that `top` could choose from; add one of {names}',
            [*GROUPS, "none"],
        )
    return groups


def _fetched(
    con: DuckDBPyConnection, grouped: Grouped, limit: int | None
) -> tuple[list[Document], Document | None]:
    """At most `limit` rows (None: all), those of periods in order of time; and the number and sums of those
    beyond, if there are any."""
    names, query, values = grouped
    columns = ", ".join(f'"{name}"' for name in names)
    some = f"SELECT {columns}, {_SUMS_SHOWN} FROM ({query} LIMIT ?)"  # noqa: S608
    found = con.execute(some, [*values, None if limit is None else limit + 1]).fetchall()
    rows = [dict(zip([*names, *SUMS], row, strict=True)) for row in found[:limit]]
    for period in split(names)[0]:
        rows.sort(key=lambda row: row[period])
    if limit is None or len(found) <= limit:
        return rows, None
    others = f"SELECT rows, {_SUMS_SHOWN} FROM (SELECT count(*) AS rows, {_ADDED} FROM ({query} OFFSET ?))"  # noqa: S608
    rest = con.execute(others, [*values, limit]).fetchall()[0]
    return rows, dict(zip(["rows", *SUMS], rest, strict=True))


def _list(columns: dict[str, str]) -> str:
    return ", ".join(f"{expression} AS {name}" for name, expression in columns.items())


def shown(row: tuple[object, ...]) -> Document:
    """A row of `SHOWN` as `ledger.call.document` shows a call."""
    known: Document = dict(zip(COLUMNS, row, strict=True))
    known["started_at"] = iso(known["started_at"])
    known["usage"] = None if known["usage"] is None else msgspec.Raw(known["usage"].encode())
    return known


def cursor(before: str) -> str:
    try:
        return str(UUID(before))
    except ValueError:
        raise CursorError(f'"{before}" is no cursor; give the id of the last call of a page') from None
