"""A real gateway inside the test's own event loop: Hypercorn on a loopback port, SQLite, journal, DuckDB."""

from __future__ import annotations

import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import httpx2
import trio
from msgspec import Raw, json

from gatekeeper.app import Gatekeeper
from gatekeeper.gateway import Gateway
from gatekeeper.keys.fields import parse_fields
from gatekeeper.ledger.call import START, Amendment, CallRecord, call_document
from gatekeeper.ledger.consumers import Consumers
from gatekeeper.ledger.filters import Filter
from gatekeeper.ledger.journal import Journal
from gatekeeper.ledger.journal_entries import Entries
from gatekeeper.ledger.segments import segment_numbers
from gatekeeper.serve import open_gateway, read_certificate, server_config
from gatekeeper.server.certificate import ServerCertificate
from gatekeeper.server.listener import serve_listener
from gatekeeper.settings import load
from gatekeeper.startup import load_catalogue
from rig.prepared import http_client, put_new_keys_file

CATALOGUE = load_catalogue()
GOOGLE_KEY = "AIzaGoogleKeyOfTheTests"


class Running:
    """The gateway under test. `url` is its address, `client` an HTTP client for it."""

    def __init__(self, gateway: Gateway, url: str, certificate: ServerCertificate | None = None) -> None:
        self.gateway = gateway
        self.url = url
        self.certificate = certificate
        self._first = START  # rows before it are not shown

    @cached_property
    def client(self) -> httpx2.AsyncClient:
        return http_client(self.url)

    async def close_client(self) -> None:
        if "client" in self.__dict__:
            await self.client.aclose()

    async def begin_case(self) -> None:
        """See `rig.cases`: it has no rows, no open call and no connection to the upstream."""
        proxy = self.gateway.proxy
        with trio.fail_after(5):
            while proxy.open_calls:
                await trio.sleep(0.001)
        for upstream in proxy.context.upstreams():
            upstream.close_idle()
        self._first = self.gateway.ledger.journal.write_position

    async def rows(self) -> list[dict[str, Any]]:
        """All rows of the ledger, oldest first, as the API shows them: from the journal while it has all.
        DuckDB shows the same (`tests/ledger/test_analytics.py`), but its start costs three gateways'."""
        if (rows := await trio.to_thread.run_sync(self._journal_rows)) is not None:
            return rows
        return (await self.gateway.ledger.analytics.calls(Filter(), 1000)).value[::-1]

    def _journal_rows(self) -> list[dict[str, Any]] | None:
        journal, position = self.gateway.ledger.journal, self._first
        calls: dict[str, CallRecord] = {}
        while True:
            entries, position = journal.read(position, 1000)
            if not entries:
                break
            assert_not_changed(journal, entries)
            for _, entry in entries:
                call = entry.call if isinstance(entry, Amendment) else entry
                calls[call.id] = call
        # The first segment of a folder that was used before is discarded once its calls have been moved.
        if segment_numbers(journal.folder)[0] != 1:
            return None
        rows = [call_document(calls[call_id]) for call_id in sorted(calls)]
        for row in rows:
            if (units := row["billed_units"]) is not None:
                row["billed_units"] = Raw(json.encode(units))
        return rows

    async def row(self, count: int = 1) -> dict[str, Any]:
        """The last row, once there are `count`."""
        with trio.fail_after(5):
            while len(rows := await self.rows()) < count:
                await trio.sleep(0.001)
        assert len(rows) == count
        return rows[-1]

    async def key(self, **fields: Any) -> str:
        """The secret of a new key."""
        secret, _ = await self.gateway.registry.create(parse_fields(fields, now=0), now=0, by="test")
        return secret


def assert_not_changed(journal: Journal, entries: Entries) -> None:
    """No call is changed after its end: the journal has the same in memory as in its files."""
    in_files = {position: json.encode(entry) for position, entry in entries}
    with journal._writing:
        recent = journal._recent.read(journal._recent.start, journal.durable_position, 1000)
    in_memory, _ = recent or ([], START)
    for position, entry in in_memory:
        assert in_files.get(position, said := json.encode(entry)) == said


@asynccontextmanager
async def running(
    data: Path, upstream: str, config: Path | None = None, **flags: Any
) -> AsyncGenerator[Running]:
    """A gateway in front of `upstream`; `flags` are settings by name, `config` is a file of others."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        given = {"data": data, "upstream": upstream, "port": port, "gemini_api_key": GOOGLE_KEY, **flags}
        settings = load({"drain_timeout": 1, **given}, {}, config)
        data.mkdir(exist_ok=True)
        put_new_keys_file(settings.keys_file)
        url = f"{settings.scheme}://127.0.0.1:{port}"
        certificate = read_certificate(settings)
        async with open_gateway(settings, CATALOGUE) as gateway, trio.open_nursery() as nursery:
            app, stop = Gatekeeper(gateway), trio.Event()
            nursery.start_soon(
                serve_listener, app, server_config(), listener, stop, app.inline_app, certificate
            )
            served = Running(gateway, url, certificate)
            try:
                yield served
            finally:
                await served.close_client()
            gateway.ledger.events.close()
            gateway.proxy.cut_all()
            stop.set()
            # Moving the calls into the analytics file costs more than all else that most tests do, and what a
            # stop leaves behind is seen by those that stop a process.
            gateway.ledger.consumers = Consumers(gateway.ledger.journal)
