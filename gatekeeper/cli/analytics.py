"""Questions to the analytics file: `gatekeeper spend` sums calls up by groups, `gatekeeper sql` is SQL.

Both are answered by a gateway; where there is none, SQL also by the file itself.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import click
import msgspec

from gatekeeper.cli.calls import which_calls
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
from gatekeeper.cli.output import emit, moment, note, note_gaps, print_table
from gatekeeper.client import formats
from gatekeeper.client.api_types import UNPRICED, Spend, SpendRest, SpendRow
from gatekeeper.client.formats import Cell, Column, Tone
from gatekeeper.client.list_columns import share_cell, spent_cell

BAR = 20


@click.command(
    "spend", epilog=examples("spend --by tag --since 30d", "spend --by day,model --query tag:team-a --json")
)
@click.option(
    "--by",
    default="tag",
    show_default=True,
    metavar="GROUP[,GROUP]",
    help="One or two of tag, model, key, user, day, hour.",
)
@which_calls
@click.option("--limit", type=click.IntRange(1, 1000), default=1000, show_default=True, help="Rows at most.")
@json_option
@on_gateway
def spend(
    target: Target, by: str, q: str | None, since: str | None, until: str | None, limit: int, as_json: bool
) -> None:
    """Sum up what calls cost, as a table with bars.

    A call with several tags counts under each; the total counts it once.
    """
    answer = ask(target, lambda client: client.spend(by, since, until, q, limit))
    if as_json:
        emit(answer.raw)
        return
    groups = [] if by == "none" else by.split(",")
    total, rest = answer.value.total, answer.value.rest
    rows = (*answer.value.rows, rest) if rest else answer.value.rows
    print_table(spend_columns(groups, answer.value), rows if groups else (), total)
    note_gaps(answer.raw)
    if said := span_text(answer.value, groups):
        note(said)
    if total.unpriced_calls:
        # To be pasted into a shell as it stands, whatever is in the filter.
        see = shlex.join(unpriced(answer.value, q))
        note(f"Calls whose price is unknown are in no sum: {total.unpriced_calls:,}. See them: {see}")


def span_text(spend: Spend, groups: list[str]) -> str:
    """Which time was meant, and by whose clocks; nothing where that is all time."""
    bounds = [
        f"{word} {moment(at, 'auto')}" for word, at in (("from", spend.since), ("until", spend.until)) if at
    ]
    begun = [f"Calls begun {' '.join(bounds)}."] if bounds else []
    zone = [f"Days and hours are those of {spend.timezone}."] if {"day", "hour"} & set(groups) else []
    return " ".join([*begun, *zone])


def unpriced(spend: Spend, q: str | None) -> list[str]:
    """The command that lists exactly those of the summed calls."""
    bounds = (("--since", spend.since), ("--until", spend.until))
    given = [word for name, at in bounds if at for word in (name, moment(at, "auto"))]
    return ["gatekeeper", "calls", "list", "--query", f"{q or ''} {UNPRICED}".strip(), *given]


def spend_columns(groups: list[str], spend: Spend) -> list[Column[SpendRow]]:
    """The groups, then what they come to. Bars are against the dearest row."""
    total = spend.total
    dearest = max((row.spent for row in spend.rows), default=Decimal(0))

    def name(group: str, number: int) -> Column[SpendRow]:
        def cell(row: SpendRow) -> Cell:
            if row is total:
                return ("total" if number == 0 else ""), Tone.PLAIN
            if isinstance(row, SpendRest):
                return (f"… {row.rows:,} more rows" if number == 0 else ""), Tone.LIMIT
            return group_cell(row, group)

        return Column(group, 0, cell)

    def bar(row: SpendRow) -> Cell:
        # The total and the rest have none: beside them the others would not be seen.
        one = row is not total and not isinstance(row, SpendRest)
        return (formats.bar(formats.share(row.spent, dearest), BAR) if one else ""), Tone.ACCENT

    return [
        *(name(group, number) for number, group in enumerate(groups)),
        Column("cost", 0, spent_cell, right=True),
        Column("", 0, bar),
        Column("share", 0, lambda row: share_cell(row, total.cost_usd), right=True),
        *NUMBERS,
    ]


def group_cell(row: SpendRow, group: str) -> Cell:
    value: str | None = getattr(row, group)
    return (f"no {group}", Tone.FAINT) if value is None else (value, Tone.PLAIN)


def count_cell(number: int, tone: Tone) -> Cell:
    return formats.count(number), tone if number else Tone.FAINT


NUMBERS: tuple[Column[SpendRow], ...] = (
    Column("calls", 0, lambda row: count_cell(row.calls, Tone.PLAIN), right=True),
    Column("errors", 0, lambda row: count_cell(row.errors, Tone.ERROR), right=True),
    Column("in", 0, lambda row: (formats.tokens(row.prompt_tokens), Tone.PLAIN), right=True),
    Column("cached", 0, lambda row: (formats.tokens(row.cached_tokens), Tone.PLAIN), right=True),
    Column("out", 0, lambda row: (formats.tokens(row.output_tokens), Tone.PLAIN), right=True),
    Column("unpriced", 0, lambda row: count_cell(row.unpriced_calls, Tone.LIMIT), right=True),
)


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
        from gatekeeper.cli.processes import run_with_file

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
