"""The lists of the Keys screen: keys, groups of keys, or end users, in an order, loaded as far as scrolled;
and the actions for each.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from gatekeeper.client.admin_api import Client
from gatekeeper.client.columns import Cell, Column, TextRole
from gatekeeper.client.formats import EMPTY
from gatekeeper.client.key_text import key_columns
from gatekeeper.client.key_types import AccountKind, Key, LimitedAccount
from tui.screens.key_actions import KEY_ACTIONS, KeyAction, account_actions, create_account, new_key
from tui.session import Session
from tui.terminal import ClipboardApp

# Keys that are loaded at once; the API's largest page.
PAGE, MAX_PAGE = 200, 1000

KEYS_ONLY_COLUMNS = ("secret", "tags", "last used")
Columns = Callable[[int, Callable[[], datetime]], list[Column[Key]]]


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


@dataclass(frozen=True, slots=True)
class KeyView:
    """`noun`: what one of them is called. `kind` is None for keys."""

    noun: str
    hint: str
    first: str
    kind: AccountKind | None
    orders: tuple[Order, ...]
    load: Callable[[Client, str, Order, int], Awaitable[KeyList]]
    columns: Columns
    create: Callable[[ClipboardApp, Session], Awaitable[str | None]]
    actions: Mapping[str, KeyAction]


def account_view(kind: AccountKind, noun: str) -> KeyView:
    async def load(client: Client, q: str, _order: Order, wanted: int) -> KeyList:
        return await load_accounts(client, kind, q, wanted)

    async def create(app: ClipboardApp, session: Session) -> str | None:
        return await create_account(kind, app, session)

    def columns(width: int, now: Callable[[], datetime]) -> list[Column[Key]]:
        return account_columns(kind, noun, width, now)

    first = "gives limits to one"
    return KeyView(
        noun,
        f"text in the name of a {noun}",
        first,
        kind,
        (BY_NAME,),
        load,
        columns,
        create,
        account_actions(kind),
    )


def account_columns(
    kind: AccountKind, noun: str, width: int, now: Callable[[], datetime]
) -> list[Column[Key]]:
    """Those of keys that they have too; of a group also how many keys name it."""
    name, *others = (column for column in key_columns(width, now) if column.title not in KEYS_ONLY_COLUMNS)
    keys = [Column("keys", 5, keys_cell, right=True)] if kind == "group" else []
    return [replace(name, title=noun), *keys, *others]


def keys_cell(account: Key) -> Cell:
    number = account.keys if isinstance(account, LimitedAccount) else None
    return EMPTY if number is None else f"{number:,}", TextRole.PLAIN


KEYS = KeyView(
    "key",
    "text in alias, tags, user or group",
    "creates one",
    None,
    ORDERS,
    load_keys,
    key_columns,
    new_key,
    KEY_ACTIONS,
)

VIEWS = (KEYS, account_view("group", "group"), account_view("user", "end user"))
