"""The 404 for a wrong base URL, which names the right ones.

Clients differ in what they append to a base URL: most add version and path, some the path only, and OpenAI's
need `openai/` in it. So for a path that the Gemini API does not have, the error names all three base URLs, as
this client would reach them, inside `/gemini` and outside of it.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, cast

from gatekeeper.gemini.actions import BILLABLE_COLLECTIONS, FREE_COLLECTIONS, OPENAI_ONLY
from gatekeeper.gemini.errors import error_body, error_headers
from gatekeeper.gemini.evasion import VERSION, normalized_path, quoted_excerpt
from gatekeeper.proxy.cors import AllowedOrigins, allow_reading, is_preflight, preflight_headers
from gatekeeper.refusals import Reason, Refusal
from gatekeeper.server.client_stream import ClientDisconnected, ClientStream

if TYPE_CHECKING:
    from hypercorn.typing import ASGIReceiveCallable, ASGISendCallable, HTTPScope

    from gatekeeper.server.asgi_types import Receive, Scope, Send

OPENAI_SEGMENTS = frozenset(path.partition("/")[0] for path in OPENAI_ONLY) | {"openai"}
# First segments of Gemini paths that the admin API does not use.
GEMINI_SEGMENTS = (
    OPENAI_SEGMENTS | FREE_COLLECTIONS | BILLABLE_COLLECTIONS | {"upload", "resumable", "download", "ws"}
) - {"models"}


def is_gemini_path(raw_path: bytes) -> bool:
    """Whether a path outside `/gemini/` was meant for the Gemini API rather than for the admin API."""
    first, *rest = _segments(raw_path)
    name = first.casefold()
    # `GET /models` is the admin API's; `/models/gemini-…:generateContent` can only be meant for Google.
    if name == "models":
        return bool(rest)
    return name == "gemini" or first in GEMINI_SEGMENTS or bool(VERSION.fullmatch(first))


def base_url_refusal(raw_path: bytes, public_base: str) -> Refusal:
    """The refusal of a path (the complete one) that the Gemini API does not have. `public_base` is this
    gateway's URL without `/gemini`."""
    base = f"{public_base}/gemini"
    path = quoted_excerpt(raw_path.decode("latin-1"), 100)
    return Refusal(
        Reason.NOT_FOUND,
        f"There is no {path} here: {_path_error(_segments(raw_path))}. The base URL of this gateway is "
        f"{base} for clients that add the version themselves (google-genai and most others), "
        f"{base}/v1beta for those that do not (Vercel AI SDK, LiteLLM), and {base}/v1beta/openai/ for "
        "OpenAI-style ones.",
        {"base_url": base},
    )


async def send_base_url_error(
    scope: HTTPScope,
    receive: ASGIReceiveCallable,
    send: ASGISendCallable,
    public_base: str,
    origins: AllowedOrigins,
) -> None:
    """Responds to a Gemini request outside `/gemini/`, which is not recorded as a call."""
    stream = ClientStream(cast("Scope", scope), cast("Receive", receive), cast("Send", send))
    headers = list(scope["headers"])
    may_read = allow_reading(stream, origins, headers)
    try:
        await stream.discard_body()
        # Otherwise a page would be told of CORS only, and not of its base URL.
        if may_read and is_preflight(scope["method"], headers):
            await stream.start(HTTPStatus.NO_CONTENT, preflight_headers(headers))
        else:
            refusal = base_url_refusal(scope["raw_path"], public_base)
            body = error_body(refusal)
            await stream.start(refusal.status, error_headers(refusal, body), coalesce_with_body=True)
            await stream.write(body)
        await stream.finish()
    except ClientDisconnected:
        pass


def _path_error(segments: list[str]) -> str:
    versions = [segment for segment in segments if VERSION.fullmatch(segment)]
    if segments.count("gemini") > 1:
        return "it holds `gemini` twice"
    if len(versions) > 1:
        return f"it holds two versions, {' and '.join(versions[:2])}"
    if "openai" not in segments and not OPENAI_SEGMENTS.isdisjoint(segments):
        return "this is an OpenAI-style path without `openai/`"
    if "gemini" not in segments:
        return "it does not begin with `/gemini`"
    return "it is not a version and a method of the Gemini API"


def _segments(raw_path: bytes) -> list[str]:
    return (normalized_path(raw_path[:2000]) or "/")[1:].split("/")
