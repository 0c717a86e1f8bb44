"""`gatekeeper sql`: SQL on the analytics file. It asks a gateway; without one it reads the file itself."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import click
import msgspec

from gatekeeper.cli.conventions import (
    CommandError,
    ExitStatus,
    Target,
    call_api,
    examples,
    gateway_options,
    json_option,
    limit_option,
    load_settings,
    setting_flags,
)
from gatekeeper.cli.output import note_partial, print_json, print_note, print_table
from gatekeeper.cli.table_layout import DROPPED_FIRST, TableColumn
from gatekeeper.client.columns import Cell, Column, TextRole

# Time limit of a query on the file itself, in seconds; a gateway has its own limit.
QUERY_SECONDS = 300.0
# DuckDB's names of the types whose values are right-aligned.
# To how many cells a text is cut where a table is too wide.
TEXT_WIDTH = 16
NUMBER = re.compile(r"(U?(TINY|SMALL|BIG|HUGE)?INT(EGER)?|DOUBLE|FLOAT|DECIMAL\(.*\))\Z")


class Rows(msgspec.Struct):
    """The result of a query."""

    columns: list[str]
    types: list[str]
    rows: list[list[object]]
    truncated: bool = False


@click.command(
    "sql",
    epilog=examples(
        'sql "SELECT model, sum(cost_usd) FROM calls GROUP BY ALL"', "sql --exec 'duckdb -readonly {file}'"
    ),
)
@click.argument("query", required=False)
@click.option(
    "--exec",
    "program",
    metavar="PROGRAM",
    help="Run PROGRAM with {file} replaced by the file's path; the gateway closes it meanwhile.",
)
@limit_option(1000, "Rows")
@json_option
@setting_flags("data")
@gateway_options
def sql(
    target: Target,
    query: str | None,
    program: str | None,
    limit: int,
    as_json: bool,
    config: Path | None,
    data: str | None,
) -> int:
    """Query the table calls of the analytics file in SQL, read-only.

    The gateway at --url runs the query. If there is none, the file in --data is read.
    """
    # Exactly one of the two is required.
    if (query is None) == (program is None):
        raise click.UsageError("Give either a SELECT or --exec PROGRAM", click.get_current_context())

    def fallback(error: CommandError) -> Path:
        from gatekeeper.data_dir import ANALYTICS_FILE

        return fallback_file(error, load_settings({"data": data}, config).data / ANALYTICS_FILE)

    if program is not None:
        from gatekeeper.cli.borrowed_file import run_with_file

        return run_with_file(target, program, fallback)
    document = query_document(target, query or "", limit, fallback)
    if as_json:
        print_json(document)
    else:
        print_rows(document)
    return ExitStatus.OK


def query_document(target: Target, query: str, limit: int, fallback: Callable[[CommandError], Path]) -> bytes:
    """The gateway's document, or the same from the file where no gateway responds. Raises CommandError."""
    try:
        return call_api(target, lambda client: client.sql(query, limit)).raw
    except CommandError as error:
        return query_file(fallback(error), query, limit)


def fallback_file(error: CommandError, file: Path) -> Path:
    """The path of the file, if the error is that no gateway responds; else raises the error."""
    if error.status is not ExitStatus.UNREACHABLE:
        raise error
    if not file.exists():
        raise CommandError(f"{error} There is no file {file} either: check --data", error.status)
    print_note(f"No gateway responds, so this is read from {file}.")
    return file


def query_file(file: Path, query: str, limit: int) -> bytes:
    """The gateway's document. Raises CommandError where another program has the file, or the query fails."""
    import duckdb

    from gatekeeper.ledger.analytics import sql_guard

    try:
        # Without replacement scans, or a query could read this program's own variables by their names.
        con = duckdb.connect(str(file), read_only=True, config={"python_enable_replacements": False})
    except duckdb.Error as error:
        raise CommandError(unreadable(file, str(error)), ExitStatus.REJECTED) from None
    with con:
        # As in the gateway, or the same query would show different times here.
        con.execute("SET TimeZone = 'UTC'")
        try:
            # The same guard as in the gateway: what is allowed must not depend on whether one runs.
            return msgspec.json.encode(sql_guard.execute_select(con, query, limit, QUERY_SECONDS))
        except sql_guard.SqlError as error:
            raise CommandError(str(error), ExitStatus.REJECTED) from None


def unreadable(file: Path, problem: str) -> str:
    if "Could not set lock" in problem:
        return (
            f"another program has {file}: give the --url of the gateway that does, or wait until it is done"
        )
    return f"{file} cannot be read: {problem}"


def print_rows(document: bytes) -> None:
    try:
        result = msgspec.json.decode(document, type=Rows)
    except msgspec.ValidationError:
        raise CommandError(
            "the answer is not that of a gatekeeper gateway: check --url or GATEKEEPER_URL",
            ExitStatus.INTERNAL_ERROR,
        ) from None
    print_table([column(result, number) for number in range(len(result.columns))], result.rows)
    if not result.rows:
        print_note("No rows.")
    note_partial(document)
    if result.truncated:
        print_note(f"There are more than these {len(result.rows):,} rows.")


def column(result: Rows, number: int) -> Column[list[object]]:
    right = bool(NUMBER.match(result.types[number]))
    # Nobody but the one who asked knows what is essential: the last columns are left out first.
    drop = DROPPED_FIRST + len(result.columns) - number if number else 0
    return TableColumn(
        result.columns[number], TEXT_WIDTH, lambda row: cell(row[number]), right=right, drop=drop
    )


def cell(value: object) -> Cell:
    """Text unchanged, None as NULL, everything else as JSON."""
    if value is None:
        return "NULL", TextRole.DIM
    return (value if isinstance(value, str) else msgspec.json.encode(value).decode()), TextRole.PLAIN
