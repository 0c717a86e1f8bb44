"""Which web pages may use the gateway: preflights, and responses that a page may read."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trio
from rig.cases import cases
from rig.gateway import Running, running
from rig.standin import StandIn
from rig.wire import Answer, connect, exchange, head, read

PATH = "/gemini/v1beta/models/gemini-2.5-flash:generateContent"
PAGE, OTHER = "https://app.example", "https://evil.example"
MASTER = "master-of-the-tests"
ASKED = "content-type,x-goog-api-client,x-goog-api-key"
PREFLIGHT = ["Access-Control-Request-Method: POST", f"Access-Control-Request-Headers: {ASKED}"]


@pytest.fixture
async def shared(google: StandIn, tmp_path: Path) -> AsyncIterator[Running]:
    """A gateway with a master key, for pages of two origins."""
    origins = f"{PAGE}, http://localhost:3000"
    async with running(tmp_path / "s", google.url, master_key=MASTER, allowed_origins=origins) as gateway:
        yield gateway


@pytest.fixture
async def open_to_all(google: StandIn, tmp_path: Path) -> AsyncIterator[Running]:
    async with running(tmp_path / "a", google.url, master_key=MASTER, allowed_origins="*") as gateway:
        yield gateway


def vary(answer: Answer) -> set[str]:
    lists = [value for name, value in answer.fields if name == "vary"]
    return {name.strip().lower() for value in lists for name in value.split(",")}


def about_cors(answer: Answer) -> dict[str, str]:
    return {name: value for name, value in answer.headers.items() if name.startswith("access-control-")}


def exposed(answer: Answer) -> set[str]:
    return set(answer.headers["access-control-expose-headers"].split(", "))


# Preflights


async def test_a_preflight_is_answered_here_without_a_key(shared: Running, google: StandIn) -> None:
    headers = [f"Origin: {PAGE}", *PREFLIGHT]
    answer = await exchange(shared.url, f"OPTIONS {PATH}", headers=headers)
    assert (answer.status, answer.body, answer.whole) == (204, b"", True)
    assert answer.headers["access-control-allow-origin"] == PAGE
    assert answer.headers["access-control-allow-headers"] == ASKED
    assert "POST" in answer.headers["access-control-allow-methods"].split(", ")
    assert int(answer.headers["access-control-max-age"]) > 0
    assert vary(answer) == {"origin", "access-control-request-method", "access-control-request-headers"}
    assert "access-control-allow-credentials" not in answer.headers
    assert "access-control-allow-private-network" not in answer.headers
    assert google.asked == []
    row = await shared.row()
    named = ("action", "method", "outcome", "status", "key_id", "model", "stream", "reason")
    assert [row[name] for name in named] == [
        "preflight", "OPTIONS", "ok", 204, None, None, False, None,
    ]  # fmt: skip
    assert float(row["cost_usd"]) == 0
    assert row["id"] == answer.headers["x-gatekeeper-call-id"]
    assert row["path"] == PATH.removeprefix("/gemini")


async def test_a_page_of_the_internet_may_ask_for_a_gateway_in_a_private_network(shared: Running) -> None:
    headers = [f"Origin: {PAGE}", *PREFLIGHT, "Access-Control-Request-Private-Network: true"]
    answer = await exchange(shared.url, f"OPTIONS {PATH}", headers=headers)
    assert answer.headers["access-control-allow-private-network"] == "true"


@cases("method", ["GET", "PUT", "DELETE", "PATCH", "POST"])
async def test_any_method_and_none_of_the_headers(shared: Running, method: str) -> None:
    headers = [f"Origin: {PAGE}", f"Access-Control-Request-Method: {method}"]
    answer = await exchange(shared.url, "OPTIONS /gemini/upload/v1beta/files", headers=headers)
    assert method in answer.headers["access-control-allow-methods"].split(", ")
    assert "access-control-allow-headers" not in answer.headers


async def test_a_connection_lives_on_after_a_preflight(shared: Running) -> None:
    async with await connect(shared.url) as client:
        for _ in range(3):
            await client.send_all(head(f"OPTIONS {PATH}", [f"Origin: {PAGE}", *PREFLIGHT]))
            with trio.fail_after(5):
                assert (await read(client, "OPTIONS")).status == 204


@cases("origin", [OTHER, "null", "https://app.example.evil.example", f"{PAGE}:8443", ""])
async def test_a_preflight_of_another_origin_is_refused_in_words(
    shared: Running, google: StandIn, origin: str
) -> None:
    answer = await exchange(shared.url, f"OPTIONS {PATH}", headers=[f"Origin: {origin}", *PREFLIGHT])
    assert (answer.status, answer.reason) == (403, "GATEKEEPER_POLICY")
    assert "allowed_origins" in json.loads(answer.body)["error"]["message"]
    assert about_cors(answer) == {}
    row = await shared.row()
    assert (row["action"], row["outcome"], row["status"]) == ("preflight", "refused", 403)
    assert google.asked == []


@pytest.mark.parametrize("mode", ["gateway", "guarded"])
async def test_without_the_setting_no_page_may(
    mode: str, request: pytest.FixtureRequest, google: StandIn, tmp_path: Path
) -> None:
    master_key = MASTER if mode == "guarded" else None
    async with running(tmp_path / "n", google.url, master_key=master_key) as gateway:
        headers = ["Origin: http://localhost:3000", *PREFLIGHT]
        answer = await exchange(gateway.url, f"OPTIONS {PATH}", headers=headers)
        assert (answer.status, answer.reason, about_cors(answer)) == (403, "GATEKEEPER_POLICY", {})
        headers = ["Origin: http://localhost:3000", f"x-goog-api-key: {MASTER}"]
        answer = await exchange(gateway.url, f"POST {PATH}", body=b"{}", headers=headers)
        assert (answer.status, about_cors(answer)) == (200, {})


@cases(
    "headers",
    [
        [],
        [f"Origin: {PAGE}"],
        ["Access-Control-Request-Method: POST"],
    ],
)
async def test_an_options_that_is_no_preflight_is_a_call_like_others(
    shared: Running, google: StandIn, headers: list[str]
) -> None:
    answer = await exchange(shared.url, f"OPTIONS {PATH}", headers=headers)
    assert (answer.status, answer.reason) == (401, "GATEKEEPER_KEY_MISSING")
    answer = await exchange(shared.url, f"OPTIONS {PATH}", headers=[*headers, f"x-goog-api-key: {MASTER}"])
    assert answer.status == 200
    assert google.asked[0].method == "OPTIONS"


# Responses


async def test_a_page_may_read_the_response_and_its_headers(shared: Running, google: StandIn) -> None:
    sent = (
        "X-Goog-Upload-Status: active",
        "Vary: X-Origin",
        "Server-Timing: a",
        "Access-Control-Allow-Origin: https://google",
        "Access-Control-Allow-Credentials: true",
    )
    google.script = lambda reply: reply.json(b"{}", 200, sent)
    headers = [f"Origin: {PAGE}", f"x-goog-api-key: {MASTER}"]
    answer = await exchange(shared.url, f"POST {PATH}", body=b"{}", headers=headers)
    assert about_cors(answer).keys() == {"access-control-allow-origin", "access-control-expose-headers"}
    assert answer.headers["access-control-allow-origin"] == PAGE
    assert exposed(answer) >= {"x-goog-upload-status", "x-gatekeeper-call-id", "server-timing"}
    assert vary(answer) == {"x-origin", "origin"}


async def test_a_page_may_read_a_stream(shared: Running, google: StandIn) -> None:
    google.script = lambda reply: reply.chunked([b"data: {}\r\n\r\n"])
    headers = [f"Origin: {PAGE}", f"x-goog-api-key: {MASTER}"]
    line = f"POST {PATH.replace('generate', 'streamGenerate')}?alt=sse"
    answer = await exchange(shared.url, line, body=b"{}", headers=headers)
    assert (answer.status, answer.body, answer.whole) == (200, b"data: {}\r\n\r\n", True)
    assert answer.headers["access-control-allow-origin"] == PAGE


REFUSALS = {
    "no key": (f"POST {PATH}", [], 401),
    "an unknown key": (f"POST {PATH}?key=sk-unknown", [], 401),
    "a wrong path": ("POST /gemini/nothing", [f"x-goog-api-key: {MASTER}"], 404),
    "an evasion": (f"POST {PATH}?fields=a", [f"x-goog-api-key: {MASTER}"], 400),
    "too large a head": (f"POST {PATH}", [f"X-{n}: {'x' * 8000}" for n in range(9)], 413),
    "malformed": (f"POST {PATH}", ["X : malformed"], 400),
    "malformed later": (f"POST {PATH}?key={MASTER}", ["Transfer-Encoding: chunked"], 400),
}


@cases(("line", "headers", "status"), REFUSALS.values())
async def test_a_page_may_read_the_gateways_errors(
    shared: Running, line: str, headers: list[str], status: int
) -> None:
    async with await connect(shared.url) as client:
        await client.send_all(head(line, [f"Origin: {PAGE}", *headers]) + b"zz\r\n")
        with trio.fail_after(5):
            answer = await read(client)
    assert answer.status == status
    assert answer.headers["access-control-allow-origin"] == PAGE
    assert "x-gatekeeper-call-id" in exposed(answer)
    assert "origin" in vary(answer)


@cases(("origin", "allowed"), [(PAGE, True), (OTHER, False)])
async def test_a_page_with_a_base_url_without_gemini_reads_that(
    shared: Running, origin: str, allowed: bool
) -> None:
    path = PATH.removeprefix("/gemini")
    answer = await exchange(shared.url, f"OPTIONS {path}", headers=[f"Origin: {origin}", *PREFLIGHT])
    assert (answer.status, bool(about_cors(answer))) == ((204, True) if allowed else (404, False))
    answer = await exchange(shared.url, f"POST {path}", body=b"{}", headers=[f"Origin: {origin}"])
    assert (answer.status, answer.reason) == (404, "GATEKEEPER_NOT_FOUND")
    assert answer.headers.get("access-control-allow-origin") == (PAGE if allowed else None)
    assert await shared.rows() == []


async def test_a_page_of_another_origin_reads_nothing(shared: Running) -> None:
    for headers in ([f"Origin: {OTHER}"], []):
        answer = await exchange(
            shared.url, f"POST {PATH}", body=b"{}", headers=[*headers, f"x-goog-api-key: {MASTER}"]
        )
        assert (answer.status, about_cors(answer)) == (200, {})
        assert vary(answer) == {"origin"}, "a cache must not give it to a page that may read it"


async def test_any_origin(open_to_all: Running) -> None:
    answer = await exchange(open_to_all.url, f"OPTIONS {PATH}", headers=[f"Origin: {OTHER}", *PREFLIGHT])
    assert (answer.status, answer.headers["access-control-allow-origin"]) == (204, "*")
    headers = ["Origin: null", f"x-goog-api-key: {MASTER}"]
    answer = await exchange(open_to_all.url, f"POST {PATH}", body=b"{}", headers=headers)
    assert (answer.status, answer.headers["access-control-allow-origin"]) == (200, "*")
    assert "origin" not in vary(answer)


async def test_the_admin_api_is_for_no_page(open_to_all: Running) -> None:
    for line, headers in (
        ("GET /key/list", [f"Authorization: Bearer {MASTER}"]),
        ("OPTIONS /key/generate", PREFLIGHT),
        ("GET /healthz", []),
    ):
        answer = await exchange(open_to_all.url, line, headers=[f"Origin: {PAGE}", *headers])
        assert about_cors(answer) == {}


# Open mode


async def test_in_open_mode_pages_of_allowed_origins_pass(google: StandIn, tmp_path: Path) -> None:
    async with running(tmp_path / "o", google.url, allowed_origins=PAGE) as gateway:

        async def said(*headers: str) -> Answer:
            async with await connect(gateway.url) as client:
                lines = [f"POST {PATH} HTTP/1.1", *headers, "Content-Length: 2", "", "{}"]
                await client.send_all("\r\n".join(lines).encode())
                with trio.fail_after(5):
                    return await read(client)

        answer = await said("Host: localhost", f"Origin: {PAGE}", "Sec-Fetch-Site: cross-site")
        assert (answer.status, answer.headers["access-control-allow-origin"]) == (200, PAGE)
        assert (await said("Host: localhost", f"Origin: {OTHER}")).reason == "GATEKEEPER_POLICY"
        assert (await said("Host: localhost", "Sec-Fetch-Site: cross-site")).reason == "GATEKEEPER_POLICY"
        # A name that a page has made point here.
        assert (await said("Host: evil.example", f"Origin: {PAGE}")).reason == "GATEKEEPER_POLICY"
