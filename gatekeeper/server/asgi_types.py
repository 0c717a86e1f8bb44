"""ASGI's types, and an application that runs inline: in its connection's task, not in one of Hypercorn's."""

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
    body to its end or not at all, and reads from `scope["state"]["connection"]` whether the client has
    disconnected, and how its response is framed from `scope["state"]["framing"]`."""

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
    """The scope that Hypercorn's HTTPStream would make of a request: an application sees no difference."""
    path, _, query = target.partition(b"?")
    return {
        "type": "http",
        # What Hypercorn 0.18 says of itself.
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
