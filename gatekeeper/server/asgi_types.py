"""ASGI's types, and an application that runs inline: in its connection's task, not in one of Hypercorn's."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

Message = dict[str, Any]
Scope = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class InlineApp(NamedTuple):
    """An ASGI application for the requests whose target begins with `prefix`. It reads a request's body to
    its end or not at all, and reads from `scope["state"]["connection"]` whether the client has
    disconnected."""

    prefix: bytes
    app: Callable[[Message, Receive, Send], Awaitable[None]]
