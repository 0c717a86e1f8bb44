"""Who may open a terminal: browsers that have presented a key which the gateway accepts.

A key is checked by the gateway itself, so that a key with a role gets what its role permits. What a browser
keeps is a random token in a cookie; the key stays in this process, in memory, until the sign-in ends.
"""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from gatekeeper.addresses import is_loopback
from gatekeeper.client.admin_api import Client
from gatekeeper.client.api_errors import Unauthorized

OPEN_MODE = "open"
# A working day.
SIGNED_IN_SECONDS = 12 * 3600.0


class Refused(Exception):
    """The key opens nothing; the message says why."""


async def check_key(url: str, key: str, host: str) -> None:
    """Returns if the gateway at `url` accepts the key; `host` is the address that browsers reach.

    Raises Refused if it does not, or if it asks nobody for a key although others than this machine's users
    reach it; ApiError if it cannot be asked."""
    async with Client(url, key) as client:
        if (await client.root()).value.mode == OPEN_MODE and not is_loopback(host):
            raise Refused(open_mode_reason(host))
        try:
            await client.keys(limit=1)
        except Unauthorized:
            raise Refused("The gateway does not accept this key.") from None


async def is_open(url: str) -> bool:
    """Whether the gateway asks for no key. Raises ApiError if it cannot be asked."""
    async with Client(url) as client:
        return (await client.root()).value.mode == OPEN_MODE


def open_mode_reason(host: str) -> str:
    """Why an open gateway is not offered to other machines."""
    return (
        f"The gateway is in open mode and asks for no key: whoever reaches {host} could do anything. Set "
        "GATEKEEPER_MASTER_KEY where it runs, or leave out --host"
    )


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A browser that presented a key, and until when it counts, by the monotonic clock."""

    key: str = field(repr=False)
    until: float


class SignIns:
    """The browsers that are signed in, by their tokens."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        # By the tokens' digests: how long a search takes tells nothing of a token.
        self._by_digest: dict[bytes, SignedIn] = {}

    def add(self, key: str) -> str:
        """Signs a browser in; returns its token."""
        now = self._clock()
        # Here, where one is added: no task has to look for what has expired.
        self._by_digest = {digest: one for digest, one in self._by_digest.items() if one.until > now}
        token = secrets.token_urlsafe(32)
        self._by_digest[digest_of(token)] = SignedIn(key, now + SIGNED_IN_SECONDS)
        return token

    def key(self, token: str) -> str | None:
        """The key that the browser with this token presented; None if it is not, or no more, signed in."""
        found = self._by_digest.get(digest_of(token))
        return found.key if found and found.until > self._clock() else None

    def remove(self, token: str) -> None:
        """Signs a browser out."""
        self._by_digest.pop(digest_of(token), None)


def digest_of(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
