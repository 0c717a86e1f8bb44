"""`gatekeeper keys`: virtual keys, over the admin API. A key is named by its alias, its id or its secret."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING

import click
import msgspec

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
from gatekeeper.cli.key_explain import explain
from gatekeeper.cli.key_fields import KEY_FIELDS, field_options, unset_option
from gatekeeper.cli.key_import import import_keys
from gatekeeper.cli.known_names import call_named, confirmed
from gatekeeper.cli.output import print_fields, print_json, print_note, print_table, sanitized
from gatekeeper.cli.table_layout import DROPPED_FIRST, TableColumn
from gatekeeper.client import formats
from gatekeeper.client.api_types import ApiResponse
from gatekeeper.client.columns import Cell, Column, TextRole
from gatekeeper.client.formats import local_now
from gatekeeper.client.key_text import (
    bar_cell,
    budget_cell,
    key_details,
    key_state,
    key_tags_cell,
    models_cell,
    name_cell,
    rate_cell,
    secret_cell,
)
from gatekeeper.client.key_types import Key, Keys, NewKey

if TYPE_CHECKING:
    from gatekeeper.client.admin_api import Client

key_argument = click.argument("name", shell_complete=live_values.of(live_values.key_names))
keys_argument = click.argument(
    "names", nargs=-1, required=True, shell_complete=live_values.of(live_values.key_names)
)
BAR_WIDTH = 12
quiet_option = click.option("--quiet", "-q", is_flag=True, help="Print the secret and nothing else.")


@click.group(
    "keys", cls=OrderedGroup, epilog=examples("keys create --alias me --max-budget 10 --budget-duration 30d")
)
def keys() -> None:
    """Create, list, change, block and delete virtual keys.

    A key is named by its alias, its id or its secret.
    """


@keys.command("create", epilog=examples("keys create --alias ci --models 'gemini-2.5*' --quiet"))
@field_options(KEY_FIELDS)
@click.option(
    "--secret", metavar="SECRET", help="The secret itself, at least 16 characters; else one is generated."
)
@click.option("--blocked", is_flag=True, help="Create it blocked.")
@quiet_option
@json_option
@gateway_options
def create(
    target: Target, fields: dict[str, object], secret: str | None, blocked: bool, quiet: bool, as_json: bool
) -> None:
    """Create a key. Its secret is shown this once."""
    if secret is not None:
        fields["key"] = secret
    if blocked:
        fields["blocked"] = True
    print_new(call_api(target, lambda client: client.key_generate(fields)), quiet, as_json)


@keys.command("rotate", epilog=examples("keys rotate ci --quiet"))
@key_argument
@click.option("--grace", metavar="SPAN", help="How long the old secret goes on working, too: 24h.")
@click.option("--end-grace", is_flag=True, help="No new secret: only stop the one before it.")
@quiet_option
@json_option
@gateway_options
def rotate(target: Target, name: str, grace: str | None, end_grace: bool, quiet: bool, as_json: bool) -> None:
    """Give a key a new secret, shown this once. The old one stops working at once, or after --grace."""
    if end_grace and grace:
        raise click.UsageError("--grace and --end-grace exclude each other", click.get_current_context())
    if end_grace:
        change(target, [name], as_json, "ended the grace of", lambda client: client.key_end_grace(name))
        return
    new = call_named(target, "key", [name], lambda client: client.key_regenerate(name, grace))
    print_new(new, quiet, as_json)


@keys.command("list", epilog=examples("keys list --query team-a --sort=-spend"))
@click.option("--query", "-q", "q", metavar="TEXT", help="Only keys with this in alias, tags, user or group.")
@click.option(
    "--sort",
    metavar="FIELD",
    help="budget_used, created_at, expires, key_alias, last_used_at or spend; -FIELD: down.",
)
@limit_option(1000, "Keys")
@click.option("--cursor", metavar="CURSOR", help="Continue after the page that printed this cursor.")
@json_option
@gateway_options
def list_keys(
    target: Target, q: str | None, sort: str | None, limit: int, cursor: str | None, as_json: bool
) -> None:
    """List keys with what they spent of their budgets."""
    response = call_api(target, lambda client: client.keys(q, limit, cursor, sort))
    if as_json:
        print_json(response.raw)
        return
    if response.value.keys:
        print_table(KEYS, response.value.keys)
    elif q:
        print_note(f"No key has {q!r} in its alias, tags, user or group.")
    else:
        print_note("No keys yet. Make one: gatekeeper keys create --alias NAME")
    if response.value.next_cursor:
        print_note(f"There are more: --cursor {response.value.next_cursor}")


@keys.command("show", epilog=examples("keys show ci"))
@key_argument
@json_option
@gateway_options
def show(target: Target, name: str, as_json: bool) -> None:
    """Show all details of a key."""
    response = call_named(target, "key", [name], lambda client: client.key_info(name))
    if as_json:
        print_json(response.raw)
    else:
        print_fields(key_details(response.value.info, local_now()))


@keys.command("edit", epilog=examples("keys edit ci --max-budget 20 --unset rpm"))
@key_argument
@field_options(KEY_FIELDS)
@unset_option(KEY_FIELDS)
@json_option
@gateway_options
def edit(target: Target, name: str, fields: dict[str, object], unset: dict[str, None], as_json: bool) -> None:
    """Change the given fields only."""
    if both := sorted(fields.keys() & unset.keys()):
        raise click.UsageError(f"{both[0]} is both set and unset: choose one", click.get_current_context())
    changes = {**fields, **unset}
    if not changes:
        raise click.UsageError(
            "There is nothing to change: give at least one option", click.get_current_context()
        )
    change(target, [name], as_json, "changed", lambda client: client.key_update(name, changes))


@keys.command("block", epilog=examples("keys block ci"))
@keys_argument
@json_option
@gateway_options
def block(target: Target, names: tuple[str, ...], as_json: bool) -> None:
    """Refuse all calls of a key from now on."""
    change(target, names, as_json, "blocked", lambda client: client.key_block(*names))


@keys.command("unblock", epilog=examples("keys unblock ci"))
@keys_argument
@json_option
@gateway_options
def unblock(target: Target, names: tuple[str, ...], as_json: bool) -> None:
    """Accept calls of a blocked key again."""
    change(target, names, as_json, "unblocked", lambda client: client.key_unblock(*names))


@keys.command("delete", epilog=examples("keys delete ci --yes"))
@keys_argument
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@json_option
@gateway_options
def delete(target: Target, names: tuple[str, ...], yes: bool, as_json: bool) -> None:
    """Delete a key for good. The calls that it made stay."""
    # Looked up before: a deleted key has no label any more, and what is deleted is what was asked about.
    found = call_named(target, "key", names, lambda client: keys_of(client, names))
    labels = [key.label for key in found]
    if not yes and not confirmed(f"Delete for good: {', '.join(labels)}?"):
        raise CommandError("nothing was deleted", ExitStatus.REJECTED)
    ids = [key.token_id for key in found]
    change(target, ids, as_json, "deleted", lambda client: client.key_delete(*ids), labels)


async def keys_of(client: Client, names: tuple[str, ...]) -> list[Key]:
    """The keys of these names, of which one may be a secret."""
    return [(await client.key_info(name)).value.info for name in names]


def change(
    target: Target,
    names: Sequence[str],
    as_json: bool,
    done: str,
    request: Callable[[Client], Awaitable[ApiResponse[object]]],
    labels: Sequence[str] = (),
) -> None:
    """Sends a change and prints a line for each key; `labels` where the response names no keys."""
    response = call_named(target, "key", names, request)
    if as_json:
        print_json(response.raw)
        return
    keys = () if labels else keys_in(response.raw)
    for label in labels or [key.label for key in keys]:
        print(f"{done} {sanitized(label)}")


def keys_in(document: bytes) -> tuple[Key, ...]:
    """The keys of a response, which is one key's document or has several as `keys`."""
    return msgspec.json.decode(document, type=Keys).keys or (msgspec.json.decode(document, type=Key),)


def print_new(response: ApiResponse[NewKey], quiet: bool, as_json: bool) -> None:
    """Prints a new key with its secret; notes go to stderr, so that scripts do not read them."""
    if as_json:
        print_json(response.raw)
    elif quiet:
        print(response.value.key)
    else:
        print_fields(key_details(response.value, local_now()))
        print_note("Keep the key now: it is not shown again.")


keys.add_command(explain)
keys.add_command(import_keys)


def used_cell(key: Key) -> Cell:
    return formats.ago(key.last_used_at, local_now()), TextRole.PLAIN


def state_cell(key: Key) -> Cell:
    state = key_state(key, local_now())
    # A role is what makes a key dangerous to lose.
    return (f"{state}, {key.role}" if key.role else str(state)), state.role


KEYS: tuple[Column[Key], ...] = (
    TableColumn("key", 20, name_cell),
    TableColumn("secret", 0, secret_cell, drop=2),
    TableColumn("models", 8, models_cell, drop=5),
    TableColumn("tags", 8, key_tags_cell, drop=3),
    TableColumn("spend", 0, budget_cell),
    TableColumn("", 0, lambda key: bar_cell(key, BAR_WIDTH), drop=DROPPED_FIRST, name="bars"),
    TableColumn("rate", 0, rate_cell, drop=4),
    TableColumn("last used", 0, used_cell, drop=6),
    TableColumn("state", 0, state_cell),
)
