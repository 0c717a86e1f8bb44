"""What a call is made from: the head of a request, and the carrier that its bytes travel by.

HTTP is one carrier, a Live session's WebSocket another. Whoever adds one writes a class like `Carrier` and
names it in `asgi.CARRIERS`; the story of the call, in `call`, stays the same.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol, TypeVar

from gatekeeper.addresses import foreign
from gatekeeper.proxy.headers import Headers
from gatekeeper.refusals import Refusal
from gatekeeper.server.application import Scope
from gatekeeper.server.grammar import Malformed

PREFIX = b"/gemini"
FROM_A_BROWSER = (b"host", b"origin", b"sec-fetch-site")

# The call itself, which is made of what is here: `ProxyCall`, or what a test has in its place.
CallT = TypeVar("CallT", contravariant=True)


class RequestHead(NamedTuple):
    """What a request says before its body. `path` is behind `/gemini` and begins with one slash; `size` is in
    bytes; `client` is its address."""

    method: str
    path: bytes
    query: bytes
    headers: Headers
    scheme: str
    client: str
    size: int
    malformed: Malformed | None

    @classmethod
    def of(cls, scope: Scope) -> RequestHead:
        path, query, headers = scope["raw_path"], scope["query_string"], scope["headers"]
        return cls(
            scope.get("method", "GET"),  # a WebSocket's handshake has no other
            path_of(path),
            query,
            headers,
            scope["scheme"],
            (scope.get("client") or ("",))[0],
            len(path) + len(query) + sum(len(name) + len(value) for name, value in headers),
            scope.get("state", {}).get("malformed"),
        )

    def foreign(self) -> str | None:
        """Why the request may be a web page's, where nobody is asked for a key."""
        said = {name: value.decode("latin-1") for name, value in self.headers if name in FROM_A_BROWSER}
        return foreign(said.get(b"host", ""), said.get(b"origin"), said.get(b"sec-fetch-site"))


class Carrier(Protocol[CallT]):
    """The client's side of one call, and how the call's bytes travel between it and the upstream.

    `received` and `sent` count the bytes of both bodies; `blocked`: in a write that the client holds up;
    `started`: whether anything of an answer has gone out; `streams`: whether it is a stream whatever its
    route says. Its methods raise CallFailed, ClientDisconnected and MalformedBody.
    """

    streams: bool

    @property
    def received(self) -> int: ...
    @property
    def sent(self) -> int: ...
    @property
    def blocked(self) -> bool: ...
    @property
    def started(self) -> bool: ...

    def objection(self, call: CallT) -> Refusal | None:
        """Why it cannot carry this call, if so; asked before anything goes upstream."""
        ...

    def request_length(self) -> int | None:
        """Bytes of the request's body, where they are known in advance."""
        ...

    async def relay(self, call: CallT) -> None:
        """Carries the request up and the answer down, to its proper end; then `call.relayed` is True."""
        ...

    async def refuse(self, refusal: Refusal, call_id: str) -> None:
        """Answers with an error; nothing of an answer has gone out before."""
        ...

    async def final_error(self, refusal: Refusal, call: CallT) -> None:
        """Tells of an error behind a part of the answer, where the answer's form has a place for one."""
        ...

    def break_off(self) -> None:
        """Makes sure that the end which follows looks like none."""
        ...

    def release(self) -> None:
        """Lets go of the client's side. Called once, whatever happened."""
        ...

    def has_gone(self) -> bool:
        """Whether the client has left. Asked again and again while the call runs."""
        ...


def path_of(raw_path: bytes) -> bytes:
    """The path after `/gemini`, with one slash before it: a base URL that ends in one makes it two."""
    path = raw_path[len(PREFIX) :]
    return b"/" + path.lstrip(b"/") if path.startswith(b"//") else path
