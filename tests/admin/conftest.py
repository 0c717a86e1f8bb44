"""A gateway with calls in its ledger, and its admin API over HTTP. Calls are put in where the proxy would put
them, through the ledger, so that what is tested is everything from there to the answer's bytes."""

from __future__ import annotations

import json
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import msgspec
import pytest
import trio
from rig.prepared import http_client, put_new_keys_file
from uuid_utils import uuid7

from gatekeeper.admin.app import AdminApi
from gatekeeper.app import Gatekeeper
from gatekeeper.gateway import Gateway
from gatekeeper.google_key import SANDBOX_KEY
from gatekeeper.keys.audit import AuditLog, SqliteAuditStore
from gatekeeper.keys.google_key_changes import GoogleKeyChanges, SqliteGoogleKeyStore
from gatekeeper.keys.google_keys import GoogleKeys
from gatekeeper.keys.long_decodes import LongDecodes, SqliteContinuationStore
from gatekeeper.keys.owners import Owners, SqliteOwnerStore
from gatekeeper.keys.pending_charges import PendingCharges, SqlitePendingStore
from gatekeeper.keys.registry import KeyRegistry
from gatekeeper.keys.sessions import Sessions, SqliteSessionStore
from gatekeeper.keys.sqlite_store import SqliteKeyStore
from gatekeeper.ledger.call import CallRecord, Outcome
from gatekeeper.ledger.consumers import Consumers
from gatekeeper.ledger.ledger import Ledger
from gatekeeper.pricing.allowance import FreeSearches
from gatekeeper.proxy.asgi import Proxy
from gatekeeper.proxy.context import ProxyContext
from gatekeeper.serve import server_config
from gatekeeper.server.listener import serve_listener
from gatekeeper.settings import load
from gatekeeper.startup import load_catalogue
from gatekeeper.upstream.pool import UpstreamPool

UPSTREAM = "http://127.0.0.1:9"  # nobody is there, and nobody asks
MASTER = "master-of-the-tests"
NOON = 1_750_852_800_000_000  # 2025-06-25T12:00:00Z
CATALOGUE = load_catalogue()
USAGE = {"promptTokenCount": 1204, "candidatesTokenCount": 331, "totalTokenCount": 1535}


class Admin:
    """The gateway under test: `calls` come in at one end, answers out of the other."""

    def __init__(self, app: AdminApi, gateway: Gateway, client: httpx2.AsyncClient, stop: trio.Event) -> None:
        self.app = app
        self.gateway = gateway
        self.ledger = gateway.ledger
        self.client = client
        self.stop = stop

    def start(self, **fields: Any) -> CallRecord:
        """A call that has begun."""
        known: dict[str, Any] = {
            "id": str(uuid7()),
            "started_at": NOON,
            "key_id": "open",
            "method": "POST",
            "path": "/v1beta/models/gemini-2.5-flash:generateContent",
            "action": "generateContent",
            "model": "gemini-2.5-flash",
        }
        call = CallRecord(**known | fields)
        self.ledger.begin(call)
        return call

    def end(self, call: CallRecord, **fields: Any) -> CallRecord:
        usual = {"status": 200, "outcome": Outcome.OK, "duration_ms": 1500.0, "first_byte_ms": 250.0}
        for name, value in (usual | fields).items():
            setattr(call, name, value)
        self.ledger.end(call)
        return call

    def finish(self, **fields: Any) -> CallRecord:
        """A call that has begun and ended."""
        return self.end(self.start(), **fields)

    def priced(self, **fields: Any) -> CallRecord:
        """1,204 tokens in at $0.30 and 331 out at $2.50 for a million."""
        return self.finish(
            **{
                "model_version": "gemini-2.5-flash",
                "prompt_tokens": 1204,
                "output_tokens": 331,
                "total_tokens": 1535,
                "usage": msgspec.Raw(json.dumps(USAGE, indent=2).encode()),
                "cost_pico": 1_188_700_000,
                "price_version": self.gateway.catalogue.version,
            }
            | fields
        )

    async def get(self, path: str, **params: Any) -> Any:
        response = await self.client.get(path, params=params)
        assert response.status_code == 200, response.text
        return response.json()

    async def as_key(self, method: str, path: str, secret: str, body: object = None, **params: Any) -> Any:
        """The response to a request by the holder of this secret."""
        content = b"" if body is None else msgspec.json.encode(body)
        headers = {"Authorization": f"Bearer {secret}"}
        return await self.client.request(method, path, params=params, content=content, headers=headers)

    async def post(self, path: str, body: object = None) -> Any:
        response = await self.client.post(path, content=b"" if body is None else msgspec.json.encode(body))
        assert response.status_code == 200, response.text
        return response.json()


@asynccontextmanager
async def running(data: Path, environ: dict[str, str]) -> AsyncIterator[Admin]:
    """All of a gateway that the admin API stands on, behind its server on a loopback port."""
    settings = load({"data": data, "upstream": UPSTREAM}, environ)
    put_new_keys_file(settings.keys_file)
    store = SqliteKeyStore(settings.keys_file)
    registry = KeyRegistry(store)
    await registry.load()
    audit = AuditLog(SqliteAuditStore(store))
    ledger = Ledger(data, settings.timezone)
    upstream = UpstreamPool(UPSTREAM, connect_timeout=1)
    sessions = Sessions(SqliteSessionStore(store))
    long_decodes = LongDecodes(SqliteContinuationStore(store))
    pending = PendingCharges(SqlitePendingStore(store))
    owners = Owners(SqliteOwnerStore(store), registry.sharing, shows_unowned=False)
    searches = FreeSearches()
    google_keys = GoogleKeyChanges(
        GoogleKeys(settings.own_google_keys or (SANDBOX_KEY,)), SqliteGoogleKeyStore(store)
    )
    await google_keys.load()
    context = ProxyContext(
        settings,
        upstream,
        registry,
        ledger,
        CATALOGUE,
        sessions,
        long_decodes,
        searches,
        pending,
        owners,
        google_keys.pool,
    )
    google_keys.on_change = context.google_keys_changed
    proxy = Proxy(context)
    app = Gatekeeper(Gateway(settings, registry, audit, google_keys, ledger, proxy))
    config, stop = server_config(), trio.Event()
    config.graceful_timeout = 0.5  # what is open at the end of a test nobody waits for
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ledger.run)
            async with trio.open_nursery() as server:
                listener = socket.create_server(("127.0.0.1", 0))
                url = f"http://127.0.0.1:{listener.getsockname()[1]}"
                server.start_soon(serve_listener, app, config, listener, stop, app.inline_app)
                async with http_client(url) as client:
                    yield Admin(await app.admin_api(), app.gateway, client, stop)
                ledger.events.close()
                stop.set()
            nursery.cancel_scope.cancel()
        # As in `rig.gateway`: moving the calls into the analytics file costs most, and is not the subject.
        ledger.consumers = Consumers(ledger.journal)
    finally:
        with trio.CancelScope(shield=True):
            await ledger.close()
            store.close()


@pytest.fixture
def serve(tmp_path: Path) -> Callable[..., AbstractAsyncContextManager[Admin]]:
    """A gateway with the settings of this environment, given by name."""
    return lambda **environ: running(tmp_path, environ)


@pytest.fixture
async def admin(serve: Any) -> AsyncIterator[Admin]:
    """In open mode."""
    async with serve() as gateway:
        yield gateway


@pytest.fixture
async def guarded(serve: Any) -> AsyncIterator[Admin]:
    """With a master key, which its client shows."""
    async with serve(GATEKEEPER_MASTER_KEY=MASTER) as gateway:
        gateway.client.headers["Authorization"] = f"Bearer {MASTER}"
        yield gateway
