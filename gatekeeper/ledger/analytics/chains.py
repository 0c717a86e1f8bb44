"""The chain of a long decode: the calls that `continues` links, from the first request on.

From a call back to the first one, and from there on to all that went on with one of them: mostly one each,
but a request that was repeated has the same token as the one before it. Step by step: each step is a look-up
by id, or a scan of one column that is almost empty; a recursive query would read the ids of all calls at
each.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gatekeeper.ledger.analytics import queries
from gatekeeper.ledger.call import Document

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

MAX_HOPS = 1000
"""How many calls of a chain are shown, the first ones."""
FIELDS = (
    "id", "started_at", "outcome", "finish_reason", "prompt_tokens", "cached_tokens", "output_tokens",
    "thoughts_tokens", "total_tokens", "cost_usd", "usage_note",
)  # fmt: skip

_IN_IDS = "id IN (SELECT unnest(CAST(? AS UUID[])))"
_BEFORE = "SELECT CAST(continues AS VARCHAR) FROM calls WHERE id = TRY_CAST(? AS UUID)"
_AFTER = """
    SELECT CAST(id AS VARCHAR) FROM calls
    WHERE continues IS NOT NULL AND continues IN (SELECT unnest(CAST(? AS UUID[]))) ORDER BY id LIMIT ?
"""


def chain(con: DuckDBPyConnection, sums: queries.Sums, call_id: str) -> Document:
    """`chain`, the finished calls of the call's long decode in their order, each with `FIELDS`, and
    `chain_total`, their sums; nothing if it is the only one."""
    ids = _ids_from(con, _first(con, call_id))
    if len(ids) < 2:
        return {}
    select = f"SELECT {queries.SELECT_COLUMNS} FROM calls WHERE {_IN_IDS} ORDER BY id"  # noqa: S608
    found = [queries.row_document(row) for row in con.execute(select, [ids]).fetchall()]
    total = sums.report(con, ["none"], (_IN_IDS, [ids]), None)["total"]
    return {"chain": [{name: call[name] for name in FIELDS} for call in found], "chain_total": total}


def _first(con: DuckDBPyConnection, call_id: str) -> str:
    """The first call of the chain, as far as the file has it."""
    seen: dict[str, None] = {}
    following: str | None = call_id
    # `seen`, because a file that others have written may link calls in a circle.
    while following and following not in seen and len(seen) < MAX_HOPS:
        row = con.execute(_BEFORE, [following]).fetchone()
        if row is None:
            break
        seen[following] = None
        following = row[0]
    return next(reversed(seen), call_id)


def _ids_from(con: DuckDBPyConnection, first: str) -> list[str]:
    """The ids of a call, and of all that go on with it."""
    found = {first: None}
    latest = [first]
    while latest and len(found) < MAX_HOPS:
        rows = con.execute(_AFTER, [latest, MAX_HOPS - len(found)]).fetchall()
        latest = [row[0] for row in rows if row[0] not in found]
        found |= dict.fromkeys(latest)
    return list(found)
