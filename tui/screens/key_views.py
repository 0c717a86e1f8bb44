"""What the Keys screen lists: keys, groups of keys, or end users, each with what can be done with one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from gatekeeper.client.admin_api import Client
from gatekeeper.client.columns import Cell, Column, TextRole
from gatekeeper.client.formats import EMPTY
from gatekeeper.client.key_text import key_columns
from gatekeeper.client.key_types import AccountKind, Key, LimitedAccount
from tui.key_list import BY_NAME, ORDERS, KeyList, Order, load_accounts, load_keys
from tui.screens.account_actions import account_actions, create_account
from tui.screens.key_actions import KEY_ACTIONS, KeyAction, new_key
from tui.session import Session
from tui.terminal import ClipboardApp

KEYS_ONLY_COLUMNS = ("secret", "tags", "last used")
Columns = Callable[[int, Callable[[], datetime]], list[Column[Key]]]


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
