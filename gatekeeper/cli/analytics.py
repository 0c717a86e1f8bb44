"""Queries of the analytics file: `gatekeeper spend` sums calls by groups, `gatekeeper sql` takes SQL.

Both ask a gateway; without one, `sql` reads the file itself.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import click
import msgspec
from click.core import ParameterSource

from gatekeeper.cli.calls import call_filter_options
from gatekeeper.cli.conventions import (
    CommandError,
    ExitStatus,
    Target,
    call_api,
    examples,
    gateway_options,
    json_option,
    load_settings,
    setting_flags,
)
from gatekeeper.cli.output import moment, note_partial, print_json, print_note, print_table, print_warning
from gatekeeper.client import formats
from gatekeeper.client.formats import Cell, Column, TextRole
from gatekeeper.client.list_columns import share_cell, spent_cell
from gatekeeper.client.spend_types import UNPRICED, Spend, SpendRest, SpendRow, unpriced_text

BAR_WIDTH = 20


@click.command(
    "spend",
    epilog=examples(
        "spend --by tag --since 30d",
        "spend --by day,model --query tag:team-a --json",
        "spend --reconcile 'Reports, 2026-11.csv'",
    ),
)
@click.option(
    "--by",
    default="tag",
    show_default=True,
    metavar="GROUP[,GROUP]",
    help="One or two of tag, model, key, user, day, hour.",
)
@call_filter_options
@click.option("--limit", type=click.IntRange(1, 1000), default=1000, show_default=True, help="Rows at most.")
@click.option(
    "--reconcile",
    "bill",
    type=click.Path(path_type=Path),
    metavar="EXPORT.csv",
    help="Compare with Google's bill: a CSV of Cloud Billing (report, cost table or BigQuery export).",
)
@json_option
@gateway_options
def spend(
    target: Target,
    by: str,
    q: str | None,
    since: str | None,
    until: str | None,
    limit: int,
    as_json: bool,
    bill: Path | None,
) -> None:
    """Sum up what calls cost, as a table with bars.

    A call with several tags counts under each; the total counts it once.
    """
    if bill is not None:
        from gatekeeper.cli.reconcile import reconcile

        refuse_beside_reconcile("by", "since", "until", "limit")
        reconcile(target, bill, q, as_json)
        return
    response = call_api(target, lambda client: client.spend(by, since, until, q, limit))
    if as_json:
        print_json(response.raw)
        return
    groups = [] if by == "none" else by.split(",")
    total, rest = response.value.total, response.value.rest
    rows = (*response.value.rows, rest) if rest else response.value.rows
    print_table(spend_columns(groups, response.value), rows if groups else (), total)
    note_partial(response.raw)
    if said := span_text(response.value, groups):
        print_note(said)
    if told := unpriced_text(response.value):
        # Quoted, so that it can be pasted into a shell whatever the filter contains.
        see = shlex.join(unpriced(response.value, q))
        print_warning(f"{told}. The sums leave them out. See them: {see}")


def refuse_beside_reconcile(*names: str) -> None:
    """The export says which days and groups are compared. Raises UsageError."""
    context = click.get_current_context()
    for name in names:
        if context.get_parameter_source(name) is not ParameterSource.DEFAULT:
            raise click.UsageError(f"--{name} has no effect with --reconcile: leave it out", context)


def span_text(spend: Spend, groups: list[str]) -> str:
    """The time range of the sums and its zone; empty where that is all time."""
    bounds = [
        f"{word} {moment(at, 'auto')}" for word, at in (("from", spend.since), ("until", spend.until)) if at
    ]
    begun = [f"Calls started {' '.join(bounds)}."] if bounds else []
    zone = [f"Days and hours are those of {spend.timezone}."] if {"day", "hour"} & set(groups) else []
    return " ".join([*begun, *zone])


def unpriced(spend: Spend, q: str | None) -> list[str]:
    """The command that lists the summed calls without a known price."""
    bounds = (("--since", spend.since), ("--until", spend.until))
    given = [word for name, at in bounds if at for word in (name, moment(at, "auto"))]
    return ["gatekeeper", "calls", "list", "--query", f"{q or ''} {UNPRICED}".strip(), *given]


def spend_columns(groups: list[str], spend: Spend) -> list[Column[SpendRow]]:
    """The groups, then their sums. Bars are relative to the most expensive row."""
    total = spend.total
    highest = max((row.spent for row in spend.rows), default=Decimal(0))

    def name(group: str, number: int) -> Column[SpendRow]:
        def cell(row: SpendRow) -> Cell:
            if row is total:
                return ("total" if number == 0 else ""), TextRole.PLAIN
            if isinstance(row, SpendRest):
                return (f"… {row.rows:,} more rows" if number == 0 else ""), TextRole.WARNING
            return group_cell(row, group)

        return Column(group, 0, cell)

    def bar(row: SpendRow) -> Cell:
        # The total and the rest have none: next to them the other bars would be too short to see.
        one = row is not total and not isinstance(row, SpendRest)
        return (formats.bar(formats.share(row.spent, highest), BAR_WIDTH) if one else ""), TextRole.ACCENT

    return [
        *(name(group, number) for number, group in enumerate(groups)),
        Column("cost", 0, spent_cell, right=True),
        Column("", 0, bar),
        Column("share", 0, lambda row: share_cell(row, total.cost_usd), right=True),
        *NUMBERS,
    ]


def group_cell(row: SpendRow, group: str) -> Cell:
    value: str | None = getattr(row, group)
    return (f"no {group}", TextRole.DIM) if value is None else (value, TextRole.PLAIN)


def count_cell(number: int, role: TextRole) -> Cell:
    return formats.count(number), role if number else TextRole.DIM


NUMBERS: tuple[Column[SpendRow], ...] = (
    Column("calls", 0, lambda row: count_cell(row.calls, TextRole.PLAIN), right=True),
    Column("errors", 0, lambda row: count_cell(row.errors, TextRole.ERROR), right=True),
    Column("in", 0, lambda row: (formats.tokens(row.prompt_tokens), TextRole.PLAIN), right=True),
    Column("cached", 0, lambda row: (formats.tokens(row.cached_tokens), TextRole.PLAIN), right=True),
    Column("out", 0, lambda row: (formats.tokens(row.output_tokens), TextRole.PLAIN), right=True),
    Column("unpriced", 0, lambda row: count_cell(row.unpriced_calls, TextRole.WARNING), right=True),
)


# Time limit of a query on the file itself, in seconds; a gateway has its own limit.
QUERY_SECONDS = 300.0
# DuckDB's names of the types whose values are right-aligned.
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
@click.option("--limit", type=click.IntRange(1, 1000), default=1000, show_default=True, help="Rows at most.")
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
    """Ask the table calls of the analytics file in SQL, read-only.

    The gateway at --url answers. If there is none, the file in --data is read.
    """
    # Exactly one of the two is required.
    if (query is None) == (program is None):
        raise click.UsageError("Give either a SELECT or --exec PROGRAM", click.get_current_context())

    def fallback(error: CommandError) -> Path:
        from gatekeeper.data_dir import ANALYTICS_FILE

        return fallback_file(error, load_settings({"data": data}, config).data / ANALYTICS_FILE)

    if program is not None:
        from gatekeeper.cli.processes import run_with_file

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
    result = msgspec.json.decode(document, type=Rows)
    print_table([column(result, number) for number in range(len(result.columns))], result.rows)
    note_partial(document)
    if result.truncated:
        print_note(f"There are more than these {len(result.rows):,} rows.")


def column(result: Rows, number: int) -> Column[list[object]]:
    right = bool(NUMBER.match(result.types[number]))
    return Column(result.columns[number], 0, lambda row: cell(row[number]), right=right)


def cell(value: object) -> Cell:
    """Text unchanged, None as NULL, everything else as JSON."""
    if value is None:
        return "NULL", TextRole.DIM
    return (value if isinstance(value, str) else msgspec.json.encode(value).decode()), TextRole.PLAIN
