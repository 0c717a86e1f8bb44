"""`gatekeeper groups` and `gatekeeper users`: limits and budgets of groups of keys and of end users."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import click

from gatekeeper.cli import live_values
from gatekeeper.cli.conventions import (
    CommandError,
    ExitStatus,
    OrderedGroup,
    Target,
    call_api,
    examples,
    gateway_options,
    json_option,
    limit_option,
)
from gatekeeper.cli.key_fields import KEY_FIELDS, field_options, unset_option
from gatekeeper.cli.known_names import call_named, confirmed
from gatekeeper.cli.output import print_fields, print_json, print_note, print_table, sanitized
from gatekeeper.cli.table_layout import TableColumn
from gatekeeper.client.api_types import ApiResponse
from gatekeeper.client.columns import Cell, Column, TextRole
from gatekeeper.client.formats import EMPTY, local_now
from gatekeeper.client.key_text import budget_cell, key_details, key_state, rate_cell
from gatekeeper.client.key_types import AccountKind, LimitedAccount

T = TypeVar("T")

NOUNS: dict[AccountKind, str] = {"group": "group of keys", "user": "end user"}
EXAMPLES: dict[AccountKind, str] = {"group": "shop", "user": "alice"}
SOURCES: dict[AccountKind, live_values.Source] = {
    "group": live_values.group_names,
    "user": live_values.user_names,
}
KEYS_ONLY = ("key_alias", "duration", "tags", "user_id", "group", "share", "role")
FIELDS = tuple(field for field in KEY_FIELDS if field.name not in KEYS_ONLY)


def account_commands(kind: AccountKind) -> click.Group:
    """The commands for groups, or for end users."""
    noun = NOUNS[kind]
    group = OrderedGroup(
        f"{kind}s",
        help=f"Limits and budgets of each {noun}.\n\nA name needs no record; a record gives it limits.",
        epilog=examples(f"{kind}s create {EXAMPLES[kind]} --max-budget 500 --budget-duration 1mo"),
    )
    _add_changes(group, kind)
    _add_switches(group, kind)
    _add_views(group, kind)
    return group


def _add_changes(group: click.Group, kind: AccountKind) -> None:
    @group.command("create", epilog=examples(f"{kind}s create {EXAMPLES[kind]} --max-budget 500 --rpm 600"))
    @click.argument("name")
    @field_options(FIELDS)
    @json_option
    @gateway_options
    def create(target: Target, name: str, fields: dict[str, object], as_json: bool) -> None:
        """Give limits to a name. Its spend is counted from now on."""
        _change(target, kind, "generate", name, fields, as_json, "created")

    @group.command("edit", epilog=examples(f"{kind}s edit {EXAMPLES[kind]} --max-budget 800 --unset rpm"))
    @_name_argument(kind)
    @field_options(FIELDS)
    @unset_option(FIELDS)
    @json_option
    @gateway_options
    def edit(
        target: Target, name: str, fields: dict[str, object], unset: dict[str, None], as_json: bool
    ) -> None:
        """Change the given fields only."""
        changes = {**fields, **unset}
        if len(changes) < len(fields) + len(unset) or not changes:
            problem = "Give at least one option, and none both as a value and in --unset"
            raise click.UsageError(problem, click.get_current_context())
        _change(target, kind, "update", name, changes, as_json, "changed")

    # click has them by now; their names here are used by nobody.
    del create, edit


def _name_argument(kind: AccountKind) -> Callable[[Callable[..., T]], Callable[..., T]]:
    return click.argument("name", shell_complete=live_values.of(SOURCES[kind]))


def _add_switches(group: click.Group, kind: AccountKind) -> None:
    @group.command("block", epilog=examples(f"{kind}s block {EXAMPLES[kind]}"))
    @_name_argument(kind)
    @json_option
    @gateway_options
    def block(target: Target, name: str, as_json: bool) -> None:
        """Refuse all its calls from now on."""
        _change(target, kind, "block", name, {}, as_json, "blocked")

    @group.command("unblock", epilog=examples(f"{kind}s unblock {EXAMPLES[kind]}"))
    @_name_argument(kind)
    @json_option
    @gateway_options
    def unblock(target: Target, name: str, as_json: bool) -> None:
        """Accept its calls again."""
        _change(target, kind, "unblock", name, {}, as_json, "unblocked")

    @group.command("delete", epilog=examples(f"{kind}s delete {EXAMPLES[kind]} --yes"))
    @_name_argument(kind)
    @click.option("--yes", "-y", is_flag=True, help="Do not ask.")
    @click.option("--force", is_flag=True, help="Also a group that keys name, which lose its limits.")
    @json_option
    @gateway_options
    def delete(target: Target, name: str, yes: bool, force: bool, as_json: bool) -> None:
        """Remove its limits and its spend. Calls stay."""
        if not yes and not confirmed(f"Delete the {NOUNS[kind]} {sanitized(name)} for good?"):
            raise CommandError("nothing was deleted", ExitStatus.REJECTED)
        fields: dict[str, object] = {"force": True} if force and kind == "group" else {}
        _change(target, kind, "delete", name, fields, as_json, "deleted")

    del block, unblock, delete


def _add_views(group: click.Group, kind: AccountKind) -> None:
    @group.command("show", epilog=examples(f"{kind}s show {EXAMPLES[kind]}"))
    @_name_argument(kind)
    @json_option
    @gateway_options
    def show(target: Target, name: str, as_json: bool) -> None:
        """Show its limits and what it has spent."""
        response = call_named(target, kind, [name], lambda client: client.account_info(kind, name))
        if as_json:
            print_json(response.raw)
            return
        details = key_details(response.value, local_now())
        print_fields([("name", name), *(fact for fact in details if fact[0] not in NOT_SHOWN)])

    @group.command("list", epilog=examples(f"{kind}s list --query {EXAMPLES[kind]}"))
    @click.option("--query", "-q", "q", metavar="TEXT", help="Only names with this text.")
    @limit_option(1000, "Names")
    @click.option("--cursor", metavar="CURSOR", help="Continue after the page that printed this cursor.")
    @json_option
    @gateway_options
    def list_all(target: Target, q: str | None, limit: int, cursor: str | None, as_json: bool) -> None:
        """List them with what they spent of their budgets."""
        response = call_api(target, lambda client: client.account_list(kind, q, limit, cursor))
        if as_json:
            print_json(response.raw)
            return
        if accounts := response.value.groups or response.value.users:
            print_table(_columns(), accounts)
        elif q:
            print_note(f"No {NOUNS[kind]} with limits has {q!r} in its name.")
        else:
            print_note(
                f"No {NOUNS[kind]} has limits yet. Give one limits: gatekeeper {kind}s create NAME "
                "--max-budget 100"
            )
        if response.value.next_cursor:
            print_note(f"There are more: --cursor {response.value.next_cursor}")

    del show, list_all


NOT_SHOWN = ("key", "alias", "id", "group", "user", "tags", "expires", "last used", "role")
"""What only a key has."""


def _columns() -> list[Column[LimitedAccount]]:
    def state(account: LimitedAccount) -> Cell:
        current = key_state(account, local_now())
        return str(current), current.role

    return [
        Column("name", 20, lambda account: (account.name, TextRole.ACCENT)),
        TableColumn("keys", 0, _keys, right=True, drop=3),
        Column("spend", 0, budget_cell),
        TableColumn("rate", 0, rate_cell, drop=2),
        Column("state", 0, state),
    ]


def _keys(account: LimitedAccount) -> Cell:
    return EMPTY if account.keys is None else str(account.keys), TextRole.PLAIN


def _change(
    target: Target,
    kind: AccountKind,
    verb: str,
    name: str,
    fields: dict[str, object],
    as_json: bool,
    done: str,
) -> None:
    response: ApiResponse[LimitedAccount] = call_named(
        target, kind, [name], lambda client: client.account_change(kind, verb, name, fields)
    )
    if as_json:
        print_json(response.raw)
    else:
        print(f"{done} {sanitized(name)}")


groups = account_commands("group")
users = account_commands("user")
