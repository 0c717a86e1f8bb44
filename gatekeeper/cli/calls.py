"""`gatekeeper calls`: calls of the ledger, followed live, listed, shown in detail, or exported to a file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec
from rich.cells import cell_len

from gatekeeper.cli import live_values
from gatekeeper.cli.call_filter import CallFilter, call_filter_options, explain_no_calls, query_option
from gatekeeper.cli.conventions import (
    OneOf,
    OrderedGroup,
    Target,
    call_api,
    examples,
    gateway_options,
    json_option,
    limit_option,
)
from gatekeeper.cli.output import (
    limited_width,
    note_partial,
    print_cells,
    print_json,
    print_note,
    print_table,
    print_wrapped,
    sanitized,
    width,
)
from gatekeeper.client import call_columns
from gatekeeper.client.call_text import call_text
from gatekeeper.client.call_types import Call, CallFinished
from gatekeeper.client.columns import MEDIUM, Cell, Column, TextRole, cells, column_widths, header_row
from gatekeeper.client.formats import local_now, timestamp

if TYPE_CHECKING:
    from gatekeeper.client.admin_api import Client

FORMATS = ("csv", "ndjson", "parquet")
Print = Callable[[CallFinished], None]

TEXT_WIDTH = 100


@click.group("calls", cls=OrderedGroup, epilog=examples("calls tail --query 'status:>=400'"))
def calls() -> None:
    """Follow, search, show and export calls."""


@calls.command("tail", epilog=examples("calls tail --query 'tag:team-a -outcome:ok'", "calls tail --json"))
@query_option
@click.option("--json", "as_json", is_flag=True, help="Print each call as one line of JSON.")
@gateway_options
def tail(target: Target, q: str | None, as_json: bool) -> None:
    """Print each call as it ends, until ctrl+c.

    Reconnect and resume after a lost connection.
    """
    from gatekeeper.cli.tail import Tail
    from gatekeeper.client.call_stream import listen

    async def run(client: Client) -> None:
        show, titles = (print_call_json, no_titles) if as_json else call_line_printer(width())
        listener = Tail(client, q, show, titles)
        try:
            await listen(client, q, listener)
        finally:
            await listener.caught_up()

    call_api(target, run, q=q)


@calls.command(
    "list",
    epilog=examples(
        "calls list --query model:gemini-2.5-pro --since yesterday",
        "calls list --sort=-cost --limit 10",
        "calls list --running",
    ),
)
@call_filter_options
@click.option(
    "--sort",
    metavar="COLUMN",
    help="By cost, duration, tokens, started or any other column; -COLUMN: from high to low.",
)
@click.option("--running", is_flag=True, help="The calls in flight, the newest first.")
@limit_option(50, "Calls")
@click.option("--cursor", metavar="CURSOR", help="Continue after the page that printed this cursor.")
@json_option
@gateway_options
def list_calls(
    target: Target,
    q: str | None,
    since: str | None,
    until: str | None,
    sort: str | None,
    running: bool,
    limit: int,
    cursor: str | None,
    as_json: bool,
) -> None:
    """List finished calls, the newest first, or those in flight."""
    if running and sort:
        raise click.UsageError("--running has its own order: leave --sort out", click.get_current_context())
    wanted = CallFilter(q, since, until)
    response = call_api(
        target, lambda client: client.calls(*wanted, limit, cursor, sort=sort, running=running), q=q
    )
    if as_json:
        print_json(response.raw)
        return
    from gatekeeper.cli.call_tables import IN_FLIGHT, sorted_table

    if response.value.calls:
        print_table(IN_FLIGHT if running else sorted_table(sort), response.value.calls)
    elif running:
        print_note(sanitized(f"No call is in flight{' that matches ' if any(wanted) else ''}{wanted}."))
    elif not response.value.partial:
        print_note(call_api(target, lambda client: explain_no_calls(client, wanted)))
    note_partial(response.raw)
    if response.value.next_cursor:
        print_note(f"There are more: --cursor {response.value.next_cursor}")


@calls.command("show", epilog=examples("calls show 019ab8a0-5c1f-7cc3-9a52-0d8f3f1f2b11"))
@click.argument("id", shell_complete=live_values.of(live_values.call_ids))
@json_option
@gateway_options
def show(target: Target, id: str, as_json: bool) -> None:  # noqa: A002 - the API's name
    """Show all details of a call, with the arithmetic of its cost.

    ID is the value of the response header x-gatekeeper-call-id.
    """
    response = call_api(target, lambda client: client.call(id))
    if as_json:
        print_json(response.raw)
        return
    for line in call_text(response.value, min(width(), TEXT_WIDTH), local_now(), timestamp):
        print_wrapped(line or [("", TextRole.PLAIN)])
    if response.value.usage is not None:
        import json

        print_cells([("  usage as received", TextRole.DIM)])
        for text in json.dumps(response.value.usage, indent=2, ensure_ascii=False).splitlines():
            print_cells([(f"  {text}", TextRole.PLAIN)])


@calls.command("export", epilog=examples("calls export --since 30d --out calls.parquet"))
@call_filter_options
@click.option(
    "--format",
    "file_format",
    type=OneOf(FORMATS),
    help="Default: by the extension of FILE, else ndjson.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, allow_dash=True),
    default="-",
    metavar="FILE",
    help="Output file; - is stdout.",
)
@gateway_options
def export(
    target: Target, q: str | None, since: str | None, until: str | None, file_format: str | None, out: Path
) -> None:
    """Write finished calls to a file for other programs.

    All that match, the newest first. The columns are those of the analytics file.
    """
    from gatekeeper.cli.export import export_calls

    # The extension of FILE decides the format, unless --format is given.
    extension = out.suffix.removeprefix(".")
    file_format = file_format or (extension if extension in FORMATS else "ndjson")
    wanted = CallFilter(q, since, until)
    written = export_calls(target, wanted, file_format, out)
    print_note(f"{written:,} calls")
    if not written:
        print_note(call_api(target, lambda client: explain_no_calls(client, wanted)))


def no_titles() -> None:
    """For JSON, which has no titles."""


def print_call_json(event: CallFinished) -> None:
    """On one line: what Google sent may contain newlines between its members."""
    print_json(msgspec.json.format(event.raw.encode(), indent=-1))


def call_line_printer(width: int) -> tuple[Print, Callable[[], None]]:
    """Functions that print a call in the columns that fit into `width` cells, and their titles."""
    columns = call_columns.call_columns(width, local_now)
    if width >= MEDIUM:
        _, *others = call_columns.call_columns(width - STARTED.width, local_now)
        columns = [STARTED, *others]
    widths = column_widths(columns, width)

    def titles() -> None:
        print_cells([(header_row(columns, widths), TextRole.DIM)])

    line = untruncated_cells if limited_width() is None else call_columns.call_cells

    def show(event: CallFinished) -> None:
        call: Call = event.value
        print_cells(line(columns, widths, call))

    return show, titles


def untruncated_cells(columns: Sequence[Column[Call]], widths: Sequence[int], call: Call) -> list[Cell]:
    """As `cells`, for a pipe: a text that is too long for its column is not cut."""
    uncut: list[Cell] = []
    for column, (padded, role), size in zip(columns, cells(columns, widths, call), widths, strict=True):
        text = sanitized(column.cell(call)[0])
        uncut.append((padded if cell_len(text) <= size else f"{text} ", role))
    return uncut


# Wide enough for a date, a time to the second and a zone.
STARTED: Column[Call] = Column(
    "started", 25, lambda call: (timestamp(call.started_at, "seconds"), TextRole.DIM)
)
