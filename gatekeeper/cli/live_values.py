"""Completions from a running gateway: names of keys, groups and users, tags, models, ids of calls. It is
asked with a short deadline; without a response in time there are none. No secret is requested.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, cast

import click

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

# Somebody has pressed the tab key, and waits before an empty line.
SECONDS = 0.3
MAX_BYTES = 4 * 1024 * 1024
LIMIT = 1000
CALLS = 20

Document = dict[str, object]
Values = Iterable[tuple[str, str]]
Source = Callable[[click.Context], Values]
"""The values, each with its meaning."""
Complete = Callable[[click.Context, click.Parameter, str], "list[CompletionItem[str]]"]


def fetched(context: click.Context, path: str, member: str) -> list[Document]:
    """A list in a response of the gateway; empty if there is none in time."""
    from gatekeeper.addresses import DEFAULT_URL
    from gatekeeper.cli.deadline import ProbeError, run_with_timeout

    url, key = context.params.get("url") or DEFAULT_URL, context.params.get("key")
    try:
        answer = run_with_timeout(
            SECONDS, lambda: get(str(url).rstrip("/").removesuffix("/gemini"), path, key)
        )
        rows = cast("Document", json.loads(answer)).get(member)
    except (ProbeError, ValueError, AttributeError):
        return []
    return cast("list[Document]", rows) if isinstance(rows, list) else []


def get(url: str, path: str, key: object) -> bytes:
    """The body of a response. Raises OSError, and ValueError for an invalid one. With Python's own client,
    which is loaded in a tenth of the time."""
    from http.client import HTTPConnection, HTTPException, HTTPSConnection
    from urllib.parse import urlsplit

    parts = urlsplit(url)
    kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
    connection = kind(parts.hostname or "", parts.port, timeout=SECONDS)
    try:
        connection.request(
            "GET", parts.path + path, headers={"Authorization": f"Bearer {key}"} if key else {}
        )
        response = connection.getresponse()
        # Read in any case: a connection that is closed with something unread is reset.
        body = response.read(MAX_BYTES)
    except HTTPException:
        raise ValueError(url) from None
    finally:
        connection.close()
    return body if response.status == 200 else b"{}"


def of(source: Source) -> Complete:
    """Completes one value."""

    def complete(context: click.Context, parameter: click.Parameter, typed: str) -> list[CompletionItem[str]]:
        return items(source(context), typed, is_argument=isinstance(parameter, click.Argument))

    return complete


def list_of(source: Source) -> Complete:
    """Completes the last of several values, which are separated by commas."""

    def complete(
        context: click.Context, _parameter: click.Parameter, typed: str
    ) -> list[CompletionItem[str]]:
        before, comma, last = typed.rpartition(",")
        taken = before.split(",")
        values = ((value, meaning) for value, meaning in source(context) if value not in taken)
        return items(values, last, before + comma)

    return complete


def items(
    values: Values, typed: str, prefix: str = "", *, is_argument: bool = False
) -> list[CompletionItem[str]]:
    """`is_argument`: they are no values of an option."""
    from click.shell_completion import CompletionItem

    return [
        CompletionItem(prefix + value, help=meaning, is_argument=is_argument)
        for value, meaning in values
        if value.startswith(typed)
    ]


def words(*known: str) -> Source:
    """Values that need no gateway."""
    return lambda _: ((word, "") for word in known)


def key_names(context: click.Context) -> Values:
    for key in fetched(context, f"/key/list?limit={LIMIT}", "keys"):
        # An alias is chosen by people; the id is all that a key without one is called by.
        name = key.get("key_alias") or key.get("token_id")
        tags = cast("list[object]", key.get("tags") or [])
        yield str(name), "blocked" if key.get("blocked") else " ".join(map(str, tags))


def group_names(context: click.Context) -> Values:
    return named(fetched(context, f"/group/list?limit={LIMIT}", "groups"), "group")


def user_names(context: click.Context) -> Values:
    return named(fetched(context, f"/user/list?limit={LIMIT}", "users"), "user_id")


def model_names(context: click.Context) -> Values:
    """Those that have been called, then those that have a price."""
    seen = [row.get("model") for row in fetched(context, "/models", "seen")]
    yield from ((str(model), "in use") for model in seen if model)
    yield from ((model, "") for model, _ in priced_models(context) if model not in seen)


def priced_models(_context: click.Context) -> Values:
    """Those of this installation's price catalogue."""
    from gatekeeper.startup import load_catalogue

    for model in load_catalogue().models():
        yield from ((name, "") for name in model.ids if "*" not in name)


def tags(context: click.Context) -> Values:
    return named(fetched(context, "/spend?by=tag&since=30d&limit=200", "rows"), "tag")


def users(context: click.Context) -> Values:
    """End users that have called, with or without a record."""
    return named(fetched(context, "/spend?by=user&since=30d&limit=200", "rows"), "user")


def actors(context: click.Context) -> Values:
    """The actors of the audit log."""
    yield from ((name, "") for name in ("master", "open", "gateway"))
    yield from key_names(context)


def audit_actions(_context: click.Context) -> Values:
    from gatekeeper.keys.audit import ACTIONS

    return ((action, "") for action in ACTIONS)


def call_ids(context: click.Context) -> Values:
    """The latest calls."""
    for call in fetched(context, f"/calls?limit={CALLS}", "calls"):
        told = (call.get(name) for name in ("started_at", "key_alias", "model", "status", "reason"))
        yield str(call.get("id")), " ".join(str(each) for each in told if each is not None)


def named(rows: list[Document], member: str) -> Iterator[tuple[str, str]]:
    yield from ((str(row[member]), "") for row in rows if row.get(member) is not None)
