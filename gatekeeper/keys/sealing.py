"""Encrypts strings that clients keep but must not read, so that the gateway need not store them.

- `seal`: Google's URL of an upload, encrypted with the upload id, which only the client has.
- `PageTokens`: the page tokens of filtered lists. Google's own tokens can be read by anyone (some are the
  name of the last item of a page in Base64), and that item may be another key's. So the client gets them
  encrypted, together with their project. They remain valid after a restart, for one key and one list. They
  become invalid when the gateway's secret, its master key, changes: then a client starts at the first page
  again.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from binascii import Error as Base64Error

TAG_SIZE = 16  # bytes
MAX_LENGTH = 16 * 1024  # characters of a sealed token


def seal(secret: str, text: str) -> str:
    """Encrypts the text with the secret, in hex; `unseal` is the inverse. Use a secret only once; it must
    have at least 128 random bits.

    The key stream, as long as the text, is SHAKE-256 of the secret. It cannot be derived from `hash_secret`
    of the secret.
    """
    return _with_pad(secret, text.encode()).hex()


def unseal(secret: str, sealed: str) -> str:
    return _with_pad(secret, bytes.fromhex(sealed)).decode()


def _with_pad(secret: str, data: bytes) -> bytes:
    pad = hashlib.shake_256(b"gatekeeper sealed text " + secret.encode()).digest(len(data))
    return bytes(left ^ right for left, right in zip(data, pad, strict=True))


class PageTokens:
    """Encrypts page tokens in SIV mode (RFC 5297) with SHA-3: the tag over scope and plaintext is the nonce
    of the key stream, so equal tokens have equal ciphertexts, and nothing else is revealed. `secret` is the
    gateway's."""

    def __init__(self, secret: str) -> None:
        self._key = hashlib.sha3_256(b"gatekeeper page tokens " + secret.encode()).digest()

    def seal(self, place: str, *scope: str) -> str:
        """Encrypts a position in a list. The token is valid only for the same `scope`: the key's id and the
        list."""
        plain = place.encode()
        tag = self._tag(plain, scope)
        return base64.urlsafe_b64encode(tag + self._with_tag_pad(tag, plain)).rstrip(b"=").decode()

    def unseal(self, sealed: str, *scope: str) -> str | None:
        """Decrypts a position that was sealed for the same scope; None for any other text."""
        # Checked before decoding, because clients may send a token of any length.
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
        # The number of parts comes first, so that a part of the scope cannot be confused with the position.
        scoped = "\0".join(scope).encode() + b"\0" + plain
        return hmac.digest(self._key, b"%d " % len(scope) + scoped, "sha3_256")[:TAG_SIZE]

    def _with_tag_pad(self, tag: bytes, data: bytes) -> bytes:
        pad = hashlib.shake_256(self._key + tag).digest(len(data))
        return bytes(left ^ right for left, right in zip(data, pad, strict=True))
