"""Page tokens of filtered lists: Google's own, sealed.

Google's may be read by anyone (some are the name of a page's last item in Base64), and that item may be
another key's. So a client gets them encrypted, with the project that they are of.
They need no store, outlive a restart, and serve one key for one list. They end when the gateway's secret is
changed, which is its master key: a client begins with the first page again.

SIV (RFC 5297) by SHA-3: the tag over all that is sealed is the nonce of its one-time pad, so that equal
tokens are sealed equally, and nothing else shows.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from binascii import Error as Base64Error

TAG_SIZE = 16  # bytes
MAX_LENGTH = 16 * 1024  # characters of a sealed token


class PageTokens:
    def __init__(self, secret: str) -> None:
        self._key = hashlib.sha3_256(b"gatekeeper page tokens " + secret.encode()).digest()

    def seal(self, place: str, *scope: str) -> str:
        """The token of a place in a list. `scope` is what it may be used for: the key's id, the list."""
        plain = place.encode()
        tag = self._tag(plain, scope)
        return base64.urlsafe_b64encode(tag + self._with_pad(tag, plain)).rstrip(b"=").decode()

    def unseal(self, sealed: str, *scope: str) -> str | None:
        """The place that was sealed for the same scope; None for any other text."""
        # Before it is decoded: anybody may send one of any length.
        if len(sealed) > MAX_LENGTH or not sealed.isascii():
            return None
        try:
            data = base64.b64decode(sealed + "=" * (-len(sealed) % 4), altchars=b"-_", validate=True)
        except Base64Error:
            return None
        tag, plain = data[:TAG_SIZE], self._with_pad(data[:TAG_SIZE], data[TAG_SIZE:])
        if not hmac.compare_digest(tag, self._tag(plain, scope)):
            return None
        return plain.decode()

    def _tag(self, plain: bytes, scope: tuple[str, ...]) -> bytes:
        # The number of parts goes first: else the end of one scope could be read as the beginning of a place.
        scoped = "\0".join(scope).encode() + b"\0" + plain
        return hmac.digest(self._key, b"%d " % len(scope) + scoped, "sha3_256")[:TAG_SIZE]

    def _with_pad(self, tag: bytes, data: bytes) -> bytes:
        pad = hashlib.shake_256(self._key + tag).digest(len(data))
        return bytes(left ^ right for left, right in zip(data, pad, strict=True))
