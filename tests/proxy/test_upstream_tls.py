"""TLS to the API: what arrives of what was sent, however it is cut, and what is said where there is none."""

from __future__ import annotations

import contextlib
import shutil
import socket
import ssl
import struct
import warnings
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from subprocess import PIPE, STDOUT

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from rig.certificate import make_certificate
from rig.standin import Reply, StandIn
from rig.tls_peer import CUTS, EXAMPLES, PIECES, TlsPeer, assert_nothing_changed_arrives, cut, send

from gatekeeper.upstream.connection import UpstreamConnection
from gatekeeper.upstream.pool import ConnectFailed, UpstreamPool, tls_context
from gatekeeper.upstream.stream import TlsStream

VERSIONS = st.sampled_from([ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
LARGE = bytes(range(256)) * 16_384  # 4 MiB


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_certificate(tmp_path_factory.mktemp("tls") / "certificate.pem")


@pytest.fixture(scope="module")
def served(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


@pytest.fixture(scope="module")
def trust(certificate: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=certificate)


# Streams of bytes


@asynccontextmanager
async def agreed(peer: TlsPeer, trust: ssl.SSLContext) -> AsyncIterator[tuple[TlsStream, trio.SocketStream]]:
    """The stream after its handshake, and the socket of the upstream."""
    ours, theirs = (trio.SocketStream(trio.socket.from_stdlib_socket(end)) for end in socket.socketpair())
    stream = TlsStream(ours, trust, "localhost")
    async with theirs:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(peer.shake_hands, theirs)
            await stream.handshake()
        yield stream, theirs
    stream.close()


async def read_all(stream: TlsStream) -> bytes:
    received = b""
    while data := await stream.read():
        received += data
    return received


@EXAMPLES
@given(PIECES, CUTS, VERSIONS, st.booleans())
def test_what_is_sent_arrives_and_then_an_end(
    served: ssl.SSLContext,
    trust: ssl.SSLContext,
    pieces: list[bytes],
    cuts: list[int],
    version: ssl.TLSVersion,
    proper: bool,
) -> None:
    """By a close_notify, or only by the end of the connection."""

    async def run() -> None:
        served.maximum_version = version
        peer = TlsPeer(served, is_server=True)
        async with agreed(peer, trust) as (stream, theirs), trio.open_nursery() as nursery:
            records = b"".join(peer.records(piece) for piece in pieces)
            nursery.start_soon(send, theirs, cut(records + (peer.close_notify() if proper else b""), cuts))
            assert await read_all(stream) == b"".join(pieces)
            assert await stream.read() == b""
            assert stream.is_readable(), "it is no good for another request"

    trio.run(run)


@EXAMPLES
@given(PIECES, CUTS, st.integers(0, 60_000), st.integers(1, 255))
def test_what_was_changed_never_arrives(
    served: ssl.SSLContext,
    trust: ssl.SSLContext,
    pieces: list[bytes],
    cuts: list[int],
    at: int,
    by: int,
) -> None:
    async def run() -> None:
        peer = TlsPeer(served, is_server=True)
        async with agreed(peer, trust) as (stream, theirs):
            await assert_nothing_changed_arrives(
                peer, theirs, stream.read, ssl.SSLError, pieces, cuts, at, by
            )

    trio.run(run)


@EXAMPLES
@given(PIECES, VERSIONS)
def test_what_is_written_is_read_in_order(
    served: ssl.SSLContext, trust: ssl.SSLContext, pieces: list[bytes], version: ssl.TLSVersion
) -> None:
    async def run() -> None:
        served.maximum_version = version
        peer = TlsPeer(served, is_server=True)
        async with agreed(peer, trust) as (stream, theirs), trio.open_nursery() as nursery:

            async def read() -> None:
                received = b""
                while len(received) < len(b"".join(pieces)):
                    peer.received.write(await theirs.receive_some())
                    while peer.received.pending:
                        with contextlib.suppress(ssl.SSLWantReadError):
                            while part := peer.session.read(65_536):
                                received += part
                assert received == b"".join(pieces)

            nursery.start_soon(read)
            for piece in pieces:
                await stream.write(piece)

    trio.run(run)


# Calls


@pytest.fixture
async def google(served: ssl.SSLContext) -> AsyncIterator[StandIn]:
    stand_in = StandIn()
    serve = partial(
        trio.serve_ssl_over_tcp, stand_in.handle, 0, served, host="127.0.0.1", https_compatible=True
    )
    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(serve)
        port = listeners[0].transport_listener.socket.getsockname()[1]
        stand_in.url = f"https://127.0.0.1:{port}"
        yield stand_in
        nursery.cancel_scope.cancel()


async def call(connection: UpstreamConnection, body: bytes) -> bytes:
    headers = [(b"host", b"x"), (b"content-length", b"%d" % len(body))]
    await connection.send_head("POST", b"/", headers)
    for start in range(0, len(body), 65_536):
        await connection.send_body(body[start : start + 65_536])
    await connection.finish_request([])
    await connection.read_head()
    received = b""
    while (chunk := await connection.read_chunk()) is not None:
        received += chunk
    return received


async def mirror(reply: Reply) -> None:
    await reply.chunked([reply.asked.body[:1000], reply.asked.body[1000:] or b"x"])


async def test_a_large_body_goes_both_ways_and_its_connection_is_used_again(
    google: StandIn, trust: ssl.SSLContext
) -> None:
    google.script = mirror
    upstream = UpstreamPool(google.url, connect_timeout=5, trust=trust)
    for _ in range(2):
        connection = await upstream.acquire()
        assert await call(connection, LARGE) == LARGE
        upstream.release(connection)
    assert (google.connections, upstream.open) == (1, 1)
    upstream.close_idle()


async def test_one_that_has_ended_tls_is_not_used_again(google: StandIn, trust: ssl.SSLContext) -> None:
    """Also where its end came with the response."""

    async def answer(reply: Reply) -> None:
        await reply.json(b"{}")
        await reply.stream.aclose()

    google.script = answer
    upstream = UpstreamPool(google.url, connect_timeout=5, trust=trust)
    for _ in range(2):
        connection = await upstream.acquire()
        assert await call(connection, b"q") == b"{}"
        upstream.release(connection)
        with trio.fail_after(2):
            while google.open:
                await trio.sleep(0.001)
    assert google.connections == 2
    upstream.close_idle()


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl")
async def test_keys_are_changed_in_the_middle(certificate: Path, trust: ssl.SSLContext) -> None:
    """Where the upstream asks for it (a key update of TLS 1.3), and reads by the new ones."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    words = ["openssl", "s_server", "-tls1_3", "-port", str(port), "-cert", str(certificate)]
    server = await trio.lowlevel.open_process(words, stdin=PIPE, stdout=PIPE, stderr=STDOUT)
    assert server.stdin is not None
    try:
        with trio.fail_after(5):
            await until(server, b"ACCEPT")
            async with await trio.open_tcp_stream("127.0.0.1", port) as plain:
                stream = TlsStream(plain, trust, "localhost")
                await stream.handshake()
                for number in range(3):
                    await server.stdin.send_all(b"answer\n")
                    assert await stream.read() == b"answer\n"
                    await stream.write(b"request %d\n" % number)
                    await until(server, b"request %d\n" % number)
                    await server.stdin.send_all(b"K\n")
                    await trio.lowlevel.wait_readable(plain.socket)  # what asks for it has come
    finally:
        server.kill()
        await server.wait()


async def until(server: trio.Process, text: bytes) -> None:
    """Reads what it prints."""
    assert server.stdout is not None
    printed = b""
    while text not in printed:
        printed += await server.stdout.receive_some()


# Where there is none


def resets(peer: socket.socket, _: ssl.SSLContext) -> None:
    peer.recv(1)
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def closes(peer: socket.socket, _: ssl.SSLContext) -> None:
    peer.recv(65_536)


def speaks_http(peer: socket.socket, _: ssl.SSLContext) -> None:
    peer.recv(65_536)
    peer.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")


def speaks_tls(peer: socket.socket, context: ssl.SSLContext) -> None:
    with contextlib.suppress(OSError), context.wrap_socket(peer, server_side=True) as session:
        session.recv(1)


def speaks_old_tls(peer: socket.socket, context: ssl.SSLContext) -> None:
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    with warnings.catch_warnings(action="ignore"):
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    speaks_tls(peer, context)


FAILURES = {
    "resets": (resets, True, "127.0.0.1", "[Errno 104] Connection reset by peer"),
    "closes": (closes, True, "127.0.0.1", "TLS failed (UNEXPECTED_EOF_WHILE_READING)"),
    "HTTP": (speaks_http, True, "127.0.0.1", "TLS failed (WRONG_VERSION_NUMBER)"),
    "an unknown issuer": (speaks_tls, False, "127.0.0.1", "TLS failed (CERTIFICATE_VERIFY_FAILED)"),
    "another host": (speaks_tls, True, "127.0.0.2", "TLS failed (CERTIFICATE_VERIFY_FAILED)"),
    "TLS 1.1": (speaks_old_tls, True, "127.0.0.1", "TLS failed (TLSV1_ALERT_PROTOCOL_VERSION)"),
}


@pytest.mark.parametrize(("behave", "trusted", "host", "said"), FAILURES.values(), ids=FAILURES.keys())
async def test_why_there_is_no_connection(
    certificate: Path,
    trust: ssl.SSLContext,
    behave: Callable[[socket.socket, ssl.SSLContext], None],
    trusted: bool,
    host: str,
    said: str,
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with socket.create_server((host, 0)) as listener:

        def serve() -> None:
            peer, _ = listener.accept()
            with peer:
                peer.settimeout(5)
                behave(peer, context)

        url = f"https://{host}:{listener.getsockname()[1]}"
        upstream = UpstreamPool(url, connect_timeout=5, trust=trust if trusted else tls_context())
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.to_thread.run_sync, serve)
            with pytest.raises(ConnectFailed) as failed:
                await upstream.connect()
    assert (str(failed.value), upstream.open) == (said, 0)
