"""Openings of every protocol that a client may try here, with random bytes changed: the gateway stays, and
the streams beside them are whole. With TLS, the records of its handshake and after it are changed, too, and
some clients leave in between.

GATEKEEPER_OPENINGS is how many (some hundreds if unset), GATEKEEPER_SEED repeats a run.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import ssl
from pathlib import Path
from random import Random

import h2.config
import h2.connection
import pytest
import trio
from rig.certificate import make_certificate
from rig.process import PATIENCE, Served, serving
from rig.standin import Reply, StandIn, answer_ok
from rig.wire import connect, head, read, reset

OPENINGS = int(os.environ.get("GATEKEEPER_OPENINGS", "300"))
SEED = int(os.environ.get("GATEKEEPER_SEED") or secrets.randbits(32))
AT_ONCE = 40
STREAMS = 50
PIECES = 5
EVENT = b'data: {"usageMetadata": {"promptTokenCount": 1, "totalTokenCount": 1}}\r\n\r\n'
MODEL = "/gemini/v1beta/models/gemini-2.5-flash"
UNARY = f"POST {MODEL}:generateContent?key=k"


def http2() -> bytes:
    client = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True))
    client.initiate_connection()
    fields = [(":method", "POST"), (":path", UNARY[5:]), (":authority", "localhost"), (":scheme", "http")]
    client.send_headers(1, fields)
    client.send_data(1, b"{}", end_stream=True)
    return client.data_to_send()


LOCAL = ["Host: localhost"]
KEY = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
UPGRADE = ["Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", KEY]
OPENINGS_OF = [
    head(UNARY, ["Content-Length: 2", "tags: a, b", "Expect: 100-continue"]) + b"{}",
    head(UNARY, ["Transfer-Encoding: chunked"]) + b'2;a="b"\r\n{}\r\n0\r\nX-Trailer: a\r\n\r\n',
    head("GET /key/list", ["Authorization: Bearer x"]) + head("GET /healthz", []),
    head("POST /key/generate", ["Content-Length: 2", "Content-Type: application/json"]) + b"{}",
    head(f"GET {MODEL}", [*UPGRADE, "Sec-WebSocket-Protocol: a, b"]) + b"\x81\x85abcd" + bytes(5),
    head("GET /nothing", [*UPGRADE, "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits"]),
    head(UNARY, ["Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQ"]),
    http2(),
]


def changed(opening: bytes, dice: Random) -> bytes:
    data = bytearray(opening.replace(b"Host: gateway", b"Host: localhost"))
    for _ in range(dice.randint(1, 8)):
        place = dice.randrange(len(data))
        match dice.randrange(5):
            case 0:
                data[place] = dice.randrange(256)
            case 1:
                data.insert(place, dice.choice(b"\r\n\0 :;,\xff0"))
            case 2:
                del data[place : place + dice.randint(1, 4)]
            case 3:
                data[place:place] = data[place : place + dice.randint(1, 40)]
            case _:
                data[place] ^= 1 << dice.randrange(8)
        data = data or bytearray(b"\0")
    return bytes(data[: dice.randrange(len(data)) + 1] if dice.random() < 0.1 else data)


async def open_and_leave(url: str, dice: Random) -> None:
    opening, pieces, leave = changed(dice.choice(OPENINGS_OF), dice), dice.randint(1, 3), dice.randrange(3)
    step = -(-len(opening) // pieces)
    try:
        async with await connect(url) as client:
            for start in range(0, len(opening), step):
                await client.send_all(opening[start : start + step])
                await trio.sleep(0.001)
            if leave == 0:
                await client.send_eof()
            elif leave == 1:
                reset(client)
            with trio.move_on_after(0.2):
                while await client.receive_some():
                    pass
    except trio.BrokenResourceError:
        pass  # it has been refused


def handshake_of() -> tuple[ssl.SSLObject, ssl.MemoryBIO, ssl.MemoryBIO]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    received, sent = ssl.MemoryBIO(), ssl.MemoryBIO()
    return context.wrap_bio(received, sent, server_hostname="localhost"), received, sent


async def shake_hands_and_leave(url: str, dice: Random) -> None:
    """A handshake, and a request behind it, of which one flight of records is changed or missing."""
    session, received, sent = handshake_of()
    faulty, leave = dice.randrange(4), dice.randrange(3)
    try:
        async with await connect(url.replace("https:", "http:")) as client:
            for flight in range(3):
                with contextlib.suppress(ssl.SSLError):
                    session.do_handshake()
                    session.write(dice.choice(OPENINGS_OF))
                records = sent.read()
                if flight == faulty and leave == 0:
                    return
                if flight == faulty and leave == 1:
                    reset(client)
                await client.send_all(changed(records, dice) if records and flight == faulty else records)
                with trio.move_on_after(0.2):
                    received.write(await client.receive_some())
    except trio.BrokenResourceError:
        pass  # it has been refused


class Streams:
    """Streams that begin before the openings and end after them."""

    def __init__(self) -> None:
        self.begun = 0
        self.whole = 0
        self.go_on = trio.Event()

    async def script(self, reply: Reply) -> None:
        if not reply.asked.header("x-streamed"):
            await answer_ok(reply)
            return
        self.begun += 1
        await reply.chunked([EVENT], end=False)
        await self.go_on.wait()
        for _ in range(PIECES):
            await reply.raw(b"%x\r\n%b\r\n" % (len(EVENT), EVENT))
        await reply.raw(b"0\r\n\r\n")

    async def follow(self, url: str) -> None:
        async with await connect(url) as client:
            line = f"POST {MODEL}:streamGenerateContent?alt=sse&key=k"
            await client.send_all(head(line, ["Content-Length: 2", "x-streamed: yes"]) + b"{}")
            answer = await read(client)
            self.whole += answer.whole and answer.body == EVENT * (PIECES + 1)


async def fire(served: Served, dice: Random) -> None:
    # Each handshake costs as much as some calls.
    left = iter(range(OPENINGS // 3 if served.url.startswith("https:") else OPENINGS))

    async def some() -> None:
        for number in left:
            if served.url.startswith("https:") and number % 3:
                await shake_hands_and_leave(served.url, dice)
            else:
                await open_and_leave(served.url, dice)

    async with trio.open_nursery() as nursery:
        for _ in range(AT_ONCE):
            nursery.start_soon(some)


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
async def test_no_opening_ends_the_gateway(
    folder: Path, google: StandIn, capsys: pytest.CaptureFixture[str], tls: bool
) -> None:
    streams = Streams()
    google.script = streams.script
    settings = {"GEMINI_API_KEY": "AIzaOfTheTests"}
    if tls:
        file = str(make_certificate(folder.with_name("gateway.pem")))
        settings |= {"GATEKEEPER_TLS_CERT": file, "GATEKEEPER_TLS_KEY": file}
    async with serving(folder, "--upstream", google.url, **settings) as served:
        async with trio.open_nursery() as nursery:
            for _ in range(STREAMS):
                nursery.start_soon(streams.follow, served.url)
            with trio.fail_after(PATIENCE):
                while streams.begun < STREAMS:
                    await trio.sleep(0.01)
            await fire(served, Random(SEED))
            streams.go_on.set()
        await served.get("/healthz")
        with capsys.disabled():
            lines = [line for line in served.logged().splitlines() if "tls_handshake" not in line]
            failed = [line for line in lines if "_failed" in line]
            print(f"\nseed {SEED}: {OPENINGS} openings, {streams.whole} streams whole", *failed, sep="\n")  # noqa: T201
        assert streams.whole == STREAMS, f"seed {SEED}"
