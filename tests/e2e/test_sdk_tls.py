"""Google's own SDK at a gateway with TLS: its certificate is trusted by SSL_CERT_FILE, and Live dials wss."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest
import trio
from google import genai
from google.genai import types
from rig.certificate import make_certificate
from rig.gateway import Running, running

from gatekeeper.sandbox.server import serve_sandbox

FLASH, LIVE = "gemini-2.5-flash", "gemini-live-2.5-flash-preview"
SIZE = 9 * 2**20  # bytes, more than the SDK sends in one chunk


@pytest.fixture
async def secure(
    tmp_path: Path, nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Running]:
    """A gateway with TLS in front of the simulated API."""
    certificate = make_certificate(tmp_path / "gateway.pem")
    port = await nursery.start(partial(serve_sandbox, "127.0.0.1", 0, time_scale=0))
    # After the gateway's own start, so that nobody else trusts it.
    async with running(
        tmp_path / "data", f"http://127.0.0.1:{port}", tls_cert=certificate, tls_key=certificate
    ) as gateway:
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        yield gateway


def client(gateway: Running) -> genai.Client:
    return genai.Client(api_key="sk-any", http_options={"base_url": f"{gateway.url}/gemini"})


async def test_a_call_a_stream_and_an_upload(secure: Running, tmp_path: Path) -> None:
    file = tmp_path / "large.txt"
    file.write_bytes(b"x" * SIZE)

    def work() -> types.File:
        with client(secure) as sdk:
            assert sdk.models.generate_content(model=FLASH, contents="Tell me of bees").text
            chunks = list(sdk.models.generate_content_stream(model=FLASH, contents="Tell me of bees"))
            assert chunks[-1].usage_metadata
            return sdk.files.upload(file=file, config={"mime_type": "text/plain"})

    assert (await trio.to_thread.run_sync(work)).size_bytes == SIZE
    rows = await secure.rows()
    assert {row["outcome"] for row in rows} == {"ok"}
    assert {"generateContent", "streamGenerateContent"} <= {row["action"] for row in rows}


async def test_a_live_session(secure: Running) -> None:
    async def converse() -> list[str]:
        async with client(secure).aio.live.connect(
            model=LIVE, config={"response_modalities": ["TEXT"]}
        ) as session:
            said: list[str] = []
            for text in ("Hello", "And again"):
                await session.send_client_content(
                    turns={"role": "user", "parts": [{"text": text}]}, turn_complete=True
                )
                said.append("".join([message.text or "" async for message in session.receive()]))
            return said

    said = await trio.to_thread.run_sync(lambda: asyncio.run(converse()))
    assert all(said)
    row = await secure.row()
    assert (row["outcome"], row["model"]) == ("ok", LIVE)
