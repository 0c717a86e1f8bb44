"""The tokens of a long decode: a response that reached the limit of one request ends with the finish reason
`CONTINUATION` (an interaction with the status `requires_continuation`) and an opaque token, and the client
sends its request again with that token.

Where tokens stand, as google-genai 3.6.1 (Python) and @google/genai 3.3.0 read and write them:
`candidates[].continuationToken` of a response, in a stream also of chunks before the last (checkpoints, from
which a stream that broke is resumed), and `continuationToken` at the top of the next request; Interactions
call it `continuation_token`, at the top of an interaction, of an event, and of the request.

A token is long (it may hold all that was generated so far) and confers the right to go on, so that only a
digest of it is kept, of all of it: tokens of one decode may begin alike. It is bytes in base64, which SDKs
decode and encode again: Python's reads Google's alphabet and writes that for URLs. So alphabet, padding and
escapes do not count.
"""

from __future__ import annotations

import re
from hashlib import sha256

DIGEST_LENGTH = 32
"""Hexadecimal digits that are kept of the SHA-256: 128 bits."""
MAX_TOKENS = 8
"""How many tokens of one response are kept, the last ones: a client may resume from an earlier chunk than
the last that was sent to it."""

_TO_STANDARD = bytes.maketrans(b"-_", b"+/")
_ESCAPE = re.compile(rb"\\(?:u([0-9A-Fa-f]{4})|(.))", re.DOTALL)
_CONTROLS = {b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t"}
_INCOMPLETE_ESCAPE = re.compile(rb"\\(?:u[0-9A-Fa-f]{0,3})?\Z")


class TokenDigest:
    """The digest of one token in JSON, as its bytes arrive."""

    def __init__(self) -> None:
        self._hash = sha256()
        self._rest = b""  # an escape that is incomplete so far

    def feed(self, raw: bytes) -> None:
        """Takes more of the bytes between the quotes."""
        raw = self._rest + raw
        self._rest = b""
        if b"\\" in raw:
            pairs = raw.split(b"\\\\")  # so that only the last can end within an escape
            if incomplete := _INCOMPLETE_ESCAPE.search(pairs[-1]):
                raw, self._rest = raw[: -len(incomplete[0])], incomplete[0]
            raw = _ESCAPE.sub(_unescape, raw)
        # In one alphabet and without padding: SDKs decode a token and encode it again.
        self._hash.update(raw.translate(_TO_STANDARD, b"="))

    def digest(self) -> str:
        return self._hash.hexdigest()[:DIGEST_LENGTH]


def _unescape(escape: re.Match[bytes]) -> bytes:
    if escape[1]:
        return chr(int(escape[1], 16)).encode(errors="replace")
    return _CONTROLS.get(escape[2], escape[2])


def token_digest(token: str) -> str:
    """The digest of a token whose escapes are resolved."""
    plain = token.encode(errors="replace").translate(_TO_STANDARD, b"=")
    return sha256(plain).hexdigest()[:DIGEST_LENGTH]


class Continuations:
    """The digests of the last `MAX_TOKENS` different tokens of one response."""

    def __init__(self) -> None:
        self._digests: dict[str, None] = {}

    def add(self, token: object) -> None:
        """Ignores what is no token."""
        if not isinstance(token, str) or not token:
            return
        digest = token_digest(token)
        self._digests.pop(digest, None)
        self._digests[digest] = None
        if len(self._digests) > MAX_TOKENS:
            # The oldest: a dict keeps the order, and a token that comes again was moved to its end.
            del self._digests[next(iter(self._digests))]

    @property
    def digests(self) -> tuple[str, ...]:
        """In the order received."""
        return tuple(self._digests)
