"""`gatekeeper import litellm`: keys, budgets and spend from LiteLLM's database."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, cast

import click
import msgspec

from gatekeeper.cli.conventions import (
    CommandError,
    ExitStatus,
    OrderedGroup,
    Target,
    call_api,
    examples,
    gateway_options,
    local_json_option,
)
from gatekeeper.cli.output import GAP, print_json, print_note, print_table, width
from gatekeeper.client.columns import Column, TextRole
from gatekeeper.client.formats import money
from gatekeeper.client.key_types import Imported

if TYPE_CHECKING:
    from gatekeeper.client.admin_api import Client
    from gatekeeper.litellm.plan import Item, Plan

MIN_WIDTH = 30  # characters of a line of the report
KINDS = {"group": "groups", "user": "users", "key": "keys"}
NOUNS = {"group": "group", "user": "end user", "key": "key"}


class Line(NamedTuple):
    """One line of the report: an item, or a note on it."""

    kind: str
    name: str
    state: str
    said: str


ROLES = {"new": TextRole.SUCCESS, "left out": TextRole.WARNING}
COLUMNS: list[Column[Line]] = [
    Column("what", 5, lambda line: (line.kind, TextRole.PLAIN)),
    Column("name", 4, lambda line: (line.name, TextRole.ACCENT)),
    Column("", 8, lambda line: (line.state, ROLES.get(line.state, TextRole.DIM))),
    Column("as, or why not", 10, lambda line: (line.said, TextRole.PLAIN), stretch=1),
]


@click.group("import", cls=OrderedGroup, epilog=examples("import litellm --csv exported/ --dry-run"))
def import_() -> None:
    """Import keys, budgets and spend from another gateway."""


@import_.command(
    "litellm",
    epilog=examples(
        "import litellm --csv exported/ --dry-run",
        "import litellm --database postgresql://reader@db.example/litellm --model fast=gemini-2.5-flash",
    ),
)
@click.option(
    "--database",
    envvar="LITELLM_DATABASE_URL",
    show_envvar=True,
    metavar="URL",
    help="LiteLLM's PostgreSQL. It is only read. Needs gatekeeper-gemini[litellm].",
)
@click.option(
    "--csv",
    "files",
    multiple=True,
    type=click.Path(exists=True, path_type=Path),
    metavar="PATH",
    help='A file LiteLLM_….csv of `\\copy "LiteLLM_…" to … csv header`, or a folder of them.',
)
@click.option(
    "--model", "models", multiple=True, metavar="NAME=MODEL", help="Google's model behind a name of your own."
)
@click.option(
    "--allow-wider", is_flag=True, help="Import also what would have fewer limits than it has there."
)
@click.option("--dry-run", is_flag=True, help="Show what would come; change nothing.")
@local_json_option
@gateway_options
def litellm(
    target: Target,
    database: str | None,
    files: tuple[Path, ...],
    models: tuple[str, ...],
    allow_wider: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Import LiteLLM's keys, teams, end users and their spend.

    Clients keep their secrets: both store the same SHA-256 of them. The spend of a budget's running period is
    kept. Existing items are left unchanged, so it may be run again. Items that would have fewer limits here
    are left out and reported.
    """
    plan = read_plan(database, files, models, allow_wider)
    answer = call_api(target, lambda client: send(client, plan, dry_run))
    skipped = {(each.list, each.index): each.reason for each in answer.skipped}
    if as_json:
        print_json(msgspec.json.encode(report_document(plan, skipped, dry_run)))
    else:
        print_table(COLUMNS, report(plan, skipped))
    for remark in plan.remarks:
        print_note(f"Note: {remark}.")
    print_note(summary(plan, answer, dry_run))


def read_plan(
    database: str | None, files: tuple[Path, ...], models: tuple[str, ...], allow_wider: bool
) -> Plan:
    """The import plan for the tables. Raises CommandError."""
    from gatekeeper.cli.litellm_source import read_database, read_files
    from gatekeeper.litellm.models import ModelNames
    from gatekeeper.litellm.plan import make_plan
    from gatekeeper.litellm.tables import TableError, read_tables

    names = ModelNames(dict(map(own_name, models)))
    if not files and not database:
        raise CommandError("give LiteLLM's tables by --database URL or by --csv PATH", ExitStatus.USAGE)
    try:
        # A file that is named means more than a variable that is set.
        texts = read_files(files) if files else read_database(database or "")
        return make_plan(read_tables(texts), names, datetime.now(UTC), allow_wider=allow_wider)
    except TableError as error:
        raise CommandError(str(error), ExitStatus.REJECTED) from None


def own_name(text: str) -> tuple[str, str]:
    name, equals, model = text.partition("=")
    if not (name and equals and model):
        raise CommandError(f"--model {text}: write NAME=MODEL, as fast=gemini-2.5-flash", ExitStatus.USAGE)
    return name, model


async def send(client: Client, plan: Plan, dry_run: bool) -> Imported:
    """Raises ApiError, and CommandError with the faults that the gateway has found, by name."""
    from gatekeeper.client.api_errors import BadRequest

    coming = {KINDS[kind]: plan.coming(kind) for kind in KINDS}
    lists = {name: [item.document for item in items] for name, items in coming.items()}
    try:
        return (await client.import_all(lists, dry_run=dry_run)).value
    except BadRequest as error:
        faults = [fault for fault in error.problem.faults if fault.list in coming]
        if not faults:
            raise
        said = [f"{title(coming[fault.list][fault.index])}: {fault.detail}" for fault in faults]
        raise CommandError(said[0], ExitStatus.REJECTED, *said[1:], "nothing was imported") from None


def title(item: Item) -> str:
    return f"{NOUNS[item.kind]} {item.name}"


Skipped = dict[tuple[str, int], str]
"""Why something is not new to the gateway, by its place in a list of the request."""


def states(plan: Plan, skipped: Skipped) -> Iterable[tuple[Item, str, list[str]]]:
    """Each item with its result, and the notes on it."""
    for kind in KINDS:
        # Only what is sent has a place in the lists that the gateway answers about.
        sent = 0
        for item in (item for item in plan.items() if item.kind == kind):
            if item.reasons:
                yield item, "left out", item.reasons
                continue
            reason = skipped.get((KINDS[kind], sent))
            sent += 1
            yield item, "there" if reason else "new", [reason] if reason else [summed_up(item), *item.notes]


def report(plan: Plan, skipped: Skipped) -> Iterable[Line]:
    """Texts are wrapped where the terminal ends."""
    found = list(states(plan, skipped))
    before = sum(max(map(len, texts), default=0) + len(GAP) for texts in (
        NOUNS.values(), [item.name for item, _, _ in found], ROLES,
    ))  # fmt: skip
    room = max(MIN_WIDTH, width() - before)
    for item, state, said in found:
        texts = [line for text in said for line in textwrap.wrap(text, room)]
        yield Line(NOUNS[item.kind], item.name, state, texts[0] if texts else "")
        yield from (Line("", "", "", text) for text in texts[1:])


def report_document(plan: Plan, skipped: Skipped, dry_run: bool) -> dict[str, object]:
    items = [
        {"kind": item.kind, "name": item.name, "state": state, "notes": said, "fields": shown(item)}
        for item, state, said in states(plan, skipped)
    ]
    return {"dry_run": dry_run, "items": items, "remarks": plan.remarks}


def shown(item: Item) -> dict[str, object]:
    """The item's fields as sent, without the digests of its secrets."""
    return {name: value for name, value in item.document.items() if not name.endswith("secret_hash")}


def summed_up(item: Item) -> str:
    """A summary of its limits."""
    fields = item.document
    period = f"/{fields['budget_duration']}" if "budget_duration" in fields else ""
    models = cast("list[str]", fields.get("models", []))
    parts = [
        f"group {fields['group']}" if item.kind == "key" and "group" in fields else "",
        f"budget {money(Decimal(str(fields['max_budget'])))}{period}" if "max_budget" in fields else "",
        f"{money(Decimal(str(fields['spend'])))} spent" if "spend" in fields else "",
        models[0] if len(models) == 1 else f"{len(models)} models" if models else "",
        "blocked" if fields.get("blocked") else "",
    ]
    return "; ".join(part for part in parts if part)


def summary(plan: Plan, answer: Imported, dry_run: bool) -> str:
    counts = {"group": answer.groups, "user": answer.users, "key": answer.keys}
    new = ", ".join(f"{count} {NOUNS[kind]}{'s' * (count != 1)}" for kind, count in counts.items())
    left = sum(bool(item.reasons) for item in plan.items())
    there = len(answer.skipped)
    rest = [f"{there} there already" if there else "", f"{left} left out" if left else ""]
    done = "would be imported: nothing was changed" if dry_run else "imported"
    return "; ".join([f"{new} {done}", *filter(None, rest)]) + "."
