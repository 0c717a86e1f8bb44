"""The admin API's routes for virtual keys, and for groups of keys and end users, which are alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gatekeeper.client.api_types import ApiResponse
from gatekeeper.client.connection import Connection
from gatekeeper.client.key_types import (
    NAME_FIELDS,
    AccountKind,
    AccountPage,
    Explanation,
    Imported,
    KeyInfo,
    Keys,
    LimitedAccount,
    MadeKeys,
    NewKey,
)


class KeyApi(Connection):
    """`/key/…`, `/group/…`, `/user/…` and `/import`."""

    async def keys(
        self,
        q: str | None = None,
        limit: int | None = None,
        cursor: str | None = None,
        sort: str | None = None,
    ) -> ApiResponse[Keys]:
        """Virtual keys; `q` is text to search in alias, tags, user or group."""
        return await self._get("/key/list", Keys, {"q": q, "limit": limit, "cursor": cursor, "sort": sort})

    async def key_info(self, key: str) -> ApiResponse[KeyInfo]:
        """One key, by its secret, id or alias, as in all methods below."""
        return await self._get("/key/info", KeyInfo, {"key": key})

    async def key_generate(self, fields: Mapping[str, object]) -> ApiResponse[NewKey]:
        """Creates a key from the fields of `POST /key/generate`. Only this response holds the secret."""
        return await self._post("/key/generate", NewKey, fields)

    async def key_update(self, key: str, fields: Mapping[str, object]) -> ApiResponse[object]:
        """Changes the given fields and no other."""
        return await self._post("/key/update", object, {"key": key, **fields})

    async def key_explain(self, question: Mapping[str, object]) -> ApiResponse[Explanation]:
        """Whether a call would be admitted now, by the fields of `POST /key/explain`."""
        return await self._post("/key/explain", Explanation, question)

    async def key_delete(self, *token_ids: str) -> ApiResponse[object]:
        """Deletes keys for good, by their ids; their calls stay."""
        return await self._post("/key/delete", object, {"token_ids": token_ids})

    async def key_block(self, *keys: str) -> ApiResponse[object]:
        """Blocks keys: their calls are refused from now on."""
        return await self._post("/key/block", object, key_selector(keys))

    async def key_unblock(self, *keys: str) -> ApiResponse[object]:
        """Unblocks keys: their calls are accepted again."""
        return await self._post("/key/unblock", object, key_selector(keys))

    async def key_regenerate(self, key: str, grace: str | None = None) -> ApiResponse[NewKey]:
        """Gives the key a new secret, shown in this response only; the old one becomes invalid, at once or
        after `grace`."""
        fields = {"grace": grace} if grace else {}
        return await self._post("/key/regenerate", NewKey, {"key": key, **fields})

    async def key_end_grace(self, key: str) -> ApiResponse[object]:
        """Makes the previous secret invalid at once."""
        return await self._post("/key/end_grace", object, {"key": key})

    async def key_bulk(self, keys: Sequence[Mapping[str, object]], *, dry_run: bool) -> ApiResponse[MadeKeys]:
        """Creates keys, all of them or none; with `dry_run` only looks for faults."""
        return await self._post("/key/bulk", MadeKeys, {"keys": keys, "dry_run": dry_run})

    async def import_all(self, lists: Mapping[str, object], *, dry_run: bool) -> ApiResponse[Imported]:
        """Imports the `keys`, `groups` and `users` of another gateway, all of them or none."""
        return await self._post("/import", Imported, {**lists, "dry_run": dry_run})

    async def account_list(
        self, kind: AccountKind, q: str | None = None, limit: int | None = None, cursor: str | None = None
    ) -> ApiResponse[AccountPage]:
        """By name; `q` is a text in it."""
        return await self._get(f"/{kind}/list", AccountPage, {"q": q, "limit": limit, "cursor": cursor})

    async def account_info(self, kind: AccountKind, name: str) -> ApiResponse[LimitedAccount]:
        """One of them."""
        return await self._get(f"/{kind}/info", LimitedAccount, {NAME_FIELDS[kind]: name})

    async def account_change(
        self, kind: AccountKind, verb: str, name: str, fields: Mapping[str, object]
    ) -> ApiResponse[LimitedAccount]:
        """`verb`: generate, update, block, unblock or delete, with the fields that it takes."""
        return await self._post(f"/{kind}/{verb}", LimitedAccount, {NAME_FIELDS[kind]: name, **fields})


def key_selector(keys: tuple[str, ...]) -> dict[str, object]:
    """One key or several, in the API's form."""
    return {"key": keys[0]} if len(keys) == 1 else {"keys": keys}
