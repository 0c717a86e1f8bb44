"""`gatekeeper calls`: the calls of the ledger, live, searched, one whole, or all into a file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import click
import msgspec

from gatekeeper.cli.conventions import InOrder, Target, ask, examples, json_option, on_gateway
from gatekeeper.cli.output import emit, moment, note, note_gaps, print_cells, print_table, width
from gatekeeper.client import list_columns
from gatekeeper.client.api_errors import ApiError, Faulty, Unreachable
from gatekeeper.client.api_types import Call, CallFinished, StreamEvent, StreamGap
from gatekeeper.client.call_text import call_state, call_text
from gatekeeper.client.formats import Cell, Column, Tone, cells, fit, heads, local_now
from gatekeeper.client.list_columns import call_columns

T = TypeVar("T")

FORMATS = ("csv", "ndjson", "parquet")
Print = Callable[[CallFinished], None]

TEXT_WIDTH = 100
# Characters of an error in a list; `calls show` has it whole.
ERROR_WIDTH = 80


def which_calls(command: Callable[..., T]) -> Callable[..., T]:
    """Adds `--query`, `--since` and `--until`."""
    # click shows the option that is added last on top: hence from the last to the first.
    for option in (
        click.option(
            "--until",
            metavar="TIME",
            help="Begun before; without a zone by the gateway's clocks.",
        ),
        click.option("--since", metavar="TIME", help="Begun at or after: 1h, 2026-11-24, or as printed."),
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


@click.group("calls", cls=InOrder, epilog=examples("calls tail --query status:>=400"))
def calls() -> None:
    """Follow, search, show and export calls."""


@calls.command("tail", epilog=examples("calls tail --query 'tag:team-a -outcome:ok'", "calls tail --json"))
@query_option
@click.option("--json", "as_json", is_flag=True, help="Print each call as one line of JSON.")
@on_gateway
def tail(target: Target, q: str | None, as_json: bool) -> None:
    """Print each call as it ends, until ctrl+c.

    A connection that breaks is made again, and goes on where it broke.
    """
    from gatekeeper.client.admin_api import follow

    # Titles are printed only when the gateway's address is known to be one: hence within.
    ask(
        target,
        lambda client: follow(client, q, Tail(printed_as_json if as_json else printed_as_line(width()))),
    )


@calls.command("list", epilog=examples("calls list --query model:gemini-2.5-pro --since 1h"))
@which_calls
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True, help="Calls at most.")
@click.option("--cursor", metavar="CURSOR", help="Go on where a list said that there are more.")
@json_option
@on_gateway
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
    answer = ask(target, lambda client: client.calls(q, since, until, limit, cursor))
    if as_json:
        emit(answer.raw)
        return
    print_table(COLUMNS, answer.value.calls)
    note_gaps(answer.raw)
    if answer.value.next_cursor:
        note(f"There are more: --cursor {answer.value.next_cursor}")


@calls.command("show", epilog=examples("calls show 019ab8a0-5c1f-7cc3-9a52-0d8f3f1f2b11"))
@click.argument("id")
@json_option
@on_gateway
def show(target: Target, id: str, as_json: bool) -> None:  # noqa: A002 - the contract's name
    """Show all that is known of a call, with the arithmetic of its cost.

    ID is what the answer's header x-gatekeeper-call-id says.
    """
    answer = ask(target, lambda client: client.call(id))
    if as_json:
        emit(answer.raw)
        return
    for line in call_text(answer.value, min(width(), TEXT_WIDTH), local_now(), moment):
        print_cells(line)
    if answer.value.usage is not None:
        import json

        print_cells([("  usage as received", Tone.FAINT)])
        for text in json.dumps(answer.value.usage, indent=2, ensure_ascii=False).splitlines():
            print_cells([(f"  {text}", Tone.PLAIN)])


@calls.command("export", epilog=examples("calls export --since 30d --out calls.parquet"))
@which_calls
@click.option("--format", "form", type=click.Choice(FORMATS), help="Else by the ending of FILE, else ndjson.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, allow_dash=True),
    default="-",
    metavar="FILE",
    help="Where to; - is stdout.",
)
@on_gateway
def export(
    target: Target, q: str | None, since: str | None, until: str | None, form: str | None, out: Path
) -> None:
    """Write all finished calls, the newest first, as a file for other programs.

    The columns are those of the analytics file.
    """
    from gatekeeper.cli.export import Question, export_calls

    # What FILE ends in says its form, unless somebody says another.
    ending = out.suffix.removeprefix(".")
    form = form or (ending if ending in FORMATS else "ndjson")
    written = export_calls(target, Question(q, since, until), form, out)
    note(f"{written:,} calls")


def started_cell(call: Call) -> Cell:
    return moment(call.started_at, "seconds"), Tone.FAINT


def state_cell(call: Call) -> Cell:
    state = call_state(call, local_now())
    return str(state), state.tone


def tags_cell(call: Call) -> Cell:
    """Of a call that failed too: unlike on a screen, nothing else stands here in their place."""
    return " ".join(call.tags or ()), Tone.FAINT


def error_cell(call: Call) -> Cell:
    """The reason's name, then the sentence."""
    # Each reason has it in front: the name says more without.
    name = (call.reason or "").removeprefix("GATEKEEPER_")
    text = ": ".join(part for part in (name, call.error_message) if part)
    return text if len(text) <= ERROR_WIDTH else text[: ERROR_WIDTH - 1] + "…", Tone.ERROR


# No widths: a table is printed when all its rows are known, each column as wide as its widest cell.
COLUMNS: tuple[Column[Call], ...] = (
    Column("started", 0, started_cell),
    Column("id", 0, lambda call: (call.id, Tone.PLAIN)),
    Column("key", 0, list_columns.key_cell),
    Column("model", 0, list_columns.model_cell),
    Column("action", 0, list_columns.action_cell),
    Column("status", 0, state_cell),
    list_columns.TOTAL,
    list_columns.IN,
    list_columns.CACHED,
    list_columns.OUT,
    list_columns.COST,
    Column("tags", 0, tags_cell),
    Column("error", 0, error_cell),
)


class Tail:
    """Shows each call as it ends. What was missed in between, and what the link does, is told on stderr."""

    def __init__(self, show: Print) -> None:
        self._show = show
        self._was_connected = False

    def connected(self) -> None:
        if self._was_connected:
            note("Connected again.")
        self._was_connected = True

    def arrived(self, event: StreamEvent) -> None:
        match event:
            case CallFinished():
                self._show(event)
            case StreamGap():
                note(f"{gap_text(event.value.missed)}: `gatekeeper calls list` has their calls.")
            case _:
                pass

    def lost(self, error: ApiError, wait: float) -> None:
        """Raises the error where no new try would help, and where the very first connection failed."""
        # A key, a name or a filter that is wrong stays wrong, however often one asks.
        if not self._was_connected or not isinstance(error, Unreachable | Faulty):
            raise error
        note(f"{error} Next try in {wait:g} s.")


def gap_text(missed: int | None) -> str:
    if missed is None:
        return "The gateway was started anew, and what ended in between is missing here"
    return f"{missed:,} events were missed here"


def printed_as_json(event: CallFinished) -> None:
    """One line: what Google sent may have line ends between its members."""
    emit(msgspec.json.format(event.raw.encode(), indent=-1))


def printed_as_line(width: int) -> Print:
    """Prints the columns that fit into `width` cells, with their titles above the first."""
    _, *others = call_columns(width - STARTED.width, local_now)
    columns = [STARTED, *others]
    widths = fit(columns, width)
    print_cells([(heads(columns, widths), Tone.FAINT)])

    def show(event: CallFinished) -> None:
        call: Call = event.value
        print_cells(cells(columns, widths, call))

    return show


# As wide as a date, a time to the second and a zone.
STARTED: Column[Call] = Column("started", 25, lambda call: (moment(call.started_at, "seconds"), Tone.FAINT))
