"""What only a later answer tells: batches and videos are charged once, to the key that began them, whoever
sees the result first, and whatever happens to the process."""

from __future__ import annotations

import gzip
import json
from collections.abc import AsyncIterator
from decimal import Decimal
from functools import partial
from pathlib import Path
from time import time_ns
from typing import Any

import pytest
import trio
from rig.cases import cases
from rig.gateway import CATALOGUE, GOOGLE_KEY, Running, running
from rig.standin import Reply, StandIn
from rig.wire import exchange

from gatekeeper.gemini.meter import BUFFER_QUOTA
from gatekeeper.google_key import GoogleKey
from gatekeeper.ledger.call import CallRecord, PendingCharge
from gatekeeper.proxy.polling import PendingPoller, poll_target
from gatekeeper.sandbox.server import serve_sandbox
from gatekeeper.times import DAY
from gatekeeper.upstream.pool import UpstreamPool

VERSION = "/gemini/v1beta"
BATCH = f"{VERSION}/models/gemini-2.5-flash:batchGenerateContent"
NAME, FILE = "batches/b1", "files/batch-b1"
PROMPT = {"contents": [{"parts": [{"text": "Hello there"}]}]}


def answer(prompt: int, output: int, **more: Any) -> dict[str, Any]:
    counts = {"promptTokenCount": prompt, "candidatesTokenCount": output, "totalTokenCount": prompt + output}
    return {"candidates": [], "usageMetadata": counts, "modelVersion": "gemini-2.5-pro", **more}


def batch(state: str, **more: Any) -> dict[str, Any]:
    metadata = {"state": f"BATCH_STATE_{state}", "batchStats": {"requestCount": "3"}, "name": NAME}
    return {"name": NAME, "metadata": metadata, **more}


RESULTS = [
    {"response": answer(200_000, 10)},
    {"response": answer(300_000, 10)},
    {"error": {"code": 13, "message": "No."}},
]
# Half of 1.25 and 10 dollars a million up to 200,000 tokens; of 2.50 and 15 beyond.
COST = Decimal("0.12505") + Decimal("0.375075")
INLINE = batch("SUCCEEDED", done=True, response={"inlinedResponses": {"inlinedResponses": RESULTS}})
IN_FILE = batch("SUCCEEDED", done=True, response={"responsesFile": FILE})
LINES = b"\n".join(json.dumps({"key": "k", **result}).encode() for result in RESULTS)


class Google:
    """Answers requests by their path, below the version."""

    def __init__(self, **answers: Any) -> None:
        self.answers = answers

    async def __call__(self, reply: Reply) -> None:
        path = reply.asked.target.decode().partition("?")[0].partition("/v1beta/")[2]
        found = self.answers.get(path, {})
        headers = ()
        if isinstance(found, bytes):
            headers = ("Content-Encoding: gzip",)
            found = gzip.compress(found)
        else:
            found = json.dumps(found).encode()
        await reply.json(found, headers=headers)


def google_has(google: StandIn, **answers: Any) -> None:
    google.script = Google(**{"models/gemini-2.5-pro:batchGenerateContent": batch("PENDING")} | answers)


async def start_batch(gateway: Running, secret: str = "k") -> None:
    url = BATCH.replace("flash", "pro")
    response = await gateway.client.post(url, json={"batch": {}}, headers={"x-goog-api-key": secret})
    assert response.status_code == 200, response.text


async def get(gateway: Running, path: str, secret: str = "k", **query: str) -> None:
    # An empty set of parameters would take the place of the path's.
    response = await gateway.client.get(
        f"/gemini/{path}", headers={"x-goog-api-key": secret}, params=query or None
    )
    assert response.status_code == 200, response.text


async def spend(gateway: Running, secret: str) -> Decimal:
    state = gateway.gateway.registry.find(secret, 0)
    assert state is not None
    return Decimal(state.spend_pico).scaleb(-12)


async def first(gateway: Running) -> dict[str, Any]:
    return (await gateway.rows())[0]


async def test_a_batch_is_charged_once_to_the_key_that_made_it(guarded: Running, google: StandIn) -> None:
    google_has(google, **{NAME: batch("RUNNING")})
    owner, other = await guarded.key(key_alias="owner"), "master-of-the-tests"
    await start_batch(guarded, owner)
    await get(guarded, f"v1beta/{NAME}", owner)
    row = await first(guarded)
    assert (row["cost_usd"], row["usage_note"]) == (None, f"the charge is pending: {NAME} will tell it")
    google_has(google, **{NAME: INLINE})
    for secret in (other, owner, owner):
        await get(guarded, f"v1beta/{NAME}", secret)
    row = await first(guarded)
    assert Decimal(row["cost_usd"]) == COST
    assert (row["service_tier"], row["model_version"]) == ("batch", "gemini-2.5-pro")
    assert (row["prompt_tokens"], row["output_tokens"], row["total_tokens"]) == (500_000, 20, 500_020)
    assert row["usage_note"] == "2 responses of the batch, 1 failed requests"
    sums = json.loads(bytes(row["usage"]))
    assert [each["largestPromptTokenCount"] for each in sums] == [200_000, 300_000]
    assert await spend(guarded, owner) == COST
    costs = [row["cost_usd"] for row in await guarded.rows()]
    assert costs[1:] == ["0.000000000000"] * 4


SPELLINGS = [
    f"v1/{NAME}", f"v1beta//{NAME}", f"v1beta/{NAME.replace('b', '%62')}", f"v1beta/openai/{NAME}",
]  # fmt: skip


@pytest.mark.parametrize("path", SPELLINGS)
async def test_any_spelling_of_its_name_shows_it(gateway: Running, google: StandIn, path: str) -> None:
    google.script = Google(**{"models/gemini-2.5-pro:batchGenerateContent": batch("PENDING")})
    await start_batch(gateway)

    async def ended(reply: Reply) -> None:
        await reply.json(json.dumps(INLINE).encode())

    google.script = ended
    await get(gateway, path)
    assert Decimal((await first(gateway))["cost_usd"]) == COST


@pytest.mark.parametrize(
    ("path", "query"),
    [(f"v1beta/{NAME}", {"fields": "name,done"}), (f"v1beta/{NAME}", {}), ("v1beta/batches/b2", {})],
    ids=["a field mask", "responses are missing", "another batch"],
)
async def test_a_part_of_it_settles_nothing(
    gateway: Running, google: StandIn, path: str, query: dict[str, str]
) -> None:
    part = batch("SUCCEEDED", done=True)
    google_has(google, **{NAME: part, "batches/b2": INLINE})
    await start_batch(gateway)
    await get(gateway, path, **query)
    assert (await first(gateway))["cost_usd"] is None


DOWNLOADS = [
    f"v1beta/{FILE}:download",
    f"v1beta/{FILE}:download?alt=media",
    f"download/v1beta/{FILE}:download?alt=media",
    f"v1beta/{FILE}?alt=media",
    f"v1beta/openai/{FILE}/content",
]


@pytest.mark.parametrize("download", DOWNLOADS)
@pytest.mark.parametrize("is_restarted", [False, True])
async def test_its_file_shows_it_also_after_a_restart(
    google: StandIn, tmp_path: Path, download: str, is_restarted: bool
) -> None:
    google_has(
        google, **{NAME: IN_FILE, f"{FILE}:download": LINES, FILE: LINES, f"openai/{FILE}/content": LINES}
    )
    async with running(tmp_path, google.url) as gateway:
        await start_batch(gateway)
        await get(gateway, download)
        await get(gateway, f"v1beta/{NAME}")
        row = await first(gateway)
        assert (row["cost_usd"], row["usage_note"]) == (None, f"the charge is pending: {FILE} will tell it")
        await get(gateway, f"v1/{FILE}")  # its description
        assert (await first(gateway))["cost_usd"] is None
        if not is_restarted:
            await get(gateway, download)
            assert Decimal((await first(gateway))["cost_usd"]) == COST
    async with running(tmp_path, google.url) as gateway:
        for _ in range(2):
            await get(gateway, download)
        assert Decimal((await first(gateway))["cost_usd"]) == COST


@pytest.mark.parametrize("state", ["FAILED", "CANCELLED", "EXPIRED"])
async def test_a_batch_that_made_nothing_costs_nothing(gateway: Running, google: StandIn, state: str) -> None:
    google_has(google, **{NAME: batch(state, done=True, error={"code": 1, "message": "No."})})
    await start_batch(gateway)
    await get(gateway, f"v1beta/{NAME}")
    row = await first(gateway)
    assert (row["cost_usd"], row["usage"]) == ("0.000000000000", None)
    assert row["usage_note"] == "0 responses of the batch, 0 failed requests"


async def test_what_is_no_file_of_results_settles_nothing(gateway: Running, google: StandIn) -> None:
    google_has(google, **{NAME: IN_FILE, f"{FILE}:download": {"no": "result"}})
    await start_batch(gateway)
    for path in (NAME, f"{FILE}:download"):
        await get(gateway, f"v1beta/{path}")
    assert (await first(gateway))["usage_note"] == f"the charge is pending: {FILE} will tell it"


async def test_what_is_deleted_unseen_stays_unknown_and_says_so(gateway: Running, google: StandIn) -> None:
    google_has(google)
    await start_batch(gateway)
    for _ in range(2):
        await gateway.client.delete(f"/gemini/v1beta/{NAME}", headers={"x-goog-api-key": "k"})
    row = await first(gateway)
    assert (row["cost_usd"], row["usage_note"]) == (
        None, "the cost stays unknown: it was deleted before its result was seen",
    )  # fmt: skip
    assert gateway.gateway.proxy.context.deferred.pending.all() == []


async def test_a_clock_that_jumps_months_ahead_gives_nothing_up(
    gateway: Running, google: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    google_has(google)
    await start_batch(gateway)
    monkeypatch.setattr("gatekeeper.proxy.asgi.CHARGE_SECONDS", 0.01)
    jump = 0
    monkeypatch.setattr("gatekeeper.proxy.asgi.now_micros", lambda: (time_ns() + jump) // 1000)
    proxy = gateway.gateway.proxy
    async with trio.open_nursery() as nursery:
        nursery.start_soon(proxy.charge_deferred)
        await trio.sleep(0.05)
        jump = 61 * DAY * 1000
        await trio.sleep(0.1)
        nursery.cancel_scope.cancel()
    assert len(proxy.context.deferred.pending.all()) == 1


async def test_after_sixty_days_and_beyond_the_limit_it_stays_unknown(
    gateway: Running, google: StandIn
) -> None:
    google_has(google)
    await start_batch(gateway)
    deferred = gateway.gateway.proxy.context.deferred
    (state,) = deferred.pending.all()
    deferred.sweep(state.started_at + 60 * DAY - 1, CATALOGUE)
    assert deferred.pending.all() == [state]
    deferred.sweep(state.started_at + 60 * DAY, CATALOGUE)
    assert (await first(gateway))["usage_note"].endswith("was not seen within 60 days")
    deferred.pending._limit = 0
    await start_batch(gateway)
    assert (await gateway.rows())[-1]["usage_note"].endswith("too many charges are pending")


VEO = f"{VERSION}/models/veo-3.1-generate-preview:predictLongRunning"
OPERATION = "models/veo-3.1-generate-preview/operations/o1"
VIDEO = {"video": {"uri": "https://x/files/f:download"}}
REQUEST = {"instances": [{"prompt": "waves"}], "parameters": {"durationSeconds": 4, "sampleCount": 2}}


def ended(**response: Any) -> dict[str, Any]:
    return {"name": OPERATION, "done": True, "response": {"generateVideoResponse": response}}


# The operation; what is charged of 8 seconds at 0.40 dollars.
ENDINGS = {
    "both": (ended(generatedSamples=[VIDEO, VIDEO]), 8, "charged as asked for"),
    "one was filtered": (ended(generatedSamples=[VIDEO], raiMediaFilteredCount=1), 4, "1 of 2 videos"),
    "all were filtered": (ended(raiMediaFilteredCount=2), 0, "no video was made"),
    "more were made": (ended(generatedSamples=[VIDEO] * 3), 12, "3 of 2 videos"),
    "failed": ({"name": OPERATION, "done": True, "error": {"code": 13, "message": "x"}}, 0, "no video"),
    "running": ({"name": OPERATION}, None, "the charge is pending"),
}


@pytest.mark.parametrize("name", ENDINGS)
async def test_a_video_is_charged_by_what_was_asked_for_once_it_is_made(
    gateway: Running, google: StandIn, name: str
) -> None:
    operation, seconds, note = ENDINGS[name]
    google.script = Google(**{VEO.partition("v1beta/")[2]: {"name": OPERATION}, OPERATION: operation})
    await gateway.client.post(VEO, json=REQUEST, headers={"x-goog-api-key": "k"})
    for _ in range(3):
        await get(gateway, f"v1beta/{OPERATION}")
    row = await first(gateway)
    assert row["usage_note"].startswith(note)
    cost, units = row["cost_usd"], json.loads(bytes(row["billed_units"]))
    assert units == {"output_video_second_720p": 8 if seconds is None else seconds}
    assert cost is None if seconds is None else Decimal(cost) == seconds * Decimal("0.4")


@pytest.mark.parametrize(("name", "spent"), [("both", "3.2"), ("one was filtered", "1.6"), ("failed", "0")])
async def test_a_budget_is_charged_the_most_until_the_result_is_seen(
    guarded: Running, google: StandIn, name: str, spent: str
) -> None:
    google.script = Google(**{VEO.partition("v1beta/")[2]: {"name": OPERATION}, OPERATION: ENDINGS[name][0]})
    secret = await guarded.key(max_budget=100)
    answer = await guarded.client.post(VEO, json=REQUEST, headers={"x-goog-api-key": secret})
    assert answer.status_code == 200, answer.text
    state = guarded.gateway.registry.find(secret, 0)
    assert state is not None
    assert state.spend_pico == state.estimated_pico >= 32 * 10**11
    row = await first(guarded)
    assert (row["cost_usd"], "estimated for the budget" in row["usage_note"]) == (None, True)
    await get(guarded, f"v1beta/{OPERATION}", secret)
    assert (await spend(guarded, secret), state.estimated_pico) == (Decimal(spent), 0)
    assert "estimated" not in (await first(guarded))["usage_note"]


def poller(gateway: Running) -> PendingPoller:
    return PendingPoller(gateway.gateway.proxy.context, 60)


async def test_the_gateway_looks_itself_and_writes_no_row(gateway: Running, google: StandIn) -> None:
    google_has(google, **{NAME: IN_FILE, f"{FILE}:download": json.loads(b"[]")})
    await start_batch(gateway)

    async def script(reply: Reply) -> None:
        await reply.json(
            LINES if b":download?alt=media" in reply.asked.target else json.dumps(IN_FILE).encode()
        )

    google.script = script
    polling = poller(gateway)
    for _ in range(2):
        await polling.round()
    (row,) = await gateway.rows()
    assert Decimal(row["cost_usd"]) == COST
    assert [asked.target for asked in google.asked[1:]] == [
        f"/v1beta/{NAME}".encode(), f"/v1beta/{FILE}:download?alt=media".encode(),
    ]  # fmt: skip
    assert google.asked[-1].header("x-goog-api-key") == [GOOGLE_KEY]


async def test_what_is_not_ready_is_polled_less_and_less(
    gateway: Running, google: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    google_has(google, **{NAME: batch("RUNNING")})
    await start_batch(gateway)
    now, polling, polled = 0.0, poller(gateway), list[int]()
    monkeypatch.setattr(trio, "current_time", lambda: now)
    for minute in range(300):
        before = len(google.asked)
        now = minute * 60.0
        await polling.round()
        polled += [minute] * (len(google.asked) - before)
    assert polled == [0, 1, 3, 7, 15, 31, 63, 123, 183, 243]


@pytest.mark.parametrize("answer", ["hangs up", "error", "gzip", "nobody listens", "another key"])
async def test_a_poll_that_fails_settles_nothing(
    gateway: Running, google: StandIn, answer: str, capsys: pytest.CaptureFixture[str]
) -> None:
    google_has(google)
    await start_batch(gateway)

    async def script(reply: Reply) -> None:
        if answer == "hangs up":
            await reply.stream.aclose()
        else:
            headers = ("Content-Encoding: gzip",) if answer == "gzip" else ()
            await reply.json(json.dumps(INLINE).encode(), 500 if answer == "error" else 200, headers)

    google.script = script
    context = gateway.gateway.proxy.context
    if answer == "nobody listens":
        context.upstream.close_idle()
        context.upstream = UpstreamPool("http://127.0.0.1:1", connect_timeout=1)
    if answer == "another key":
        context.google_keys.add(GoogleKey(label="#2", secret="x", project="#2"))
        context.google_keys.remove("#1")
    await poller(gateway).round()
    assert (await first(gateway))["cost_usd"] is None
    assert ("poll_failed" in capsys.readouterr().err) == (answer in ("hangs up", "nobody listens"))


async def test_a_poll_that_breaks_off_keeps_nothing_in_memory(gateway: Running, google: StandIn) -> None:
    google.script = Google(interactions=INTERACTION)
    await gateway.client.post(f"{VERSION}/interactions", json={}, headers={"x-goog-api-key": "k"})

    async def script(reply: Reply) -> None:
        body = json.dumps(DONE | {"x": "y z" * 3000}).encode()
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
        await reply.raw(head % len(body) + body[: len(body) // 2])
        await reply.stream.aclose()

    google.script = script
    before = BUFFER_QUOTA.used
    await poller(gateway).round()
    assert (await first(gateway))["cost_usd"] is None
    assert BUFFER_QUOTA.used == before


@cases(
    ("resource", "target"),
    [
        ("batches/b", b"/v1beta/batches/b"),
        ("models/m/operations/o", b"/v1beta/models/m/operations/o"),
        ("videos/v", b"/v1beta/openai/videos/v"),
        ("files/f", b"/v1beta/files/f:download?alt=media"),
        (None, None),
    ],
)
def test_where_a_result_is_asked_for(resource: str | None, target: bytes | None) -> None:
    call = CallRecord(id="1", started_at=1, method="POST", path="/")
    call.pending = PendingCharge(begun_by="1", resource=resource)
    assert poll_target(call) == target


INTERACTION = {"id": "i1", "model": "gemini-2.5-flash", "status": "in_progress"}
# 1000 tokens at 0.30 and 100 at 2.50 dollars a million
USED = {"total_input_tokens": 1000, "total_output_tokens": 100, "total_tokens": 1100}
DONE = INTERACTION | {"status": "completed", "usage": USED}
EVENTS = [
    b"event: interaction.completed\ndata: " + json.dumps({"interaction": DONE}).encode() + b"\n\n",
    b"event: done\ndata: [DONE]\n\n",
]
# How it is read later; the status that the row has then.
READS: dict[str, tuple[str, str, list[bytes] | dict[str, Any], str]] = {
    "as a document": ("GET", "interactions/i1", DONE, "completed"),
    "as a stream": ("GET", "interactions/i1?stream=true", EVENTS, "completed"),
    "cancelled": ("POST", "interactions/i1/cancel", DONE | {"status": "cancelled"}, "cancelled"),
    "not yet": ("GET", "interactions/i1", INTERACTION, "in_progress"),
    "failed": ("GET", "interactions/i1", INTERACTION | {"status": "failed"}, "failed"),
}


@pytest.mark.parametrize("name", READS)
async def test_an_interaction_in_the_background_is_charged_when_it_is_done(
    gateway: Running, google: StandIn, name: str
) -> None:
    method, path, result, status = READS[name]
    google.script = Google(interactions=INTERACTION)
    asked = {"model": "gemini-2.5-flash", "input": "x", "background": True}
    await gateway.client.post(f"{VERSION}/interactions", json=asked, headers={"x-goog-api-key": "k"})
    row = await first(gateway)
    assert (row["cost_usd"], row["usage_note"]) == (
        None, "the charge is pending: interactions/i1 will tell it",
    )  # fmt: skip

    async def script(reply: Reply) -> None:
        if isinstance(result, list):
            await reply.chunked(result)
        else:
            await reply.json(json.dumps(result).encode())

    google.script = script
    for _ in range(2):
        await gateway.client.request(method, f"{VERSION}/{path}", headers={"x-goog-api-key": "k"})
    row = await first(gateway)
    assert row["finish_reason"] == status
    assert row["cost_usd"] == ("0.000550000000" if status in ("completed", "cancelled") else None)
    assert row["prompt_tokens"] == (None if row["cost_usd"] is None else 1000)
    assert bool(gateway.gateway.proxy.context.deferred.pending.all()) == (name == "not yet")


@pytest.mark.parametrize("encoding", [b"", b"Content-Encoding: gzip\r\n"])
async def test_a_result_that_breaks_off_settles_nothing_and_is_not_kept(
    gateway: Running, google: StandIn, encoding: bytes
) -> None:
    google.script = Google(interactions=INTERACTION)
    await gateway.client.post(f"{VERSION}/interactions", json={}, headers={"x-goog-api-key": "k"})

    async def script(reply: Reply) -> None:
        body = json.dumps(DONE | {"x": "y" * 9000}).encode()
        body = gzip.compress(body) if encoding else body
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n%bContent-Length: %d\r\n\r\n"
        await reply.raw(head % (encoding, len(body)) + body[: len(body) // 2])
        await reply.stream.aclose()

    google.script = script
    # Other tests leave meters unfinished in this process.
    before = BUFFER_QUOTA.used
    answer = await exchange(gateway.url, f"GET {VERSION}/interactions/i1?key=k")
    assert not answer.whole
    await gateway.row(2)
    assert (await first(gateway))["cost_usd"] is None
    assert BUFFER_QUOTA.used == before


@pytest.fixture
async def sandboxed(nursery: trio.Nursery, tmp_path: Path) -> AsyncIterator[Running]:
    port = await nursery.start(partial(serve_sandbox, "127.0.0.1", 0, time_scale=0))
    async with running(tmp_path / "data", f"http://127.0.0.1:{port}") as gateway:
        yield gateway


async def test_the_spend_has_each_kind_once(sandboxed: Running) -> None:
    client, key = sandboxed.client, {"x-goog-api-key": "k"}
    inline = {"requests": {"requests": [{"request": PROMPT}, {"request": PROMPT}]}}
    made = (await client.post(BATCH, json={"batch": {"inputConfig": inline}}, headers=key)).json()
    video = (await client.post(VEO, json=REQUEST, headers=key)).json()
    imagen = f"{VERSION}/models/imagen-4.0-generate-001:predict"
    await client.post(
        imagen, json={"instances": [{"prompt": "x"}], "parameters": {"sampleCount": 3}}, headers=key
    )
    for _ in range(3):
        shown = (await client.get(f"{VERSION}/{made['name']}", headers=key)).json()
        await client.get(f"{VERSION}/{video['name']}", headers=key)
    used = [
        each["response"]["usageMetadata"]
        for each in shown["response"]["inlinedResponses"]["inlinedResponses"]
    ]
    tokens = [sum(each[name] for each in used) for name in ("promptTokenCount", "totalTokenCount")]
    # Half of 0.30 and 2.50 dollars a million.
    batch_cost = (tokens[0] * Decimal("0.15") + (tokens[1] - tokens[0]) * Decimal("1.25")) / 10**6
    report = (await client.get("/spend", params={"by": "model"})).json()
    costs = {row["model"]: Decimal(row["cost_usd"]) for row in report["rows"] if row["model"]}
    assert costs["gemini-2.5-flash"] == batch_cost
    assert costs["imagen-4.0-generate-001"] == 3 * Decimal("0.04")
    assert costs["veo-3.1-generate-preview"] == 8 * Decimal("0.4")
    detail = (await client.get(f"/calls/{(await first(sandboxed))['id']}")).json()
    assert Decimal(detail["cost"]["cost_usd"]) == batch_cost
    assert detail["cost"]["notes"] == []


async def upload(gateway: Running, lines: list[dict[str, Any]]) -> str:
    """The name of a file with these lines."""
    data = b"\n".join(json.dumps(line).encode() for line in lines)
    answer = await gateway.client.post(
        "/gemini/upload/v1beta/files",
        content=data,
        headers={
            "x-goog-api-key": "k",
            "x-goog-upload-protocol": "raw",
            "content-type": "application/jsonl",
        },
    )
    return answer.json()["file"]["name"]


async def test_a_batch_in_openais_form_is_charged_by_its_file(sandboxed: Running) -> None:
    client, key = sandboxed.client, {"x-goog-api-key": "k"}
    body = {"model": "gemini-2.5-flash", "messages": [{"role": "user", "content": "Hello there"}]}
    line = {"custom_id": "1", "method": "POST", "url": "/v1/chat/completions", "body": body}
    asked = {"input_file_id": await upload(sandboxed, [line, line]), "endpoint": "/v1/chat/completions"}
    made = (await client.post(f"{VERSION}/openai/batches", json=asked, headers=key)).json()
    for _ in range(3):
        shown = (await client.get(f"{VERSION}/openai/batches/{made['id']}", headers=key)).json()
    (row,) = [row for row in await sandboxed.rows() if row["action"] == "openai.batches"]
    assert row["usage_note"] == f"the charge is pending: {shown['output_file_id']} will tell it"
    for _ in range(2):
        result = await client.get(f"{VERSION}/{shown['output_file_id']}:download?alt=media", headers=key)
    used = [json.loads(line)["response"]["body"]["usage"] for line in result.text.splitlines()]
    tokens = [sum(each[name] for each in used) for name in ("prompt_tokens", "total_tokens")]
    (row,) = [row for row in await sandboxed.rows() if row["action"] == "openai.batches"]
    cost = (tokens[0] * Decimal("0.15") + (tokens[1] - tokens[0]) * Decimal("1.25")) / 10**6
    assert (Decimal(row["cost_usd"]), row["model"]) == (cost, "gemini-2.5-flash")
    assert (row["prompt_tokens"], row["total_tokens"]) == tuple(tokens)
    detail = (await client.get(f"/calls/{row['id']}")).json()
    assert Decimal(detail["cost"]["cost_usd"]) == cost


async def test_a_file_of_results_is_polled_through_googles_redirect(sandboxed: Running) -> None:
    file = await upload(sandboxed, [{"key": "1", "request": PROMPT}])
    asked = {"batch": {"inputConfig": {"fileName": file}}}
    await sandboxed.client.post(BATCH, json=asked, headers={"x-goog-api-key": "k"})
    polling = poller(sandboxed)
    for _ in range(3):
        # Whenever it is due
        polling._due.clear()
        await polling.round()
    row = next(row for row in await sandboxed.rows() if row["action"] == "batchGenerateContent")
    assert row["prompt_tokens"] is not None
    assert row["cost_usd"] is not None


async def test_a_batch_of_embeddings_is_charged_by_its_responses(sandboxed: Running) -> None:
    client, key = sandboxed.client, {"x-goog-api-key": "k"}
    request = {"request": {"content": {"parts": [{"text": "Hello there, you"}]}}}
    batch_of = {"batch": {"inputConfig": {"requests": {"requests": [request] * 3}}}}
    url = f"{VERSION}/models/gemini-embedding-001:asyncBatchEmbedContent"
    made = (await client.post(url, json=batch_of, headers=key)).json()
    for _ in range(3):
        shown = (await client.get(f"{VERSION}/{made['name']}", headers=key)).json()
    row = await first(sandboxed)
    assert row["usage_note"].startswith("3 responses of the batch")
    responses = shown["response"]["inlinedResponses"]["inlinedResponses"]
    tokens = sum(int(each["response"]["tokenCount"]) for each in responses)
    assert row["prompt_tokens"] == tokens > 0
    assert Decimal(row["cost_usd"]) == tokens * Decimal("0.075") / 10**6


async def test_a_video_in_openais_form_is_charged_once(sandboxed: Running) -> None:
    client, key = sandboxed.client, {"x-goog-api-key": "k"}
    asked = {"model": "veo-3.1-generate-preview", "prompt": "waves", "seconds": "4"}
    made = (await client.post(f"{VERSION}/openai/videos", json=asked, headers=key)).json()
    for _ in range(3):
        await client.get(f"{VERSION}/openai/videos/{made['id']}", headers=key)
    row = await first(sandboxed)
    assert (row["action"], Decimal(row["cost_usd"])) == ("openai.videos", Decimal("1.6"))
