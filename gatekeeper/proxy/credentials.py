"""The client's credential: where it may stand, and what of the query goes on without it.

Three spellings, in this order of precedence: `x-goog-api-key: K`, `?key=K`, `Authorization: Bearer K`.
Google's front end decodes parameter names, so `%6Bey=K` is a credential too. Whatever could authenticate a
client towards Google (https://cloud.google.com/apis/docs/system-parameters) stays here, used or not: exactly
one credential goes upstream, the gateway's own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple
from urllib.parse import unquote_plus

from gatekeeper.gemini.parameters import ALLOWED
from gatekeeper.gemini.spelling import letters

CREDENTIAL_PARAMETERS = frozenset({"key", "$key", "access_token", "oauth_token"})
# What is left of their names, and of ones taken for them, in any spelling: `Key`, `%256bey`, `api_key`.
MISSPELT = frozenset({"key", "apikey", "accesstoken", "oauthtoken", "xgoogapikey"})


class Credential(NamedTuple):
    """`secret`: what the client showed, None where nothing; `query`: the query's bytes without it."""

    secret: str | None
    query: bytes


def take(headers: Iterable[tuple[bytes, bytes]], query: bytes) -> Credential:
    """The credential of a request whose header names are in lower case."""
    from_header = from_bearer = None
    for name, value in headers:
        if name == b"x-goog-api-key":
            from_header = from_header or value.strip().decode("latin-1")
        elif name == b"authorization":
            from_bearer = from_bearer or _bearer(value)
    if b"=" not in query:
        return Credential(from_header or from_bearer, query)
    from_query, rest = _split(query)
    return Credential(from_header or from_query or from_bearer, rest)


def _bearer(value: bytes) -> str | None:
    """The token of `Bearer K`; the scheme's name is case-insensitive (RFC 9110 §11.1)."""
    scheme, _, token = value.strip().partition(b" ")
    return token.strip().decode("latin-1") or None if scheme.lower() == b"bearer" else None


def parameters(query: bytes) -> Iterator[tuple[str, str]]:
    """Names and values of a query, decoded once, as a server reads them."""
    for pair in query.decode("latin-1").split("&"):
        name, _, value = pair.partition("=")
        yield unquote_plus(name), unquote_plus(value)


def _split(query: bytes) -> tuple[str | None, bytes]:
    secret = None
    kept: list[bytes] = []
    for pair in query.split(b"&"):
        name, _, value = pair.decode("latin-1").partition("=")
        parameter = unquote_plus(name)
        if parameter not in CREDENTIAL_PARAMETERS:
            if parameter in ALLOWED or letters(unquote_plus(parameter)) not in MISSPELT:
                kept.append(pair)
        elif parameter == "key":
            secret = secret or unquote_plus(value) or None
    return secret, b"&".join(kept)
