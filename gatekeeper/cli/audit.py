"""`gatekeeper audit`: who changed what, over the admin API."""

from __future__ import annotations

import click

from gatekeeper.cli import live_values
from gatekeeper.cli.conventions import Target, call_api, examples, gateway_options, json_option, limit_option
from gatekeeper.cli.output import print_json, print_note, print_table
from gatekeeper.cli.table_layout import TableColumn
from gatekeeper.client.audit import AuditChange, changed_fields, changed_thing
from gatekeeper.client.columns import Cell, Column, TextRole
from gatekeeper.client.formats import EMPTY, local_now, short_moment, timestamp


@click.command("audit", epilog=examples("audit --changed ci --since 7d", "audit --action delete --by ann"))
@click.option(
    "--action",
    metavar="A,B",
    help="Only these kinds: create, update, block, group.delete …",
    shell_complete=live_values.list_of(live_values.audit_actions),
)
@click.option(
    "--changed",
    metavar="KEYS",
    help="Only changes of these keys, by id or alias at that time.",
    shell_complete=live_values.list_of(live_values.key_names),
)
@click.option(
    "--by",
    metavar="WHO",
    help="Only by these: ids or aliases of keys, master, open, gateway.",
    shell_complete=live_values.list_of(live_values.actors),
)
@click.option("--since", metavar="TIME", help="From this time on: 2026-11-24, 7d.")
@click.option("--until", metavar="TIME", help="Before this time.")
@limit_option(100, "Rows")
@click.option("--cursor", metavar="CURSOR", help="Continue after the page that printed this cursor.")
@json_option
@gateway_options
def audit(
    target: Target,
    action: str | None,
    changed: str | None,
    by: str | None,
    since: str | None,
    until: str | None,
    limit: int,
    cursor: str | None,
    as_json: bool,
) -> None:
    """Show who changed what, from which address, and when, newest first."""
    response = call_api(target, lambda client: client.audit(action, changed, by, since, until, limit, cursor))
    if as_json:
        print_json(response.raw)
        return
    if response.value.changes:
        print_table(COLUMNS, response.value.changes)
    else:
        given = {"--action": action, "--changed": changed, "--by": by, "--since": since, "--until": until}
        asked = " ".join(f"{name} {text}" for name, text in given.items() if text)
        print_note(f"No change matches {asked}." if asked else "Nothing has been changed yet.")
    if response.value.next_cursor:
        print_note(f"There are more: --cursor {response.value.next_cursor}")


def _plain(text: str | None) -> Cell:
    return text or EMPTY, TextRole.PLAIN


def _at(change: AuditChange) -> Cell:
    return timestamp(change.at, "seconds"), TextRole.DIM


def _short_at(change: AuditChange) -> Cell:
    return short_moment(change.at, local_now()), TextRole.DIM


COLUMNS: list[Column[AuditChange]] = [
    TableColumn("at", 0, _at, short=_short_at),
    TableColumn("by", 8, lambda change: _plain(change.by_alias or change.by)),
    TableColumn("from", 0, lambda change: _plain(change.address), drop=2),
    TableColumn("action", 0, lambda change: _plain(change.action)),
    TableColumn("what", 12, lambda change: _plain(changed_thing(change))),
    TableColumn("changes", 24, lambda change: _plain(changed_fields(change))),
]
