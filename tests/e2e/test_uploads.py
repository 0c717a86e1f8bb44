"""Uploads by Google's own SDK, and one that a restart of the gateway divides."""

from __future__ import annotations

import asyncio
import signal
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio
from google import genai
from google.genai import types
from rig.gateway import Running, running
from rig.process import rows_in_file, serving
from rig.standin import StandIn
from rig.uploads import GoogleUploads, Upload, start

SETTINGS = {"GEMINI_API_KEY": "AIzaOfTheTests", "GATEKEEPER_MASTER_KEY": "master-of-the-tests"}
CHUNK = 8 << 20  # bytes that the SDK sends at once


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL])
async def test_an_upload_survives_a_restart(folder: Path, google: StandIn, end: signal.Signals) -> None:
    google.script = uploads = GoogleUploads(google.url)
    flags = ("--upstream", google.url)
    async with serving(folder, *flags, **SETTINGS) as served:
        secret = (await served.post("/key/generate", {"key_alias": "up"}))["key"]
        upload = await start(served.url, f"x-goog-api-key: {secret}")
        await upload.send("upload", b"before ")
        # Killed before its last line, the chunk's row would say `interrupted`.
        while len((await served.get("/calls"))["calls"]) < 2:
            await trio.sleep(0.01)
        assert (await served.stop(end) == 0) == (end is signal.SIGTERM)
    async with serving(folder, *flags, **SETTINGS) as served:
        upload = Upload(served.url + upload.target)  # the port is another one
        assert (await upload.send("query")).headers["x-goog-upload-size-received"] == "7"
        answer = await upload.send("upload, finalize", b"and after", offset=7)
        assert answer.headers["x-goog-upload-status"] == "final"
    assert uploads.files == {"GoogleSecretId-0": b"before and after"}
    columns = "key_alias, outcome, user_agent, tags, request_bytes, resource"
    rows = rows_in_file(folder / "data", columns)
    assert [row.pop("request_bytes") for row in rows] == [2, 7, 0, 9]
    assert [row.pop("resource") for row in rows] == [None, None, None, "files/in-pieces"]
    expected = {"key_alias": "up", "outcome": "ok", "user_agent": "sdk/1", "tags": ["a", "b"]}
    assert rows == [expected] * 4


@pytest.fixture
async def gateway(google: StandIn, tmp_path: Path) -> Any:
    google.script = GoogleUploads(google.url)
    async with running(tmp_path / "d", google.url, master_key="master-of-the-tests") as gateway:
        yield gateway


@pytest.mark.parametrize(
    ("base", "size", "way"),
    [
        ("client", 10, "async"),
        ("client", CHUNK + 10, "sync"),
        ("call", CHUNK + 10, "async"),
        ("both", 10, "sync"),
    ],
)
async def test_google_genai_uploads(
    gateway: Running, google: StandIn, tmp_path: Path, base: str, size: int, way: str
) -> None:
    """Its base URL is given to the client or to the call: then it puts scheme and host into the address."""
    file = tmp_path / "file.txt"
    file.write_bytes(b"0123456789" * (size // 10))
    secret = await gateway.key(key_alias="sdk")
    url = {"base_url": f"{gateway.url}/gemini"}
    of_client = url if base != "call" else {"base_url": "http://127.0.0.1:9/gemini"}
    await trio.to_thread.run_sync(
        partial(upload_with_sdk, secret, of_client, url if base != "client" else {}, file, way)
    )
    uploads = google.script
    assert isinstance(uploads, GoogleUploads)
    (content,) = uploads.files.values()
    assert content == file.read_bytes()
    rows = await gateway.rows()
    assert len(rows) == (2 if size < CHUNK else 3)
    for row in rows:
        assert (row["key_alias"], row["outcome"]) == ("sdk", "ok")
        assert row["user_agent"].startswith("google-genai-sdk/")
    assert rows[-1]["resource"] == "files/in-pieces"
    assert not [name for name, _ in google.asked[-1].headers if name == b"authorization"]


def upload_with_sdk(secret: str, of_client: dict, of_call: dict, file: Path, way: str) -> None:
    client = genai.Client(api_key=secret, http_options=types.HttpOptions(**of_client))
    config = types.UploadFileConfig(http_options=types.HttpOptions(**of_call)) if of_call else None
    if way == "sync":
        assert client.files.upload(file=file, config=config).name == "files/in-pieces"
        return

    async def upload() -> None:
        uploaded = await client.aio.files.upload(file=file, config=config)
        assert uploaded.name == "files/in-pieces"
        await client.aio.aclose()

    asyncio.run(upload())
