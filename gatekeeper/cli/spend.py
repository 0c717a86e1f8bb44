"""`gatekeeper spend`: the sums of calls by groups, and Google's bill beside the ledger."""

from __future__ import annotations

import shlex
from pathlib import Path

import click
from click.core import ParameterSource

from gatekeeper.cli import live_values
from gatekeeper.cli.call_filter import CallFilter, call_filter_options, explain_no_calls
from gatekeeper.cli.conventions import (
    Target,
    call_api,
    examples,
    gateway_options,
    json_option,
    limit_option,
    load_settings,
    setting_flags,
)
from gatekeeper.cli.output import note_partial, print_json, print_note, print_table, print_warning
from gatekeeper.cli.spend_table import spend_columns
from gatekeeper.client.formats import timestamp
from gatekeeper.client.spend import UNPRICED, Spend, unpriced_text

GROUPS = ("tag", "model", "key", "user", "day", "week", "hour", "minute")


@click.command(
    "spend",
    epilog=examples(
        "spend --by tag --since 30d",
        "spend --by key --since monday --compare",
        "spend --by day,model --query tag:team-a --json",
        "spend --reconcile 'Reports, 2026-11.csv'",
    ),
)
@click.option(
    "--by",
    default="tag",
    show_default=True,
    metavar="GROUP[,GROUP]",
    shell_complete=live_values.list_of(live_values.words(*GROUPS)),
    help=f"One or two of {', '.join(GROUPS)}.",
)
@call_filter_options
@limit_option(1000, "Rows")
@click.option(
    "--compare",
    is_flag=True,
    help="Beside the period before --since; after --since monday beside the same days of last week.",
)
@click.option(
    "--reconcile",
    "bill",
    type=click.Path(path_type=Path),
    metavar="EXPORT.csv",
    help="Compare with Google's bill: a CSV of Cloud Billing (report, cost table or BigQuery export).",
)
@json_option
@setting_flags("data", "prices")
@gateway_options
def spend(
    target: Target,
    by: str,
    q: str | None,
    since: str | None,
    until: str | None,
    limit: int,
    compare: bool,
    as_json: bool,
    bill: Path | None,
    config: Path | None,
    data: str | None,
    prices: str | None,
) -> None:
    """Sum up what calls cost, as a table with bars.

    A call with several tags counts under each; the total counts it once.

    --compare --json prints both of the API's documents, as `current` and `before`.

    --reconcile also takes your own prices: the file --prices, else prices.toml in the folder --data.
    """
    if bill is not None:
        from gatekeeper.cli.reconcile import reconcile

        refuse_options("with --reconcile", "by", "since", "until", "limit", "compare")
        reconcile(
            target, bill, load_settings({"data": data, "prices": prices}, config).own_prices, q, as_json
        )
        return
    refuse_options("without --reconcile", "data", "prices", "config")
    wanted = CallFilter(q, since, until)
    if compare:
        from gatekeeper.cli.spend_compare import print_comparison

        print_comparison(target, by, wanted, limit, as_json=as_json)
        return
    response = call_api(target, lambda client: client.spend(by, since, until, q, limit), q=q)
    if as_json:
        print_json(response.raw)
        return
    groups = [] if by == "none" else by.split(",")
    total, rest = response.value.total, response.value.rest
    rows = (*response.value.rows, rest) if rest else response.value.rows
    if not (total.calls or total.spent or total.unpriced_calls or response.value.partial):
        print_note(call_api(target, lambda client: explain_no_calls(client, wanted)))
        return
    print_table(spend_columns(groups, response.value), rows if groups else (), total)
    note_partial(response.raw)
    if said := span_text(response.value, groups):
        print_note(said)
    if told := unpriced_text(response.value):
        # Quoted, so that it can be pasted into a shell whatever the filter contains.
        see = shlex.join(unpriced(response.value, q))
        print_warning(f"{told}. The sums leave them out. See them: {see}")


def refuse_options(where: str, *names: str) -> None:
    """An export says which days and groups are compared; sums need no prices. Raises UsageError."""
    context = click.get_current_context()
    for name in names:
        if context.get_parameter_source(name) is not ParameterSource.DEFAULT:
            raise click.UsageError(f"--{name} has no effect {where}: leave it out", context)


def span_text(spend: Spend, groups: list[str]) -> str:
    """The time range of the sums and its zone; empty where that is all time."""
    bounds = [
        f"{word} {timestamp(at, 'auto')}"
        for word, at in (("from", spend.since), ("until", spend.until))
        if at
    ]
    begun = [f"Calls started {' '.join(bounds)}."] if bounds else []
    of_zone = {"day", "week", "hour", "minute"} & set(groups)
    zone = [f"Days and hours are those of {spend.timezone}."] if of_zone else []
    return " ".join([*begun, *zone])


def unpriced(spend: Spend, q: str | None) -> list[str]:
    """The command that lists the summed calls without a known price."""
    bounds = (("--since", spend.since), ("--until", spend.until))
    given = [word for name, at in bounds if at for word in (name, timestamp(at, "auto"))]
    known = (q or "").split()
    wanted = " ".join(filter(None, (q, None if UNPRICED in known else UNPRICED)))
    return ["gatekeeper", "calls", "list", "--query", wanted, *given]
