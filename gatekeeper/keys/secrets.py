"""Secrets of keys: their format, the digest and masked form that are stored, and the throttling of guesses.

Wrong credentials are counted and logged by client address. Calls with a valid key are never delayed, only the
response to a wrong one. The table of addresses and the number of delayed responses are bounded, so that
guessing from many addresses does not exhaust memory.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import secrets
from collections import OrderedDict
from dataclasses import dataclass

import trio

from gatekeeper.logs import log

PREFIX = "sk-"
MIN_SECRET_LENGTH = 16  # characters of a secret that the caller chooses

MINUTE = 60.0  # seconds
# Wrong credentials per minute and address that are not delayed: setting up a client takes a few attempts.
FREE_ATTEMPTS = 10
DELAY = 0.5  # seconds per further attempt
# Addresses that are tracked; the least recently used are evicted.
MAX_ADDRESSES = 4096
# Responses that are delayed at the same time; further ones are sent without delay.
MAX_DELAYED = 1000


def new_secret() -> str:
    """A secret with 256 random bits: `sk-` and 43 URL-safe characters."""
    return PREFIX + secrets.token_urlsafe(32)


def new_token_id() -> str:
    """A random key id, which does not depend on the secret and does not change with it."""
    return "key_" + secrets.token_hex(8)


def hash_secret(secret: str) -> str:
    """SHA-256 in hex. Without salt or stretching: a look-up needs a deterministic digest, and 256 random bits
    need neither. Accepts any string, since a client may send anything as a credential."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def key_name(secret: str) -> str:
    """The masked secret that identifies a key for people: `sk-...wxyz`."""
    return f"{PREFIX}...{secret[-4:]}"


def redacted_name(name: str) -> str:
    """A key's name for an error message. It may be an id, an alias or a secret, even a mistyped one, so
    anything that could be a secret is masked."""
    if name.startswith("key_") or (len(name) < MIN_SECRET_LENGTH and not name.startswith(PREFIX)):
        return name
    return f"...{name[-4:]}"


def matches_master(candidate: str, master: str) -> bool:
    """Whether `candidate` is the master key, in constant time."""
    # Digests have equal lengths: comparing the strings would reveal the length.
    return hmac.compare_digest(hash_secret(candidate), hash_secret(master))


@dataclass
class AddressStats:
    """Authentication failures of one address. Times are trio's clock."""

    since: float  # when the current minute began
    count: int = 0  # in the current minute
    logged: float | None = None
    unlogged: int = 0  # since the last log line


class AuthFailures:
    """Recent authentication failures by client address."""

    def __init__(self, delay: float = DELAY) -> None:
        self.delay = delay
        self._addresses: OrderedDict[str, AddressStats] = OrderedDict()
        self._delayed = 0

    async def throttle(self, client: str) -> None:
        """Counts a wrong credential from this address. Returns when the response may be sent."""
        if self._count(client) <= FREE_ATTEMPTS or self._delayed >= MAX_DELAYED:
            return
        self._delayed += 1
        try:
            await trio.sleep(self.delay)
        finally:
            # Even if the client disconnects and the wait is cancelled.
            self._delayed -= 1

    def _count(self, client: str) -> int:
        now, name = trio.current_time(), network_of(client)
        found = self._addresses.setdefault(name, AddressStats(since=now))
        self._addresses.move_to_end(name)
        if len(self._addresses) > MAX_ADDRESSES:
            self._addresses.popitem(last=False)
        if now - found.since >= MINUTE:
            found.since, found.count = now, 0
        found.count += 1
        found.unlogged += 1
        if found.logged is None or now - found.logged >= MINUTE:
            log.warning("authentication_failed", address=name, count=found.unlogged)
            found.logged, found.unlogged = now, 0
        return found.count


def network_of(client: str) -> str:
    """The address; for IPv6 its /64 network, which may belong to a single client."""
    try:
        address = ipaddress.ip_address(client)
    except ValueError:
        return client
    if isinstance(address, ipaddress.IPv4Address):
        return client
    return str(address.ipv4_mapped or ipaddress.IPv6Network((int(address), 64), strict=False))
