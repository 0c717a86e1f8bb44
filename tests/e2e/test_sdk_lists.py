"""Google's own SDK pages through the lists of two keys, whose resources stand between each other's."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
import trio
from google import genai
from google.genai import types
from rig.gateway import Running, running

from gatekeeper.sandbox.server import serve_sandbox

FLASH = "gemini-2.5-flash"
MASTER = "master-of-the-tests"


@pytest.fixture
async def guarded(tmp_path: Path, nursery: trio.Nursery) -> AsyncIterator[Running]:
    """A gateway with a master key in front of the simulated API."""
    port = await nursery.start(partial(serve_sandbox, "127.0.0.1", 0, time_scale=0))
    async with running(
        tmp_path / "data", f"http://127.0.0.1:{port}", master_key=MASTER, unowned="deny"
    ) as gateway:
        yield gateway


def make_file(client: genai.Client) -> str | None:
    return client.files.upload(file=BytesIO(b"text"), config={"mime_type": "text/plain"}).name


def make_cache(client: genai.Client) -> str | None:
    config = types.CreateCachedContentConfig(contents="word " * 2000)
    return client.caches.create(model=FLASH, config=config).name


def make_batch(client: genai.Client) -> str | None:
    return client.batches.create(model=FLASH, src=[types.InlinedRequestDict(contents="Hello")]).name


def listed(pager: Iterable[Any]) -> list[str]:
    return [item.name for item in pager]


@pytest.mark.parametrize(
    ("make", "module"), [(make_file, "files"), (make_cache, "caches"), (make_batch, "batches")]
)
async def test_a_pager_gives_the_keys_own_resources(
    guarded: Running, make: Callable[[genai.Client], str | None], module: str
) -> None:
    keys = [await guarded.key(), await guarded.key(), await guarded.key()]

    def work() -> None:
        clients = [
            genai.Client(
                api_key=key,
                http_options={
                    "base_url": f"{guarded.url}/gemini",
                    "api_version": "v1beta",
                    "client_args": {"verify": False},
                },
            )
            for key in [*keys, MASTER]
        ]
        made: list[list[str | None]] = [[], [], []]
        for at in (0, 1, 1, 1, 0, 1, 0, 0, 0, 1, 1):
            made[at].append(make(clients[at]))
        for client, own in zip(clients, made, strict=False):
            for size in (1, 2, 50):
                assert listed(getattr(client, module).list(config={"page_size": size})) == own[::-1]
            assert listed(getattr(client, module).list()) == own[::-1]
        everything = listed(getattr(clients[3], module).list(config={"page_size": 4}))
        assert sorted(everything) == sorted(made[0] + made[1])  # type: ignore[type-var]
        for client in clients:
            client.close()

    await trio.to_thread.run_sync(work)
