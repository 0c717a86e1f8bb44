"""The admin API as typed calls: one client for the terminal application and the command line.

Every method returns an `ApiResponse` (the document raw and decoded) or raises an `ApiError`. `stream` yields
events until the gateway ends it; `listen` of `call_stream.py` reconnects.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping
from urllib.parse import quote

import httpx2
import msgspec

from gatekeeper.client import api_errors
from gatekeeper.client.api_types import ApiResponse, FileLoan, GatewayInfo, Models, Prices, Quote, Readiness
from gatekeeper.client.audit import AuditPage
from gatekeeper.client.call_types import CallDetail, Calls, StreamEvent, read_event
from gatekeeper.client.connection import without_none
from gatekeeper.client.key_api import KeyApi
from gatekeeper.client.spend import Spend

# The gateway sends a comment every 15 s at least: a longer silence is a dead connection.
STREAM_TIMEOUT = httpx2.Timeout(20, connect=5)


class Client(KeyApi):
    """A client of the admin API: its routes as methods."""

    async def calls(
        self,
        q: str | None = None,
        since: str | None = None,
        until: str | None = None,
        limit: int | None = None,
        cursor: str | None = None,
        *,
        sort: str | None = None,
        running: bool = False,
    ) -> ApiResponse[Calls]:
        """Finished calls, newest first or by `sort`; or those in flight. `q` is a filter; BadRequest has the
        column of its error."""
        params = {"q": q, "since": since, "until": until, "limit": limit, "cursor": cursor, "sort": sort}
        return await self._get("/calls", Calls, {**params, "running": "true" if running else None})

    async def call(self, id: str) -> ApiResponse[CallDetail]:  # noqa: A002 - the API's name
        """One call, finished or in flight, with its raw usage and its cost's arithmetic."""
        return await self._get(f"/calls/{quote(id, safe='')}", CallDetail)

    async def stream(
        self,
        q: str | None = None,
        last_event_id: str | None = None,
        on_open: Callable[[], None] | None = None,
    ) -> AsyncGenerator[StreamEvent, None]:
        """Events from now on, or after `last_event_id`. Ends when the gateway ends it.

        `on_open` is called once the stream is open: every call that ends later will be an event.
        """
        headers = {"last-event-id": last_event_id} if last_event_id else {}
        try:
            async with self._http.sse(
                "/calls/stream", params=without_none({"q": q}), headers=headers, timeout=STREAM_TIMEOUT
            ) as source:
                if not source.response.is_success:
                    # Read here: after the block the stream is closed.
                    body = await source.response.aread()
                    raise self._failure(source.response.status_code, body)
                if on_open:
                    on_open()
                async for event in source:
                    if read := read_event(event.event, event.id, event.data):
                        yield read
        except httpx2.TransportError as error:
            raise api_errors.from_transport_error(error, self.url) from None
        except msgspec.DecodeError:
            raise api_errors.not_a_gateway(self.url) from None

    async def spend(
        self,
        by: str,
        since: str | None = None,
        until: str | None = None,
        q: str | None = None,
        limit: int | None = None,
        top: int | None = None,
    ) -> ApiResponse[Spend]:
        """Sums per group; `by` is one or two of tag, model, key, user, day, week, hour, minute, with a comma.
        With `top` that many groups have their own rows, and one row sums all others."""
        params = {"by": by, "since": since, "until": until, "q": q, "limit": limit, "top": top}
        return await self._get("/spend", Spend, params)

    async def audit(
        self,
        action: str | None = None,
        key: str | None = None,
        by: str | None = None,
        since: str | None = None,
        until: str | None = None,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> ApiResponse[AuditPage]:
        """Who changed what, newest first; `action`, `key` and `by` are names joined by commas."""
        params = {"action": action, "key": key, "by": by, "since": since, "until": until}
        return await self._get("/audit", AuditPage, {**params, "limit": limit, "cursor": cursor})

    async def prices(self) -> ApiResponse[Prices]:
        """The price catalogue in force."""
        return await self._get("/prices", Prices)

    async def models(self) -> ApiResponse[Models]:
        """The models of calls, and those with a price."""
        return await self._get("/models", Models)

    async def quote(self, question: Mapping[str, object]) -> ApiResponse[Quote]:
        """What a call would cost, by the fields of `POST /prices/quote`."""
        return await self._post("/prices/quote", Quote, question)

    async def sql(self, query: str, limit: int | None = None) -> ApiResponse[object]:
        """The rows of a read-only query."""
        return await self._post("/sql", object, without_none({"query": query, "limit": limit}))

    async def lend(self, seconds: int) -> ApiResponse[FileLoan]:
        """Makes the gateway close the analytics file for another program, for at most `seconds`."""
        return await self._post("/sql/lend", FileLoan, {"seconds": seconds})

    async def end_loan(self) -> ApiResponse[object]:
        """Ends the loan."""
        return await self._post("/sql/return", object, {})

    async def settings(self) -> ApiResponse[object]:
        """The gateway's settings in effect."""
        return await self._get("/settings", object)

    async def ready(self) -> ApiResponse[bool]:
        """Whether it accepts calls; the document has the reasons if not."""
        response = await self._readyz()
        return ApiResponse(response.is_success, response.content)

    async def readiness(self) -> ApiResponse[Readiness]:
        """The health of the gateway; needs no key."""
        content = (await self._readyz()).content
        try:
            return ApiResponse(msgspec.json.decode(content, type=Readiness), content)
        except msgspec.DecodeError:
            raise api_errors.not_a_gateway(self.url) from None

    async def _readyz(self) -> httpx2.Response:
        response = await self._send("GET", "/readyz")
        # 503 is a valid response here: it has the reasons.
        if response.status_code not in (200, 503):
            raise self._failure(response.status_code, response.content)
        return response

    async def root(self) -> ApiResponse[GatewayInfo]:
        """Name, version and mode of the gateway; needs no key."""
        return await self._get("/", GatewayInfo)
