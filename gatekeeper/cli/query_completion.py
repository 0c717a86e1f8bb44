"""The completion of `--query`: the fields of the filter grammar, and their values."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import click

from gatekeeper.cli import live_values
from gatekeeper.cli.live_values import Source, Values, words

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

# The last term, and in it what stands before the value that is being typed.
LAST_TERM = re.compile(
    r"(?P<before>.*\s)?(?P<minus>-?)(?:(?P<field>\w+):(?P<values>.*,)?)?(?P<typed>[^\s:]*)\Z", re.DOTALL
)
TIMES = ("today", "yesterday", "monday", "this-month", "last-month", "1h", "24h", "7d", "30d")
MONEY = (">0.01", ">1", "none")
# Fields whose values come from elsewhere complete nothing.
SOURCES: dict[str, Source] = {
    "key": live_values.key_names,
    "label": live_values.key_names,
    "model": live_values.model_names,
    "tag": live_values.tags,
    "user": live_values.users,
    "status": words("200", "400", "401", "403", "404", "429", "500", "503", "4xx", "5xx", ">=400"),
    "since": words(*TIMES),
    "until": words(*TIMES),
    "cost": words(*MONEY),
    "tokens": words(">1000", ">100000", "none"),
    "lat": words(">1s", ">10s"),
}


def complete_query(
    context: click.Context, _parameter: click.Parameter, typed: str
) -> list[CompletionItem[str]]:
    """Fields end with a colon, after which their values are completed."""
    found = LAST_TERM.match(typed)
    if found is None:
        return []
    prefix = typed[: found.start("typed")]
    field = found["field"]
    values = fields() if field is None else values_of(field, context)
    quoted = ((quote(value), meaning) for value, meaning in values)
    return live_values.items(quoted, found["typed"], prefix)


def fields() -> Values:
    from gatekeeper.ledger.filters import FIELDS

    return ((f"{name}:", "") for name in FIELDS)


def values_of(field: str, context: click.Context) -> Values:
    if field == "outcome":
        from gatekeeper.ledger.call import Outcome

        return ((outcome.value, "") for outcome in Outcome)
    return SOURCES.get(field, words())(context)


def quote(value: str) -> str:
    """As the grammar wants a value that has blanks, commas, quotes, or wildcards."""
    if not re.search(r'[\s,"*?\\]', value):
        return value
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
