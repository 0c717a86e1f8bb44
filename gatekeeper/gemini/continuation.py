"""Continuation tokens: a response that reached the output limit of one request ends with the finish reason
`CONTINUATION` (an interaction with the status `requires_continuation`) and an opaque token, and the client
sends its request again with that token. Such a chain of requests is called a long decode.

Where the tokens are, according to google-genai 3.6.1 (Python) and @google/genai 3.3.0:
`candidates[].continuationToken` of a response, in a stream also of chunks before the last (checkpoints, from
which a stream that broke is resumed), and `continuationToken` at the top of the next request; Interactions
call it `continuation_token`, at the top of an interaction, of an event, and of the request.

A token can be long (it may contain everything generated so far) and is a credential, so only a digest is
kept. The digest is of the whole token, because tokens of one decode may have the same beginning. A token is
base64, which SDKs decode and encode again: Python's reads Google's alphabet and writes the URL-safe one. So
the digest ignores alphabet, padding and JSON escapes.
"""

from __future__ import annotations

import re
from hashlib import sha256

DIGEST_LENGTH = 32
"""Hexadecimal digits of the SHA-256 that are kept: 128 bits."""
MAX_TOKENS = 8
"""How many tokens of a response are kept, the latest ones: a client may resume from an earlier chunk than the
last one that it was sent."""

_TO_STANDARD = bytes.maketrans(b"-_", b"+/")
_ESCAPE = re.compile(rb"\\(?:u([0-9A-Fa-f]{4})|(.))", re.DOTALL)
_CONTROLS = {b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t"}
_INCOMPLETE_ESCAPE = re.compile(rb"\\(?:u[0-9A-Fa-f]{0,3})?\Z")


class TokenDigest:
    """Calculates the digest of a token in JSON as its bytes arrive."""

    def __init__(self) -> None:
        self._hash = sha256()
        self._rest = b""  # an incomplete escape

    def feed(self, raw: bytes) -> None:
        """Takes more of the bytes between the quotes."""
        raw = self._rest + raw
        self._rest = b""
        if b"\\" in raw:
            pairs = raw.split(b"\\\\")  # so that only the last can end within an escape
            if incomplete := _INCOMPLETE_ESCAPE.search(pairs[-1]):
                raw, self._rest = raw[: -len(incomplete[0])], incomplete[0]
            raw = _ESCAPE.sub(_unescape, raw)
        # Normalized alphabet, no padding: SDKs decode a token and encode it again.
        self._hash.update(raw.translate(_TO_STANDARD, b"="))

    def digest(self) -> str:
        return self._hash.hexdigest()[:DIGEST_LENGTH]


def _unescape(escape: re.Match[bytes]) -> bytes:
    if escape[1]:
        return chr(int(escape[1], 16)).encode(errors="replace")
    return _CONTROLS.get(escape[2], escape[2])


def token_digest(token: str) -> str:
    """The digest of a decoded JSON string."""
    plain = token.encode(errors="replace").translate(_TO_STANDARD, b"=")
    return sha256(plain).hexdigest()[:DIGEST_LENGTH]


class Continuations:
    """The digests of the last `MAX_TOKENS` different tokens of one response."""

    def __init__(self) -> None:
        self._digests: dict[str, None] = {}

    def add(self, token: object) -> None:
        """Adds a token; ignores a value that is not a non-empty string."""
        if not isinstance(token, str) or not token:
            return
        digest = token_digest(token)
        self._digests.pop(digest, None)
        self._digests[digest] = None
        if len(self._digests) > MAX_TOKENS:
            # The oldest: a dict keeps the order of insertion, and a repeated token was moved to the end.
            del self._digests[next(iter(self._digests))]

    @property
    def digests(self) -> tuple[str, ...]:
        """In the order received."""
        return tuple(self._digests)
