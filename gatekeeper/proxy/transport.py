"""The request head, and `Transport`: the interface of a call to its client's connection (HTTP or WebSocket).

To add a transport write a class like `Transport` and name it in `asgi.TRANSPORTS`; the lifecycle of the
call, in `lifecycle`, stays the same.
"""

from __future__ import annotations

from collections.abc import Collection
from itertools import chain
from typing import Protocol, TypeVar

import msgspec

from gatekeeper.addresses import cross_site_reason
from gatekeeper.http_fields import Headers
from gatekeeper.keys.sessions import Session
from gatekeeper.proxy.cors import AllowedOrigins
from gatekeeper.proxy.headers import CALL_ID_HEADER
from gatekeeper.refusals import Refusal
from gatekeeper.server.asgi_types import Scope
from gatekeeper.server.client_socket import ClientSocket
from gatekeeper.server.request_validation import MalformedRequest

PREFIX = b"/gemini"
MEDIA_TYPE_HEADERS = (b"content-type", b"accept")
BROWSER_HEADERS = (b"host", b"origin", b"sec-fetch-site")

# `ProxyCall`, which imports this module, or a stub in tests.
CallT = TypeVar("CallT", contravariant=True)


class RequestHead(msgspec.Struct, frozen=True):
    """A request without its body. `path` is the part after `/gemini` and begins with one slash; `fields` are
    the headers' first values by name; `size` is in bytes; `scope` is the ASGI scope, with the client's
    address; `content_encoding` joins the values of all fields of that name, in lower case."""

    method: str
    path: bytes
    query: bytes
    headers: Headers
    fields: dict[bytes, bytes]
    scope: Scope
    size: int
    malformed: MalformedRequest | None
    content_encoding: bytes

    @property
    def is_compressed(self) -> bool:
        """Whether the body has a Content-Encoding, so that its length does not bound the prompt's."""
        return self.content_encoding not in (b"", b"identity")

    @classmethod
    def of(cls, scope: Scope) -> RequestHead:
        path, query, headers = scope["raw_path"], scope["query_string"], scope["headers"]
        # Reversed, because the last one of a name stays in a dict, and the first one counts.
        fields = dict(reversed(headers))
        return cls(
            scope.get("method", "GET"),  # a WebSocket handshake is always a GET
            gemini_path(path),
            query,
            headers,
            fields,
            scope,
            len(path) + len(query) + sum(map(len, chain.from_iterable(headers))),
            scope.get("state", {}).get("malformed"),
            content_encoding(headers) if b"content-encoding" in fields else b"",
        )

    def named(self, names: Collection[bytes]) -> Headers:
        """The headers that have one of these names."""
        if len(self.fields) == len(self.headers):  # none comes twice
            return [(name, self.fields[name]) for name in names if name in self.fields]
        return [field for field in self.headers if field[0] in names]

    def forwarded_call_ids(self) -> list[bytes]:
        """The call ids set by earlier gateways in the chain (x-gatekeeper-call-id)."""
        if CALL_ID_HEADER not in self.fields:
            return []
        return [value for name, value in self.headers if name == CALL_ID_HEADER]

    def media_types(self) -> bytes:
        """The media types of the request, and those accepted for the response."""
        return b" ".join([value for _, value in self.named(MEDIA_TYPE_HEADERS)])

    def cross_site_reason(self, allowed: AllowedOrigins) -> str | None:
        """Why the request may come from a web page (cross-site); checked in open mode. A page whose origin is
        allowed may send requests, but not under a name of its own for this machine."""
        fields = {name: value.decode("latin-1") for name, value in self.headers if name in BROWSER_HEADERS}
        if allowed.allowed(self.headers):
            return cross_site_reason(fields.get(b"host", ""), None, None)
        return cross_site_reason(
            fields.get(b"host", ""), fields.get(b"origin"), fields.get(b"sec-fetch-site")
        )


class Transport(Protocol[CallT]):
    """The client's side of one call, and the relay of its bytes between client and upstream.

    `received_bytes` and `sent_bytes` count both bodies; `write_blocked`: a write waits for the client;
    `response_started`: some of the response has been sent; `is_stream`: a stream whatever the route;
    `model_pending`: a later message names the model, and is admitted then. Methods raise CallFailed,
    ClientDisconnected and MalformedBody.
    """

    is_stream: bool
    client_socket: ClientSocket | None
    """Polled by the sweep, which asks `is_disconnected` once something has happened there. None: it asks each
    time."""

    @property
    def model_pending(self) -> bool: ...

    @property
    def received_bytes(self) -> int: ...
    @property
    def sent_bytes(self) -> int: ...
    @property
    def write_blocked(self) -> bool: ...
    @property
    def response_started(self) -> bool: ...

    def unsupported_refusal(self, call: CallT) -> Refusal | None:
        """The refusal of a call that this transport does not support; called before anything goes
        upstream."""
        ...

    async def find_session(self, call: CallT) -> Session | None:
        """The session (an upload, an ephemeral token) that this request belongs to, None if to none. Called
        for uploads and WebSockets, before the call is authenticated."""
        ...

    def request_length(self) -> int | None:
        """Bytes of the request's body; None if unknown in advance."""
        ...

    async def relay(self, call: CallT) -> None:
        """Relays the request to the upstream and the response to the client; sets `call.relay_complete` at
        the response's end."""
        ...

    def refusal_status(self, refusal: Refusal) -> int:
        """The status by which a refusal is sent."""
        ...

    async def refuse(self, refusal: Refusal, call_id: str) -> None:
        """Sends an error response; nothing of a response has been sent before."""
        ...

    async def final_error(self, refusal: Refusal, call: CallT) -> None:
        """Sends an error after a part of the response, if the response's format allows it and the client
        expects more."""
        ...

    def abort(self) -> None:
        """Resets the connection, so that an incomplete response does not look complete to the client."""
        ...

    def release(self) -> None:
        """Releases the client's side. Always called, once."""
        ...

    def revocation(self, call: CallT) -> Refusal | None:
        """Why a running call must be ended now: its key was revoked, for example. Polled by the sweep."""
        ...

    def is_disconnected(self) -> bool:
        """Whether the client has disconnected; polled by the sweep while the call runs."""
        ...


def content_encoding(headers: Headers) -> bytes:
    """The codings of a body, from all fields of the name (RFC 9110 §5.3): a second field, if ignored, could
    hide what the body refers to."""
    return b",".join([value.strip() for name, value in headers if name == b"content-encoding"]).lower()


def gemini_path(raw_path: bytes) -> bytes:
    """The path after `/gemini`, with one slash before it: a base URL that ends in one makes it two."""
    path = raw_path[len(PREFIX) :]
    return b"/" + path.lstrip(b"/") if path.startswith(b"//") else path
