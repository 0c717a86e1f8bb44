"""`gatekeeper calls`: the calls of the ledger, live, searched, one whole, or all into a file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import click

from gatekeeper.cli.gateway import Target, ask, on_gateway
from gatekeeper.cli.help import InOrder, examples
from gatekeeper.cli.output import emit, json_option, moment, note, note_gaps, print_cells, print_table, width
from gatekeeper.client import list_columns
from gatekeeper.client.api_types import Call
from gatekeeper.client.call_text import call_state, call_text
from gatekeeper.client.formats import Cell, Column, Tone, local_now

T = TypeVar("T")

FORMATS = ("csv", "ndjson", "parquet")
TEXT_WIDTH = 100
ERROR_WIDTH = 80  # characters of an error in a list; `calls show` has it whole


def which_calls(command: Callable[..., T]) -> Callable[..., T]:
    """Adds `--query`, `--since` and `--until`."""
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
def command() -> None:
    """Follow, search, show and export calls."""


@command.command("tail", epilog=examples("calls tail --query 'tag:team-a -outcome:ok'", "calls tail --json"))
@query_option
@click.option("--json", "as_json", is_flag=True, help="Print each call as one line of JSON.")
@on_gateway
def tail(target: Target, q: str | None, as_json: bool) -> None:
    """Print each call as it ends, until ctrl+c.

    A connection that breaks is made again, and goes on where it broke.
    """
    from gatekeeper.cli.tail import Tail, printed_as_json, printed_as_line
    from gatekeeper.client.admin_api import follow

    # Titles are printed only when the gateway's address is known to be one: hence within.
    ask(
        target,
        lambda client: follow(client, q, Tail(printed_as_json if as_json else printed_as_line(width()))),
    )


@command.command("list", epilog=examples("calls list --query model:gemini-2.5-pro --since 1h"))
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


@command.command("show", epilog=examples("calls show 019ab8a0-5c1f-7cc3-9a52-0d8f3f1f2b11"))
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


@command.command("export", epilog=examples("calls export --since 30d --out calls.parquet"))
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
    name = (call.reason or "").removeprefix("GATEKEEPER_")
    text = ": ".join(part for part in (name, call.error_message) if part)
    return text if len(text) <= ERROR_WIDTH else text[: ERROR_WIDTH - 1] + "…", Tone.ERROR


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
