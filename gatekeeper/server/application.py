"""The application behind the server: ASGI's types, and one that is answered without Hypercorn's detours."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

Message = dict[str, Any]
Scope = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class Direct(NamedTuple):
    """An ASGI application for the requests whose target begins with `prefix`. It reads a request's body to
    its end or not at all, and learns by the connection in `scope["state"]` whether its client has left."""

    prefix: bytes
    app: Callable[[Message, Receive, Send], Awaitable[None]]
