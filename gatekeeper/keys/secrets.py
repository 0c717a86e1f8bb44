"""A key's secret: what it looks like, the only forms of it that are kept, and how guessing one is made slow.

Wrong credentials are counted by the address they came from, and the log shows them. Nobody who has a key
waits: only the answer that refuses one is held back. The table and the number of those who wait are bounded,
so that guessing from everywhere costs memory no more than from one place.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import secrets
from collections import OrderedDict
from dataclasses import dataclass

import structlog
import trio

log = structlog.get_logger()

PREFIX = "sk-"
SHORTEST = 16  # characters of a secret that somebody chose

MINUTE = 60.0  # seconds
# Wrong credentials a minute that cost an address no time: whoever sets up a client errs a few times.
FREE = 10
DELAY = 0.5  # seconds, for each one more
# Addresses that are remembered, of which the ones longest unheard of are forgotten
ADDRESSES = 4096
# Answers that are held back at once; more are given at once
WAITING = 1000


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
    # Of digests, which are all as long: of texts it would tell the length.
    return hmac.compare_digest(hash_secret(candidate), hash_secret(master))


@dataclass
class Address:
    """What came from one address. Times are trio's."""

    since: float  # when its running minute began
    count: int = 0  # in that minute
    logged: float | None = None
    untold: int = 0  # since the last line in the log


class Failures:
    """The wrong credentials of the last time."""

    def __init__(self, delay: float = DELAY) -> None:
        self.delay = delay
        self._addresses: OrderedDict[str, Address] = OrderedDict()
        self._waiting = 0

    async def hold_back(self, client: str) -> None:
        """Counts a wrong credential from this address. Returns when it may be answered."""
        if self._count(client) <= FREE or self._waiting >= WAITING:
            return
        self._waiting += 1
        try:
            await trio.sleep(self.delay)
        finally:
            # Also where the client leaves and the wait is cancelled.
            self._waiting -= 1

    def _count(self, client: str) -> int:
        now, name = trio.current_time(), network(client)
        found = self._addresses.setdefault(name, Address(since=now))
        self._addresses.move_to_end(name)
        if len(self._addresses) > ADDRESSES:
            self._addresses.popitem(last=False)
        if now - found.since >= MINUTE:
            found.since, found.count = now, 0
        found.count += 1
        found.untold += 1
        if found.logged is None or now - found.logged >= MINUTE:
            log.warning("credentials_refused", address=name, count=found.untold)
            found.logged, found.untold = now, 0
        return found.count


def network(client: str) -> str:
    """The address; of IPv6 the /64 that one party has all of."""
    try:
        address = ipaddress.ip_address(client)
    except ValueError:
        return client
    if isinstance(address, ipaddress.IPv4Address):
        return client
    return str(address.ipv4_mapped or ipaddress.IPv6Network((int(address), 64), strict=False))
