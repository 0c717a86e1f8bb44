"""Requests for a named key, group or end user: an unknown name's error suggests an existing one, and a
deletion asks for confirmation.
"""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Literal, TypeVar

import click

from gatekeeper.cli.conventions import CommandError, ExitStatus, Target, call_api
from gatekeeper.suggestions import did_you_mean

if TYPE_CHECKING:
    from gatekeeper.client.admin_api import Client

T = TypeVar("T")

Noun = Literal["key", "group", "user"]
# The gateway's pages have no more.
LIMIT = 1000


def call_named(
    target: Target, noun: Noun, names: Sequence[str], request: Callable[[Client], Awaitable[T]]
) -> T:
    """As `call_api`."""
    try:
        return call_api(target, request)
    except CommandError as error:
        if error.status is not ExitStatus.NOT_FOUND:
            raise
        suggested = suggestions(target, noun, names)
        raise CommandError(" ".join([str(error), *suggested]), error.status) from None


def suggestions(target: Target, noun: Noun, names: Sequence[str]) -> list[str]:
    """A question for each name that nothing has, and that resembles one that exists."""
    known: list[str] = []
    # The first error is the one to be told; without names there is only no suggestion.
    with suppress(CommandError):
        known = call_api(target, lambda client: existing_names(client, noun))
    questions = [did_you_mean(name, known) for name in names if name not in known]
    return [question[0].upper() + question[1:] for question in questions if question]


async def existing_names(client: Client, noun: Noun) -> list[str]:
    """Aliases of keys, or the names of groups or end users; at most `LIMIT` of them."""
    if noun == "key":
        keys = (await client.keys(limit=LIMIT)).value.keys
        return [key.key_alias for key in keys if key.key_alias]
    page = (await client.account_list(noun, limit=LIMIT)).value
    return [account.name for account in (*page.groups, *page.users)]


def confirmed(question: str) -> bool:
    """Raises CommandError at the end of input, where nobody can confirm."""
    # On stderr: stdout may be redirected to a file, and the question would not be seen.
    click.echo(f"{question} [y/N] ", nl=False, err=True)
    typed = sys.stdin.readline()
    if not typed:
        raise CommandError("no confirmation, so nothing was deleted: add --yes", ExitStatus.USAGE)
    return typed.strip().lower() in ("y", "yes")
