"""Groups of keys and end users as types, which are alike."""

from __future__ import annotations

from typing import Literal

import msgspec

from gatekeeper.client.api_types import Key

Kind = Literal["group", "user"]
NAME_FIELDS: dict[Kind, str] = {"group": "group", "user": "user_id"}


class LimitedAccount(Key, frozen=True):
    """A group or an end user: limits and spend as a key has them. `keys`: how many name the group."""

    keys: int | None = None

    @property
    def name(self) -> str:
        return self.group or self.user_id or ""

    @property
    def label(self) -> str:
        return self.name


class AccountPage(msgspec.Struct, frozen=True):
    """One of the two lists is there."""

    groups: tuple[LimitedAccount, ...] = ()
    users: tuple[LimitedAccount, ...] = ()
    next_cursor: str | None = None
