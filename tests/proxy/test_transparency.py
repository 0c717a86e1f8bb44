"""What crosses the gateway and what does not: bytes in, bytes out."""

from __future__ import annotations

import trio
from rig.cases import cases
from rig.gateway import GOOGLE_KEY, Running
from rig.standin import Reply, StandIn
from rig.wire import PLAIN_AND_TLS, connect, exchange, head

GENERATE = "/v1beta/models/gemini-2.5-flash:generateContent"
STREAM = "/v1beta/models/gemini-2.5-flash:streamGenerateContent"


@cases(
    ("path", "query"),
    [
        (GENERATE, "alt=json&quotaUser=%31+%2B"),
        ("/v1beta/files/a%20b", ""),
        ("/v1/models", "pageSize=2&pageToken=a%3D%3D"),
        ("/v1alpha//files", "&&a&b="),
        ("/download/v1beta/files/x:download", "alt=media"),
    ],
)
async def test_method_path_and_query_go_up_byte_for_byte(
    gateway: Running, google: StandIn, path: str, query: str
) -> None:
    for method in ("GET", "POST", "PATCH", "DELETE"):
        await exchange(gateway.url, f"{method} /gemini{path}{'?' + query if query else ''}", body=b"")
        asked = google.asked[-1]
        assert (asked.method, asked.target.decode()) == (method, path + ("?" + query if query else ""))


@cases(
    "body",
    [
        b'{"contents": [{"parts": [{"text": "hi"},]},],}',  # Google takes trailing commas
        b"{not json at all",
        b"\x00\xff\xfe",
        b"",
        b"x" * 300_000,  # streamed
    ],
)
@PLAIN_AND_TLS
async def test_a_body_is_googles_to_judge(gateway: Running, google: StandIn, body: bytes) -> None:
    answer = await exchange(gateway.url, f"POST /gemini{GENERATE}?key=k", body=body)
    assert answer.status == 200
    assert google.asked[-1].body == body


@PLAIN_AND_TLS
async def test_a_chunked_body_goes_up_chunk_by_chunk(gateway: Running, google: StandIn) -> None:
    chunks = [b"one", b"two", b"x" * 70_000]
    answer = await exchange(gateway.url, f"POST /gemini{GENERATE}?key=k", chunks=chunks)
    assert answer.status == 200
    asked = google.asked[-1]
    assert asked.body == b"".join(chunks)
    assert asked.header("transfer-encoding") == ["chunked"]
    assert asked.header("content-length") == []


async def test_only_the_gateways_own_key_goes_up(gateway: Running, google: StandIn) -> None:
    await exchange(
        gateway.url,
        f"POST /gemini{GENERATE}?quotaUser=1&key=query-secret&userIp=2",
        body=b"{}",
        headers=["x-goog-api-key: header-secret", "Authorization: Bearer bearer-secret", "Cookie: c=d"],
    )
    asked = google.asked[-1]
    assert asked.header("x-goog-api-key") == [GOOGLE_KEY]
    assert asked.target.endswith(b"?quotaUser=1&userIp=2")
    everything = repr((asked.target, asked.headers))
    assert not any(
        secret in everything for secret in ("query-secret", "header-secret", "bearer-secret", "c=d")
    )


async def test_tags_and_user_stay_here(gateway: Running, google: StandIn) -> None:
    await exchange(
        gateway.url,
        f"POST /gemini{GENERATE}?key=k",
        body=b"{}",
        headers=["tags: gemini-js-sdk, pass-through-endpoint,gemini-js-sdk", "x-gatekeeper-user: ünal"],
    )
    row = await gateway.row()
    assert row["tags"] == ["gemini-js-sdk", "pass-through-endpoint"]
    assert row["user_id"] == "ünal"
    names = {name for name, _ in google.asked[-1].headers}
    assert not names & {b"tags", b"x-gatekeeper-user"}


async def test_status_headers_and_chunks_come_down_as_they_are(gateway: Running, google: StandIn) -> None:
    async def script(reply: Reply) -> None:
        await reply.json(
            b'{"name": "files/1"}',
            status=206,
            headers=("Content-Disposition: inline", "X-Goog-Api-Key: AIzaEcho", "Set-Cookie: a=b", "ETag: x"),
        )

    google.script = script
    answer = await exchange(gateway.url, "GET /gemini/v1beta/files/1?key=k")
    assert (answer.status, answer.body) == (206, b'{"name": "files/1"}')
    assert answer.headers["content-disposition"] == "inline"
    assert answer.headers["etag"] == "x"
    assert answer.headers["x-gatekeeper-call-id"] == (await gateway.row())["id"]
    assert not {"x-goog-api-key", "set-cookie"} & answer.headers.keys()


@PLAIN_AND_TLS
async def test_a_stream_passes_event_by_event(gateway: Running, google: StandIn) -> None:
    """Each event is in the client's hands before the next one is made."""
    arrived = trio.Event()

    async def script(reply: Reply) -> None:
        await reply.raw(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        await reply.raw(b"8\r\ndata: 1\n\r\n")
        await arrived.wait()
        await reply.raw(b"8\r\ndata: 2\n\r\n0\r\n\r\n")

    google.script = script
    async with await connect(gateway.url) as client:
        await client.send_all(head(f"POST /gemini{STREAM}?alt=sse&key=k", ["Content-Length: 0"]))
        received = b""
        while b"8\r\ndata: 1\n\r\n" not in received:
            received += await client.receive_some()
        arrived.set()
        while not received.endswith(b"8\r\ndata: 2\n\r\n0\r\n\r\n"):
            received += await client.receive_some()


@cases(("accepted", "sent"), [("br, gzip", "gzip"), ("br", "identity"), (None, "identity")])
async def test_the_upstream_is_asked_for_what_the_meter_can_read(
    gateway: Running, google: StandIn, accepted: str | None, sent: str
) -> None:
    headers = [f"Accept-Encoding: {accepted}"] if accepted else []
    await exchange(gateway.url, f"POST /gemini{GENERATE}?key=k", body=b"{}", headers=headers)
    assert google.asked[-1].header("accept-encoding") == [sent]


@PLAIN_AND_TLS
async def test_an_answer_without_a_body(gateway: Running, google: StandIn) -> None:
    async def script(reply: Reply) -> None:
        await reply.raw(b"HTTP/1.1 204 No Content\r\nETag: y\r\n\r\n")

    google.script = script
    for method in ("DELETE", "HEAD"):
        answer = await exchange(gateway.url, f"{method} /gemini/v1beta/files/1?key=k")
        assert (answer.status, answer.body) == (204, b"")


async def test_connections_are_used_again(gateway: Running, google: StandIn) -> None:
    for _ in range(5):
        await exchange(gateway.url, f"POST /gemini{GENERATE}?key=k", body=b"{}")
    assert google.connections == 1
