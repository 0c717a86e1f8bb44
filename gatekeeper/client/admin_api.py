"""The admin API as typed calls: one client for the terminal application and the command line.

Every method returns an `ApiResponse` (the document raw and decoded) or raises an `ApiError`. `stream` yields
events until the gateway ends it; `follow` reconnects, for as long as its listener permits.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from contextlib import aclosing
from itertools import chain, repeat
from ssl import SSLContext
from typing import Protocol, Self, TypeVar
from urllib.parse import quote, urlsplit

import httpx2
import msgspec

from gatekeeper.client import api_errors
from gatekeeper.client.api_errors import ApiError, Unreachable
from gatekeeper.client.api_types import (
    ApiResponse,
    CallDetail,
    Calls,
    FileLoan,
    GatewayInfo,
    KeyInfo,
    Keys,
    NewKey,
)
from gatekeeper.client.spend_types import Spend
from gatekeeper.client.stream_events import StreamEvent, read_event

T = TypeVar("T")
Params = Mapping[str, str | int | None]

TIMEOUT = httpx2.Timeout(30, connect=5)
# The gateway sends a comment every 15 s at least: a longer silence is a dead connection.
STREAM_TIMEOUT = httpx2.Timeout(20, connect=5)
# SDKs need it after the address, so that people also append it here.
GEMINI = "/gemini"
LOOPBACK = ("127.0.0.1", "localhost", "::1")

# Seconds before each retry; a gateway that restarts is back within the first few.
RETRY_DELAYS = (0.5, 1.0, 2.0, 4.0)


class Client:
    """A client of the gateway at `url` with its master `key` (None in open mode). `tls` replaces the trust
    store of the machine and SSL_CERT_FILE. Raises BadRequest where `url` is not an address. Close it, or use
    it as an async context manager."""

    def __init__(self, url: str, key: str | None = None, tls: SSLContext | None = None) -> None:
        self.url = url.rstrip("/").removesuffix(GEMINI).rstrip("/")
        host = address_host(url)
        # Reading the machine's trust store takes 150 ms: not for plain HTTP.
        if tls is None and urlsplit(url).scheme == "https":
            tls = httpx2.create_ssl_context()
        headers = {b"authorization": b"Bearer " + key.encode()} if key else {}
        # Proxies of the environment cannot reach this machine's loopback address.
        self._http = httpx2.AsyncClient(
            base_url=self.url,
            headers=headers,
            timeout=TIMEOUT,
            verify=tls or False,
            trust_env=host not in LOOPBACK,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Closes all connections."""
        await self._http.aclose()

    async def calls(
        self,
        q: str | None = None,
        since: str | None = None,
        until: str | None = None,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> ApiResponse[Calls]:
        """Finished calls, newest first. `q` is a filter; BadRequest has the column of its error."""
        params = {"q": q, "since": since, "until": until, "limit": limit, "cursor": cursor}
        return await self._get("/calls", Calls, params)

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
                    raise api_errors.from_response(source.response.status_code, body, self.url)
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
        """Sums per group; `by` is one or two of tag, model, key, user, day, hour, joined by a comma. With
        `top` that many groups have their own rows, and one row sums all others."""
        params = {"by": by, "since": since, "until": until, "q": q, "limit": limit, "top": top}
        return await self._get("/spend", Spend, params)

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

    async def sql(self, query: str, limit: int | None = None) -> ApiResponse[object]:
        """The rows of a read-only query."""
        return await self._post("/sql", object, without_none({"query": query, "limit": limit}))

    async def lend(self, seconds: int) -> ApiResponse[FileLoan]:
        """Has the gateway close the analytics file for another program, for at most `seconds`."""
        return await self._post("/sql/lend", FileLoan, {"seconds": seconds})

    async def end_loan(self) -> ApiResponse[object]:
        """Ends the loan."""
        return await self._post("/sql/return", object, {})

    async def ready(self) -> ApiResponse[bool]:
        """Whether it accepts calls; the document has the reasons if not."""
        response = await self._send("GET", "/readyz")
        # 503 is a valid response here: it has the reasons.
        if response.status_code not in (200, 503):
            raise api_errors.from_response(response.status_code, response.content, self.url)
        return ApiResponse(response.is_success, response.content)

    async def root(self) -> ApiResponse[GatewayInfo]:
        """Name, version and mode of the gateway; needs no key."""
        return await self._get("/", GatewayInfo)

    async def _get(self, path: str, kind: type[T], params: Params | None = None) -> ApiResponse[T]:
        return self._read(await self._send("GET", path, params=params), kind)

    async def _post(self, path: str, kind: type[T], body: Mapping[str, object]) -> ApiResponse[T]:
        return self._read(await self._send("POST", path, body=msgspec.json.encode(body)), kind)

    async def _send(
        self, method: str, path: str, params: Params | None = None, body: bytes | None = None
    ) -> httpx2.Response:
        headers = {"content-type": "application/json"} if body is not None else {}
        try:
            return await self._http.request(
                method, path, params=without_none(params or {}), content=body, headers=headers
            )
        except httpx2.TransportError as error:
            # `from None`, here and above: the cause's message may quote the header that carries the key.
            raise api_errors.from_transport_error(error, self.url) from None

    def _read(self, response: httpx2.Response, kind: type[T]) -> ApiResponse[T]:
        if not response.is_success:
            raise api_errors.from_response(response.status_code, response.content, self.url)
        try:
            return ApiResponse(msgspec.json.decode(response.content, type=kind), response.content)
        except msgspec.DecodeError:
            raise api_errors.not_a_gateway(self.url) from None


def address_host(url: str) -> str:
    """The host of a gateway's address. Raises BadRequest where it is not an address."""
    try:
        address = urlsplit(url)
        host = httpx2.URL(url).host if address.scheme in ("http", "https") and address.port != 0 else ""
    except (ValueError, httpx2.InvalidURL):
        host = ""
    if not host:
        raise api_errors.BadRequest(
            f"{url!r} is not an address of a gateway: --url and GATEKEEPER_URL take http://HOST:PORT or https://HOST."
        )
    return host


def without_none(params: Params) -> dict[str, str | int]:
    """The parameters without those that are None."""
    return {name: value for name, value in params.items() if value is not None}


def key_selector(keys: tuple[str, ...]) -> dict[str, object]:
    """One key or several, in the API's form."""
    return {"key": keys[0]} if len(keys) == 1 else {"keys": keys}


class Listener(Protocol):
    """Receives what `follow` reads from the stream."""

    def connected(self) -> None:
        """The stream is open: every call that ends from now on will be received."""
        ...

    def received(self, event: StreamEvent) -> None:
        """The next event, in order."""
        ...

    def disconnected(self, error: ApiError, wait: float) -> None:
        """The stream ended; the next attempt is in `wait` seconds, unless this raises the error."""
        ...


def backoff() -> Iterator[float]:
    """Seconds to wait before each retry."""
    return chain(RETRY_DELAYS, repeat(2 * RETRY_DELAYS[-1]))


async def follow(client: Client, q: str | None, listener: Listener) -> None:
    """Follows the stream indefinitely, reconnecting as needed, also after a restart of the gateway.

    It resumes after the last event received, so that no event is lost or received twice; where the gateway
    no longer has the events in between, it sends a `gap` event.
    """
    waits, last_id = backoff(), None

    def opened() -> None:
        nonlocal waits
        waits = backoff()
        listener.connected()

    while True:
        error: ApiError = Unreachable(f"The gateway at {client.url} has ended the connection.")
        try:
            async with aclosing(client.stream(q, last_id, opened)) as events:
                async for event in events:
                    # An event without an id cannot be resumed after.
                    last_id = event.id or last_id
                    listener.received(event)
        except ApiError as caught:
            error = caught
        wait = next(waits)
        listener.disconnected(error, wait)
        await asyncio.sleep(wait)
