"""Where a client is tried out: a simulated Google, alone or behind a gateway, with relays that write down."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import trio
from e2e.clients.relay import Change, Relay, relaying, unchanged
from rig.gateway import Running, running
from rig.registry import update_key

from gatekeeper.keys.fields import parse_fields
from gatekeeper.sandbox.server import serve_sandbox

STRAIGHT_KEY = "AIzaKeyOfTheRunStraightAtGoogle"
ALIAS = "client"
MASTER = "master-of-the-clients-tests"
PREFIX = "/gemini"


def port_of(url: str) -> int:
    return int(url.rpartition(":")[2])


@dataclass
class Google:
    """A simulated Google with nothing in it, and what reaches it."""

    relay: Relay

    @classmethod
    @asynccontextmanager
    async def fresh(
        cls, certificate: Path, request: Change = unchanged, response: Change = unchanged
    ) -> AsyncIterator[Google]:
        async with trio.open_nursery() as nursery:
            port = await nursery.start(partial(serve_sandbox, "127.0.0.1", 0, time_scale=0))
            async with relaying(Relay(port, request, response, certificate=certificate)) as relay:
                yield cls(relay)
            nursery.cancel_scope.cancel()


@dataclass
class Guarded:
    """A gateway in front of a fresh Google, a relay in front of both, and one virtual key."""

    google: Google
    gateway: Running
    front: Relay
    key: str

    @classmethod
    @asynccontextmanager
    async def fresh(
        cls, certificate: Path, data: Path, request: Change = unchanged, response: Change = unchanged
    ) -> AsyncIterator[Guarded]:
        async with (
            Google.fresh(certificate, request, response) as google,
            running(data, google.relay.url, master_key=MASTER) as gateway,
            relaying(Relay(port_of(gateway.url), certificate=certificate)) as front,
        ):
            yield cls(google, gateway, front, await gateway.key(key_alias=ALIAS))

    async def set_key(self, **fields: Any) -> None:
        changes = parse_fields(fields, now=0, update=True)
        await update_key(self.gateway.gateway.registry, ALIAS, changes, now=time.time_ns() // 1000, by="test")

    async def rows(self) -> list[dict[str, Any]]:
        """All rows, once each call whose response has come has one, or will have none."""
        answered = [exchange.response for exchange in self.front.log if exchange.response]
        with trio.move_on_after(5):
            while len(rows := await self.gateway.rows()) < len(answered):
                await trio.sleep(0.01)
        return rows
