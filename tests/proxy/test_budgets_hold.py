"""Many clients at once on one key: its budget is never exceeded, and nearly all of it is usable."""

from __future__ import annotations

import itertools
import json
from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import NamedTuple

import pytest
import trio
import trio.testing
from rig.cases import cases
from rig.gateway import Running
from rig.standin import Reply, StandIn
from rig.wire import Answer, exchange

from gatekeeper.keys.virtual_key import KeyState

MODEL = "gemini-2.5-flash"
PROMPT = "word " * 800  # 4,000 bytes, of which Google counts 1,000 tokens
PRICE = Decimal("0.00055")  # 1,000 tokens of input and 100 of output
CALLS = 40  # that the budget is for
BUDGET = CALLS * PRICE
SIZES = (20, 100, 40, 100)  # tokens of output

Script = Callable[[Reply, int], Awaitable[None]]
"""Answers with so many tokens."""


def steps(output: int) -> range:
    """The tokens so far, event by event."""
    return range(20, output + 1, 20)


def usage(output: int) -> dict[str, int]:
    return {"promptTokenCount": 1000, "candidatesTokenCount": output, "totalTokenCount": 1000 + output}


def chunk(output: int, *, last: bool = False) -> bytes:
    candidate = {"content": {"parts": [{"text": "bee " * 20}]}, **({"finishReason": "STOP"} if last else {})}
    return json.dumps(
        {"candidates": [candidate], "usageMetadata": usage(output), "modelVersion": MODEL}
    ).encode()


async def unary(reply: Reply, output: int) -> None:
    await reply.json(chunk(output, last=True))


async def sse(reply: Reply, output: int) -> None:
    await reply.chunked([b"data: %b\r\n\r\n" % chunk(n, last=n >= output) for n in steps(output)])


async def array(reply: Reply, output: int) -> None:
    parts = [b"\n,\n" + chunk(n, last=n >= output) for n in steps(output)]
    await reply.chunked([b"[" + parts[0][3:], *parts[1:], b"\n]"], "application/json")


def openai_chunk(**members: object) -> bytes:
    document = {"object": "chat.completion.chunk", "model": MODEL, "choices": [], **members}
    return b"data: %b\n\n" % json.dumps(document).encode()


async def openai(reply: Reply, output: int) -> None:
    said = [openai_chunk(choices=[{"index": 0, "delta": {"content": "bee "}}]) for _ in steps(output)]
    told = {"prompt_tokens": 1000, "completion_tokens": output, "total_tokens": 1000 + output}
    await reply.chunked([*said, openai_chunk(usage=told), b"data: [DONE]\n\n"])


def interaction_event(kind: str, **members: object) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (
        kind.encode(),
        json.dumps({"event_type": kind, **members}).encode(),
    )


def interaction_usage(output: int) -> dict[str, int]:
    return {
        "total_tokens": 1000 + output,
        "total_input_tokens": 1000,
        "total_cached_tokens": 0,
        "total_output_tokens": output,
        "total_tool_use_tokens": 0,
        "total_thought_tokens": 0,
    }


BEGUN = {"id": "v1_x", "object": "interaction", "model": MODEL, "status": "in_progress"}


async def interaction(reply: Reply, output: int) -> None:
    done = {**BEGUN, "status": "completed", "usage": interaction_usage(output)}
    await reply.chunked(
        [
            interaction_event("interaction.created", interaction=BEGUN),
            *(interaction_event("step.stop", usage=interaction_usage(n)) for n in steps(output)),
            interaction_event("interaction.completed", interaction=done),
        ]
    )


class Kind(NamedTuple):
    """A kind of call: where it goes, what it asks, with a limit of its output and without, and its answer."""

    path: str
    body: dict[str, object]
    limit: dict[str, object]
    script: Script


CONTENTS: dict[str, object] = {"contents": [{"parts": [{"text": PROMPT}]}]}
LIMIT: dict[str, object] = {"generationConfig": {"maxOutputTokens": 100}}
CHAT = {"model": MODEL, "messages": [{"role": "user", "content": PROMPT}], "stream": True}
TALK = {"model": MODEL, "input": PROMPT, "stream": True, "store": False}
NATIVE = f"/gemini/v1beta/models/{MODEL}"
KINDS = {
    "unary": Kind(f"{NATIVE}:generateContent", CONTENTS, LIMIT, unary),
    "SSE": Kind(f"{NATIVE}:streamGenerateContent?alt=sse", CONTENTS, LIMIT, sse),
    "array": Kind(f"{NATIVE}:streamGenerateContent", CONTENTS, LIMIT, array),
    "OpenAI's": Kind(
        "/gemini/v1beta/openai/chat/completions",
        CHAT | {"stream_options": {"include_usage": True}},
        {"max_tokens": 100},
        openai,
    ),
    "interaction": Kind(
        "/gemini/v1beta/interactions", TALK, {"generation_config": {"max_output_tokens": 100}}, interaction
    ),
}


async def ask(gateway: Running, kind: Kind, secret: str, *, limited: bool, clients: int) -> list[Answer]:
    """The answers to so many clients that call at once."""
    body = json.dumps(kind.body | (kind.limit if limited else {})).encode()
    answers: list[Answer] = []

    async def client() -> None:
        headers = [f"x-goog-api-key: {secret}"]
        answers.append(await exchange(gateway.url, f"POST {kind.path}", body=body, headers=headers))

    async with trio.open_nursery() as nursery:
        for _ in range(clients):
            nursery.start_soon(client)
    return answers


def account(gateway: Running, secret: str) -> KeyState:
    state = gateway.gateway.registry.find(secret, 0)
    assert state is not None
    return state


def in_waves(google: StandIn, kind: Kind) -> Callable[[Reply], Awaitable[None]]:
    """Answers of several lengths, none before all calls run that may."""

    async def script(reply: Reply) -> None:
        size = SIZES[len(google.asked) % len(SIZES)]
        await trio.testing.wait_all_tasks_blocked(0.005)
        await kind.script(reply, size)

    return script


# How many clients: all of them where a kind of call is most usual.
HELD = [
    *((name, limited, 200) for name in ("unary", "SSE") for limited in (True, False)),
    *((name, limited, 60) for name in ("array", "OpenAI's", "interaction") for limited in (True, False)),
]


@pytest.mark.parametrize(("name", "limited", "clients"), HELD)
async def test_a_budget_holds_and_is_usable(
    guarded: Running, google: StandIn, name: str, limited: bool, clients: int
) -> None:
    google.script = in_waves(google, KINDS[name])
    secret = await guarded.key(max_budget=str(BUDGET))
    answers = await ask(guarded, KINDS[name], secret, limited=limited, clients=clients)
    state = account(guarded, secret)
    assert 90 * BUDGET / 100 <= Decimal(state.spend_pico) / 10**12 <= BUDGET
    assert state.reserved_pico == 0
    assert {answer.status for answer in answers} == {200, 429}
    assert {answer.reason for answer in answers if answer.status == 429} == {"GATEKEEPER_BUDGET_EXCEEDED"}
    # Nothing went to Google for those that were refused.
    assert len(google.asked) == sum(answer.status == 200 for answer in answers)


async def silent_interaction(reply: Reply, output: int) -> None:
    """As Google's: only its last event tells the usage."""
    done = {"id": "v1_x", "model": MODEL, "status": "completed", "usage": interaction_usage(output)}
    told = interaction_event("interaction.completed", interaction=done)
    await reply.chunked([interaction_event("step.delta", delta={"text": "bee"}), told])


@cases(("name", "script"), [("OpenAI's", openai), ("interaction", silent_interaction)])
async def test_streams_that_tell_their_usage_at_the_end_reserve_all_that_they_can_cost(
    guarded: Running, google: StandIn, name: str, script: Script
) -> None:
    limit: dict[str, object] = {"generation_config": {"max_output_tokens": 2000}}
    limit = {"max_tokens": 2000} if name == "OpenAI's" else limit
    kind = KINDS[name]._replace(script=script, limit=limit)
    other = await guarded.key(max_budget="1")
    google.script = lambda reply: script(reply, 1)
    for _ in range(3):  # such calls have been cheap
        await ask(guarded, kind, other, limited=True, clients=1)
    budget = Decimal("0.02")
    secret = await guarded.key(max_budget=str(budget))
    google.script = in_waves(google, kind._replace(script=lambda reply, _: script(reply, 2000)))
    answers = await ask(guarded, kind, secret, limited=True, clients=60)
    state = account(guarded, secret)
    assert Decimal(state.spend_pico) / 10**12 <= budget
    assert {answer.status for answer in answers} == {200, 429}


async def test_a_stream_whose_output_is_limited_is_not_cut_for_what_others_have_cost(
    guarded: Running, google: StandIn
) -> None:
    async def leap(reply: Reply) -> None:
        await reply.chunked([b"data: %b\r\n\r\n" % chunk(n, last=n == 9000) for n in (1, 9000)])

    kind = KINDS["SSE"]
    google.script = leap
    await ask(guarded, kind, await guarded.key(max_budget="1"), limited=False, clients=1)
    google.script = lambda reply: sse(reply, 100)
    secret = await guarded.key(max_budget="0.002")  # one event as large as that would exceed it
    (answer,) = await ask(guarded, kind, secret, limited=True, clients=1)
    assert (answer.status, answer.whole) == (200, True)


async def thinking(reply: Reply, _: int) -> None:
    """Most of what it costs is in the first event."""
    told = [chunk(n, last=n == 4100) for n in (4000, 4100)]
    await reply.chunked([b"data: %b\r\n\r\n" % each for each in told])


def thinking_up_to(limit: int) -> Kind:
    limited: dict[str, object] = {"generationConfig": {"maxOutputTokens": limit}}
    return KINDS["SSE"]._replace(limit=limited, script=thinking)


# The limit is less or more than the budget allows.
@cases(("limit", "whose"), [(5000, "own"), (5000, "other"), (20_000, "other")])
async def test_streams_reserve_all_that_they_can_cost_until_they_tell(
    guarded: Running, google: StandIn, limit: int, whose: str
) -> None:
    kind, budget = thinking_up_to(limit), Decimal("0.025")
    keys = {name: await guarded.key(max_budget=str(budget)) for name in ("own", "other")}
    google.script = lambda reply: sse(reply, 20)
    await ask(guarded, kind, keys[whose], limited=True, clients=1)  # is cheap
    google.script = in_waves(google, kind)
    answers = await ask(guarded, kind, keys["own"], limited=True, clients=20)
    assert budget * 8 / 10 <= Decimal(account(guarded, keys["own"]).spend_pico) / 10**12 <= budget
    assert {answer.status for answer in answers} == {200, 429}


async def test_a_stream_that_tells_what_it_costs_lets_others_in(guarded: Running, google: StandIn) -> None:
    last = trio.Event()

    async def script(reply: Reply) -> None:
        if len(google.asked) == 2:
            last.set()
            # What a kill would have charged is what they keep.
            running = [call for call in guarded.gateway.proxy.open_calls if call.reservation]
            assert all(call.row.charged_pico == call.reservation.pico for call in running)
        events = [b"data: %b\r\n\r\n" % chunk(n, last=n == 40) for n in (20, 40)]
        await reply.chunked(events[:1], end=False)
        await last.wait()
        await reply.raw(b"%x\r\n%b\r\n0\r\n\r\n" % (len(events[1]), events[1]))

    google.script = script
    secret = await guarded.key(max_budget="0.018")  # less than two of them can cost
    with trio.fail_after(5):
        answers = await ask(guarded, thinking_up_to(5000), secret, limited=True, clients=2)
    assert [answer.status for answer in answers] == [200, 200]


async def test_a_small_budget_is_usable_where_other_keys_make_dear_calls(
    guarded: Running, google: StandIn
) -> None:
    google.script = lambda reply: unary(reply, 20_000)
    await ask(guarded, KINDS["unary"], await guarded.key(max_budget="1"), limited=False, clients=1)
    google.script = in_waves(google, KINDS["unary"])
    secret = await guarded.key(max_budget=str(BUDGET))
    await ask(guarded, KINDS["unary"], secret, limited=False, clients=60)
    assert 90 * BUDGET / 100 <= Decimal(account(guarded, secret).spend_pico) / 10**12 <= BUDGET


async def test_a_refusal_names_all_that_a_call_without_a_stream_may_cost(
    guarded: Running, google: StandIn
) -> None:
    google.script = lambda reply: unary(reply, 1)
    kind = KINDS["unary"]._replace(limit={"generationConfig": {"maxOutputTokens": 5000}})
    secret = await guarded.key(max_budget="0.015", budget_duration="30d")
    (first,) = await ask(guarded, kind, secret, limited=True, clients=1)
    kind = KINDS["unary"]._replace(limit={"generationConfig": {"maxOutputTokens": 8000}})
    (second,) = await ask(guarded, kind, secret, limited=True, clients=1)
    assert (first.status, second.status) == (200, 429)
    needed = json.loads(second.body)["error"]["details"][0]["metadata"]["needed"]
    assert Decimal(needed) > Decimal("0.02")


async def test_a_refusal_names_the_reset_after_which_a_call_may_run(
    guarded: Running, google: StandIn
) -> None:
    google.script = lambda reply: unary(reply, 1600)
    secret = await guarded.key(max_budget="0.005", budget_duration="30d")
    first, second = [
        (await ask(guarded, KINDS["unary"], secret, limited=False, clients=1))[0] for _ in range(2)
    ]
    assert (first.status, second.status) == (200, 429)
    info, retry = json.loads(second.body)["error"]["details"]
    # It may cost more than all of the budget, but has the whole of it once nothing is spent.
    assert Decimal(info["metadata"]["needed"]) > Decimal("0.005")
    assert float(retry["retryDelay"].removesuffix("s")) > 3600


async def endless(reply: Reply, event: Callable[[int], bytes], content_type: str, begun: int) -> None:
    """Tells more tokens with each event, until the other side hangs up. So many bytes of every other event
    come with the one before."""

    async def send() -> None:
        lines = ["HTTP/1.1 200 X", f"Content-Type: {content_type}", "Transfer-Encoding: chunked", "", ""]
        await reply.raw("\r\n".join(lines).encode())
        for n in itertools.count(1, 2):
            first, second = event(20 * n), event(20 * n + 20)
            for data in (first + second[:begun], second[begun:]):
                await reply.raw(b"%x\r\n%b\r\n" % (len(data), data))
                await trio.testing.wait_all_tasks_blocked()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(send)
        await reply.hung_up()
        nursery.cancel_scope.cancel()
    await reply.stream.aclose()


def openai_usage(output: int) -> bytes:
    return openai_chunk(
        usage={"prompt_tokens": 1000, "completion_tokens": output, "total_tokens": 1000 + output}
    )


SSE = "text/event-stream"
ENDLESS: dict[str, tuple[Callable[[int], bytes], str]] = {
    "SSE": (lambda output: b"data: %b\r\n\r\n" % chunk(output), SSE),
    "array": (
        lambda output: (b"[" if output == 20 else b"\n,\n") + chunk(output),
        "application/json",
    ),
    "OpenAI's": (openai_usage, SSE),
    "interaction": (
        lambda output: (
            (interaction_event("interaction.created", interaction=BEGUN) if output == 20 else b"")
            + interaction_event("step.stop", usage=interaction_usage(output))
        ),
        SSE,
    ),
}


def last_error(name: str, body: bytes) -> dict[str, object]:
    """The last event of a stream, or element of an array that is not closed."""
    text = body.decode()
    if name == "array":
        return json.loads(text + "]")[-1]["error"]
    return json.loads(text.strip().rpartition("\n")[2].removeprefix("data: "))["error"]


# How many streams there are, how much of every other event comes too early, and what all of it may cost: one
# event more, or less.
CUT = [
    (1, 0, Decimal("0.005")),
    (1, 30, Decimal("0.005")),
    (1, 30, Decimal("0.00505")),
    (5, 0, Decimal("0.005")),
]


@cases(("streams", "begun", "budget"), CUT)
@cases("name", ENDLESS)
async def test_a_stream_is_cut_where_the_budget_ends(
    guarded: Running, google: StandIn, name: str, streams: int, begun: int, budget: Decimal
) -> None:
    google.script = lambda reply: endless(reply, *ENDLESS[name], begun)
    secret = await guarded.key(max_budget=str(budget))
    answers = await ask(guarded, KINDS[name], secret, limited=False, clients=streams)
    state = account(guarded, secret)
    assert 90 * budget / 100 <= Decimal(state.spend_pico) / 10**12 <= budget
    assert state.reserved_pico == 0
    cut = [answer for answer in answers if answer.status == 200]
    for answer in cut:
        error = last_error(name, answer.body)
        assert not answer.whole
        assert (error["code"], error["status"]) == (429, "RESOURCE_EXHAUSTED")
        assert error["details"][0]["reason"] == "GATEKEEPER_BUDGET_EXCEEDED"
    with trio.fail_after(2):
        while google.open or guarded.gateway.proxy.open_calls:
            await trio.sleep(0.005)
    rows = [row for row in await guarded.rows() if row["outcome"] != "refused"]
    assert {(row["outcome"], row["reason"], row["status"]) for row in rows} == {
        ("cut", "GATEKEEPER_BUDGET_EXCEEDED", 200)
    }
    assert len(rows) == len(cut) > 0
    for row in rows:
        # The client has the event that used the budget up.
        assert any(b": %d}" % row["output_tokens"] in answer.body.replace(b",", b"}") for answer in cut)
        assert Decimal(row["cost_usd"]) == Decimal("0.0003") + row["output_tokens"] * Decimal("0.0000025")


async def test_a_stream_is_cut_where_its_budget_is_lowered_below_it(
    guarded: Running, google: StandIn
) -> None:
    secret = await guarded.key(max_budget="1")

    async def script(reply: Reply) -> None:
        headers = {"Authorization": "Bearer master-of-the-tests"}
        lowered = {"key": secret, "max_budget": "0.001"}
        assert (await guarded.client.post("/key/update", json=lowered, headers=headers)).status_code == 200
        await endless(reply, *ENDLESS["SSE"], 0)

    google.script = script
    with trio.fail_after(5):
        (answer,) = await ask(guarded, KINDS["SSE"], secret, limited=False, clients=1)
    assert last_error("SSE", answer.body)["code"] == 429
    assert 9 * 10**8 <= account(guarded, secret).spend_pico <= 10**9


def grounded(query: int) -> bytes:
    """Another search, of which no usage tells."""
    grounding = {"webSearchQueries": [f"bees {query}"], "groundingChunks": [{"web": {"uri": "x"}}]}
    document: dict[str, object] = {
        "candidates": [{"groundingMetadata": grounding}],
        "usageMetadata": usage(20),
    }
    document["modelVersion"] = "gemini-3-flash-preview"  # which charges each query
    return b"data: %b\r\n\r\n" % json.dumps(document).encode()


def of_another_model(output: int) -> bytes:
    """The same usage all the time, of a dearer model from the third event on."""
    model = MODEL if output <= 40 else "gemini-2.5-pro"
    document = {"candidates": [{}], "usageMetadata": usage(2000), "modelVersion": model}
    return b"data: %b\r\n\r\n" % json.dumps(document).encode()


def of_two_candidates(output: int) -> bytes:
    """The second one goes on when the first has ended."""
    first = {"index": 0, "finishReason": "STOP"}
    candidates = [{"index": 1}, *([first] if output == 40 else [])]
    document = {"candidates": candidates, "usageMetadata": usage(output), "modelVersion": MODEL}
    return b"data: %b\r\n\r\n" % json.dumps(document).encode()


def of_two_parts(output: int) -> bytes:
    """Gemini 2.5 says STOP before it runs code, and goes on."""
    return b"data: %b\r\n\r\n" % chunk(output, last=output == 40)


def ending_with_each_event(output: int) -> bytes:
    """As models before 1.5 did."""
    return b"data: %b\r\n\r\n" % chunk(output, last=True)


TWO: dict[str, object] = {"generationConfig": {"candidateCount": 2}}
BESIDE_USAGE: dict[str, tuple[Callable[[int], bytes], dict[str, object], Decimal, Decimal]] = {
    # an event, what is asked, the budget, what is spent at most
    "searches": (grounded, {}, Decimal("0.2"), Decimal("0.2")),  # the first of a month are free in the end
    "another model": (of_another_model, {}, Decimal("0.01"), Decimal("0.02125")),
    "candidates": (of_two_candidates, TWO, Decimal("0.005"), Decimal("0.005")),
    "two parts": (of_two_parts, {}, Decimal("0.005"), Decimal("0.005")),
    "ends": (ending_with_each_event, {}, Decimal("0.005"), Decimal("0.005")),
}


@cases("name", BESIDE_USAGE)
async def test_a_stream_is_cut_for_whatever_it_costs(guarded: Running, google: StandIn, name: str) -> None:
    event, asked, budget, most = BESIDE_USAGE[name]
    google.script = lambda reply: endless(reply, event, SSE, 0)
    secret = await guarded.key(max_budget=str(budget))
    with trio.fail_after(5):
        (answer,) = await ask(guarded, KINDS["SSE"]._replace(limit=asked), secret, limited=True, clients=1)
    assert last_error("SSE", answer.body)["code"] == 429
    assert Decimal(account(guarded, secret).spend_pico) / 10**12 <= most
    assert account(guarded, secret).reserved_pico == 0
