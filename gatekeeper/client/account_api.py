"""The admin API's routes for groups of keys and end users, which are alike."""

from __future__ import annotations

from collections.abc import Mapping

from gatekeeper.client.account_types import NAME_FIELDS, AccountPage, Kind, LimitedAccount
from gatekeeper.client.api_types import ApiResponse
from gatekeeper.client.connection import Connection


class AccountApi(Connection):
    """`/group/…` and `/user/…`."""

    async def account_list(
        self, kind: Kind, q: str | None = None, limit: int | None = None, cursor: str | None = None
    ) -> ApiResponse[AccountPage]:
        """By name; `q` is a text in it."""
        return await self._get(f"/{kind}/list", AccountPage, {"q": q, "limit": limit, "cursor": cursor})

    async def account_info(self, kind: Kind, name: str) -> ApiResponse[LimitedAccount]:
        """One of them."""
        return await self._get(f"/{kind}/info", LimitedAccount, {NAME_FIELDS[kind]: name})

    async def account_change(
        self, kind: Kind, verb: str, name: str, fields: Mapping[str, object]
    ) -> ApiResponse[LimitedAccount]:
        """`verb`: generate, update, block, unblock or delete, with the fields that it takes."""
        return await self._post(f"/{kind}/{verb}", LimitedAccount, {NAME_FIELDS[kind]: name, **fields})
