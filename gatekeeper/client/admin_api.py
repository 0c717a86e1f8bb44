"""The admin API as typed calls: one client for the terminal application and the command line.

Every method gives an `Answer` (the document as it came and as it reads) or raises an `ApiError`. `stream`
gives events until the gateway ends it; `follow` connects again, for as long as it is let.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from contextlib import aclosing
from itertools import chain, repeat
from typing import Protocol, Self, TypeVar
from urllib.parse import quote, urlsplit

import httpx2
import msgspec

from gatekeeper.client import api_errors
from gatekeeper.client.api_errors import ApiError, Unreachable
from gatekeeper.client.api_types import (
    Answer,
    CallDetail,
    Calls,
    Gateway,
    KeyInfo,
    Keys,
    Loan,
    NewKey,
    Spend,
    StreamEvent,
    read_event,
)

T = TypeVar("T")
Params = Mapping[str, str | int | None]

TIMEOUT = httpx2.Timeout(30, connect=5)
# A comment comes every 15 s at least: a longer silence is a dead connection.
SILENCE = httpx2.Timeout(20, connect=5)
# Behind the address it is what SDKs are given, so that it is given here too.
GEMINI = "/gemini"
LOOPBACK = ("127.0.0.1", "localhost", "::1")

# Seconds before each new try; a gateway that restarts is back within the first few.
WAITS = (0.5, 1.0, 2.0, 4.0)


class Client:
    """Speaks to the gateway at `url` with its master `key` (None in open mode).

    Raises Refused where `url` is no address. Close it, or use it as an async context manager.
    """

    def __init__(self, url: str, key: str | None = None) -> None:
        self.url = url.rstrip("/").removesuffix(GEMINI).rstrip("/")
        host = address_host(url)
        headers = {b"authorization": b"Bearer " + key.encode()} if key else {}
        # Reading the machine's trust store takes 150 ms: not for plain HTTP. Proxies of the environment
        # cannot reach this machine's loopback address.
        self._http = httpx2.AsyncClient(
            base_url=self.url,
            headers=headers,
            timeout=TIMEOUT,
            verify=url.startswith("https:"),
            trust_env=host not in LOOPBACK,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Lets go of all connections."""
        await self._http.aclose()

    async def calls(
        self,
        q: str | None = None,
        since: str | None = None,
        until: str | None = None,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> Answer[Calls]:
        """Finished calls, newest first. `q` is a filter; Refused tells the column of its fault."""
        params = {"q": q, "since": since, "until": until, "limit": limit, "cursor": cursor}
        return await self._get("/calls", Calls, params)

    async def call(self, id: str) -> Answer[CallDetail]:  # noqa: A002 - the contract's name
        """One call, finished or in flight, with its raw usage and its cost's arithmetic."""
        return await self._get(f"/calls/{quote(id, safe='')}", CallDetail)

    async def stream(
        self,
        q: str | None = None,
        last_event_id: str | None = None,
        on_open: Callable[[], None] | None = None,
    ) -> AsyncGenerator[StreamEvent, None]:
        """What happens from now on, or after `last_event_id`. Ends when the gateway ends it.

        `on_open` is called once the gateway has taken the request: whatever ends later will be an event.
        """
        headers = {"last-event-id": last_event_id} if last_event_id else {}
        try:
            async with self._http.sse(
                "/calls/stream", params=given({"q": q}), headers=headers, timeout=SILENCE
            ) as source:
                if not source.response.is_success:
                    # Now: behind the stream's end there is nothing left to read.
                    body = await source.response.aread()
                    raise api_errors.failed(source.response.status_code, body, self.url)
                if on_open:
                    on_open()
                async for event in source:
                    if read := read_event(event.event, event.id, event.data):
                        yield read
        except httpx2.TransportError as error:
            raise api_errors.unreachable(error, self.url) from None
        except msgspec.DecodeError:
            raise api_errors.strange(self.url) from None

    async def spend(
        self,
        by: str,
        since: str | None = None,
        until: str | None = None,
        q: str | None = None,
        limit: int | None = None,
        top: int | None = None,
    ) -> Answer[Spend]:
        """Sums per group; `by` is one or two of tag, model, key, user, day, hour, joined by a comma. With
        `top` so many groups have rows of their own, and one row is all others."""
        params = {"by": by, "since": since, "until": until, "q": q, "limit": limit, "top": top}
        return await self._get("/spend", Spend, params)

    async def keys(
        self,
        q: str | None = None,
        limit: int | None = None,
        cursor: str | None = None,
        sort: str | None = None,
    ) -> Answer[Keys]:
        """Virtual keys; `q` is text found in alias, tags, user or group."""
        return await self._get("/key/list", Keys, {"q": q, "limit": limit, "cursor": cursor, "sort": sort})

    async def key_info(self, key: str) -> Answer[KeyInfo]:
        """One key, by its secret, id or alias, as everywhere below."""
        return await self._get("/key/info", KeyInfo, {"key": key})

    async def key_generate(self, fields: Mapping[str, object]) -> Answer[NewKey]:
        """Makes a key from the contract's fields. This answer alone holds the secret."""
        return await self._post("/key/generate", NewKey, fields)

    async def key_update(self, key: str, fields: Mapping[str, object]) -> Answer[object]:
        """Changes the given fields and no other."""
        return await self._post("/key/update", object, {"key": key, **fields})

    async def key_delete(self, *keys: str) -> Answer[object]:
        """Deletes for good; the calls made with it stay."""
        return await self._post("/key/delete", object, named(keys))

    async def key_block(self, *keys: str) -> Answer[object]:
        """Refuses their calls from now on."""
        return await self._post("/key/block", object, named(keys))

    async def key_unblock(self, *keys: str) -> Answer[object]:
        """Takes their calls again."""
        return await self._post("/key/unblock", object, named(keys))

    async def key_regenerate(self, key: str) -> Answer[NewKey]:
        """Gives the key a new secret, shown in this answer alone; the old one ends."""
        return await self._post("/key/regenerate", NewKey, {"key": key})

    async def sql(self, query: str, limit: int | None = None) -> Answer[object]:
        """The rows of a read-only query."""
        return await self._post("/sql", object, given({"query": query, "limit": limit}))

    async def lend(self, seconds: int) -> Answer[Loan]:
        """Lets go of the analytics file, for another program, for so long at most."""
        return await self._post("/sql/lend", Loan, {"seconds": seconds})

    async def take_back(self) -> Answer[object]:
        """Ends the loan."""
        return await self._post("/sql/return", object, {})

    async def ready(self) -> Answer[bool]:
        """Whether it takes calls; the document has the reasons why not."""
        response = await self._send("GET", "/readyz")
        # 503 is an answer, too: the reasons why not.
        if response.status_code not in (200, 503):
            raise api_errors.failed(response.status_code, response.content, self.url)
        return Answer(response.is_success, response.content)

    async def root(self) -> Answer[Gateway]:
        """Name, version and mode of the gateway; needs no key."""
        return await self._get("/", Gateway)

    async def _get(self, path: str, kind: type[T], params: Params | None = None) -> Answer[T]:
        return self._read(await self._send("GET", path, params=params), kind)

    async def _post(self, path: str, kind: type[T], body: Mapping[str, object]) -> Answer[T]:
        return self._read(await self._send("POST", path, body=msgspec.json.encode(body)), kind)

    async def _send(
        self, method: str, path: str, params: Params | None = None, body: bytes | None = None
    ) -> httpx2.Response:
        headers = {"content-type": "application/json"} if body is not None else {}
        try:
            return await self._http.request(
                method, path, params=given(params or {}), content=body, headers=headers
            )
        except httpx2.TransportError as error:
            # Without what caused it, here and above: its message may quote the header that carries the key.
            raise api_errors.unreachable(error, self.url) from None

    def _read(self, response: httpx2.Response, kind: type[T]) -> Answer[T]:
        if not response.is_success:
            raise api_errors.failed(response.status_code, response.content, self.url)
        try:
            return Answer(msgspec.json.decode(response.content, type=kind), response.content)
        except msgspec.DecodeError:
            raise api_errors.strange(self.url) from None


def address_host(url: str) -> str:
    """The host of a gateway's address. Raises Refused where it is none."""
    try:
        address = urlsplit(url)
        host = httpx2.URL(url).host if address.scheme in ("http", "https") and address.port != 0 else ""
    except (ValueError, httpx2.InvalidURL):
        host = ""
    if not host:
        raise api_errors.Refused(
            f"{url!r} is no address of a gateway: --url and GATEKEEPER_URL take http://HOST:PORT or https://HOST."
        )
    return host


def given(params: Params) -> dict[str, str | int]:
    """Without what is left open."""
    return {name: value for name, value in params.items() if value is not None}


def named(keys: tuple[str, ...]) -> dict[str, object]:
    """One key or several, as the API takes them."""
    return {"key": keys[0]} if len(keys) == 1 else {"keys": keys}


class Listener(Protocol):
    """What `follow` tells of the stream."""

    def connected(self) -> None:
        """The stream is open: what ends from here on will arrive."""
        ...

    def arrived(self, event: StreamEvent) -> None:
        """The next event, in their order."""
        ...

    def lost(self, error: ApiError, wait: float) -> None:
        """The stream ended; the next try is `wait` seconds away, unless this raises the error."""
        ...


def backoff() -> Iterator[float]:
    """Seconds to wait before each new try."""
    return chain(WAITS, repeat(2 * WAITS[-1]))


async def follow(client: Client, q: str | None, listener: Listener) -> None:
    """Hears the stream for ever, through lost connections and restarts of the gateway.

    It resumes after the last event seen, so that nothing is lost or told twice; where the gateway no longer
    has what came between, its `gap` event says so.
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
                    # What has no id is no place to go on at.
                    last_id = event.id or last_id
                    listener.arrived(event)
        except ApiError as caught:
            error = caught
        wait = next(waits)
        listener.lost(error, wait)
        await asyncio.sleep(wait)
