"""Other people's SQL: one SELECT, which can read the calls and nothing else, and change nothing.

Four walls, since each has had a hole somewhere: the statement is taken apart and may use only the tables
and table functions named here; DuckDB itself refuses files and settings (see `database`); the transaction
is read-only; and a timer ends what takes too long.

The first is not only about secrets. The gateway's own file is the one that DuckDB must be able to open,
and who opens and closes it a second time in this process, `read_blob` for one, takes the lock off it.

It is also the process in which one query of a person runs: `python -m` and the name of this module. It reads
one line from stdin, a `Request` as JSON, and writes to stdout either `answer`, a line end and the answer as
JSON, or `refused` or `failed`, a line end and what to tell. It ends with the status 0 after that, and with
another where it could not: then it was ended, most likely by the limits that it sets itself below.

A query can do what it likes with this process. One that builds a single very large value takes memory past
DuckDB's own limit, one that is slow to plan cannot be interrupted, and neither gives the interpreter's lock
back. So the limits are the kernel's, and the process that started this one may kill it at any moment.
"""

from __future__ import annotations

import os
import re
import resource
import signal
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from threading import Thread
from typing import cast

import duckdb
import msgspec
from duckdb import DuckDBPyConnection, StatementType

from gatekeeper.ledger.analytics.database import Database, stopped_after
from gatekeeper.ledger.analytics.messages import (
    TEMPORARY,
    AnalyticsError,
    Request,
    TookTooLong,
    out_of_memory,
    too_large,
)
from gatekeeper.ledger.call import Document

SCHEMAS = {"", "main", "file", "information_schema", "pg_catalog"}
TABLE_FUNCTIONS = {
    "duckdb_columns",
    "duckdb_functions",
    "duckdb_types",
    "generate_series",
    "json_each",
    "json_tree",
    "range",
    "unnest",
}
ALLOWED = "write one SELECT on the table calls (or WITH, DESCRIBE, SUMMARIZE, EXPLAIN)"

# Types whose values JSON has as they are. Everything else is shown as the text that DuckDB makes of it.
_PLAIN = re.compile(r"BOOLEAN|U?(TINY|SMALL|BIG|HUGE)?INT(EGER)?|VARCHAR(\[\])?")
_ZULU = "%Y-%m-%dT%H:%M:%S.%fZ"
_EXPLAIN = re.compile(r"\s*EXPLAIN\s+(ANALYZE\s+)?", re.IGNORECASE)

LEAST_PRIORITY = 19
FIRST_TO_GO = "1000"  # for the kernel, where the machine's memory runs out
PARTING = 5  # seconds after the time limit, after which the process ends though nobody ends it


class SqlError(ValueError):
    """A query that is not allowed, is wrong, or takes too long; with DuckDB's words where these are its."""


class OutOfMemory(SqlError):
    """A query that needs more memory than it may take."""


def ask(database: Database, query: str, limit: int, seconds: float) -> Document:
    """As `answer`, without telling where the data folder is. Raises SqlError, AnalyticsError."""
    try:
        return answer(database.con, query, limit, seconds)
    except SqlError as error:
        # The message is shown to whoever asked; where files lie is not his to know.
        raise type(error)(database.without_path(str(error))) from None
    except duckdb.Error as error:
        raise AnalyticsError(database.without_path(str(error))) from None


def answer(con: DuckDBPyConnection, query: str, limit: int, seconds: float) -> Document:
    """`columns`, `types`, `rows` (JSON-ready, at most `limit`) and whether these are `truncated`.

    Raises SqlError.
    """
    try:
        return _run(con, _vetted(con, query), limit, seconds)
    except TookTooLong:
        raise SqlError(f"The query took longer than {seconds:g} s and was stopped") from None
    except duckdb.OutOfMemoryException:
        raise OutOfMemory("The query needed more memory than it may take") from None
    # Not the query's fault, as far as it can be told: the instance is broken, and no other answer will do.
    except (duckdb.FatalException, duckdb.InternalException):
        raise
    except duckdb.Error as error:
        raise SqlError(str(error)) from None


def _vetted(con: DuckDBPyConnection, query: str) -> str:
    statements = con.extract_statements(query)
    # A second one would run unseen: only one is taken apart.
    if len(statements) != 1:
        raise SqlError(f"There are {len(statements)} statements; {ALLOWED}")
    query = _unterminated(query)
    # `json_serialize_sql` takes a SELECT only, so what is explained is looked at without its EXPLAIN.
    explained = statements[0].type == StatementType.EXPLAIN
    for node in _nodes(_tree(con, _EXPLAIN.sub("", query, count=1) if explained else query)):
        _vet_node(node)
    return query


def _unterminated(query: str) -> str:
    """The query without its semicolon and what follows, for it will stand in brackets."""
    text = query.encode()  # what `tokenize` counts in
    for offset, kind in duckdb.tokenize(query):
        if kind == duckdb.token_type.operator and text[offset : offset + 1] == b";":
            return text[:offset].decode()
    return query


def _tree(con: DuckDBPyConnection, query: str) -> object:
    found = con.execute("SELECT CAST(json_serialize_sql(?) AS VARCHAR)", [query]).fetchall()
    try:
        tree = msgspec.json.decode(found[0][0])
    except RecursionError:
        raise SqlError("The statement is nested too deeply") from None
    if tree["error"]:
        raise SqlError(f"This statement is not allowed; {ALLOWED}")
    return tree["statements"]


def _nodes(tree: object) -> Iterator[Document]:
    """Every object in the statement, however deep."""
    # A list, not recursion: a statement may be nested as deep as its writer likes.
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            fields = cast(Document, node)
            yield fields
            waiting.extend(fields.values())
        elif isinstance(node, list):
            waiting.extend(cast("list[object]", node))


def _vet_node(node: Document) -> None:
    match node.get("type"):
        case "TABLE_FUNCTION":
            name = node["function"]["function_name"]
            if name not in TABLE_FUNCTIONS:
                allowed = ", ".join(sorted(TABLE_FUNCTIONS))
                raise SqlError(f"The table function {name} is not allowed; there are {allowed}")
        case "BASE_TABLE":
            # A name with a dot or a slash, or one like data.csv, would be opened as a file.
            schema, table = node["schema_name"], node["table_name"]
            if schema not in SCHEMAS or not re.fullmatch(r"[\w ]+", table):
                raise SqlError(f'There is no table "{schema or "main"}.{table}"; {ALLOWED}')
        case _:
            pass


def _run(con: DuckDBPyConnection, query: str, limit: int, seconds: float) -> Document:
    con.execute("BEGIN TRANSACTION READ ONLY")
    try:
        with stopped_after(con, seconds):
            relation = con.sql(query)
            types = [str(kind) for kind in relation.types]
            shown = ", ".join(_shown(f"#{number}", kind) for number, kind in enumerate(types, 1))
            # One more than is shown: that there are more need not be counted.
            rows = relation.project(shown).limit(limit + 1).fetchall()
            columns = relation.columns
    finally:
        # Also after success: there is nothing to keep.
        con.execute("ROLLBACK")
    return {
        "columns": columns,
        "types": types,
        "rows": [list(row) for row in rows[:limit]],
        "truncated": len(rows) > limit,
    }


def _shown(column: str, kind: str) -> str:
    if kind == "TIMESTAMP WITH TIME ZONE":
        return f"strftime({column} AT TIME ZONE 'UTC', '{_ZULU}')"
    if kind in ("DOUBLE", "FLOAT"):  # JSON knows neither NaN nor infinity
        return f"CASE WHEN isfinite({column}) THEN {column} END"
    return column if _PLAIN.fullmatch(kind) else f"CAST({column} AS VARCHAR)"


def main() -> None:
    request = msgspec.json.decode(sys.stdin.buffer.readline(), type=Request)
    restrict(request)
    # A thread, for the main one is in DuckDB while the query runs.
    Thread(target=end_with_parent, daemon=True).start()
    kind, text = reply(request)
    sys.stdout.buffer.write(kind + b"\n" + text)
    sys.stdout.buffer.flush()
    os._exit(0)  # at once: whatever DuckDB would tidy up is this process's alone


def restrict(request: Request) -> None:
    """Sets what the kernel holds this process to."""
    # Without a handler it ends the process, whatever DuckDB is doing.
    signal.alarm(int(request.seconds) + PARTING)
    # A core would be as large as the memory, and hold rows.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with suppress(OSError, ValueError):  # where a system knows no such limit, DuckDB's own remains
        resource.setrlimit(resource.RLIMIT_DATA, (request.memory, request.memory))
    with suppress(OSError):
        os.nice(LEAST_PRIORITY)
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(FIRST_TO_GO)


def end_with_parent() -> None:
    """Our stdin stays open for as long as the process lives that started this one, and waits for it."""
    while os.read(sys.stdin.fileno(), 1):
        pass
    os._exit(1)


def reply(request: Request) -> tuple[bytes, bytes]:
    """What kind of answer it is, and the answer."""
    try:
        database = Database(Path(request.folder), f"{request.memory // 2}B", TEMPORARY)
        if request.attached:
            database.attach(read_only=True)
        database.load(request.rows)
        found = ask(database, request.query, request.limit, request.seconds)
        gaps = {"partial": True, "partial_reason": request.absence} if request.absence else {}
        document = msgspec.json.encode({**found, **gaps})
    except (OutOfMemory, MemoryError):
        return b"refused", out_of_memory(request.memory).encode()
    except SqlError as error:
        return b"refused", str(error).encode()
    except AnalyticsError as error:
        return b"failed", str(error).encode()
    if len(document) > request.largest_answer:
        return b"refused", too_large(request.largest_answer).encode()
    return b"answer", document


if __name__ == "__main__":
    main()
