"""TLS of the gateway's own port, as real clients speak it and as faulty ones do not."""

from __future__ import annotations

import json
import shutil
import ssl
import subprocess
from collections.abc import AsyncIterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx2
import pytest
import trio
from rig.cases import cases
from rig.certificate import make_certificate
from rig.gateway import Running, running
from rig.logs import capture_logs
from rig.standin import Reply, StandIn, answer_ok
from rig.wire import TlsClient, connect, exchange, head, read

from gatekeeper.server import tls

GENERATE = "POST /gemini/v1beta/models/gemini-2.5-flash:generateContent?key=k"
STREAM = "POST /gemini/v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse&key=k"
DOWNLOAD = "/gemini/download/v1beta/files/x:download?alt=media&key=k"
LARGE = bytes(range(256)) * 16_384  # 4 MiB


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    return make_certificate(tmp_path / "gateway.pem")


@pytest.fixture
async def secure(google: StandIn, tmp_path: Path, certificate: Path) -> AsyncIterator[Running]:
    async with running(tmp_path / "data", google.url, tls_cert=certificate, tls_key=certificate) as gateway:
        yield gateway


async def strict(url: str, **options: Any) -> trio.SSLStream[trio.SocketStream]:
    """A client for whom an end without close_notify is an error."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_ciphers("DEFAULT:@SECLEVEL=0")  # so that this side would speak old versions, too
    for name, value in options.items():
        setattr(context, name, value)
    plain = await trio.open_tcp_stream("127.0.0.1", int(url.rpartition(":")[2]))
    return trio.SSLStream(plain, context, server_hostname="localhost")


async def until_end(stream: trio.SSLStream[trio.SocketStream]) -> bytes:
    received = b""
    while data := await stream.receive_some():
        received += data
    return received


# What is agreed on


@cases("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_both_versions_carry_a_call(secure: Running, version: ssl.TLSVersion) -> None:
    async with await strict(secure.url, minimum_version=version, maximum_version=version) as client:
        await client.send_all(head(GENERATE, ["Content-Length: 2"]) + b"{}")
        answer = await read(client)  # type: ignore[arg-type]
        assert (answer.status, answer.whole) == (200, True)
        assert client.version() == version.name.replace("_", ".")
    assert (await secure.row())["outcome"] == "ok"


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
async def test_older_versions_are_refused_with_an_alert(secure: Running) -> None:
    old = ssl.TLSVersion.TLSv1_1
    with capture_logs() as logged:
        client = await strict(secure.url, minimum_version=ssl.TLSVersion.TLSv1, maximum_version=old)
        with pytest.raises(trio.BrokenResourceError) as refused:
            await client.do_handshake()
        await trio.aclose_forcefully(client)
    assert "PROTOCOL_VERSION" in str(refused.value.__cause__)
    (line,) = [line for line in logged if line["event"] == "tls_handshake_failed"]
    assert (line["kind"], line["remedy"]) == ("UNSUPPORTED_PROTOCOL", "the client needs TLS 1.2 or 1.3")


@cases(
    ("offered", "chosen"),
    [(["h2", "http/1.1"], "http/1.1"), (["http/1.1"], "http/1.1"), (["h2"], None), ([], None)],
)
async def test_http2_is_not_agreed_on(secure: Running, offered: list[str], chosen: str | None) -> None:
    plain = await trio.open_tcp_stream("127.0.0.1", int(secure.url.rpartition(":")[2]))
    async with TlsClient(plain, *offered) as client:
        await client.tls.do_handshake()
        assert client.tls.selected_alpn_protocol() == chosen


async def test_a_client_of_both_speaks_http1(secure: Running, certificate: Path) -> None:
    context = ssl.create_default_context(cafile=certificate)
    async with httpx2.AsyncClient(http1=True, http2=True, verify=context) as client:
        answer = await client.get(f"{secure.url}/")
    assert (answer.http_version, answer.json()["gemini"]) == ("HTTP/1.1", f"{secure.url}/gemini")


# Bytes


async def mirror(reply: Reply) -> None:
    if reply.asked.method == "GET":
        await reply.json(LARGE)
    else:
        await reply.json(sha256(reply.asked.body).hexdigest().encode())


async def test_large_bodies_pass_both_ways(secure: Running, google: StandIn) -> None:
    google.script = mirror
    for _ in range(2):  # on the same connection
        up = await secure.client.post("/gemini/upload/v1beta/files?key=k", content=LARGE)
        assert up.text == sha256(LARGE).hexdigest()
        down = await secure.client.get(DOWNLOAD)
        assert down.content == LARGE


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
async def test_curl_with_the_certificate_and_without(
    secure: Running, google: StandIn, certificate: Path, tmp_path: Path
) -> None:
    google.script = mirror
    file = tmp_path / "large"
    file.write_bytes(LARGE)

    async def curl(*words: str) -> subprocess.CompletedProcess[bytes]:
        return await trio.run_process(
            ["curl", "-sS", "--max-time", "20", *words], capture_stdout=True, capture_stderr=True, check=False
        )

    trusting = ("--cacert", str(certificate))
    up = await curl(*trusting, "-H", "Expect: 100-continue", "--data-binary", f"@{file}",
                    f"{secure.url}/gemini/upload/v1beta/files?key=k")  # fmt: skip
    assert up.stdout.decode() == sha256(LARGE).hexdigest(), up.stderr
    assert (await curl(*trusting, f"{secure.url}{DOWNLOAD}")).stdout == LARGE
    with capture_logs() as logged:
        assert (await curl(secure.url)).returncode == 60, "curl: the certificate is not trusted"
    (line,) = [line for line in logged if line["event"] == "tls_handshake_failed"]
    assert "does not" in line["remedy"]


async def test_a_reader_that_stops_holds_the_upstream_back(secure: Running, google: StandIn) -> None:
    """What is in flight is bounded by the buffers of sockets, and all of it arrives once it reads again."""
    sent, pieces = 0, 400

    async def endless(reply: Reply) -> None:
        nonlocal sent
        await reply.raw(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (pieces * 65_536))
        for _ in range(pieces):
            await reply.raw(bytes(65_536))
            sent += 1

    google.script = endless
    async with await connect(secure.url) as client:
        await client.send_all(head(STREAM, ["Content-Length: 0"]))
        with trio.fail_after(10):
            before = -1
            while sent == 0 or sent != before:
                before = sent
                await trio.sleep(0.2)
        assert sent < pieces
        size = 0
        while size < pieces * 65_536:
            size += len(await client.receive_some())
    assert sent == pieces


# Ends


async def test_a_whole_response_ends_with_close_notify(secure: Running) -> None:
    for fields, line in ((["Connection: close"], GENERATE), ([], "POST /gemini/v1beta/x y")):
        async with await strict(secure.url) as client:
            await client.send_all(head(line, [*fields, "Content-Length: 2"]) + b"{}")
            assert b"HTTP/1.1 " in await until_end(client)


@cases("version", ["1.0", "1.1"])
async def test_a_broken_one_does_not(secure: Running, google: StandIn, version: str) -> None:
    async def breaks_off(reply: Reply) -> None:
        await reply.chunked([b"data: {}\r\n\r\n"], end=False)
        await reply.stream.aclose()

    google.script = breaks_off
    async with await strict(secure.url) as client:
        request = head(STREAM, ["Content-Length: 0"])
        await client.send_all(request.replace(b"HTTP/1.1", f"HTTP/{version}".encode()))
        with pytest.raises(trio.BrokenResourceError):
            await until_end(client)
    assert (await secure.row())["outcome"] == "upstream_broken"


async def test_an_idle_connection_is_closed_properly(
    google: StandIn, tmp_path: Path, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gatekeeper.serve.KEEP_ALIVE", 0.1)
    async with (
        running(tmp_path / "data", google.url, tls_cert=certificate, tls_key=certificate) as gateway,
        await strict(gateway.url) as client,
    ):
        await client.send_all(head("GET /healthz", []))
        assert (await until_end(client)).startswith(b"HTTP/1.1 200")


# Handshakes


async def test_connections_without_a_handshake_hold_nobody_up(
    secure: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tls, "HANDSHAKE_TIMEOUT", 0.3)
    async with trio.open_nursery() as nursery:
        silent: list[trio.SocketStream] = []

        async def open_one(sent: bytes) -> None:
            silent.append(await trio.open_tcp_stream("127.0.0.1", int(secure.url.rpartition(":")[2])))
            await silent[-1].send_all(sent)

        with capture_logs() as logged:
            async with trio.open_nursery() as opening:
                for number in range(200):
                    opening.start_soon(open_one, (b"", b"\x16\x03\x01\x02\x00\x01")[number % 2])
            assert (await exchange(secure.url, GENERATE, body=b"{}")).status == 200
            with trio.fail_after(10):
                for stream in silent:
                    assert await stream.receive_some() == b"", "it is closed"
                    await stream.aclose()
        nursery.cancel_scope.cancel()
    assert [(line["event"], line["kind"]) for line in logged] == [("tls_handshake_failed", "timeout")]


async def test_a_stop_waits_for_no_handshake(google: StandIn, tmp_path: Path, certificate: Path) -> None:
    with trio.fail_after(4):  # seconds, fewer than a stop waits for connections
        async with running(
            tmp_path / "data", google.url, tls_cert=certificate, tls_key=certificate
        ) as gateway:
            client = await trio.open_tcp_stream("127.0.0.1", int(gateway.url.rpartition(":")[2]))
            await client.send_all(b"\x16\x03\x01")
            assert (await gateway.client.get("/healthz")).status_code == 200
        await client.aclose()


@pytest.mark.parametrize(
    ("request_line", "size"),
    [
        (GENERATE, 0),
        (GENERATE, 300_000),
        ("DELETE /gemini/v1beta/files/x", 0),
        ("OPTIONS /gemini/v1beta/files", 0),
    ],
)
async def test_a_request_without_tls_is_told(secure: Running, request_line: str, size: int) -> None:
    with capture_logs() as logged:
        answer = await exchange(secure.url.replace("https:", "http:"), request_line, body=bytes(size))
    message = json.loads(answer.body)["error"]["message"]
    assert (answer.status, answer.whole, message) == (
        400,
        True,
        "This port speaks TLS: use https:// in the URL.",
    )
    assert [(line["event"], line["kind"]) for line in logged] == [("tls_handshake_failed", "HTTP_REQUEST")]
    assert await secure.rows() == []


async def test_tls_on_a_port_without_is_refused(gateway: Running) -> None:
    with capture_logs() as logged:
        client = await strict(gateway.url)
        with pytest.raises(trio.BrokenResourceError) as refused:
            await client.do_handshake()
        await trio.aclose_forcefully(client)
    assert "WRONG_VERSION_NUMBER" in str(refused.value.__cause__)
    assert logged == []
    assert (await exchange(gateway.url, GENERATE, body=b"{}")).status == 200


# Another certificate


async def test_a_newer_certificate_is_for_newer_connections(
    secure: Running, google: StandIn, certificate: Path
) -> None:
    """Under load: streams that run while it changes end whole."""
    go_on = trio.Event()

    async def script(reply: Reply) -> None:
        if b"stream" not in reply.asked.target:
            await answer_ok(reply)
            return
        await reply.chunked([b"data: 1\n\n"], end=False)
        await go_on.wait()
        await reply.raw(b"9\r\ndata: 2\n\n\r\n0\r\n\r\n")

    google.script = script
    bodies: list[bytes] = []

    async def follow() -> None:
        bodies.append((await exchange(secure.url, STREAM, body=b"")).body)

    async def names() -> bytes:
        async with await strict(secure.url) as client:
            await client.do_handshake()
            return client.getpeercert(binary_form=True) or b""

    async with trio.open_nursery() as nursery:
        for _ in range(20):
            nursery.start_soon(follow)
        with trio.fail_after(10):
            while len(google.asked) < 20:
                await trio.sleep(0.01)
        assert b"second.example" not in await names()
        make_certificate(certificate, "second.example")
        secure.certificate.reload()
        assert b"second.example" in await names()
        certificate.write_text("faulty")
        secure.certificate.reload()
        assert b"second.example" in await names()
        go_on.set()
    assert bodies == [b"data: 1\n\ndata: 2\n\n"] * 20
