"""Sessions: requests that continue an earlier call with a secret of their own instead of the key. Pure;
nothing raises.

- An ephemeral token for the Live API, as `auth_tokens` creates it
  (https://ai.google.dev/gemini-api/docs/ephemeral-tokens): the response's `name` is the token itself. Its
  times are input only: the response need not repeat them, so they are read from the request, with Google's
  defaults.
- A resumable upload: the `upload_id` alone authorizes its further requests.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import NamedTuple
from urllib.parse import unquote_plus

import msgspec

from gatekeeper.gemini.evasion import alphanumerics
from gatekeeper.times import to_micros

SECOND = 1_000_000  # microseconds
DEFAULT_LIFETIME = 30 * 60 * SECOND
DEFAULT_NEW_SESSION_TIME = 60 * SECOND
MAX_LIFETIME = 20 * 3600 * SECOND
NAME_PREFIX = "auth_tokens/"


class CreatedToken(NamedTuple):
    """An ephemeral token. Times are microseconds since 1970; `uses` 0: any number of sessions."""

    name: str
    expires_at: int
    new_sessions_until: int
    uses: int


def created_token(request: bytes, response: bytes, now: int) -> CreatedToken | None:
    """The token that a call has created, from the bodies of its request and its response; None if the
    response has none. Invalid values count as the default."""
    answer = _members(response)
    name = answer.get("name")
    if not isinstance(name, str) or not name.startswith(NAME_PREFIX):
        return None
    # Values in the response take precedence: they are what Google applies.
    fields = {**_members(request), **answer}
    uses = fields.get("uses")
    return CreatedToken(
        name,
        _time(fields, "expireTime", "expire_time", now, DEFAULT_LIFETIME),
        _time(fields, "newSessionExpireTime", "new_session_expire_time", now, DEFAULT_NEW_SESSION_TIME),
        uses if isinstance(uses, int) else 1,
    )


def _members(body: bytes) -> dict[str, object]:
    try:
        return msgspec.json.decode(body, type=dict[str, object])
    except (ValueError, RecursionError):
        return {}


def _time(fields: dict[str, object], name: str, snake_case: str, now: int, default: int) -> int:
    """A time, at most 20 hours from now, which is Google's limit."""
    text = fields.get(name, fields.get(snake_case))
    try:
        at = datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        at = None
    if at is None:
        return now + default
    return min(to_micros(at if at.tzinfo else at.replace(tzinfo=UTC)), now + MAX_LIFETIME)


def upload_ids(query: bytes) -> list[str]:
    """The values of `upload_id`, whatever the spelling of the name: a request with one continues an
    upload."""
    if b"=" not in query:
        return []
    values = [pair.partition(b"=")[2] for pair in query.split(b"&") if _is_upload_id(pair)]
    return [unquote_plus(value.decode("latin-1")) for value in values]


def without_upload_ids(query: bytes) -> bytes:
    return b"&".join(pair for pair in query.split(b"&") if pair and not _is_upload_id(pair))


def _is_upload_id(pair: bytes) -> bool:
    name = pair.partition(b"=")[0].decode("latin-1")
    # Twice, because it is unknown whether a server decodes `%255F` once or twice.
    return alphanumerics(unquote_plus(unquote_plus(name))) == "uploadid"
