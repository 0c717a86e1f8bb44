"""`gatekeeper spend`: sums by one or two groups, with a bar for each."""

from __future__ import annotations

import shlex
from decimal import Decimal

import click

from gatekeeper.cli.calls import which_calls
from gatekeeper.cli.conventions import Target, ask, examples, json_option, on_gateway
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
    print_table(columns(groups, answer.value), rows if groups else (), total)
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


def columns(groups: list[str], spend: Spend) -> list[Column[SpendRow]]:
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
