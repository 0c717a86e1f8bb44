"""Guard for user-supplied SQL: one read-only SELECT on the calls, in a subprocess with limits.

Defence in depth, since each layer has had a hole somewhere: (1) the statement is parsed and may use only the
tables and table functions listed here; (2) DuckDB itself refuses files and settings (see `database`); (3) the
transaction is read-only; (4) a timer interrupts a query that takes too long.

The first is not only about secrets. DuckDB must be able to open the analytics file itself, and opening and
closing that file a second time in this process, with `read_blob` for example, releases the POSIX lock.

This module is also the subprocess of a query: `python -m` and the name of this module. It reads one line from
stdin, a `QueryRequest` as JSON, and writes to stdout either `answer`, a newline and the result as JSON, or
`refused` or `failed`, a newline and the error message. Then it exits with the status 0. Another status means
that it was killed, most likely by the limits that it sets itself below.

A query can exhaust this process. One that builds a single very large value exceeds DuckDB's own memory limit,
one that is slow to plan cannot be interrupted, and neither releases the GIL. So the limits are set in the
kernel, and the parent process may kill this one at any time.
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

from gatekeeper.ledger.analytics.database import Database, interrupt_after
from gatekeeper.ledger.analytics.messages import (
    TEMP_DIR,
    AnalyticsError,
    QueryRequest,
    QueryTimeout,
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
ALLOWED_SQL_HINT = "write one SELECT on the table calls (or WITH, DESCRIBE, SUMMARIZE, EXPLAIN)"

# Types whose values JSON can represent. All others are cast to text by DuckDB.
_JSON_TYPES = re.compile(r"BOOLEAN|U?(TINY|SMALL|BIG|HUGE)?INT(EGER)?|VARCHAR(\[\])?")
_ISO_FORMAT = "%Y-%m-%dT%H:%M:%S.%fZ"
_EXPLAIN = re.compile(r"\s*EXPLAIN\s+(ANALYZE\s+)?", re.IGNORECASE)

NICENESS = 19
OOM_SCORE_ADJ = "1000"  # the kernel's OOM killer chooses this process first
ALARM_GRACE_SECONDS = 5  # seconds after the time limit, after which SIGALRM kills the process


class SqlError(ValueError):
    """A query is not allowed, wrong, or takes too long; the message may be that of DuckDB."""


class OutOfMemory(SqlError):
    """A query needs more memory than allowed."""


def run_redacted(database: Database, query: str, limit: int, seconds: float) -> Document:
    """Like `execute_select`, with the path of the data folder removed from errors. Raises SqlError,
    AnalyticsError."""
    try:
        return execute_select(database.con, query, limit, seconds)
    except SqlError as error:
        # The message is returned to the client, which must not learn paths.
        raise type(error)(database.redact_path(str(error))) from None
    except duckdb.Error as error:
        raise AnalyticsError(database.redact_path(str(error))) from None


def execute_select(con: DuckDBPyConnection, query: str, limit: int, seconds: float) -> Document:
    """`columns`, `types`, `rows` (ready for JSON, at most `limit`) and whether these are `truncated`.

    Raises SqlError.
    """
    try:
        return _run(con, _checked_query(con, query), limit, seconds)
    except QueryTimeout:
        raise SqlError(f"The query took longer than {seconds:g} s and was stopped") from None
    except duckdb.OutOfMemoryException:
        raise OutOfMemory("The query needed more memory than it may take") from None
    # Not an error of the query: the instance is unusable, so the process must fail.
    except (duckdb.FatalException, duckdb.InternalException):
        raise
    except duckdb.Error as error:
        raise SqlError(str(error)) from None


def _checked_query(con: DuckDBPyConnection, query: str) -> str:
    statements = con.extract_statements(query)
    # Only one statement is checked; a second one would run unchecked.
    if len(statements) != 1:
        raise SqlError(f"There are {len(statements)} statements; {ALLOWED_SQL_HINT}")
    query = _strip_semicolon(query)
    # `json_serialize_sql` accepts a SELECT only, so an explained statement is checked without its EXPLAIN.
    explained = statements[0].type == StatementType.EXPLAIN
    for node in _nodes(_parse(con, _EXPLAIN.sub("", query, count=1) if explained else query)):
        _check_node(node)
    return query


def _strip_semicolon(query: str) -> str:
    """The query up to its semicolon, because it will be placed in parentheses."""
    text = query.encode()  # the offsets of `tokenize` are in bytes
    for offset, kind in duckdb.tokenize(query):
        if kind == duckdb.token_type.operator and text[offset : offset + 1] == b";":
            return text[:offset].decode()
    return query


def _parse(con: DuckDBPyConnection, query: str) -> object:
    found = con.execute("SELECT CAST(json_serialize_sql(?) AS VARCHAR)", [query]).fetchall()
    try:
        tree = msgspec.json.decode(found[0][0])
    except RecursionError:
        raise SqlError("The statement is nested too deeply") from None
    if tree["error"]:
        raise SqlError(f"This statement is not allowed; {ALLOWED_SQL_HINT}")
    return tree["statements"]


def _nodes(tree: object) -> Iterator[Document]:
    """Every object in the statement, at any depth."""
    # Iterative: a deeply nested statement would exceed the recursion limit.
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            fields = cast(Document, node)
            yield fields
            waiting.extend(fields.values())
        elif isinstance(node, list):
            waiting.extend(cast("list[object]", node))


def _check_node(node: Document) -> None:
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
                raise SqlError(f'There is no table "{schema or "main"}.{table}"; {ALLOWED_SQL_HINT}')
        case _:
            pass


def _run(con: DuckDBPyConnection, query: str, limit: int, seconds: float) -> Document:
    con.execute("BEGIN TRANSACTION READ ONLY")
    try:
        with interrupt_after(con, seconds):
            relation = con.sql(query)
            types = [str(kind) for kind in relation.types]
            expressions = ", ".join(
                _json_expression(f"#{number}", kind) for number, kind in enumerate(types, 1)
            )
            # One more than returned, which shows whether there are more without counting them.
            rows = relation.project(expressions).limit(limit + 1).fetchall()
            columns = relation.columns
    finally:
        # Also after success: there is nothing to commit.
        con.execute("ROLLBACK")
    return {
        "columns": columns,
        "types": types,
        "rows": [list(row) for row in rows[:limit]],
        "truncated": len(rows) > limit,
    }


def _json_expression(column: str, kind: str) -> str:
    if kind == "TIMESTAMP WITH TIME ZONE":
        return f"strftime({column} AT TIME ZONE 'UTC', '{_ISO_FORMAT}')"
    if kind in ("DOUBLE", "FLOAT"):  # JSON knows neither NaN nor infinity
        return f"CASE WHEN isfinite({column}) THEN {column} END"
    return column if _JSON_TYPES.fullmatch(kind) else f"CAST({column} AS VARCHAR)"


def main() -> None:
    request = msgspec.json.decode(sys.stdin.buffer.readline(), type=QueryRequest)
    set_resource_limits(request)
    # In a thread, because the main thread is in DuckDB while the query runs.
    Thread(target=exit_with_parent, daemon=True).start()
    kind, text = run_query(request)
    sys.stdout.buffer.write(kind + b"\n" + text)
    sys.stdout.buffer.flush()
    os._exit(0)  # without DuckDB's clean-up, which only concerns this process


def set_resource_limits(request: QueryRequest) -> None:
    """Sets the limits that the kernel enforces on this process."""
    # Without a handler SIGALRM kills the process, whatever DuckDB is doing.
    signal.alarm(int(request.seconds) + ALARM_GRACE_SECONDS)
    # A core dump would be as large as the memory, and contain rows.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with suppress(OSError, ValueError):  # on a system without this limit, DuckDB's own remains
        resource.setrlimit(resource.RLIMIT_DATA, (request.memory, request.memory))
    with suppress(OSError):
        os.nice(NICENESS)
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(OOM_SCORE_ADJ)


def exit_with_parent() -> None:
    """Exits when stdin is closed: the parent keeps it open while it waits for the result."""
    while os.read(sys.stdin.fileno(), 1):
        pass
    os._exit(1)


def run_query(request: QueryRequest) -> tuple[bytes, bytes]:
    """Executes the query; returns the kind of reply, and the result or error message."""
    try:
        # Half of the kernel's limit for this process, so that mostly DuckDB fails first, with a message.
        database = Database(Path(request.folder), f"{request.memory // 2}B", TEMP_DIR)
        if request.attached:
            database.attach(read_only=True)
        database.load_pending(request.rows)
        result = run_redacted(database, request.query, request.limit, request.seconds)
        partial = (
            {"partial": True, "partial_reason": request.missing_reason} if request.missing_reason else {}
        )
        document = msgspec.json.encode({**result, **partial})
    except (OutOfMemory, MemoryError):
        return b"refused", out_of_memory(request.memory).encode()
    except SqlError as error:
        return b"refused", str(error).encode()
    except AnalyticsError as error:
        return b"failed", str(error).encode()
    if len(document) > request.max_response_bytes:
        return b"refused", too_large(request.max_response_bytes).encode()
    return b"answer", document


if __name__ == "__main__":
    main()
