"""`gatekeeper calls`: calls of the ledger, followed live, listed, shown in detail, or exported to a file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import click
import msgspec

from gatekeeper.cli.conventions import (
    OneOf,
    OrderedGroup,
    Target,
    call_api,
    examples,
    gateway_options,
    json_option,
)
from gatekeeper.cli.output import (
    note_partial,
    print_cells,
    print_json,
    print_note,
    print_table,
    width,
)
from gatekeeper.client import call_columns
from gatekeeper.client.api_errors import ApiError, ServerError, Unreachable
from gatekeeper.client.api_types import Call
from gatekeeper.client.call_text import call_state, call_text
from gatekeeper.client.formats import Cell, Column, TextRole, cells, column_widths, header_row, local_now
from gatekeeper.client.moments import moment
from gatekeeper.client.reasons import cause
from gatekeeper.client.stream_events import CallFinished, StreamEvent, StreamGap

T = TypeVar("T")

FORMATS = ("csv", "ndjson", "parquet")
Print = Callable[[CallFinished], None]

TEXT_WIDTH = 100
# Characters of an error in a list; `calls show` prints all of it.
ERROR_WIDTH = 80


def call_filter_options(command: Callable[..., T]) -> Callable[..., T]:
    """Adds `--query`, `--since` and `--until`."""
    # click lists the option that is added last first: hence in reverse order.
    for option in (
        click.option(
            "--until",
            metavar="TIME",
            help="Only calls started before TIME; without an offset in the gateway's time zone.",
        ),
        click.option(
            "--since",
            metavar="TIME",
            help="Only calls started at or after TIME: 1h, 2026-11-24, or as printed.",
        ),
        query_option,
    ):
        command = option(command)
    return command


query_option = click.option(
    "--query",
    "-q",
    "q",
    metavar="FILTER",
    help="A filter: 'model:gemini-2.5* status:4xx -tag:ci cost:>0.01'.",
)


@click.group("calls", cls=OrderedGroup, epilog=examples("calls tail --query status:>=400"))
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
    from gatekeeper.client.admin_api import follow

    # Column titles are printed only once the connection is open: hence inside the call.
    call_api(
        target,
        lambda client: follow(client, q, Tail(print_call_json if as_json else call_line_printer(width()))),
    )


@calls.command("list", epilog=examples("calls list --query model:gemini-2.5-pro --since 1h"))
@call_filter_options
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True, help="Calls at most.")
@click.option("--cursor", metavar="CURSOR", help="Continue after the page that printed this cursor.")
@json_option
@gateway_options
def list_calls(
    target: Target,
    q: str | None,
    since: str | None,
    until: str | None,
    limit: int,
    cursor: str | None,
    as_json: bool,
) -> None:
    """List finished calls, the newest first."""
    response = call_api(target, lambda client: client.calls(q, since, until, limit, cursor))
    if as_json:
        print_json(response.raw)
        return
    print_table(COLUMNS, response.value.calls)
    note_partial(response.raw)
    if response.value.next_cursor:
        print_note(f"There are more: --cursor {response.value.next_cursor}")


@calls.command("show", epilog=examples("calls show 019ab8a0-5c1f-7cc3-9a52-0d8f3f1f2b11"))
@click.argument("id")
@json_option
@gateway_options
def show(target: Target, id: str, as_json: bool) -> None:  # noqa: A002 - the API's name
    """Show all that is known of a call, with the arithmetic of its cost.

    ID is the value of the response header x-gatekeeper-call-id.
    """
    response = call_api(target, lambda client: client.call(id))
    if as_json:
        print_json(response.raw)
        return
    for line in call_text(response.value, min(width(), TEXT_WIDTH), local_now(), moment):
        print_cells(line)
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
    """Write all finished calls, the newest first, as a file for other programs.

    The columns are those of the analytics file.
    """
    from gatekeeper.cli.export import ExportFilter, export_calls

    # The extension of FILE decides the format, unless --format is given.
    extension = out.suffix.removeprefix(".")
    file_format = file_format or (extension if extension in FORMATS else "ndjson")
    written = export_calls(target, ExportFilter(q, since, until), file_format, out)
    print_note(f"{written:,} calls")


def started_cell(call: Call) -> Cell:
    return moment(call.started_at, "seconds"), TextRole.DIM


def state_cell(call: Call) -> Cell:
    state = call_state(call, local_now())
    return str(state), state.role


def tags_cell(call: Call) -> Cell:
    """Also of a failed call: the reason has a column of its own here, unlike on a screen."""
    return " ".join(call.tags or ()), TextRole.DIM


def error_cell(call: Call) -> Cell:
    """Why it failed, in words, then the sentence."""
    known = cause(call)
    text = ": ".join(part for part in (known.words if known else "", call.error_message) if part)
    return text if len(text) <= ERROR_WIDTH else text[: ERROR_WIDTH - 1] + "…", TextRole.ERROR


# Widths are 0: a table is printed when all rows are known, each column as wide as its widest cell.
COLUMNS: tuple[Column[Call], ...] = (
    Column("started", 0, started_cell),
    Column("id", 0, lambda call: (call.id, TextRole.PLAIN)),
    Column("key", 0, call_columns.key_cell),
    Column("model", 0, call_columns.model_cell),
    Column("action", 0, call_columns.action_cell),
    Column("status", 0, state_cell),
    call_columns.TOTAL,
    call_columns.IN,
    call_columns.CACHED,
    call_columns.OUT,
    call_columns.COST,
    Column("tags", 0, tags_cell),
    Column("error", 0, error_cell),
)


class Tail:
    """Prints each call as it ends; gaps and changes of the connection are reported on stderr."""

    def __init__(self, show: Print) -> None:
        self._show = show
        self._was_connected = False

    def connected(self) -> None:
        if self._was_connected:
            print_note("Reconnected.")
        self._was_connected = True

    def received(self, event: StreamEvent) -> None:
        match event:
            case CallFinished():
                self._show(event)
            case StreamGap():
                print_note(f"{gap_text(event.value.missed)}: `gatekeeper calls list` has their calls.")
            case _:
                pass

    def disconnected(self, error: ApiError, wait: float) -> None:
        """Raises the error where a retry cannot help, and where the very first connection failed."""
        # A wrong key, name or filter stays wrong, however often the request is repeated.
        if not self._was_connected or not isinstance(error, Unreachable | ServerError):
            raise error
        print_note(f"{error} Retrying in {wait:g} s.")


def gap_text(missed: int | None) -> str:
    if missed is None:
        return "The gateway was restarted; calls that ended meanwhile are missing here"
    return f"{missed:,} events were missed here"


def print_call_json(event: CallFinished) -> None:
    """On one line: what Google sent may contain newlines between its members."""
    print_json(msgspec.json.format(event.raw.encode(), indent=-1))


def call_line_printer(width: int) -> Print:
    """A printer of the columns that fit into `width` cells, after it has printed their titles."""
    _, *others = call_columns.call_columns(width - STARTED.width, local_now)
    columns = [STARTED, *others]
    widths = column_widths(columns, width)
    print_cells([(header_row(columns, widths), TextRole.DIM)])

    def show(event: CallFinished) -> None:
        call: Call = event.value
        print_cells(cells(columns, widths, call))

    return show


# Wide enough for a date, a time to the second and a zone.
STARTED: Column[Call] = Column("started", 25, lambda call: (moment(call.started_at, "seconds"), TextRole.DIM))
