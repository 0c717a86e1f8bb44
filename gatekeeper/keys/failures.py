"""Wrong credentials, counted by the address they came from: guessing is slow, and the log shows it.

Nobody who has a key waits: only the answer that refuses one is held back. The table and the number of those
who wait are bounded, so that guessing from everywhere costs memory no more than from one place.
"""

from __future__ import annotations

import ipaddress
from collections import OrderedDict
from dataclasses import dataclass

import structlog
import trio

log = structlog.get_logger()

MINUTE = 60.0  # seconds
FREE = (
    10  # wrong credentials a minute that cost an address no time: whoever sets up a client errs a few times
)
DELAY = 0.5  # seconds, for each one more
ADDRESSES = 4096  # of which the ones longest unheard of are forgotten
WAITING = 1000  # answers that are held back at once; more are given at once


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
