"""A client that leaves: its call is cancelled with what is known by then, or finished for the exact cost."""

from __future__ import annotations

import contextlib
import gzip
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import trio
from rig.certificate import make_certificate
from rig.gateway import Running, running
from rig.standin import Reply, StandIn, standing_in
from rig.wire import connect, head, reset

from gatekeeper.proxy import asgi, upstream_exchange
from gatekeeper.serve import wait_for_calls

MODEL = "/gemini/v1beta/models/gemini-2.5-flash"
UNARY = f"POST {MODEL}:generateContent?key=k"
EVENTS = f"POST {MODEL}:streamGenerateContent?alt=sse&key=k"
ARRAY = f"POST {MODEL}:streamGenerateContent?key=k"
BODY = b'{"contents": [{"parts": [{"text": "Tell me everything that is known"}]}]}'
INPUT, OUTPUT = Decimal("0.0000003"), Decimal("0.0000025")


@pytest.fixture(autouse=True)
def _watchful(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asgi, "SWEEP_SECONDS", 0.01)


def document(output: int | None, prompt: int = 7) -> bytes:
    """One document of a response, with its usage so far unless that is None."""
    said: dict[str, Any] = {"candidates": [{"content": {"parts": [{"text": "word " * 20}]}}]}
    if output is not None:
        said["usageMetadata"] = {
            "promptTokenCount": prompt,
            "candidatesTokenCount": output,
            "totalTokenCount": prompt + output,
        }
    return json.dumps(said | {"modelVersion": "gemini-2.5-flash"}).encode()


class Google:
    """Sends the first `before` of its documents, waits until the client has left, and sends the rest."""

    def __init__(self, *outputs: int | None, before: int, end: bool = True, status: int = 200) -> None:
        self.documents = [document(output) for output in outputs]
        self.before, self.end, self.status = before, end, status
        self.waits, self.goes_on = trio.Event(), trio.Event()

    async def __call__(self, reply: Reply) -> None:
        target = reply.asked.target
        if b"generateContent" in target:
            self.waits.set()
            await self.goes_on.wait()
            await reply.json(self.documents[0], self.status)
            return
        sse = b"alt=sse" in target
        pieces = [b"data: %b\r\n\r\n" % each if sse else b",\r\n" + each for each in self.documents]
        if not sse:
            pieces[0] = b"[" + pieces[0].lstrip(b",\r\n")
            pieces[-1] += b"\n]"
        kind = b"text/event-stream" if sse else b"application/json"
        first = b"HTTP/1.1 200 OK\r\nContent-Type: %b\r\nTransfer-Encoding: chunked\r\n\r\n" % kind
        if not self.before:
            self.waits.set()
            await self.goes_on.wait()
        await reply.raw(first)
        for number, piece in enumerate(pieces, 1):
            await reply.raw(b"%x\r\n%b\r\n" % (len(piece), piece))
            if number == self.before:
                self.waits.set()
                await self.goes_on.wait()
        if self.end:
            await reply.raw(b"0\r\n\r\n")
        else:
            await reply.stream.aclose()


@asynccontextmanager
async def gateway_with(tmp_path: Path, google: StandIn, how: str) -> AsyncIterator[Running]:
    async with running(tmp_path / "data", google.url, on_disconnect=how) as gateway:
        yield gateway


async def until(condition: Callable[[], object]) -> None:
    with trio.fail_after(5):
        while not condition():
            await trio.sleep(0.005)


def has_left(gateway: Running) -> bool:
    """Whether the gateway has noticed it."""
    calls = gateway.gateway.proxy.open_calls
    return not calls or any(call.exchange.disconnected_at is not None for call in calls)


async def leave(
    gateway: Running,
    google: StandIn,
    script: Google,
    line: str,
    body: bytes = BODY,
    headers: tuple[str, ...] = (),
) -> dict[str, Any]:
    """The row of a call whose client leaves when the script waits; the script goes on once that is noticed.
    Nothing of the call is left afterwards."""
    google.script = script
    async with await connect(gateway.url) as client:
        await client.send_all(head(line, [f"Content-Length: {len(body)}", *headers]) + body)
        with trio.fail_after(5):
            await script.waits.wait()
            if script.before and "stream" in line:
                received = b""
                while received.count(b"modelVersion") < script.before:
                    received += await client.receive_some()
        reset(client)
    await until(lambda: has_left(gateway))
    script.goes_on.set()
    row = await gateway.row()
    await until(lambda: not gateway.gateway.proxy.open_calls)
    pool = gateway.gateway.proxy.context.upstream
    assert pool.open == len(pool._idle)  # none is in use
    assert row["outcome"] == "client_disconnected"
    return row


STAGES = {
    "unary": (UNARY, (30,), 0),
    "events, before the head": (EVENTS, (5, 30), 0),
    "events, after the first": (EVENTS, (5, None, 30), 1),
    "array, before the head": (ARRAY, (5, 30), 0),
    "array, after the second": (ARRAY, (5, None, 30, 30), 2),
}


@pytest.mark.parametrize(("line", "outputs", "before"), STAGES.values(), ids=STAGES.keys())
async def test_finished_it_has_the_exact_usage(
    tmp_path: Path, google: StandIn, line: str, outputs: tuple[int | None, ...], before: int
) -> None:
    async with gateway_with(tmp_path, google, "finish") as gateway:
        row = await leave(gateway, google, Google(*outputs, before=before), line)
        assert (row["prompt_tokens"], row["output_tokens"], row["usage_note"]) == (7, 30, None)
        assert Decimal(row["cost_usd"]) == 7 * INPUT + 30 * OUTPUT
        assert row["status"] == (200 if before else None)
        # The response was read to its end, so that the connection serves the next call.
        assert gateway.gateway.proxy.context.upstream.open == 1
        answer = Google(1, before=1)
        answer.goes_on.set()
        google.script = answer
        assert (await gateway.client.post(f"{MODEL}:generateContent", json={})).status_code == 200
        assert [asked.connection for asked in google.asked] == [1, 1]


@pytest.mark.parametrize(("line", "outputs", "before"), STAGES.values(), ids=STAGES.keys())
async def test_cancelled_it_hangs_up_and_has_the_last_or_an_expected_figure(
    tmp_path: Path, google: StandIn, line: str, outputs: tuple[int | None, ...], before: int
) -> None:
    async with gateway_with(tmp_path, google, "cancel") as gateway:
        row = await leave(gateway, google, Google(*outputs, before=before), line)
        assert gateway.gateway.proxy.context.upstream.open == 0
        if before:
            assert (row["output_tokens"], row["usage_note"]) == (5, disconnect_note("last"))
            assert Decimal(row["cost_usd"]) == 7 * INPUT + 5 * OUTPUT
        else:
            assert (row["prompt_tokens"], row["output_tokens"], row["usage"]) == (None, None, None)
            assert row["usage_note"] == disconnect_note(-(-len(BODY) // 4), 0)
            assert Decimal(row["cost_usd"]) == -(-len(BODY) // 4) * INPUT
            assert row["price_version"]


def disconnect_note(*known: object) -> str:
    if known == ("last",):
        return "the response ended early: these are the last tokens that it reported"
    prompt, output = known
    return (
        f"estimated: the client left before any usage was reported; {prompt} tokens of input by the size of "
        f"the request, {output} of output by what had arrived"
    )


@pytest.mark.parametrize("line", [EVENTS, ARRAY])
async def test_what_had_arrived_counts_where_no_usage_was_seen(
    tmp_path: Path, google: StandIn, line: str
) -> None:
    async with gateway_with(tmp_path, google, "cancel") as gateway:
        row = await leave(gateway, google, Google(None, None, 30, before=2), line)
        output = -(-row["response_bytes"] // 8)
        assert output > 40
        assert row["usage_note"] == disconnect_note(-(-len(BODY) // 4), output)
        assert Decimal(row["cost_usd"]) == -(-len(BODY) // 4) * INPUT + output * OUTPUT


@pytest.mark.parametrize(
    "path", ["/v1beta/interactions", "/v1beta/openai/chat/completions", "/v1beta/openai/embeddings"]
)
async def test_a_model_that_the_body_names_is_priced_too(tmp_path: Path, google: StandIn, path: str) -> None:
    model = "gemini-embedding-001" if "embeddings" in path else "gemini-2.5-flash"
    body = json.dumps({"model": model, "input": "Tell me everything", "stream": True}).encode()
    waits, gone = trio.Event(), trio.Event()

    async def silent(reply: Reply) -> None:
        waits.set()
        await gone.wait()
        await reply.hung_up()

    google.script = silent
    async with gateway_with(tmp_path, google, "cancel") as gateway:
        async with await connect(gateway.url) as client:
            line = f"POST /gemini{path}?key=k"
            await client.send_all(head(line, [f"Content-Length: {len(body)}"]) + body)
            await waits.wait()
            reset(client)
        gone.set()
        await until(lambda: not gateway.gateway.proxy.open_calls)
        row = await gateway.row()
        assert Decimal(row["cost_usd"]) == -(-len(body) // 4) * (INPUT / 2 if "embed" in model else INPUT)
        assert row["usage_note"] == disconnect_note(-(-len(body) // 4), 0)


async def test_a_compressed_request_counts_as_four_times_as_long(tmp_path: Path, google: StandIn) -> None:
    body = gzip.compress(BODY)
    async with gateway_with(tmp_path, google, "cancel") as gateway:
        row = await leave(gateway, google, Google(30, before=0), UNARY, body, ("Content-Encoding: gzip",))
        assert Decimal(row["cost_usd"]) == len(body) * INPUT


@pytest.mark.parametrize("how", ["cancel", "finish"])
async def test_a_large_request_counts_too(tmp_path: Path, google: StandIn, how: str) -> None:
    body = json.dumps({"contents": [{"parts": [{"text": "all the words " * 30_000}]}]}).encode()
    async with gateway_with(tmp_path, google, how) as gateway:
        row = await leave(gateway, google, Google(30, before=0), UNARY, body)
        prompt = 7 if how == "finish" else -(-len(body) // 4)
        output = 30 if how == "finish" else 0
        assert Decimal(row["cost_usd"]) == prompt * INPUT + output * OUTPUT


@pytest.mark.parametrize("how", ["cancel", "finish"])
async def test_a_request_that_was_not_sent_as_a_whole_costs_nothing(
    tmp_path: Path, google: StandIn, how: str
) -> None:
    async def never(reply: Reply) -> None:
        await reply.hung_up()

    google.script = never
    async with gateway_with(tmp_path, google, how) as gateway:
        for length in (100, 1_000_000):
            async with await connect(gateway.url) as client:
                await client.send_all(head(UNARY, [f"Content-Length: {length}"]) + b"only this")
                await until(lambda: gateway.gateway.proxy.open_calls)
                reset(client)
            await until(lambda: not gateway.gateway.proxy.open_calls)
        rows = await gateway.rows()
        assert {(row["outcome"], row["cost_usd"]) for row in rows} == {
            ("client_disconnected", "0.000000000000")
        }
        assert gateway.gateway.proxy.context.upstream.open == 0


@pytest.mark.parametrize(("own", "setting"), [("finish", "cancel"), ("cancel", "finish"), (None, "finish")])
async def test_a_keys_own_comes_before_the_setting(
    tmp_path: Path, google: StandIn, own: str | None, setting: str
) -> None:
    flags = {"on_disconnect": setting, "master_key": "master-of-the-tests"}
    async with running(tmp_path / "data", google.url, **flags) as gateway:
        secret = await gateway.key(on_disconnect=own)
        line = EVENTS.replace("key=k", f"key={secret}")
        row = await leave(gateway, google, Google(5, 30, before=1), line)
        assert row["output_tokens"] == (30 if (own or setting) == "finish" else 5)
        headers = {"Authorization": "Bearer master-of-the-tests"}
        info = await gateway.client.get("/key/info", params={"key": secret}, headers=headers)
        assert info.json()["info"]["on_disconnect"] == (own or setting)


EARLY_HINTS = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
STREAM_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize("how", ["finish", "cancel"])
@pytest.mark.parametrize("at", [0, 1, 2, 3], ids=["early hints", "head", "first event", "last event"])
async def test_a_write_that_fails_tells_it(
    tmp_path: Path, google: StandIn, monkeypatch: pytest.MonkeyPatch, how: str, at: int
) -> None:
    """The sweep comes too late: the first write after the client has gone is what notices it."""
    monkeypatch.setattr(asgi, "SWEEP_SECONDS", 60)
    events = [b"data: %b\r\n\r\n" % document(number) for number in (5, 30)]
    parts = [EARLY_HINTS, STREAM_HEAD, *(b"%x\r\n%b\r\n" % (len(event), event) for event in events)]
    waits, gone = trio.Event(), trio.Event()

    async def speak(reply: Reply) -> None:
        for number, part in enumerate(parts):
            if number == at:
                waits.set()
                await gone.wait()
            await reply.raw(part)
            await trio.sleep(0.01)  # so that each part is read, and written, by itself
        await reply.raw(b"0\r\n\r\n")

    google.script = speak
    async with gateway_with(tmp_path, google, how) as gateway:
        async with await connect(gateway.url) as client:
            await client.send_all(head(EVENTS, [f"Content-Length: {len(BODY)}"]) + BODY)
            await waits.wait()
            reset(client)
        gone.set()
        await until(lambda: not gateway.gateway.proxy.open_calls)
        row = await gateway.row()
        if how == "finish":
            assert (row["output_tokens"], row["usage_note"]) == (30, None)
        # What could not be written was not received by anybody, so the meter has not seen it either.
        assert row["outcome"] == "client_disconnected"
        assert row["cost_usd"] not in (None, "0.000000000000")


async def test_a_client_that_goes_while_the_upstream_sends_at_full_speed(
    tmp_path: Path, google: StandIn
) -> None:
    """Writes wait for a client that does not read, until it has gone."""
    pieces = [b"data: %b\r\n\r\n" % (document(number) + b" " * 10_000) for number in range(1000)]
    google.script = lambda reply: reply.chunked(pieces)
    async with gateway_with(tmp_path, google, "finish") as gateway:
        async with await connect(gateway.url) as client:
            await client.send_all(head(EVENTS, [f"Content-Length: {len(BODY)}"]) + BODY)
            await client.receive_some()
            reset(client)
        await until(lambda: not gateway.gateway.proxy.open_calls)
        row = await gateway.row()
        assert (row["outcome"], row["output_tokens"]) == ("client_disconnected", 999)
        assert row["response_bytes"] < sum(map(len, pieces))


async def test_a_client_that_stops_reading_is_left_behind(tmp_path: Path, google: StandIn) -> None:
    pieces = [b"data: %b\r\n\r\n" % (document(number) + b" " * 100_000) for number in range(200)]
    google.script = lambda reply: reply.chunked(pieces)
    flags = {"on_disconnect": "finish", "read_timeout": 0.1}
    async with running(tmp_path / "data", google.url, **flags) as gateway:
        async with await connect(gateway.url) as client:
            await client.send_all(head(EVENTS, [f"Content-Length: {len(BODY)}"]) + BODY)
            await until(lambda: gateway.gateway.proxy.open_calls)
            await until(lambda: not gateway.gateway.proxy.open_calls)  # nobody reads
            row = await gateway.row()
            assert (row["outcome"], row["output_tokens"], row["usage_note"]) == (
                "client_disconnected",
                199,
                None,
            )
            received = 0
            with contextlib.suppress(trio.BrokenResourceError):
                while data := await client.receive_some():
                    received += len(data)
            assert received < sum(map(len, pieces))
        await until(lambda: gateway.gateway.proxy.context.upstream.open == 1)


@pytest.mark.parametrize("error", [503, 400])
async def test_an_error_after_the_client_has_left_costs_nothing(
    tmp_path: Path, google: StandIn, error: int
) -> None:
    script = Google(30, before=0, status=error)
    details = [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}]
    reason = {"code": error, "message": "m", "status": "S", "details": details if error == 400 else []}
    script.documents = [json.dumps({"error": reason}).encode()]
    async with gateway_with(tmp_path, google, "finish") as gateway:
        row = await leave(gateway, google, script, UNARY)
        assert (row["status"], row["cost_usd"], row["usage_note"]) == (None, "0.000000000000", None)


async def test_a_response_that_breaks_without_the_client(tmp_path: Path, google: StandIn) -> None:
    async with gateway_with(tmp_path, google, "finish") as gateway:
        row = await leave(gateway, google, Google(5, 9, before=1, end=False), EVENTS)
        assert (row["output_tokens"], row["usage_note"]) == (9, disconnect_note("last"))


async def test_a_download_is_not_finished(tmp_path: Path, google: StandIn) -> None:
    async with gateway_with(tmp_path, google, "finish") as gateway:
        line = "GET /gemini/v1beta/files/a:download?alt=media&stream&key=k"
        row = await leave(gateway, google, Google(5, 9, before=1), line, b"")
        assert row["cost_usd"] == "0.000000000000"
        assert gateway.gateway.proxy.context.upstream.open == 0


Limit = Callable[[pytest.MonkeyPatch, Running], Awaitable[None]]


async def time_limit(patch: pytest.MonkeyPatch, _: Running) -> None:
    patch.setattr(upstream_exchange, "MAX_SECONDS", 0.0)


async def cut(_: pytest.MonkeyPatch, gateway: Running) -> None:
    gateway.gateway.proxy.cut_all()


@pytest.mark.parametrize("limit", [time_limit, cut])
async def test_it_is_not_finished_for_ever(
    tmp_path: Path, google: StandIn, monkeypatch: pytest.MonkeyPatch, limit: Limit
) -> None:
    """The upstream says nothing more, until the limit, or the end of a drain."""
    script = Google(5, 30, before=1)
    google.script = script
    async with gateway_with(tmp_path, google, "finish") as gateway:
        async with await connect(gateway.url) as client:
            await client.send_all(head(EVENTS, [f"Content-Length: {len(BODY)}"]) + BODY)
            await script.waits.wait()
            while b"modelVersion" not in await client.receive_some():
                pass
            reset(client)
        await until(lambda: has_left(gateway))
        assert gateway.gateway.proxy.has_admitted_calls  # so a drain waits for it
        await limit(monkeypatch, gateway)
        await until(lambda: not gateway.gateway.proxy.open_calls)
        row = await gateway.row()
        assert (row["outcome"], row["output_tokens"]) == ("client_disconnected", 5)
        assert row["usage_note"] == disconnect_note("last")
        assert gateway.gateway.proxy.context.upstream.open == 0
        script.goes_on.set()


async def test_it_is_not_finished_beyond_so_many_bytes(
    tmp_path: Path, google: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upstream_exchange, "MAX_BYTES", 500)
    async with gateway_with(tmp_path, google, "finish") as gateway:
        row = await leave(gateway, google, Google(*range(2, 40), before=1), EVENTS)
        assert row["output_tokens"] < 10
        assert row["usage_note"] == disconnect_note("last")


async def test_a_drain_waits_for_what_is_finished(tmp_path: Path, google: StandIn) -> None:
    async def signals() -> AsyncIterator[int]:
        await trio.sleep_forever()
        yield 15

    script = Google(5, 30, before=1)
    google.script = script
    async with gateway_with(tmp_path, google, "finish") as gateway:
        async with await connect(gateway.url) as client:
            await client.send_all(head(EVENTS, [f"Content-Length: {len(BODY)}"]) + BODY)
            await script.waits.wait()
            reset(client)
        await until(lambda: has_left(gateway))
        gateway.gateway.proxy.context.draining = True
        script.goes_on.set()
        with trio.fail_after(5):
            await wait_for_calls(gateway.gateway, signals())
        assert (await gateway.row())["output_tokens"] == 30


@pytest.mark.parametrize("how", ["finish", "cancel"])
async def test_over_tls_too(tmp_path: Path, google: StandIn, how: str) -> None:
    file = make_certificate(tmp_path / "certificate.pem")
    flags = {"tls_cert": file, "tls_key": file, "on_disconnect": how}
    async with running(tmp_path / "data", google.url, **flags) as gateway:
        row = await leave(gateway, google, Google(5, 30, before=1), EVENTS)
        assert row["output_tokens"] == (30 if how == "finish" else 5)


async def test_a_response_that_was_taken_whole_is_no_departure(tmp_path: Path) -> None:
    async with standing_in() as google, gateway_with(tmp_path, google, "finish") as gateway:
        google.script = Google(30, before=1)
        google.script.goes_on.set()
        for _ in range(3):
            async with await connect(gateway.url) as client:
                await client.send_all(head(UNARY, [f"Content-Length: {len(BODY)}"]) + BODY)
                await client.receive_some()
                reset(client)
        await until(lambda: len(google.asked) == 3 and not gateway.gateway.proxy.open_calls)
        assert {row["outcome"] for row in await gateway.rows()} == {"ok"}
