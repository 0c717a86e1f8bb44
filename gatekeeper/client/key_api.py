"""The admin API's routes for virtual keys."""

from __future__ import annotations

from collections.abc import Mapping

from gatekeeper.client.api_types import ApiResponse, KeyInfo, Keys, NewKey
from gatekeeper.client.connection import Connection
from gatekeeper.client.explain_types import Explanation


class KeyApi(Connection):
    """`/key/…`."""

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

    async def key_delete(self, *keys: str) -> ApiResponse[object]:
        """Deletes keys for good; their calls stay."""
        return await self._post("/key/delete", object, key_selector(keys))

    async def key_block(self, *keys: str) -> ApiResponse[object]:
        """Blocks keys: their calls are refused from now on."""
        return await self._post("/key/block", object, key_selector(keys))

    async def key_unblock(self, *keys: str) -> ApiResponse[object]:
        """Unblocks keys: their calls are accepted again."""
        return await self._post("/key/unblock", object, key_selector(keys))

    async def key_regenerate(self, key: str) -> ApiResponse[NewKey]:
        """Gives the key a new secret, shown in this response only; the old one becomes invalid."""
        return await self._post("/key/regenerate", NewKey, {"key": key})


def key_selector(keys: tuple[str, ...]) -> dict[str, object]:
    """One key or several, in the API's form."""
    return {"key": keys[0]} if len(keys) == 1 else {"keys": keys}
