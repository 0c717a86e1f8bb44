"""`gatekeeper sql`: the analytics file in SQL, whether a gateway holds it or not; or lent to a program."""

from __future__ import annotations

import re
import shlex
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import click
import msgspec

from gatekeeper.cli.conventions import (
    Failure,
    Status,
    Target,
    ask,
    examples,
    json_option,
    loaded,
    on_gateway,
    setting_flags,
)
from gatekeeper.cli.output import emit, note, note_gaps, print_table
from gatekeeper.client.formats import Cell, Column, Tone

# Seconds, after which the gateway takes the file back by itself if it is free.
LOAN = 3600
PLACE = "{file}"
# That a query on the file itself may take; a gateway has its own limit.
SECONDS = 300.0
# DuckDB's names of types whose values stand on the right.
NUMBER = re.compile(r"(U?(TINY|SMALL|BIG|HUGE)?INT(EGER)?|DOUBLE|FLOAT|DECIMAL\(.*\))\Z")


class Rows(msgspec.Struct):
    """The answer to a query."""

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
    "--exec", "program", metavar="PROGRAM", help="Run this with {file} as the file, lent for so long."
)
@click.option("--limit", type=click.IntRange(1, 1000), default=1000, show_default=True, help="Rows at most.")
@json_option
@setting_flags("data")
@on_gateway
def sql(
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
    # Both or neither: there is one thing to do.
    if (query is None) == (program is None):
        raise click.UsageError("Give either a SELECT or --exec PROGRAM", click.get_current_context())

    def instead(failure: Failure) -> Path:
        from gatekeeper.data_dir import ANALYTICS_FILE

        return file_instead(failure, loaded({"data": data}, config).data / ANALYTICS_FILE)

    if program is not None:
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

    from gatekeeper.ledger.analytics import sql_guard

    try:
        # Without replacements, or a query could read this program's own variables by their names.
        con = duckdb.connect(str(file), read_only=True, config={"python_enable_replacements": False})
    except duckdb.Error as error:
        raise Failure(unreadable(file, str(error)), Status.REFUSED) from None
    with con:
        # As the gateway has it, or the same query would show other times here.
        con.execute("SET TimeZone = 'UTC'")
        try:
            return msgspec.json.encode(sql_guard.answer(con, query, limit, SECONDS))
        except sql_guard.SqlError as error:
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


def column(found: Rows, number: int) -> Column[list[object]]:
    right = bool(NUMBER.match(found.types[number]))
    return Column(found.columns[number], 0, lambda row: cell(row[number]), right=right)


def cell(value: object) -> Cell:
    """Text as it is, nothing as NULL, all else as JSON has it."""
    if value is None:
        return "NULL", Tone.FAINT
    return (value if isinstance(value, str) else msgspec.json.encode(value).decode()), Tone.PLAIN


def run_with_file(target: Target, program: str, instead: Callable[[Failure], Path]) -> int:
    """Runs the program, with the file's path where it says `{file}`; its exit status.

    `instead` names a file where no gateway lends one, or raises Failure. Raises Failure, also for what is no
    program.
    """
    words = command_line(program)
    try:
        file = Path(ask(target, lambda client: client.lend(LOAN)).value.file)
    except Failure as failure:
        return run(words, instead(failure))
    try:
        return run(words, file)
    finally:
        # However the program ends.
        take_back(target)


def command_line(program: str) -> list[str]:
    """The words, as a shell would take them; no shell is used."""
    try:
        words = shlex.split(program)
    except ValueError as error:
        raise Failure(f"--exec: {error}", Status.USAGE) from None
    if not any(PLACE in word for word in words):
        raise Failure(f"--exec needs {PLACE} where the path belongs: 'duckdb {PLACE}'", Status.USAGE)
    return words


def run(words: list[str], file: Path) -> int:
    """The program has the terminal meanwhile: ctrl+c is for it to deal with."""
    if not file.exists():
        raise Failure(f"the gateway's file {file} is not on this machine", Status.REFUSED)
    command = [word.replace(PLACE, str(file)) for word in words]
    # Set back afterwards, so that ctrl+c ends this command as any other.
    previous = signal.signal(signal.SIGINT, passed_over)
    try:
        code = subprocess.run(command, check=False).returncode
    except OSError as error:
        raise Failure(f"{command[0]} cannot be run: {error.strerror}. Check --exec", Status.USAGE) from None
    finally:
        signal.signal(signal.SIGINT, previous)
    # As shells report a signal.
    return code if code >= 0 else 128 - code


def passed_over(_signal: int, _frame: object) -> None:
    """Unlike SIG_IGN, the program does not inherit this."""


def take_back(target: Target) -> None:
    """A gateway that cannot be told any more has ended, and the loan with it."""
    try:
        ask(target, lambda client: client.take_back())
    except Failure as failure:
        note(f"The file could not be given back: {failure}")
