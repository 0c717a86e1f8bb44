"""Rates over HTTP and WebSocket: who is refused when, and that each end of a call gives its place back."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import trio
from rig.cases import cases
from rig.gateway import Running, running
from rig.live import SETUP, ended, live_standing_in, session
from rig.standin import Reply, StandIn
from rig.uploads import FILES, GoogleUploads, start
from rig.wire import connect, exchange, head, reset
from websockets.trio.server import ServerConnection

from gatekeeper.keys.account import NamedAccount
from gatekeeper.keys.limits import NamedRecord
from gatekeeper.keys.minute_window import MINUTE
from gatekeeper.keys.rates import FIRST_OUTPUT

FLASH, PRO = (f"/v1beta/models/gemini-2.5-{model}:generateContent" for model in ("flash", "pro"))
CHAT = "/v1beta/openai/chat/completions"


class Clock:
    """The gateway's clock of rates."""

    def __init__(self, gateway: Running) -> None:
        self.now = 0
        gateway.gateway.proxy.context.monotonic_micros = lambda: self.now


@pytest.fixture
async def clock(guarded: Running) -> Clock:
    return Clock(guarded)


def answering(tokens: int, output: int = 0) -> Any:
    usage = {"promptTokenCount": tokens, "candidatesTokenCount": output, "totalTokenCount": tokens + output}
    body = json.dumps({"candidates": [], "usageMetadata": usage}).encode()
    return lambda reply: reply.json(body)


async def call(
    gateway: Running, secret: str, path: str = FLASH, body: bytes = b"{}", method: str = "POST"
) -> Any:
    return await exchange(gateway.url, f"{method} /gemini{path}?key={secret}", body=body)


def refusal(answer: Any) -> tuple[str, dict[str, str], str | None]:
    error = json.loads(answer.body)["error"]
    assert (answer.status, error["code"], error["status"]) == (429, 429, "RESOURCE_EXHAUSTED")
    info, *others = error["details"]
    return info["reason"], info["metadata"], others[0]["retryDelay"] if others else None


async def test_requests_are_refused_until_the_first_is_a_minute_old(
    guarded: Running, google: StandIn, clock: Clock
) -> None:
    secret = await guarded.key(rpm_limit=2)
    assert (await call(guarded, secret)).status == 200
    clock.now = 30 * 10**6 + 1
    # A free call counts, too.
    assert (await call(guarded, secret, "/v1beta/models", b"", "GET")).status == 200

    refused = await call(guarded, secret)
    reason, metadata, delay = refusal(refused)
    assert (reason, metadata["limit"], metadata["value"]) == ("GATEKEEPER_RATE_LIMITED", "rpm_limit", "2")
    assert delay == "30s"
    assert refused.headers["retry-after"] == "30"

    clock.now += 30 * 10**6
    assert (await call(guarded, secret)).status == 200
    assert refusal(await call(guarded, secret))[0] == "GATEKEEPER_RATE_LIMITED"
    assert len(google.asked) == 3
    assert [row["outcome"] for row in await guarded.rows()] == ["ok", "ok", "refused", "ok", "refused"]


async def test_a_long_wait_is_in_the_body_only(guarded: Running, google: StandIn, clock: Clock) -> None:
    secret = await guarded.key(tpm_limit=100)
    google.script = answering(500)
    assert (await call(guarded, secret, body=bytes(1000))).status == 200

    refused = await call(guarded, secret)
    reason, metadata, delay = refusal(refused)
    assert (reason, metadata["limit"], delay) == ("GATEKEEPER_RATE_LIMITED", "tpm_limit", "300s")
    assert "retry-after" not in refused.headers
    assert refused.headers["x-should-retry"] == "false"
    clock.now += 5 * MINUTE
    assert (await call(guarded, secret)).status == 200


async def test_who_honours_retry_after_is_never_refused_twice_in_a_row(
    guarded: Running, google: StandIn, clock: Clock
) -> None:
    secret = await guarded.key(rpm_limit=4, tpm_limit=1000)
    google.script = answering(180)
    accepted: list[int] = []
    was_refused = False
    for number in range(30):
        clock.now += number % 7 * 10**6 + 333_333
        answer = await call(guarded, secret, body=OUTPUT % 200)
        if answer.status == 200:
            accepted.append(clock.now)
        else:
            assert not was_refused
            clock.now += int(answer.headers["retry-after"]) * 10**6
        was_refused = answer.status != 200
    assert all(later - first >= MINUTE for first, later in zip(accepted, accepted[4:], strict=False))
    assert len(accepted) >= 15


async def test_many_at_once_are_accepted_up_to_the_limit(
    guarded: Running, google: StandIn, clock: Clock
) -> None:
    secret = await guarded.key(rpm_limit=20)
    statuses: list[int] = []

    async def one() -> None:
        statuses.append((await call(guarded, secret)).status)

    async with trio.open_nursery() as nursery:
        for _ in range(50):
            nursery.start_soon(one)
    assert sorted(statuses) == [200] * 20 + [429] * 30
    assert len(google.asked) == 20


async def test_keys_of_a_group_and_calls_of_a_user_share_their_limits(
    guarded: Running, google: StandIn, clock: Clock
) -> None:
    accounts = guarded.gateway.registry.accounts
    for kind, name, rpm in [("group", "shop", 2), ("user", "u-1", 1), ("gateway", "", 3)]:
        record = NamedRecord(name=name, created_at=0, updated_at=0, rpm_limit=rpm)
        accounts.add(NamedAccount(kind=kind, record=record))
    first, second, other = [await guarded.key(**fields) for fields in [{"group": "shop"}] * 2 + [{}]]
    line = f"POST /gemini{FLASH}?key={other}"

    assert (await call(guarded, first)).status == (await call(guarded, second)).status == 200
    assert refusal(await call(guarded, second))[1]["group"] == "shop"
    answer = await exchange(guarded.url, line, body=b"{}", headers=["x-gatekeeper-user: u-1"])
    assert answer.status == 200
    answer = await exchange(guarded.url, line, body=b"{}", headers=["x-gatekeeper-user: u-2"])
    assert "gateway" in refusal(answer)[1]
    clock.now += MINUTE - 1
    answer = await exchange(guarded.url, line, body=b"{}", headers=["x-gatekeeper-user: u-1"])
    assert answer.status == 429
    clock.now += 1
    answer = await exchange(guarded.url, line, body=b"{}", headers=["x-gatekeeper-user: u-1"])
    assert answer.status == 200


@pytest.mark.parametrize("target", [FILES, "/upload/v1beta/fileSearchStores/s:uploadToFileSearchStore"])
async def test_an_upload_is_one_request_in_however_many_chunks(
    guarded: Running, google: StandIn, clock: Clock, target: str
) -> None:
    google.script = GoogleUploads(google.url)
    secret = await guarded.key(rpm_limit=2, tpm_limit=300)
    upload = await start(guarded.url, f"x-goog-api-key: {secret}", target=target)
    sent = [await upload.send("upload", b"x" * 1000, offset=1000 * number) for number in range(5)]
    last = await upload.send("upload, finalize", b"x", offset=5000)
    assert {answer.status for answer in (*sent, last)} == {200}
    assert (await call(guarded, secret, "/v1beta/files/f", method="GET")).status != 429
    assert refusal(await call(guarded, secret, "/v1beta/files/f", method="GET"))[1]["limit"] == "rpm_limit"


async def test_the_settings_limit_all_clients_together(tmp_path: Path, google: StandIn) -> None:
    async with running(tmp_path / "open", google.url, rpm_limit="2", max_parallel_requests="5") as gateway:
        Clock(gateway)
        statuses = [(await call(gateway, key)).status for key in ("any", "other")]
        refused = refusal(await call(gateway, "another"))
    assert statuses == [200, 200]
    assert refused[1] == {"gateway": "", "limit": "rpm_limit", "value": "2"}


OUTPUT = b'{"contents": [], "generationConfig": {"maxOutputTokens": %d}}'


@pytest.mark.parametrize(
    ("path", "body", "left"),
    [
        (FLASH, OUTPUT % 900, True),
        (FLASH, OUTPUT % 1000, False),
        (FLASH, b'{"contents": ["%b"]}' % bytes(10), False),  # no bound: as long as usual
        ("/v1beta/models/gemini-embedding-001:embedContent", b"{}", True),
        ("/v1beta/models/gemini-2.5-flash:countTokens", b"{}", True),
        (CHAT, b'{"model": "gemini-2.5-flash", "max_tokens": 900}', True),
        (CHAT, b'{"model": "gemini-2.5-flash", "max_tokens": 990}', False),
    ],
)
async def test_tokens_are_taken_by_what_the_body_asks_for(
    guarded: Running, google: StandIn, clock: Clock, path: str, body: bytes, left: bool
) -> None:
    """While one such call runs, another one of 30 tokens is made."""
    secret = await guarded.key(tpm_limit=1000)
    waiting, release = trio.Event(), trio.Event()

    async def wait(reply: Reply) -> None:
        waiting.set()
        await release.wait()
        await answering(0)(reply)

    google.script = wait
    async with trio.open_nursery() as nursery:
        nursery.start_soon(call, guarded, secret, path, body)
        await waiting.wait()
        google.script = answering(30)
        second = await call(guarded, secret, body=OUTPUT % 15)
        release.set()
    assert second.status == (200 if left else 429)


async def test_the_limits_of_a_model_are_its_own(guarded: Running, google: StandIn, clock: Clock) -> None:
    secret = await guarded.key(model_rpm_limit={"*-pro": 1})
    assert (await call(guarded, secret, PRO)).status == 200
    assert refusal(await call(guarded, secret, PRO))[1]["models"] == "*-pro"
    assert (await call(guarded, secret, FLASH)).status == 200
    named = b'{"model": "gemini-2.5-pro"}'
    assert refusal(await call(guarded, secret, CHAT, named))[1]["limit"] == "model_rpm_limit"
    assert (await call(guarded, secret, CHAT, b'{"model": "gemini-2.5-flash"}')).status == 200
    # What cannot be read may be any model.
    assert (await call(guarded, secret, CHAT, b"{")).status == 429


@pytest.mark.parametrize("budget", [None, 5])
async def test_a_body_that_is_streamed_counts_for_the_model_that_it_names(
    guarded: Running, google: StandIn, clock: Clock, budget: int | None
) -> None:
    secret = await guarded.key(rpm_limit=3, model_rpm_limit={"*-pro": 1}, max_budget=budget)
    line = f"POST /gemini{CHAT}?key={secret}"

    async def chat(model: bytes) -> Any:
        return await exchange(guarded.url, line, chunks=[b'{"model": "gemini-2.5-', model, b'"}'])

    assert (await chat(b"pro")).status == 200
    assert refusal(await chat(b"pro"))[1]["limit"] == "model_rpm_limit"
    # What the refused call had taken before its body was known was given back.
    assert (await chat(b"flash")).status == (await chat(b"flash")).status == 200
    assert refusal(await chat(b"flash"))[1]["limit"] == "rpm_limit"


BOUND = b'"generationConfig": {"maxOutputTokens": 50}'
PICTURE = b'{"contents": [{"parts": [{"inlineData": {"data": "%b"}}]}], %b}' % (b"QUJD" * 500_000, BOUND)
BOOK = b'{"contents": [{"parts": [{"text": "%b"}]}], %b}' % (b"It was the best of times. " * 80_000, BOUND)


@pytest.mark.parametrize("model", [{}, {"model": "gemini-2.5-flash"}])
@pytest.mark.parametrize("is_announced", [True, False])
async def test_a_body_that_is_streamed_counts_by_what_is_in_it(
    guarded: Running, google: StandIn, clock: Clock, model: dict[str, str], is_announced: bool
) -> None:
    """2 MB of base64 are some 2,000 tokens, 2 MB of text half a million."""
    secret = await guarded.key(tpm_limit=10_000)
    google.script = answering(300)

    async def ask(body: bytes) -> Any:
        path = FLASH if not model else CHAT
        if model:
            body = json.dumps({"max_tokens": 50, **model, **json.loads(body)}).encode()
        how: dict[str, Any] = {"body": body} if is_announced else {"chunks": [body[:-50], body[-50:]]}
        return await exchange(guarded.url, f"POST /gemini{path}?key={secret}", **how)

    assert [(await ask(PICTURE)).status for _ in range(3)] == [200, 200, 200]
    assert refusal(await ask(BOOK))[1]["limit"] == "tpm_limit"
    # The refused one has taken nothing, and a quiet minute has room for it.
    assert (await ask(PICTURE)).status == 200
    clock.now += MINUTE
    assert (await ask(BOOK)).status == 200


async def reset_midway(gateway: Running, google: StandIn, secret: str) -> None:
    arrived = trio.Event()

    async def wait(reply: Reply) -> None:
        arrived.set()
        await reply.hung_up()

    google.script = wait
    client = await connect(gateway.url)
    await client.send_all(head(f"POST /gemini{FLASH}?key={secret}", ["Content-Length: 2"]) + b"{}")
    await arrived.wait()
    reset(client)
    await client.aclose()
    await gateway.row(1)


async def reset_while_sending(gateway: Running, google: StandIn, secret: str) -> None:
    client = await connect(gateway.url)
    await client.send_all(head(f"POST /gemini{FLASH}?key={secret}", ["Content-Length: 9999999"]) + b"{}")
    with trio.fail_after(5):
        while not google.connections:
            await trio.sleep(0.001)
    reset(client)
    await client.aclose()
    await gateway.row(1)


async def broken_upstream(gateway: Running, google: StandIn, secret: str) -> None:
    google.script = lambda reply: reply.stream.aclose()
    assert (await call(gateway, secret)).status == 502


async def upstream_error(gateway: Running, google: StandIn, secret: str) -> None:
    google.script = lambda reply: reply.json(b"{}", 503)
    assert (await call(gateway, secret)).status == 503


ENDS = [reset_midway, reset_while_sending, broken_upstream, upstream_error]


@cases("end", ENDS)
async def test_a_call_gives_its_place_back_whatever_its_end(
    guarded: Running, google: StandIn, end: Any
) -> None:
    secret = await guarded.key(max_parallel_requests=1)
    await end(guarded, google, secret)
    google.script = answering(1)
    assert (await call(guarded, secret)).status == 200


async def test_parallel_calls_are_those_that_run(guarded: Running, google: StandIn) -> None:
    secret, other = await guarded.key(max_parallel_requests=1), await guarded.key()
    waiting, release = trio.Event(), trio.Event()

    async def wait(reply: Reply) -> None:
        waiting.set()
        await release.wait()
        await answering(1)(reply)

    google.script = wait
    async with trio.open_nursery() as nursery:
        nursery.start_soon(call, guarded, secret)
        await waiting.wait()
        google.script = answering(1)
        refused = await call(guarded, secret)
        assert (await call(guarded, other)).status == 200
        release.set()
    reason, metadata, delay = refusal(refused)
    assert reason == "GATEKEEPER_TOO_MANY_PARALLEL"
    assert (metadata["limit"], metadata["value"], delay) == ("max_parallel_requests", "1", "1s")
    assert (await call(guarded, secret)).status == 200


async def test_what_is_refused_for_another_reason_takes_nothing(
    guarded: Running, google: StandIn, clock: Clock
) -> None:
    secret = await guarded.key(rpm_limit=1, models=["gemini-2.5-flash"])
    assert (await call(guarded, secret, PRO)).status == 403
    assert (await call(guarded, secret, FLASH)).status == 200
    assert (await call(guarded, secret, FLASH)).status == 429


async def test_an_output_is_expected_as_long_as_usual(
    guarded: Running, google: StandIn, clock: Clock
) -> None:
    google.script = answering(10, output=20)
    for limit in (FIRST_OUTPUT + 100, 1_000):
        secret = await guarded.key(tpm_limit=limit)
        for body in (b"{}", OUTPUT % 65_536):
            for _ in range(5):
                assert (await call(guarded, secret, body=body)).status == 200


async def take_a_turn(session: ServerConnection) -> None:
    usage = {"promptTokenCount": 15_000, "responseTokenCount": 0, "totalTokenCount": 15_000}
    async for _ in session:
        await session.send(json.dumps({"serverContent": {"turnComplete": True}, "usageMetadata": usage}))


@pytest.fixture
async def live(tmp_path: Path) -> AsyncIterator[Running]:
    async with live_standing_in() as google:
        google.script = take_a_turn
        async with running(tmp_path / "live", google.url, master_key="master-of-the-tests") as gateway:
            yield gateway


async def test_the_tokens_of_a_session_count_while_it_runs(live: Running) -> None:
    Clock(live)
    secret = await live.key(tpm_limit=20_000)
    async with session(live, key=secret) as client:
        await client.send(SETUP)
        await client.recv()
        assert refusal(await call(live, secret, body=OUTPUT % 5100))[1]["limit"] == "tpm_limit"
        assert (await call(live, secret, body=OUTPUT % 4900)).status != 429


async def test_a_session_is_one_request_and_runs_until_its_end(live: Running) -> None:
    secret = await live.key(max_parallel_requests=1, rpm_limit=3, model_rpm_limit={"*": 2})
    for _ in range(2):
        async with session(live, key=secret) as client:
            await client.send(SETUP)
            await client.recv()
            async with session(live, key=secret) as second:
                code, reason = await ended(second)
            assert (code, (reason or "")[:28]) == (1013, "GATEKEEPER_TOO_MANY_PARALLEL")
    # The model is known by the first message only, and what that one takes is given back.
    async with session(live, key=secret) as client:
        await client.send(SETUP)
        code, reason = await ended(client)
        assert code == 1013
        assert "for the models *, may make 2 requests a minute" in (reason or "")
