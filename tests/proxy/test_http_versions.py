"""Which HTTP is spoken: 1.1, and nothing else without a word."""

from __future__ import annotations

import shutil
from typing import Any

import h2.config
import h2.connection
import h2.events
import httpx2
import pytest
import trio
from rig.cases import cases
from rig.gateway import Running
from rig.standin import StandIn
from rig.wire import connect, exchange

PATH = "/gemini/v1beta/models/gemini-2.5-flash:generateContent?key=k"
UPGRADE = ["Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA"]
SAID = "HTTP/1.1"
FINE = b'{"candidates": [], "usageMetadata": {"promptTokenCount": 1, "totalTokenCount": 1}}'


@cases("body", [None, b"{}"])
async def test_an_upgrade_to_http2_is_ignored(gateway: Running, google: StandIn, body: bytes | None) -> None:
    answer = await exchange(gateway.url, f"POST {PATH}", body=body, headers=UPGRADE)
    assert (answer.status, answer.body, answer.whole) == (200, FINE, True)
    assert "upgrade" not in answer.headers
    assert (await gateway.row())["outcome"] == "ok"
    assert google.asked[0].header("upgrade") + google.asked[0].header("http2-settings") == []


def preface(body: bytes) -> bytes:
    """What an HTTP/2 client begins with, and a request."""
    client = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True))
    client.initiate_connection()
    headers = [(":method", "POST"), (":path", PATH), (":authority", "x"), (":scheme", "http")]
    client.send_headers(1, headers)
    client.send_data(1, body[:16_000], end_stream=True)
    return client.data_to_send()


@cases("piece", [1, 7, 24, 1_000_000])
async def test_prior_knowledge_of_http2_is_refused_with_a_reason(
    gateway: Running, google: StandIn, piece: int
) -> None:
    received = b""
    with trio.fail_after(5):
        async with await connect(gateway.url) as client:
            sent = preface(b"x" * 16_000 if piece > 100 else b"x")
            for start in range(0, len(sent), piece):
                await client.send_all(sent[start : start + piece])
            while data := await client.receive_some():
                received += data
    reader = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True))
    reader.initiate_connection()
    (told,) = [
        each for each in reader.receive_data(received) if isinstance(each, h2.events.ConnectionTerminated)
    ]
    assert told.error_code == 13
    assert SAID.encode() in (told.additional_data or b"")
    assert (google.asked, await gateway.rows()) == ([], [])


async def test_http2_after_a_request_is_refused_too(gateway: Running) -> None:
    with trio.fail_after(5):
        async with await connect(gateway.url) as client:
            await client.send_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n" + preface(b"x"))
            received = b""
            while data := await client.receive_some():
                received += data
    assert received.startswith(b"HTTP/1.1 200")
    assert SAID.encode() in received.partition(b"\r\n\r\n")[2]


async def test_who_goes_on_sending_is_cut_off(gateway: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gatekeeper.server.connection.LINGER_SECONDS", 0.1)

    async def send_for_ever(client: trio.SocketStream) -> None:
        await client.send_all(preface(b"x"))
        while True:
            await client.send_all(bytes(65536))

    with trio.fail_after(5):
        async with await connect(gateway.url) as client:
            with pytest.raises(trio.BrokenResourceError):
                await send_for_ever(client)


async def test_a_client_of_http2_ends_with_a_clear_error(gateway: Running) -> None:
    async with httpx2.AsyncClient(http1=False, http2=True, timeout=5) as client:
        with pytest.raises(httpx2.RemoteProtocolError, match="error_code:13"):
            await client.get(f"{gateway.url}/healthz")


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
@pytest.mark.parametrize(("flag", "status"), [("--http2", 0), ("--http2-prior-knowledge", 16)])
async def test_curl(gateway: Running, flag: str, status: int) -> None:
    command: list[Any] = ["curl", "-sS", flag, "-w", "%{http_version}", f"{gateway.url}/healthz"]
    done = await trio.run_process(command, capture_stdout=True, capture_stderr=True, check=False)
    if b"not supported" in done.stderr or b"unsupported" in done.stderr.lower():
        pytest.skip("this curl has no HTTP/2")
    assert done.returncode == status, done
    assert (b"1.1" in done.stdout) is (status == 0)
