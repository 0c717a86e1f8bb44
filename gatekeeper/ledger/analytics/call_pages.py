"""Queries of finished calls: pages in the requested order, and the chain of a long decode, the calls linked
by `continues`.

Keyset pagination: a cursor has the last row's value and id, not a number of rows, so calls that end meanwhile
do not shift the pages.

A chain is followed from a call back to the first one, and from there to all calls that continue one of its
calls: mostly one each, but a repeated request continues the same call. Each step is a query of its own, a
lookup by id or a scan of a nearly empty column; a recursive query would read all ids at each step.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple
from uuid import UUID

import msgspec

from gatekeeper.ledger.analytics import queries
from gatekeeper.ledger.analytics.messages import CursorError, SortError
from gatekeeper.ledger.analytics.queries import SELECT_COLUMNS, row_document
from gatekeeper.ledger.call import COLUMNS, Document
from gatekeeper.ledger.filters import Filter
from gatekeeper.ledger.predicates import Sql

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_SORTABLE = ("DOUBLE", "SMALLINT", "BIGINT", "DECIMAL(18,12)", "VARCHAR")
SORTS = {
    # Calls start in the order of their ids.
    "started": "id",
    "cost": "cost_usd",
    "duration": "duration_ms",
    "ttfb": "first_byte_ms",
    "gateway": "gateway_ms",
    "tokens": "total_tokens",
    "prompt": "prompt_tokens",
    "cached": "cached_tokens",
    "output": "output_tokens",
    "thoughts": "thoughts_tokens",
    "key": "key_alias",
    "user": "user_id",
    "id": "id",
    "started_at": "id",
    **{name: name for name, kind in COLUMNS.items() if kind in _SORTABLE},
}
"""What calls can be sorted by: short names, most of them those of the filter grammar, and columns."""

# The inner SELECT reads only the ids and the sorted column of all rows, the outer one all columns of a page.
_PAGE_SQL = """
    SELECT {columns} FROM calls WHERE id IN (SELECT id FROM calls WHERE {condition} ORDER BY {order} LIMIT ?)
    ORDER BY {order}
"""

MAX_HOPS = 1000
"""How many calls of a chain are returned: the first ones."""
CHAIN_FIELDS = (
    "id", "started_at", "outcome", "finish_reason", "prompt_tokens", "cached_tokens", "output_tokens",
    "thoughts_tokens", "total_tokens", "cost_usd", "usage_note",
)  # fmt: skip

_IN_IDS = "id IN (SELECT unnest(CAST(? AS UUID[])))"
_CALL_BEFORE = "SELECT CAST(continues AS VARCHAR) FROM calls WHERE id = TRY_CAST(? AS UUID)"
_CALLS_AFTER = """
    SELECT CAST(id AS VARCHAR) FROM calls
    WHERE continues IS NOT NULL AND continues IN (SELECT unnest(CAST(? AS UUID[]))) ORDER BY id LIMIT ?
"""


class Order(NamedTuple):
    """The order of a page, by one of `COLUMNS`. Rows without a value come last, equal ones newest first."""

    sort: str
    """As it was requested."""
    column: str
    descending: bool

    @property
    def sql(self) -> str:
        direction = "DESC" if self.descending else "ASC"
        return f"id {direction}" if self.column == "id" else f"{self.column} {direction} NULLS LAST, id DESC"

    def next_cursor(self, last: Document) -> str:
        """The cursor of the next page, after one that ends with this row."""
        if self.column == "id":
            return last["id"]
        value = last[self.column]
        # As text: an exact cost, as a number of JSON, would come back as a float.
        content = msgspec.json.encode((self.sort, None if value is None else str(value), last["id"]))
        # Without the padding, which would have to be percent-encoded in a query.
        return base64.urlsafe_b64encode(content).decode().rstrip("=")

    def after(self, con: DuckDBPyConnection, cursor: str) -> Sql:
        """The condition of the rows after a page. Raises CursorError for a cursor of another order."""
        comparison = "<" if self.descending else ">"
        if self.column == "id":
            return f"id {comparison} CAST(? AS UUID)", [parse_id(cursor)]
        value, call_id = self._parse(con, cursor)
        older = "id < CAST(? AS UUID)"
        if value is None:
            return f"{self.column} IS NULL AND {older}", [call_id]
        return (
            # Rows without a value come last, in both directions, and so after every one that has one.
            f"({self.column} {comparison} ? OR {self.column} = ? AND {older} OR {self.column} IS NULL)",
            [value, value, call_id],
        )

    def _parse(self, con: DuckDBPyConnection, cursor: str) -> tuple[object, str]:
        """The value in its column's type, and the id."""
        try:
            decoded = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
            sort, text, call_id = msgspec.json.decode(decoded, type=tuple[str, str | None, str])
        except (binascii.Error, ValueError):
            raise CursorError(f'"{cursor}" is not the cursor of a page') from None
        # Checked by DuckDB, which knows the column's type: the cursor is untrusted.
        rows = con.execute(f"SELECT TRY_CAST(? AS {COLUMNS[self.column]})", [text]).fetchall()
        if sort != self.sort or (rows[0][0] is None) != (text is None):
            raise CursorError(f'"{cursor}" is not the cursor of a page sorted by {self.sort}')
        return rows[0][0], parse_id(call_id)


NEWEST_FIRST = Order("-started", "id", descending=True)


def parse_order(sort: str) -> Order:
    """The order by a name of `SORTS`, descending with `-` before it. Raises SortError."""
    name = sort.removeprefix("-")
    if name not in SORTS:
        raise SortError(sort, list(SORTS))
    return Order(sort, SORTS[name], sort.startswith("-"))


def page_of_calls(
    con: DuckDBPyConnection,
    wanted: Filter,
    limit: int,
    cursor: str | None = None,
    order: Order = NEWEST_FIRST,
) -> list[Document]:
    """At most `limit` calls as `ledger.call.call_document` has them.

    `cursor` is `Order.next_cursor` of the last call of the page before; newest first that is its id. Raises
    CursorError.
    """
    condition, values = wanted.to_sql()
    if cursor is not None:
        after, more = order.after(con, cursor)
        condition, values = f"{condition} AND {after}", [*values, *more]
    page = _PAGE_SQL.format(columns=SELECT_COLUMNS, condition=condition, order=order.sql)
    return [row_document(row) for row in con.execute(page, [*values, limit]).fetchall()]


def split_page(found: Sequence[Document], limit: int, order: Order) -> tuple[Sequence[Document], str | None]:
    """A page of at most `limit` of the rows, and the cursor of the next; None if there are no more."""
    page = found[:limit]
    return page, order.next_cursor(page[-1]) if len(found) > limit else None


def parse_id(text: str) -> str:
    """The id of a call that a cursor is or has. Raises CursorError."""
    try:
        return str(UUID(text))
    except ValueError:
        raise CursorError(f'"{text}" is not a cursor; give the `next_cursor` of a page') from None


def chain(con: DuckDBPyConnection, sums: queries.Sums, call_id: str) -> Document:
    """`chain`, the finished calls of the call's long decode in their order, each with `CHAIN_FIELDS`, and
    `chain_total`, their sums; nothing if it is the only one."""
    ids = _ids_of_chain(con, _first_of_chain(con, call_id))
    if len(ids) < 2:
        return {}
    select = f"SELECT {queries.SELECT_COLUMNS} FROM calls WHERE {_IN_IDS} ORDER BY id"  # noqa: S608
    found = [queries.row_document(row) for row in con.execute(select, [ids]).fetchall()]
    total = sums.report(con, ["none"], (_IN_IDS, [ids]), None)["total"]
    return {"chain": [{name: call[name] for name in CHAIN_FIELDS} for call in found], "chain_total": total}


def _first_of_chain(con: DuckDBPyConnection, call_id: str) -> str:
    """The first call of the chain, as far as the file has it."""
    seen: dict[str, None] = {}
    following: str | None = call_id
    # `seen`, because a file that others have written may link calls in a circle.
    while following and following not in seen and len(seen) < MAX_HOPS:
        row = con.execute(_CALL_BEFORE, [following]).fetchone()
        if row is None:
            break
        seen[following] = None
        following = row[0]
    return next(reversed(seen), call_id)


def _ids_of_chain(con: DuckDBPyConnection, first: str) -> list[str]:
    """The ids of a call and of all calls that continue it."""
    found = {first: None}
    latest = [first]
    while latest and len(found) < MAX_HOPS:
        rows = con.execute(_CALLS_AFTER, [latest, MAX_HOPS - len(found)]).fetchall()
        latest = [row[0] for row in rows if row[0] not in found]
        found |= dict.fromkeys(latest)
    return list(found)
