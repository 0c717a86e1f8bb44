"""ASGI's types, and an application that runs inline: in its connection's task, not in one of Hypercorn's."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NamedTuple
from urllib.parse import unquote

import h11

Message = dict[str, Any]
Scope = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]


class InlineApp(NamedTuple):
    """An ASGI application for the requests whose target begins with `prefix`, or with one of several. It
    reads a request's body to its end or not at all, and reads from `scope["state"]["connection"]` whether
    the client has disconnected."""

    prefix: bytes | tuple[bytes, ...]
    app: Application


def http_scope(
    request: h11.Request,
    ssl: bool,
    client: tuple[str, int] | None,
    server: tuple[str, int] | None,
    state: Mapping[str, object],
) -> Scope:
    """The scope that Hypercorn's HTTPStream would make of a request: an application sees no difference."""
    path, _, query = request.target.partition(b"?")
    return {
        "type": "http",
        "asgi": {"spec_version": "2.1", "version": "3.0"},
        "http_version": request.http_version.decode(),
        "method": request.method.decode(),
        "scheme": "https" if ssl else "http",
        "path": unquote(path.decode("ascii")),
        "raw_path": path,
        "query_string": query,
        "headers": list(request.headers),
        "client": client,
        "server": server,
        "state": state,
    }
