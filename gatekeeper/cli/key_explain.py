"""`gatekeeper keys explain`: whether a call would be admitted now, and why not."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

import click

from gatekeeper.cli import live_values
from gatekeeper.cli.conventions import (
    ExitStatus,
    Target,
    examples,
    gateway_options,
    json_option,
)
from gatekeeper.cli.key_fields import json_value, words
from gatekeeper.cli.known_names import call_named
from gatekeeper.cli.output import print_fields, print_json, print_table
from gatekeeper.cli.table_layout import TableColumn
from gatekeeper.client import formats
from gatekeeper.client.columns import Column, TextRole
from gatekeeper.client.formats import timestamp
from gatekeeper.client.key_types import Explanation, LimitLeft


@click.command(
    "explain",
    epilog=examples("keys explain ci --model gemini-2.5-pro --max-output-tokens 8192 --input-tokens 200000"),
)
@click.argument("name", shell_complete=live_values.of(live_values.key_names))
@click.option(
    "--model",
    "-m",
    metavar="MODEL",
    help="The model that would be called.",
    shell_complete=live_values.of(live_values.model_names),
)
@click.option("--action", metavar="ACTION", help="What would be called; without it generateContent.")
@click.option("--path", metavar="PATH", help="Instead of both: the path after /gemini.")
@click.option("--max-output-tokens", type=int, metavar="N", help="The limit that the request would name.")
@click.option("--input-tokens", type=int, metavar="N", help="How long the prompt is.")
@click.option("--body", metavar="JSON", help="Instead of these two: the whole request.")
@click.option("--tags", metavar="A,B", help="Tags of the call.")
@click.option("--user", "user_id", metavar="NAME", help="Its end user.")
@click.option("--address", metavar="IP", help="The address that it would come from.")
@json_option
@gateway_options
@click.pass_context
def explain(
    context: click.Context,
    target: Target,
    name: str,
    tags: str | None,
    body: str | None,
    as_json: bool,
    **given: str | int | None,
) -> None:
    """Check whether a call with this key would be admitted now, and if not, why.

    By the rules of a real call; nothing is sent or counted. The exit status is 7 if it would be refused.
    """
    call = {field: value for field, value in given.items() if value is not None}
    lists = {"tags": words(tags)} if tags else {}
    whole = {} if body is None else {"body": json_value(body)}
    question = {"key": name, **call, **lists, **whole}
    response = call_named(target, "key", [name], lambda client: client.key_explain(question))
    if as_json:
        print_json(response.raw)
    else:
        print_fields(facts(response.value))
        if response.value.left:
            print()
            print_table(COLUMNS, response.value.left)
    context.exit(ExitStatus.OK if response.value.admitted else ExitStatus.CHECK_FAILED)


def facts(explained: Explanation) -> Iterator[tuple[str, str | None]]:
    """Names and values."""
    yield "call", " ".join(filter(None, (explained.action, explained.model)))
    if explained.refusal is None:
        yield (
            "admitted",
            "yes, after waiting for calls in flight to release their part of the budget"
            if explained.waits
            else "yes",
        )
    else:
        error = explained.refusal.error
        yield "admitted", f"no: {error.code} {error.reason}"
        yield "why", error.message
        yield "wait", error.retry_delay
    yield "reserves", None if explained.reserves is None else formats.money(explained.reserves)


def _amount(value: str | int) -> str:
    return formats.count(value) if isinstance(value, int) else formats.round_money(Decimal(value))


def _resets(left: LimitLeft) -> str:
    return timestamp(left.resets_at) if left.resets_at else ""


COLUMNS: tuple[Column[LimitLeft], ...] = (
    Column("whose", 20, lambda left: (left.whose, TextRole.PLAIN)),
    Column("limit", 0, lambda left: (left.limit, TextRole.PLAIN)),
    Column("of", 0, lambda left: (_amount(left.value), TextRole.PLAIN), right=True),
    TableColumn("used", 0, lambda left: (_amount(left.used), TextRole.PLAIN), right=True, drop=3),
    Column("left", 0, lambda left: (_amount(left.left), TextRole.PLAIN), right=True),
    TableColumn("resets", 0, lambda left: (_resets(left), TextRole.DIM), drop=2),
)
