"""The HTTP client for one gateway: requests, and their responses as typed documents or errors."""

from __future__ import annotations

import os
import sys
from collections.abc import Generator, Mapping, MutableMapping
from contextlib import contextmanager
from ssl import SSLContext
from types import ModuleType
from typing import Self, TypeVar, cast
from urllib.parse import urlsplit

import httpx2
import msgspec

from gatekeeper.client import api_errors
from gatekeeper.client.api_types import ApiResponse

T = TypeVar("T")
Params = Mapping[str, str | int | None]

TIMEOUT = httpx2.Timeout(30, connect=5)
# SDKs need it after the address, so that people also append it here.
GEMINI = "/gemini"
LOOPBACK = ("127.0.0.1", "localhost", "::1")
# What httpx2's transport loads beside itself, and this client does without.
UNUSED = ("trio", "h2")


class Connection:
    """A client of the gateway at `url` with its master `key` (None in open mode). `tls` replaces the trust
    store of the machine and SSL_CERT_FILE. Raises BadRequest where `url` is not an address. Close it, or use
    it as an async context manager."""

    def __init__(self, url: str, key: str | None = None, tls: SSLContext | None = None) -> None:
        self.url = url.rstrip("/").removesuffix(GEMINI).rstrip("/")
        host = address_host(url)
        # Reading the machine's trust store takes 150 ms: not for plain HTTP.
        if tls is None and urlsplit(url).scheme == "https":
            tls = machine_trust()
        headers = {b"authorization": b"Bearer " + key.encode()} if key else {}
        load_transport()
        # Proxies of the environment cannot reach this machine's loopback address.
        self._has_key = bool(key)
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

    def _failure(self, status: int, body: bytes) -> api_errors.ApiError:
        return api_errors.from_response(status, body, self.url, has_key=self._has_key)

    def _read(self, response: httpx2.Response, kind: type[T]) -> ApiResponse[T]:
        if not response.is_success:
            raise self._failure(response.status_code, response.content)
        try:
            return ApiResponse(msgspec.json.decode(response.content, type=kind), response.content)
        except msgspec.DecodeError:
            raise api_errors.not_a_gateway(self.url) from None


def machine_trust() -> SSLContext:
    """The trust store of the machine and SSL_CERT_FILE. Raises BadRequest where that cannot be read."""
    try:
        return httpx2.create_ssl_context()
    except OSError as error:
        file = os.environ.get("SSL_CERT_FILE") or os.environ.get("SSL_CERT_DIR") or "the trust store"
        raise api_errors.BadRequest(
            f"{file} (SSL_CERT_FILE) cannot be read as certificates: {error.strerror or error.args[0]}."
        ) from None


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


@contextmanager
def hidden(*names: str) -> Generator[None]:
    """Importing these modules fails as if they were not installed; those that are loaded stay."""
    # None in `sys.modules` has this meaning to Python.
    modules = cast("MutableMapping[str, ModuleType | None]", sys.modules)
    blocked = [name for name in names if name not in modules]
    modules.update(dict.fromkeys(blocked))
    try:
        yield
    finally:
        for name in blocked:
            del modules[name]


def load_transport() -> None:
    """Loads httpx2's transport, once, but not trio and h2, which it would load where they are installed: a
    fifth of the start of every client command. The client runs on asyncio and speaks HTTP/1.1."""
    with hidden(*UNUSED):
        import httpcore2  # noqa: F401  # pyright: ignore[reportUnusedImport]
