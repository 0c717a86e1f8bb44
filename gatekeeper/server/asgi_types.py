"""ASGI's types, and inline applications: they run in their connection's task, not in one that Hypercorn
starts."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NamedTuple
from urllib.parse import unquote

Message = dict[str, Any]
Scope = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]


class InlineApp(NamedTuple):
    """An ASGI application for the requests whose target begins with one of `prefixes`. It reads a request's
    body to its end or not at all. `scope["state"]["connection"]` tells it whether the client has
    disconnected, and `scope["state"]["framing"]` frames its response."""

    prefixes: tuple[bytes, ...]
    app: Application


def http_scope(
    method: bytes,
    target: bytes,
    headers: list[tuple[bytes, bytes]],
    ssl: bool,
    client: tuple[str, int] | None,
    server: tuple[str, int] | None,
    state: Mapping[str, object],
    http_version: str = "1.1",
) -> Scope:
    """The scope of a request, the same that Hypercorn's HTTPStream makes."""
    path, _, query = target.partition(b"?")
    return {
        "type": "http",
        # As Hypercorn 0.18 has it.
        "asgi": {"spec_version": "2.1", "version": "3.0"},
        "http_version": http_version,
        "method": method.decode(),
        "scheme": "https" if ssl else "http",
        "path": unquote(path.decode("ascii")),
        "raw_path": path,
        "query_string": query,
        "headers": headers,
        "client": client,
        "server": server,
        "state": state,
    }
