"""`gatekeeper sql`: the analytics file in SQL, whether a gateway holds it or not."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import msgspec

from gatekeeper.cli.failure import Failure, Status
from gatekeeper.cli.flags import loaded, setting_flags
from gatekeeper.cli.gateway import Target, ask, on_gateway
from gatekeeper.cli.help import examples
from gatekeeper.cli.output import emit, json_option, note, note_gaps, print_table
from gatekeeper.client.formats import Cell, Column, Tone

FILE = "gatekeeper.duckdb"
SECONDS = 300.0  # that a query on the file itself may take; a gateway has its own limit
NUMBER = re.compile(r"(U?(TINY|SMALL|BIG|HUGE)?INT(EGER)?|DOUBLE|FLOAT|DECIMAL\(.*\))\Z")


class Rows(msgspec.Struct):
    """The answer to a query."""

    columns: list[str]
    types: list[str]
    rows: list[list[Any]]
    truncated: bool = False


@click.command(
    "sql",
    epilog=examples(
        'sql "SELECT model, sum(cost_usd) FROM calls GROUP BY ALL"', "sql --exec 'duckdb -readonly {file}'"
    ),
)
@click.argument("query", required=False)
@click.option(
    "--exec", "program", metavar="PROGRAM", help="Run this with {file} as the file, lent for so long."
)
@click.option("--limit", type=click.IntRange(1, 1000), default=1000, show_default=True, help="Rows at most.")
@json_option
@setting_flags("data")
@on_gateway
def command(
    target: Target,
    query: str | None,
    program: str | None,
    limit: int,
    as_json: bool,
    config: Path | None,
    data: str | None,
) -> int:
    """Ask the table calls of the analytics file in SQL, read-only.

    The gateway at --url answers. If there is none, the file in --data is read.
    """
    if (query is None) == (program is None):
        raise click.UsageError("Give either a SELECT or --exec PROGRAM", click.get_current_context())

    def instead(failure: Failure) -> Path:
        return file_instead(failure, loaded({"data": data}, config).data / FILE)

    if program is not None:
        from gatekeeper.cli.lending import run_with_file

        return run_with_file(target, program, instead)
    document = answer(target, query or "", limit, instead)
    if as_json:
        emit(document)
    else:
        show(document)
    return Status.FINE


def answer(target: Target, query: str, limit: int, instead: Callable[[Failure], Path]) -> bytes:
    """The gateway's document, or one like it from the file where no gateway answers. Raises Failure."""
    try:
        return ask(target, lambda client: client.sql(query, limit)).raw
    except Failure as failure:
        return read(instead(failure), query, limit)


def file_instead(failure: Failure, file: Path) -> Path:
    """The file, where the failure is that no gateway answers; else raises it."""
    if failure.status is not Status.UNREACHABLE:
        raise failure
    if not file.exists():
        raise Failure(f"{failure} There is no file {file} either: check --data", failure.status)
    note(f"No gateway answers, so this is read from {file}.")
    return file


def read(file: Path, query: str, limit: int) -> bytes:
    """As the gateway would answer. Raises Failure where another program has the file, or the query fails."""
    import duckdb

    from gatekeeper.ledger import readonly

    try:
        con = duckdb.connect(str(file), read_only=True, config={"python_enable_replacements": False})
    except duckdb.Error as error:
        raise Failure(unreadable(file, str(error)), Status.REFUSED) from None
    with con:
        con.execute("SET TimeZone = 'UTC'")
        try:
            return msgspec.json.encode(readonly.answer(con, query, limit, SECONDS))
        except readonly.SqlError as error:
            raise Failure(str(error), Status.REFUSED) from None


def unreadable(file: Path, problem: str) -> str:
    if "Could not set lock" in problem:
        return (
            f"another program has {file}: give the --url of the gateway that does, or wait until it is done"
        )
    return f"{file} cannot be read: {problem}"


def show(document: bytes) -> None:
    found = msgspec.json.decode(document, type=Rows)
    print_table([column(found, number) for number in range(len(found.columns))], found.rows)
    note_gaps(document)
    if found.truncated:
        note(f"There are more than these {len(found.rows):,} rows.")


def column(found: Rows, number: int) -> Column[list[Any]]:
    right = bool(NUMBER.match(found.types[number]))
    return Column(found.columns[number], 0, lambda row: cell(row[number]), right=right)


def cell(value: Any) -> Cell:
    """Text as it is, nothing as NULL, all else as JSON has it."""
    if value is None:
        return "NULL", Tone.FAINT
    return (value if isinstance(value, str) else msgspec.json.encode(value).decode()), Tone.PLAIN
