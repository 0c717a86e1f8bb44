"""Where a request should have gone: a base URL that is not quite right is the commonest beginner's mistake.

Clients differ in what they add to a base URL: most add version and path, some the path only, and OpenAI's
want `openai/` in it. So a path that is none of Google's is answered with all three, as this client would
reach them, inside `/gemini` and outside of it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, cast

from gatekeeper.gemini.actions import COSTLY_COLLECTIONS, FREE_COLLECTIONS, OPENAI_ONLY
from gatekeeper.gemini.errors import error_body, error_headers
from gatekeeper.gemini.spelling import VERSION, plain_path, shown
from gatekeeper.proxy.headers import Headers, value_of
from gatekeeper.refusals import Reason, Refusal
from gatekeeper.server.client_stream import ClientDisconnected, ClientStream

if TYPE_CHECKING:
    from hypercorn.typing import ASGIReceiveCallable, ASGISendCallable, HTTPScope

    from gatekeeper.server.application import Receive, Scope, Send

HOST = re.compile(rb"[\w.:\[\]-]{1,255}")
OPENAI = frozenset(path.partition("/")[0] for path in OPENAI_ONLY) | {"openai"}
# First segments of paths that the admin API has not, and whoever has a wrong base URL may send.
APIS = (OPENAI | FREE_COLLECTIONS | COSTLY_COLLECTIONS | {"upload", "resumable", "download", "ws"}) - {
    "models"
}


def belongs_to_gemini(raw_path: bytes) -> bool:
    """Whether a path outside `/gemini/` was meant for the Gemini API rather than for the admin API."""
    first, *rest = _segments(raw_path)
    name = first.casefold()
    # `GET /models` is the admin API's; `/models/gemini-…:generateContent` can only be meant for Google.
    if name == "models":  # by itself it is the admin API's
        return bool(rest)
    return name == "gemini" or first in APIS or bool(VERSION.fullmatch(first))


def directions(raw_path: bytes, scheme: str, headers: Headers) -> Refusal:
    """The refusal of a path (the whole one) that is none of Google's."""
    base = f"{_origin(scheme, headers)}/gemini"
    path = shown(raw_path.decode("latin-1"), 100)
    return Refusal(
        Reason.NOT_FOUND,
        f"There is no {path} here: {_fault(_segments(raw_path))}. The base URL of this gateway is {base} for "
        f"clients that add the version themselves (google-genai and most others), {base}/v1beta for those "
        f"that do not (Vercel AI SDK, LiteLLM), and {base}/v1beta/openai/ for OpenAI-style ones.",
        {"base_url": base},
    )


async def direct(scope: HTTPScope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
    """Answers a request that went past `/gemini/`. It is no call: it has no row and no id."""
    stream = ClientStream(cast("Scope", scope), cast("Receive", receive), cast("Send", send))
    refusal = directions(scope["raw_path"], scope["scheme"], list(scope["headers"]))
    body = error_body(refusal)
    try:
        await stream.discard_body()
        await stream.start(refusal.status, error_headers(refusal, body), body_follows=True)
        await stream.write(body)
        await stream.finish()
    except ClientDisconnected:
        pass


def _fault(segments: list[str]) -> str:
    versions = [segment for segment in segments if VERSION.fullmatch(segment)]
    if segments.count("gemini") > 1:
        return "it holds `gemini` twice"
    if len(versions) > 1:
        return f"it holds two versions, {' and '.join(versions[:2])}"
    if "openai" not in segments and not OPENAI.isdisjoint(segments):
        return "this is an OpenAI-style path without `openai/`"
    if "gemini" not in segments:
        return "it does not begin with `/gemini`"
    return "it is not a version and a method of the Gemini API"


def _origin(scheme: str, headers: Headers) -> str:
    """Scheme and authority as the client used them, as far as it and what stands between can tell."""
    host = value_of(headers, b"host") or b""
    # Believed for this text only: it decides nothing, and a wrong one misleads its own sender.
    if value_of(headers, b"x-forwarded-proto") == b"https":
        scheme = "https"
    return f"{scheme}://{host.decode() if HOST.fullmatch(host) else 'HOST'}"


def _segments(raw_path: bytes) -> list[str]:
    return (plain_path(raw_path[:2000]) or "/")[1:].split("/")
