"""Texts that others keep and must not read: sealed, so that no store of them is needed here.

- `seal`: Google's address of an upload, sealed with its id, which only the client has.
- `PageTokens`: the page tokens of filtered lists. Google's own may be read by anyone (some are the name of a
  page's last item in Base64), and that item may be another key's. So a client gets them encrypted, with the
  project that they are of. They outlive a restart, and serve one key for one list. They end when the
  gateway's secret is changed, which is its master key: a client begins with the first page again.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from binascii import Error as Base64Error

TAG_SIZE = 16  # bytes
MAX_LENGTH = 16 * 1024  # characters of a sealed token


def seal(secret: str, text: str) -> str:
    """The text encrypted with the secret, in hex; `unseal` is its inverse. To be used once for each secret,
    which must have 128 random bits or more.

    SHAKE-256 of the secret is as long as the text and unpredictable, so it is a one-time pad. It reveals
    nothing to whoever has only `hash_secret` of it.
    """
    return _with_pad(secret, text.encode()).hex()


def unseal(secret: str, sealed: str) -> str:
    return _with_pad(secret, bytes.fromhex(sealed)).decode()


def _with_pad(secret: str, data: bytes) -> bytes:
    pad = hashlib.shake_256(b"gatekeeper sealed text " + secret.encode()).digest(len(data))
    return bytes(left ^ right for left, right in zip(data, pad, strict=True))


class PageTokens:
    """SIV (RFC 5297) by SHA-3: the tag over all that is sealed is the nonce of its one-time pad, so that
    equal tokens are sealed equally, and nothing else shows. `secret` is the gateway's."""

    def __init__(self, secret: str) -> None:
        self._key = hashlib.sha3_256(b"gatekeeper page tokens " + secret.encode()).digest()

    def seal(self, place: str, *scope: str) -> str:
        """The token of a place in a list. `scope` is what it may be used for: the key's id, the list."""
        plain = place.encode()
        tag = self._tag(plain, scope)
        return base64.urlsafe_b64encode(tag + self._with_tag_pad(tag, plain)).rstrip(b"=").decode()

    def unseal(self, sealed: str, *scope: str) -> str | None:
        """The place that was sealed for the same scope; None for any other text."""
        # Before it is decoded: anybody may send one of any length.
        if len(sealed) > MAX_LENGTH or not sealed.isascii():
            return None
        try:
            data = base64.b64decode(sealed + "=" * (-len(sealed) % 4), altchars=b"-_", validate=True)
        except Base64Error:
            return None
        tag, plain = data[:TAG_SIZE], self._with_tag_pad(data[:TAG_SIZE], data[TAG_SIZE:])
        if not hmac.compare_digest(tag, self._tag(plain, scope)):
            return None
        return plain.decode()

    def _tag(self, plain: bytes, scope: tuple[str, ...]) -> bytes:
        # The number of parts goes first: else the end of one scope could be read as the beginning of a place.
        scoped = "\0".join(scope).encode() + b"\0" + plain
        return hmac.digest(self._key, b"%d " % len(scope) + scoped, "sha3_256")[:TAG_SIZE]

    def _with_tag_pad(self, tag: bytes, data: bytes) -> bytes:
        pad = hashlib.shake_256(self._key + tag).digest(len(data))
        return bytes(left ^ right for left, right in zip(data, pad, strict=True))
