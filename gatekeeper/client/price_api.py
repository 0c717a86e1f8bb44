"""The admin API's routes for prices."""

from __future__ import annotations

from collections.abc import Mapping

from gatekeeper.client.api_types import ApiResponse, Prices
from gatekeeper.client.connection import Connection
from gatekeeper.client.price_types import Models, Quote


class PriceApi(Connection):
    """`/prices…` and `/models`."""

    async def prices(self) -> ApiResponse[Prices]:
        """The price catalogue in force."""
        return await self._get("/prices", Prices)

    async def models(self) -> ApiResponse[Models]:
        """The models of calls, and those with a price."""
        return await self._get("/models", Models)

    async def quote(self, question: Mapping[str, object]) -> ApiResponse[Quote]:
        """What a call would cost, by the fields of `POST /prices/quote`."""
        return await self._post("/prices/quote", Quote, question)
