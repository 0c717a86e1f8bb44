"""The call filter of commands: its options, the completion of `--query` (fields and values), the pointer to
an error in a filter, and the message if no call matches.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import click

from gatekeeper.cli import live_values
from gatekeeper.cli.live_values import Source, Values, words

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from gatekeeper.client.admin_api import Client

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

T = TypeVar("T")

INDENT = "  "
MAX_PARTS = 8  # of a filter, that are looked for one by one
FIRST_CALL = (
    "No calls yet. Make a key (gatekeeper keys create --quiet) and send one: "
    "curl {url}/gemini/v1beta/models/gemini-2.5-flash:generateContent -H 'x-goog-api-key: KEY' "
    "-H 'Content-Type: application/json' "
    """-d '{{"contents":[{{"parts":[{{"text":"Hello"}}]}}]}}'"""
)


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
    """The value in quotes if the grammar needs them: with blanks, commas, quotes or wildcards."""
    if not re.search(r'[\s,"*?\\]', value):
        return value
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


query_option = click.option(
    "--query",
    "-q",
    "q",
    metavar="FILTER",
    shell_complete=complete_query,
    help="A filter: 'model:gemini-2.5* status:4xx -tag:ci cost:>0.01 since:yesterday'.",
)


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
            help="Only calls started at or after TIME: 1h, today, monday, 2026-11-24, or as printed.",
        ),
        query_option,
    ):
        command = option(command)
    return command


class CallFilter(NamedTuple):
    """The API's parameters, as text."""

    q: str | None
    since: str | None = None
    until: str | None = None

    def parts(self) -> list[CallFilter]:
        """Its conditions one by one: each term, and the span of time."""
        terms = [CallFilter(term) for term in terms_of(self.q or "")]
        return [*terms, CallFilter(None, self.since, self.until)] if self.since or self.until else terms

    def __str__(self) -> str:
        words = ((None, self.q), ("--since", self.since), ("--until", self.until))
        return " ".join(word for name, text in words if text for word in (name, text) if word)


def terms_of(q: str) -> list[str]:
    """The terms of a filter, as they are written; the whole of it if this version cannot parse it."""
    from gatekeeper.client.formats import local_now
    from gatekeeper.ledger.filters import FilterError, term_texts

    try:
        return term_texts(q, now=local_now())
    except FilterError:
        return [q]


async def explain_no_calls(client: Client, wanted: CallFilter) -> str:
    """Why no finished call was found: there are none, or which part of the filter matches none."""
    from gatekeeper.client.formats import sanitized

    if not (await client.calls(limit=1)).value.calls:
        return FIRST_CALL.format(url=client.url)
    parts = wanted.parts()
    if not parts:
        return "No more calls."
    if len(parts) == 1 or len(parts) > MAX_PARTS:
        return sanitized(f"No call matches {wanted}.")
    alone = [part for part in parts if not (await client.calls(*part, limit=1)).value.calls]
    if not alone:
        return sanitized(f"Each part of {wanted} matches some calls, but no call matches all of them.")
    return sanitized(f"No call matches {', nor '.join(map(str, alone))}.")


def pointer(q: str, column: int, width: int) -> list[str]:
    """The filter, and below it a caret under the column (from 1) of its error; of a filter that is too long
    for `width` cells the part around it."""
    from rich.cells import cell_len

    from gatekeeper.client.columns import padded
    from gatekeeper.client.formats import sanitized

    text = sanitized(q, replacement="�")
    room, at = max(width - len(INDENT), 20), min(column - 1, len(text))
    start = 0
    while cell_len(text[start:at]) > room // 2 and cell_len(text) > room:
        start += 1
    before = ("…" if start else "") + text[start:at]
    shown = before + text[at:]
    line = padded(shown, min(cell_len(shown), room), right=False)
    return [INDENT + line, INDENT + " " * cell_len(before) + "^"]
