"""Live sessions: what passes, who is told what when one ends, and its row."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from urllib.parse import quote

import pytest
import trio
from rig.gateway import GOOGLE_KEY, Running, running
from rig.live import LIVE_PATH, SETUP, LiveStandIn, ended, live_standing_in, nothing_is_left, session
from rig.standin import Reply, standing_in
from rig.websocket import UPGRADE, frame, opened, rest
from rig.wire import connect, head
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.frames import Opcode
from websockets.http11 import Request, Response
from websockets.trio.client import ClientConnection
from websockets.trio.server import ServerConnection
from websockets.utils import accept_key

from gatekeeper.proxy import live_session


@pytest.fixture
async def google() -> AsyncIterator[LiveStandIn]:
    async with live_standing_in() as stand_in:
        yield stand_in


@pytest.fixture
async def gateway(google: LiveStandIn, tmp_path: Path) -> AsyncIterator[Running]:
    async with running(tmp_path / "data", google.url) as gateway:
        yield gateway


@pytest.fixture
async def guarded(google: LiveStandIn, tmp_path: Path) -> AsyncIterator[Running]:
    async with running(tmp_path / "guarded", google.url, master_key="master-of-the-tests") as gateway:
        yield gateway


async def test_messages_pass_both_ways_as_they_are(gateway: Running, google: LiveStandIn) -> None:
    messages = [SETUP, b"\x00\xff" * 70_000, "", "ä🦕", b""]
    async with session(gateway) as client:
        for message in messages:
            await client.send(message)
            assert await client.recv() == message
    assert google.received == messages
    row = await gateway.row()
    size = sum(len(m.encode() if isinstance(m, str) else m) for m in messages)
    assert (row["request_bytes"], row["response_bytes"]) == (size, size)
    assert (row["action"], row["model"], row["stream"]) == (
        "BidiGenerateContent",
        "gemini-2.5-flash-live",
        True,
    )
    assert (row["status"], row["outcome"], row["reason"], row["stream"]) == (101, "ok", None, True)
    assert row["duration_ms"] >= row["first_byte_ms"] > 0
    await nothing_is_left(gateway, google)
    assert google.ends == [(1000, "")]


@pytest.mark.parametrize(
    "path", [LIVE_PATH, f"/{LIVE_PATH}", LIVE_PATH.replace("v1beta", "v9") + "Constrained"]
)
@pytest.mark.parametrize("where", ["header", "query", "bearer"])
async def test_what_google_gets_of_a_handshake(
    guarded: Running, google: LiveStandIn, path: str, where: str
) -> None:
    secret = await guarded.key(key_alias="live", tags=["own"])
    fields = {"header": {"x-goog-api-key": secret}, "bearer": {"Authorization": f"Bearer {secret}"}}
    headers = {
        **fields.get(where, {}),
        "tags": "a,b",
        "x-gatekeeper-user": "joe",
        "x-goog-api-client": "sdk/1",
    }
    key = secret if where == "query" else None
    async with session(guarded, path + "?alt=json", key, additional_headers=headers) as client:
        await client.send(SETUP)
        await client.recv()
        assert client.response is not None
        call_id = client.response.headers["x-gatekeeper-call-id"]
    (request,) = google.requests
    assert request.path == path.replace("//", "/") + "?alt=json"
    assert request.headers.get_all("x-goog-api-key") == [GOOGLE_KEY]
    assert request.headers["x-goog-api-client"] == "sdk/1"
    assert request.headers["Host"] == google.url.removeprefix("http://")
    assert secret not in str(request.headers)
    assert not {"tags", "x-gatekeeper-user", "authorization", "sec-websocket-extensions"} & set(
        request.headers
    )
    row = await guarded.row()
    assert (row["id"], row["key_alias"], row["tags"]) == (call_id, "live", ["own", "a", "b"])
    assert (row["user_id"], row["outcome"]) == ("joe", "ok")


async def test_the_subprotocol_is_googles_choice(tmp_path: Path) -> None:
    async with (
        live_standing_in(subprotocols=["two"]) as google,
        running(tmp_path / "data", google.url) as gateway,
        session(gateway, subprotocols=["one", "two"]) as client,
    ):
        assert client.subprotocol == "two"
        assert google.requests[0].headers["Sec-WebSocket-Protocol"] == "one, two"


@pytest.mark.parametrize("token", ["a\r\nX-Injected: 1", "a\nb", "\0", "a b", "\u20ac", "ä"])
async def test_a_token_that_no_header_can_carry_does_not_go_up(
    gateway: Running, google: LiveStandIn, token: str
) -> None:
    """In the query a token may have any character; upstream it is a header's value."""
    async with session(gateway, f"{LIVE_PATH}?access_token={quote(token)}", None) as client:
        await refused(client, 1008, "GATEKEEPER_KEY_UNKNOWN")
    assert google.requests == []
    assert (await gateway.row())["outcome"] == "refused"


# How it ends


@pytest.mark.parametrize("code", [1014, 4001])
async def test_a_clients_close_comes_to_google_and_the_answer_back(
    gateway: Running, google: LiveStandIn, code: int
) -> None:
    async with session(gateway) as client:
        await client.aclose(code, "enough ä")
        assert client.close_code == code
    await nothing_is_left(gateway, google)
    assert google.ends == [(code, "enough ä")]
    assert (await gateway.row())["outcome"] == "ok"


async def test_an_upstream_that_does_not_answer_a_close_is_not_waited_for(
    gateway: Running, google: LiveStandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_session, "CLOSING_TIMEOUT", 0.05)

    async def never_answers(session: ServerConnection) -> None:
        session.protocol.receive_data = lambda _data: None  # pyright: ignore
        await trio.sleep_forever()

    google.script = never_answers
    async with session(gateway) as client:
        await client.aclose(1000)
    assert (client.close_code, client.close_reason) == (1000, "")


@pytest.mark.parametrize(
    ("code", "reason", "outcome"),
    [
        (1000, "", "ok"),
        (1001, "The session is over", "ok"),
        (1007, "Request contains an invalid argument.", "upstream_error"),
        (1008, "models/x is not found for API version v1beta", "upstream_error"),
        (1011, "ä" * 61, "upstream_error"),
        (1014, "Bad gateway", "upstream_error"),
        (4999, "why", "upstream_error"),
    ],
)
async def test_googles_close_comes_to_the_client(
    gateway: Running, google: LiveStandIn, code: int, reason: str, outcome: str
) -> None:
    async def closes(session: ServerConnection) -> None:
        await session.send("last")
        await session.aclose(code, reason)

    google.script = closes
    async with session(gateway) as client:
        assert await client.recv() == "last"
        assert await ended(client) == (code, reason)
    row = await gateway.row()
    assert (row["outcome"], row["status"]) == (outcome, 101)
    assert row["error_message"] == (
        None if outcome == "ok" else f"The session was closed with {code}: {reason}"
    )
    await nothing_is_left(gateway, google)
    assert google.ends == [(code, reason)]


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (1007, "API key not valid. Please pass a valid API key."),
        (1008, "Your API key was reported as leaked."),
    ],
)
async def test_googles_close_about_the_gateways_key_is_the_operators(
    gateway: Running, google: LiveStandIn, code: int, reason: str
) -> None:
    async def closes(session: ServerConnection) -> None:
        await session.aclose(code, f"{reason} {GOOGLE_KEY}")

    google.script = closes
    async with session(gateway) as client:
        told, text = await ended(client)
    assert told == 1011
    assert text is not None
    assert text.startswith("GATEKEEPER_UPSTREAM_KEY_INVALID: ")
    row = await gateway.row()
    assert (row["outcome"], row["reason"]) == ("upstream_error", "GATEKEEPER_UPSTREAM_KEY_INVALID")
    assert GOOGLE_KEY not in str(row)


async def test_a_close_reason_with_the_gateways_key_is_masked(gateway: Running, google: LiveStandIn) -> None:
    async def closes(session: ServerConnection) -> None:
        await session.aclose(4000, f"seen: {GOOGLE_KEY}")

    google.script = closes
    async with session(gateway) as client:
        assert await ended(client) == (4000, "seen: " + "*" * len(GOOGLE_KEY))
    assert GOOGLE_KEY not in str(await gateway.row())


async def test_an_upstream_that_breaks_off_breaks_off_the_client(
    gateway: Running, google: LiveStandIn
) -> None:
    async def breaks(session: ServerConnection) -> None:
        await session.send("last")
        await session.stream.aclose()

    google.script = breaks
    async with session(gateway) as client:
        assert await ended(client) == (1006, "")
    row = await gateway.row()
    assert (row["outcome"], row["status"], row["response_bytes"]) == ("upstream_broken", 101, 4)
    await nothing_is_left(gateway, google)


async def test_a_client_that_breaks_off_breaks_off_the_upstream(
    gateway: Running, google: LiveStandIn
) -> None:
    async with session(gateway) as client:
        await client.send(SETUP)
        await client.recv()
        await client.stream.aclose()
    await nothing_is_left(gateway, google)
    assert google.ends == [(1006, "")]
    assert (await gateway.row())["outcome"] == "client_disconnected"


async def test_googles_close_ends_a_client_that_is_still_sending(
    gateway: Running, google: LiveStandIn
) -> None:
    async def closes(session: ServerConnection) -> None:
        await session.recv()
        await session.send(b"")
        session.protocol.send_close(1011, "Internal error encountered.")
        await session.stream.send_all(b"".join(session.protocol.data_to_send()))
        await session.stream.aclose()

    google.script = closes
    async with opened(f"{gateway.url}/gemini{LIVE_PATH}?key=k") as client:
        for _ in range(20):  # it has not read the Close frame yet
            await client.send_all(frame(Opcode.BINARY, bytes(3000)))
            await trio.sleep(0.005)
        await client.send_all(frame(Opcode.CLOSE, b"\x03\xf3"))
        with trio.fail_after(live_session.CLOSING_TIMEOUT / 2):
            assert (await rest(client)).endswith(b"\x03\xf3Internal error encountered.")
    assert (await gateway.row())["outcome"] == "upstream_error"
    await nothing_is_left(gateway, google)


async def test_a_client_that_goes_before_the_handshake_is_answered_ends_it(tmp_path: Path) -> None:
    async def never_answers(stream: trio.SocketStream) -> None:
        while await stream.receive_some():
            pass
        ended.set()

    ended = trio.Event()
    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(partial(trio.serve_tcp, never_answers, 0, host="127.0.0.1"))
        port = listeners[0].socket.getsockname()[1]
        async with running(tmp_path / "data", f"http://127.0.0.1:{port}") as gateway:
            async with await connect(gateway.url) as client:
                await client.send_all(head(f"GET /gemini{LIVE_PATH}?key=k", UPGRADE))
                with trio.fail_after(5):
                    while not gateway.gateway.proxy.open_calls:
                        await trio.sleep(0.005)
            with trio.fail_after(5):
                await ended.wait()
            assert (await gateway.row())["outcome"] == "client_disconnected"
        nursery.cancel_scope.cancel()


async def test_what_is_no_websocket_cuts_the_session(gateway: Running, google: LiveStandIn) -> None:
    async with session(gateway) as client:
        await client.send(SETUP)
        await client.recv()
        await client.stream.send_all(b"\xff\xff")
        code, _ = await ended(client)
    assert code == 1002
    row = await gateway.row()
    assert (row["outcome"], row["reason"], row["status"]) == ("cut", "GATEKEEPER_BAD_REQUEST", 101)
    await nothing_is_left(gateway, google)


async def test_a_message_over_the_limit_cuts_the_session(gateway: Running, google: LiveStandIn) -> None:
    async with session(gateway) as client:
        with contextlib.suppress(ConnectionClosed):
            await client.send(bytes(16 * 2**20 + 1))
        code, reason = await ended(client)
    assert (code, reason) == (1009, "a message is over 16,777,216 bytes")
    row = await gateway.row()
    assert (row["outcome"], row["reason"]) == ("cut", "GATEKEEPER_TOO_LARGE")
    await nothing_is_left(gateway, google)
    assert google.received == []


# Refused


async def refused(client: ClientConnection, code: int, reason: str) -> str:
    told, text = await ended(client)
    assert told == code
    assert text is not None
    assert text.startswith(f"{reason}: ")
    return text


@pytest.mark.parametrize("key", [None, "nobodys"])
async def test_a_missing_or_unknown_key_is_told_by_a_close(
    guarded: Running, google: LiveStandIn, key: str | None
) -> None:
    reason = f"GATEKEEPER_KEY_{'MISSING' if key is None else 'UNKNOWN'}"
    async with session(guarded, key=key, subprotocols=["a", "b"]) as client:
        assert client.subprotocol == "a"
        await refused(client, 1008, reason)
        assert client.response is not None
        call_id = client.response.headers["x-gatekeeper-call-id"]
    row = await guarded.row()
    assert (row["id"], row["status"], row["outcome"], row["reason"]) == (call_id, 101, "refused", reason)
    assert (row["cost_usd"], row["stream"], row["key_id"]) == ("0.000000000000", True, None)
    assert not google.requests


async def test_a_gateway_that_stops_says_when_to_come_back(gateway: Running, google: LiveStandIn) -> None:
    gateway.gateway.proxy.context.draining = True
    async with session(gateway) as client:
        await refused(client, 1013, "GATEKEEPER_DRAINING")
    assert not google.requests


async def test_a_websocket_elsewhere_is_none(gateway: Running, google: LiveStandIn) -> None:
    async with session(gateway, "/v1beta/models/gemini-2.5-flash:generateContent") as client:
        await refused(client, 1008, "GATEKEEPER_NOT_FOUND")
    assert not google.requests


async def test_an_upstream_that_is_not_there(tmp_path: Path) -> None:
    async with (
        running(tmp_path / "data", "http://127.0.0.1:1") as gateway,
        session(gateway) as client,
    ):
        await refused(client, 1011, "GATEKEEPER_UPSTREAM_UNREACHABLE")
        row = await gateway.row()
    assert (row["outcome"], row["status"], row["cost_usd"]) == (
        "upstream_unreachable",
        101,
        "0.000000000000",
    )


@pytest.mark.parametrize("setup", ["gemini-2.5-pro", "", None])
async def test_a_model_that_the_key_may_not_use_does_not_go_up(
    guarded: Running, google: LiveStandIn, setup: str | None
) -> None:
    secret = await guarded.key(models=["gemini-2.5-flash*"])
    message = SETUP.replace("gemini-2.5-flash-live", setup) if setup is not None else '{"clientContent": {}}'
    async with session(guarded, key=secret) as client:
        await client.send(message)
        await refused(client, 1008, "GATEKEEPER_MODEL_NOT_ALLOWED")
    row = await guarded.row()
    assert (row["outcome"], row["reason"], row["status"]) == ("refused", "GATEKEEPER_MODEL_NOT_ALLOWED", 101)
    assert row["model"] == (setup or None)
    await nothing_is_left(guarded, google)
    assert google.received == []


@pytest.mark.parametrize("tool", ['{"googleSearch": {}}', '{"google\\u0053earch": {}}'])
async def test_tools_of_a_later_message_may_not_search_either(
    guarded: Running, google: LiveStandIn, tool: str
) -> None:
    key = await guarded.key(searches=False)
    message = '{"contextUpdate": {"tools": {"tools": [%s]}}}'
    async with session(guarded, key=key) as client:
        for allowed in (SETUP, message % '{"codeExecution": {}}'):
            await client.send(allowed)
            await client.recv()
        await client.send(message % tool)
        code, reason = await ended(client)
    assert code == 1008
    assert str(reason).startswith("GATEKEEPER_POLICY: ")
    assert len(google.received) == 2


async def test_a_model_that_the_key_may_use_goes_up(guarded: Running, google: LiveStandIn) -> None:
    secret = await guarded.key(models=["gemini-2.5-flash*"])
    async with session(guarded, key=secret) as client:
        await client.send(SETUP)
        assert await client.recv() == SETUP
    assert (await guarded.row())["outcome"] == "ok"


@pytest.mark.parametrize("status", [400, 403, 429, 503])
async def test_googles_refusal_of_a_handshake_is_relayed(
    gateway: Running, google: LiveStandIn, status: int
) -> None:
    body = b'{"error": {"code": %d, "message": "no", "status": "X"}}' % status
    headers = Headers(
        {"Content-Type": "application/json", "Content-Length": str(len(body)), "Retry-After": "7"}
    )
    google.refuse = lambda _: Response(status, "Not Now", headers, body)
    with pytest.raises(InvalidStatus) as raised:
        async with session(gateway):
            pass
    response = raised.value.response
    assert (response.status_code, response.reason_phrase, response.body) == (status, "Not Now", body)
    assert response.headers["retry-after"] == "7"
    row = await gateway.row()
    assert (row["status"], row["outcome"], row["reason"]) == (status, "upstream_error", "X")
    assert (row["error_message"], row["id"]) == ("no", response.headers["x-gatekeeper-call-id"])
    await nothing_is_left(gateway, google)


async def test_a_refusal_in_plain_text_is_in_the_row(gateway: Running, google: LiveStandIn) -> None:
    headers = Headers({"Content-Type": "text/plain", "Content-Length": "8"})
    google.refuse = lambda _: Response(404, "X", headers, b"no path\n")
    with pytest.raises(InvalidStatus):
        async with session(gateway):
            pass
    row = await gateway.row()
    assert (row["status"], row["error_message"]) == (404, "no path")


async def test_a_refusal_without_a_body_has_no_length(gateway: Running, google: LiveStandIn) -> None:
    google.refuse = lambda _: Response(204, "No Content", Headers(), b"")
    with pytest.raises(InvalidStatus) as raised:
        async with session(gateway):
            pass
    assert raised.value.response.status_code == 204
    assert "content-length" not in raised.value.response.headers
    await nothing_is_left(gateway, google)


async def test_googles_refusal_of_the_gateways_key_is_the_operators(
    gateway: Running, google: LiveStandIn
) -> None:
    google.refuse = lambda _: Response(401, "X", Headers({"Content-Length": "0"}), b"")
    async with session(gateway) as client:
        await refused(client, 1011, "GATEKEEPER_UPSTREAM_KEY_INVALID")
    row = await gateway.row()
    assert (row["outcome"], row["status"]) == ("upstream_error", 101)


@pytest.mark.parametrize(
    ("status", "reason", "outcome"),
    [(401, "UPSTREAM_KEY_INVALID", "upstream_error"), (400, "UPSTREAM_UNREACHABLE", "upstream_broken")],
)
async def test_a_refusal_of_a_handshake_that_breaks_off(
    tmp_path: Path, status: int, reason: str, outcome: str
) -> None:
    async def cut(reply: Reply) -> None:
        head = b"HTTP/1.1 %d X\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{"
        await reply.raw(head % status)
        await reply.stream.aclose()

    async with standing_in() as google, running(tmp_path / "data", google.url) as gateway:
        google.script = cut
        async with session(gateway) as client:
            await refused(client, 1011, f"GATEKEEPER_{reason}")
        assert (await gateway.row())["outcome"] == outcome


@pytest.mark.parametrize("wrong", ["Upgrade", "Connection", "Sec-WebSocket-Accept"])
async def test_a_handshake_that_is_not_answered_by_websocket(
    gateway: Running, google: LiveStandIn, wrong: str
) -> None:
    """RFC 6455 §4.1: the client checks three of its fields."""

    def answer(request: Request) -> Response:
        token = accept_key(request.headers["Sec-WebSocket-Key"])
        right = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Accept": token}
        return Response(101, "X", Headers(right | {wrong: "keep-alive"}), b"")

    google.refuse = answer
    async with session(gateway) as client:
        await refused(client, 1011, "GATEKEEPER_UPSTREAM_UNREACHABLE")
    assert (await gateway.row())["outcome"] == "upstream_unreachable"
