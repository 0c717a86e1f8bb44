"""What is left of a call whose client goes, wherever it waits for the upstream: nothing. And an upstream
behind TLS, whom the gateway trusts or does not."""

from __future__ import annotations

import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from ipaddress import ip_address
from pathlib import Path

import pytest
import trio
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from rig.gateway import Running, running
from rig.wire import connect, exchange, head

GENERATE = "POST /gemini/v1beta/models/gemini-2.5-flash:generateContent?key=k"
LARGE = 8_000_000  # bytes, more than a connection's buffers take
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"

Peer = trio.SocketStream | trio.SSLStream[trio.SocketStream]
Behaviour = Callable[[Peer], Awaitable[None]]


async def never_reads(peer: Peer) -> None:
    await trio.sleep_forever()


async def reads_and_says_nothing(peer: Peer) -> None:
    while await peer.receive_some():
        pass


async def sends_a_chunk(peer: Peer) -> None:
    await peer.receive_some()
    await peer.send_all(HEAD + b"a\r\ndata: {}\r\n\r\n\r\n"[:9])
    await reads_and_says_nothing(peer)


async def answers(peer: Peer) -> None:
    while b"\r\n\r\n" not in await peer.receive_some():
        pass
    await peer.send_all(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}")
    await reads_and_says_nothing(peer)


@asynccontextmanager
async def upstream(
    behave: Behaviour, tls: ssl.SSLContext | None = None
) -> AsyncIterator[tuple[int, list[str]]]:
    """An upstream's port, and what has happened there: `come`, `gone`."""
    happened: list[str] = []

    async def serve(stream: trio.SocketStream) -> None:
        happened.append("come")
        peer = trio.SSLStream(stream, tls, server_side=True, https_compatible=True) if tls else stream
        try:
            async with peer:
                await behave(peer)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass
        finally:
            happened.append("gone")

    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(partial(trio.serve_tcp, serve, 0, host="127.0.0.1"))
        yield listeners[0].socket.getsockname()[1], happened
        nursery.cancel_scope.cancel()


WAITS: dict[str, tuple[Behaviour, bool, int]] = {
    "for the TLS handshake": (never_reads, True, 2),
    "to send the request": (never_reads, False, 200_000),
    "to send an upload": (never_reads, False, LARGE),
    "for the head": (reads_and_says_nothing, False, 2),
    "for an upload's head": (reads_and_says_nothing, False, 300_000),
    "for a chunk": (sends_a_chunk, False, 2),
}


async def leaves(gateway: Running, size: int, ready: Callable[[], bool]) -> None:
    """A client sends what it can of a request, waits until it is `ready`, and breaks its connection."""
    async with await connect(gateway.url) as client:
        with trio.move_on_after(0.3):
            await client.send_all(head(GENERATE, [f"Content-Length: {size}"]) + bytes(size))
        with trio.fail_after(2):
            while not ready():
                await trio.sleep(0.005)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")


def sockets() -> int:
    """How many sockets this process has open."""
    entries = [entry for entry in Path("/proc/self/fd").iterdir() if entry.is_symlink()]
    return sum(str(entry.readlink()).startswith("socket:") for entry in entries)


async def is_over(gateway: Running) -> None:
    proxy = gateway.gateway.proxy
    with trio.fail_after(3):
        while proxy.open_calls or proxy.context.upstream.open:
            await trio.sleep(0.01)
    assert (await gateway.row())["outcome"] == "client_disconnected"


@pytest.mark.parametrize(("behave", "tls", "size"), WAITS.values(), ids=WAITS.keys())
async def test_a_call_that_is_cancelled_leaves_no_connection(
    tmp_path: Path, behave: Behaviour, tls: bool, size: int
) -> None:
    async with upstream(behave) as (port, happened):
        url = f"{'https' if tls else 'http'}://127.0.0.1:{port}"
        async with running(tmp_path / "data", url) as gateway:
            await gateway.client.get("/healthz")
            before = sockets()
            await leaves(gateway, size, lambda: "come" in happened)
            await is_over(gateway)
            with trio.fail_after(2):
                while sockets() > before + happened.count("come") - happened.count("gone"):
                    await trio.sleep(0.01)
            if behave is not never_reads:
                with trio.fail_after(2):
                    while happened != ["come", "gone"]:
                        await trio.sleep(0.01)


async def test_a_call_that_is_cancelled_while_it_connects(tmp_path: Path) -> None:
    """The listener's queue is full, so that a connection is not made."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        address = listener.getsockname()
        queued = [socket.socket() for _ in range(3)]
        for each in queued:
            each.setblocking(False)
            each.connect_ex(address)
        async with running(tmp_path / "data", f"http://127.0.0.1:{address[1]}") as gateway:
            await leaves(
                gateway, 2, lambda: any(e.exchange.started_at for e in gateway.gateway.proxy.open_calls)
            )
            await is_over(gateway)
        for each in queued:
            each.close()


def certificates(folder: Path) -> tuple[Path, ssl.SSLContext]:
    """A certificate of 127.0.0.1 that signs itself, and what a server needs of it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "upstream")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    trusted, secret = folder / "trusted.pem", folder / "secret.pem"
    trusted.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    secret.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(trusted, secret)
    return trusted, context


@pytest.mark.parametrize("trusted", [True, False])
async def test_an_upstream_behind_tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trusted: bool) -> None:
    certificate, tls = certificates(tmp_path)
    if trusted:
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    async with (
        upstream(answers, tls) as (port, happened),
        running(tmp_path / "data", f"https://127.0.0.1:{port}") as gateway,
    ):
        answer = await exchange(gateway.url, GENERATE, body=b"{}")
        row = await gateway.row()
        if trusted:
            assert (answer.status, answer.body, row["outcome"]) == (200, b"{}", "ok")
            assert gateway.gateway.proxy.context.upstream.open == 1
        else:
            assert (answer.status, row["outcome"]) == (502, "upstream_unreachable")
            assert b"could not be reached: TLS failed" in answer.body
            assert gateway.gateway.proxy.context.upstream.open == 0
            with trio.fail_after(2):
                while happened != ["come", "gone"]:
                    await trio.sleep(0.01)
