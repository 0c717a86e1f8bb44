"""The list of the Keys screen: its orders, and its pages as far as they were scrolled to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gatekeeper.client.admin_api import Client
from gatekeeper.client.key_types import AccountKind, Key

# Keys that are loaded at once; the API's largest page.
PAGE, MAX_PAGE = 200, 1000


@dataclass(frozen=True, slots=True)
class Order:
    """Its name, and the API's."""

    name: str
    sort: str


ORDERS = (
    # Keys that may make no calls come last.
    Order("budget used", "-budget_used"),
    Order("spend", "-spend"),
    Order("last used", "-last_used_at"),
    Order("name", "key_alias"),
)
# Groups and end users have this one only.
BY_NAME = Order("name", "name")


@dataclass(frozen=True, slots=True)
class KeyList:
    """The first keys by an order. `more`: there are further ones."""

    q: str = ""
    order: Order = ORDERS[0]
    keys: Sequence[Key] = ()
    more: bool = False


async def load_keys(client: Client, q: str, order: Order, wanted: int) -> KeyList:
    """At least the `wanted` first keys that contain a text, or all. Raises ApiError."""
    # By id: one that moves in the order between two pages is on both.
    found: dict[str, Key] = {}
    cursor: str | None = None
    while True:
        limit = min(max(wanted - len(found), PAGE), MAX_PAGE)
        page = (await client.keys(q=q or None, limit=limit, cursor=cursor, sort=order.sort)).value
        found.update((key.token_id, key) for key in page.keys)
        cursor = page.next_cursor
        if cursor is None or len(found) >= wanted:
            break
    return KeyList(q, order, tuple(found.values()), cursor is not None)


async def load_accounts(client: Client, kind: AccountKind, q: str, wanted: int) -> KeyList:
    """The same of groups or end users, whose name contains a text, by name. Raises ApiError."""
    found: list[Key] = []
    cursor: str | None = None
    while True:
        limit = min(max(wanted - len(found), PAGE), MAX_PAGE)
        page = (await client.account_list(kind, q or None, limit, cursor)).value
        found += page.groups or page.users
        cursor = page.next_cursor
        if cursor is None or len(found) >= wanted:
            break
    return KeyList(q, BY_NAME, found, cursor is not None)
