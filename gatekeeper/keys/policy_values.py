"""Parsers for the values of policies, as they stand in the bodies of the admin API: the value in the record's
type; ValueError if it is not allowed."""

from __future__ import annotations

from ipaddress import IPv6Network, ip_network
from typing import cast

from gatekeeper.keys.policies import SERVICE_TIERS

MAX_NETWORKS = 256

SEARCHES = "give false for none, true for any number, or how many a call may make, from 0"
STORE = "give false if requests must say `store: false`, or true if they need not"
TIERS = f"give a list of at least one of {', '.join(SERVICE_TIERS)}, or null for all"
NETWORKS = (
    f"give a list of 1 to {MAX_NETWORKS} addresses or networks as 203.0.113.7, 10.0.0.0/8 or 2001:db8::/32 "
    "(no bits set behind the prefix), or null for all"
)


def max_searches(value: object) -> int | None:
    """None: any number."""
    # Flags are ints to Python, as they are meant here: false is 0, and true is told apart below.
    if not isinstance(value, int) or not 0 <= value < 2**31:
        raise ValueError
    return None if value is True else int(value)


def only_unstored(value: object) -> bool:
    """The value is that of `store`: whether Google may keep prompts."""
    if not isinstance(value, bool):
        raise ValueError  # noqa: TRY004  (parsers raise ValueError only)
    return not value


def service_tiers(value: object) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(name.strip().lower() for name in _texts(value)))
    if not set(names) <= set(SERVICE_TIERS):
        raise ValueError
    return names


def networks(value: object) -> tuple[str, ...]:
    """In canonical form. What a client's address never is, is refused: with a zone, or IPv4 within IPv6."""
    found = dict.fromkeys(ip_network(text.strip()) for text in _texts(value))
    if len(found) > MAX_NETWORKS or any(
        isinstance(network, IPv6Network)
        and (network.network_address.ipv4_mapped or network.network_address.scope_id)
        for network in found
    ):
        raise ValueError
    return tuple(map(str, found))


def _texts(value: object) -> list[str]:
    """A list that is not empty: none at all would be a limit to nothing, or none."""
    if not isinstance(value, list) or not value:
        raise ValueError
    texts = cast("list[object]", value)
    if not all(isinstance(text, str) for text in texts):
        raise ValueError
    return cast("list[str]", texts)
