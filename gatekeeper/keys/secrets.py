"""What a key's secret looks like, and the only forms of it that are kept: its digest and its last letters."""

from __future__ import annotations

import hashlib
import hmac
import secrets

PREFIX = "sk-"
SHORTEST = 16  # characters of a secret that somebody chose


def new_secret() -> str:
    """A secret with 256 random bits: `sk-` and 43 URL-safe characters."""
    return PREFIX + secrets.token_urlsafe(32)


def new_token_id() -> str:
    """A name for a key that says nothing of its secret and stays when the secret changes."""
    return "key_" + secrets.token_hex(8)


def hash_secret(secret: str) -> str:
    """SHA-256 in hex. No salt and no stretching: a look-up needs one digest, and 256 random bits need
    neither. Takes any text, since anything may arrive as a credential."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def key_name(secret: str) -> str:
    """The masked form that people recognise a key by: `sk-...wxyz`."""
    return f"{PREFIX}...{secret[-4:]}"


def shown(name: str) -> str:
    """A key's name as an error may repeat it. What could be a secret is masked: a key may be named by its
    secret, its id or its alias, and a mistyped secret is none of them."""
    if name.startswith("key_") or (len(name) < SHORTEST and not name.startswith(PREFIX)):
        return name
    return f"...{name[-4:]}"


def matches_master(candidate: str, master: str) -> bool:
    """Whether `candidate` is the master key, in a time that tells nothing of either."""
    return hmac.compare_digest(hash_secret(candidate), hash_secret(master))
