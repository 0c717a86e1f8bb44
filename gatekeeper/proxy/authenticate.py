"""The client's credential: extracted from the request, removed from the query, and looked up.

Three places, in this order of precedence: `x-goog-api-key: K`, `?key=K`, `Authorization: Bearer K`. Google's
front end decodes parameter names, so `%6Bey=K` is a credential too. Every credential that Google accepts
(https://cloud.google.com/apis/docs/system-parameters) is removed, whether the gateway has used it or not:
exactly one credential is sent upstream, the gateway's own.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Iterator
from typing import NamedTuple
from urllib.parse import unquote_plus

import msgspec

from gatekeeper.gemini.evasion import ALLOWED_PARAMETERS, alphanumerics
from gatekeeper.keys.registry import KeyRegistry
from gatekeeper.keys.secrets import hash_secret
from gatekeeper.keys.sessions import Session
from gatekeeper.keys.virtual_key import KeyState
from gatekeeper.ledger.call import CallRecord
from gatekeeper.proxy.failures import Refused
from gatekeeper.refusals import Reason, Refusal

CREDENTIAL_HEADERS = (KEY_HEADER, BEARER_HEADER) = (b"x-goog-api-key", b"authorization")
CREDENTIAL_PARAMETERS = frozenset({"key", "$key", "access_token", "oauth_token"})
# Alphanumerics of these names and of similar ones (`Key`, `%256bey`, `api_key`).
CREDENTIAL_LOOKALIKES = frozenset({"key", "apikey", "accesstoken", "oauthtoken", "xgoogapikey"})


class Credential(NamedTuple):
    """`secret`: the key that the client sent, if any; `query`: the query's bytes without it."""

    secret: str | None
    query: bytes


def extract_credential(headers: Iterable[tuple[bytes, bytes]], query: bytes) -> Credential:
    """The credential of a request with these headers, or the `CREDENTIAL_HEADERS` of them."""
    from_header = from_bearer = None
    for name, value in headers:
        if name == KEY_HEADER:
            from_header = from_header or value.strip().decode("latin-1")
        elif name == BEARER_HEADER:
            from_bearer = from_bearer or _bearer(value)
    # Most requests have no query at all, or only a bare word.
    if b"=" not in query:
        return Credential(from_header or from_bearer, query)
    from_query, rest = _strip_credentials(query)
    return Credential(from_header or from_query or from_bearer, rest)


def _bearer(value: bytes) -> str | None:
    """The token of `Bearer K`; the scheme's name is case-insensitive (RFC 9110 §11.1)."""
    scheme, _, token = value.strip().partition(b" ")
    return token.strip().decode("latin-1") or None if scheme.lower() == b"bearer" else None


def ephemeral_token(headers: Iterable[tuple[bytes, bytes]], query: bytes) -> str | None:
    """The ephemeral token by which a session of the Live API is opened: `Authorization: Token T` or
    `?access_token=T`."""
    for name, value in headers:
        scheme, _, token = value.strip().partition(b" ")
        if name == b"authorization" and scheme.lower() == b"token" and token.strip():
            return token.strip().decode("latin-1")
    return dict(query_parameters(query)).get("access_token") or None


def query_parameters(query: bytes) -> Iterator[tuple[str, str]]:
    """Names and values of a query, percent-decoded once, as a server reads them."""
    for pair in query.decode("latin-1").split("&"):
        name, _, value = pair.partition("=")
        yield unquote_plus(name), unquote_plus(value)


def _strip_credentials(query: bytes) -> tuple[str | None, bytes]:
    secret = None
    kept: list[bytes] = []
    for pair in query.split(b"&"):
        name, _, value = pair.decode("latin-1").partition("=")
        parameter = unquote_plus(name)
        if parameter not in CREDENTIAL_PARAMETERS:
            if (
                parameter in ALLOWED_PARAMETERS
                # Decoded once more: it is not known whether Google's front end reads `%256bey` as `key`.
                or alphanumerics(unquote_plus(parameter)) not in CREDENTIAL_LOOKALIKES
            ):
                kept.append(pair)
        # Google's other credentials (OAuth) are dropped and not used.
        elif parameter == "key":
            secret = secret or unquote_plus(value) or None
    return secret, b"&".join(kept)


class Identity(msgspec.Struct, frozen=True):
    """The caller, as the ledger's columns have it; `state` only for a virtual key."""

    key_id: str
    alias: str | None
    state: KeyState | None


MASTER_IDENTITY = Identity("master", None, None)
OPEN_MODE_IDENTITY = Identity("open", None, None)


class Authenticator:
    """Authenticates requests: by the master key or a virtual key; in open mode (no master key) every request
    is accepted."""

    def __init__(self, registry: KeyRegistry, master_key: str | None) -> None:
        self._registry = registry
        self._master_digest = hash_secret(master_key) if master_key else None

    def authenticate(self, secret: str | None) -> Identity:
        """Raises Refused for a missing or unknown key. In open mode any key is accepted, and none; a virtual
        key counts as itself there too, so that its spend and limits can be tried out, and one that was
        deleted or given another secret is refused in open mode too."""
        # No key has the empty digest: without a secret none is found below.
        digest = hash_secret(secret) if secret else ""
        # Compared in constant time: the time must not show how many characters of a guess are right.
        if self._master_digest and hmac.compare_digest(digest, self._master_digest):
            return MASTER_IDENTITY
        if state := self._registry.by_hash(digest):
            return Identity(state.record.token_id, state.record.key_alias, state)
        if self._registry.is_revoked(digest):
            raise Refused(key_revoked())
        if self._master_digest is None:
            return OPEN_MODE_IDENTITY
        raise Refused(_key_unknown() if secret else _key_missing())

    def identify(self, row: CallRecord, secret: str | None, session: Session | None) -> KeyState | None:
        """Finds the caller's key, and fills in the row with it; None for the master key and in open mode.
        A request of a `session` needs no secret, and must not have another key's. Raises Refused."""
        identity = (
            self.authenticate(secret) if secret or not session else self.session_identity(session.key_id)
        )
        row.key_id, row.key_alias, state = identity.key_id, identity.alias, identity.state
        if session is not None:
            if row.key_id != session.key_id:
                raise Refused(session_not_found())
            row.tags = list(dict.fromkeys((*session.tags, *row.tags)))
            row.user_id, row.user_agent = row.user_id or session.user_id, session.user_agent
        elif state is not None:
            apply_key_fields(row, state)
        return state

    def session_identity(self, key_id: str) -> Identity:
        """The identity of a session (upload, ephemeral token) that the key with this id has started. Raises
        Refused if the key was deleted, and for a session of open mode after a master key was set."""
        if key_id == MASTER_IDENTITY.key_id:
            return MASTER_IDENTITY
        if state := self._registry.by_id(key_id):
            return Identity(key_id, state.record.key_alias, state)
        if key_id != OPEN_MODE_IDENTITY.key_id:
            raise Refused(key_revoked())
        if self._master_digest is None:
            return OPEN_MODE_IDENTITY
        raise Refused(_key_missing())


def apply_key_fields(row: CallRecord, state: KeyState) -> None:
    """Adds the key's own tags and end user to the row of its call, which already has those of the request."""
    record = state.record
    # A key's own tags come first, and no request can remove them.
    if record.tags:
        row.tags = list(dict.fromkeys(filter(None, (*record.tags, *row.tags))))
    row.user_id = row.user_id or record.user_id


def session_not_found() -> Refusal:
    """The refusal of an unknown upload id or ephemeral token. It is the same for one that has expired and for
    another key's, so that it does not tell which exist."""
    return Refusal(
        Reason.NOT_FOUND,
        "This gateway has no open upload with this upload_id, and no ephemeral token of this name, of your "
        "key: it may have expired, or belong to another key. Start the upload again, or make another token.",
    )


def _key_missing() -> Refusal:
    return Refusal(
        Reason.KEY_MISSING,
        "No API key. Send a key of this gateway as the header x-goog-api-key, as ?key=… or as "
        "Authorization: Bearer …",
    )


def _key_unknown() -> Refusal:
    return Refusal(
        Reason.KEY_UNKNOWN,
        "This gateway does not know this API key. Keys are made with `gatekeeper keys create` or in the "
        "terminal application; a Google key is not one of them.",
    )


def key_revoked() -> Refusal:
    return Refusal(
        Reason.KEY_UNKNOWN,
        "This API key is no longer valid: it was deleted, or given a new secret. Ask the gateway's "
        "administrator for the new one.",
    )
