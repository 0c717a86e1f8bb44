"""The client against a gateway over HTTP: what it asks, what it reads, and how it says what went wrong."""

from __future__ import annotations

import asyncio
import json
from contextlib import aclosing
from decimal import Decimal

import pytest
from rig.cases import cases

from gatekeeper.client import api_errors, call_types
from gatekeeper.client.admin_api import Client

SECRET = "sk-master-0123456789"


def ask(gateway, answers, question, key=SECRET):
    """The answer to a question, and what the gateway was asked."""

    async def run():
        async with gateway(answers) as served, Client(served.url, key) as client:
            return await question(client), served.requests

    return asyncio.run(run())


def test_calls_are_asked_for_with_what_was_given_and_nothing_else(gateway, sample):
    answer, (asked,) = ask(gateway, sample(), lambda client: client.calls("tag:a,b status:4xx", limit=5))
    assert asked.query == {"q": "tag:a,b status:4xx", "limit": "5"}
    assert asked.headers["authorization"] == f"Bearer {SECRET}"
    assert answer.value.calls[-1].cost_usd == Decimal("0.001126600000")
    assert answer.value.calls[-1].tags == ("checkout", "eu")
    assert json.loads(answer.raw) == sample()["GET /calls"]


def test_open_mode_sends_no_key(gateway, sample):
    _, (asked,) = ask(gateway, sample(), lambda client: client.calls(), key=None)
    assert "authorization" not in asked.headers


def test_one_call_comes_with_its_usage_and_arithmetic(gateway, sample):
    answer, _ = ask(gateway, sample(), lambda client: client.call("01a20dab-04ca-7c40-9d0a-5f1d9c1c0001"))
    assert answer.value.usage["totalTokenCount"] == 1616
    assert [line.usd for line in answer.value.cost.lines] == [
        Decimal("0.0000672"),
        Decimal("0.0000294"),
        Decimal("0.00103"),
    ]


def test_a_quote_has_exact_amounts_and_unknown_is_none(gateway):
    line = {"component": "input_text", "quantity": "1000", "unit": "per_1m_tokens", "unit_usd": "0.3"}
    document = {"model": "m", "cost_usd": "0.0003", "lines": [{**line, "usd": "0.0003"}]}
    document |= {"price_version": "v", "notes": []}
    answers = {"POST /prices/quote": document}
    answer, (asked,) = ask(gateway, answers, lambda client: client.quote({"model": "m", "input": 1000}))
    assert asked.body == {"model": "m", "input": 1000}
    assert answer.value.cost_usd == answer.value.lines[0].usd == Decimal("0.0003")
    answers = {"POST /prices/quote": {**document, "cost_usd": None, "lines": [], "notes": ["why"]}}
    answer, _ = ask(gateway, answers, lambda client: client.quote({"model": "m", "input": 1}))
    assert (answer.value.cost_usd, answer.value.notes) == (None, ("why",))


def test_names_of_models_are_those_with_a_price_the_ones_in_use_first(gateway):
    seen = [{"model": "b", "priced": True}, {"model": "x", "priced": False}]
    answers = {"GET /models": {"seen": seen, "priced": ["a", "b", "c-*"]}}
    answer, _ = ask(gateway, answers, lambda client: client.models())
    assert answer.value.names() == ["b", "a"]


def test_an_id_cannot_leave_its_place_in_the_path(gateway):
    _, (asked,) = ask(
        gateway, {"GET /calls/..%2Fkey%2Flist%3Fx": {}}, lambda client: client.call("../key/list?x")
    )
    assert asked.path == "/calls/..%2Fkey%2Flist%3Fx"


def test_unknown_fields_are_left_out_and_missing_ones_are_none(gateway):
    answer, _ = ask(
        gateway, {"GET /calls": {"calls": [{"id": "x", "novel": [1]}]}}, lambda client: client.calls()
    )
    assert answer.value == call_types.Calls(calls=(call_types.Call(id="x"),))


POSTS = [
    (
        "/key/generate",
        lambda c: c.key_generate({"key_alias": "a", "max_budget": 5}),
        {"key_alias": "a", "max_budget": 5},
    ),
    ("/key/update", lambda c: c.key_update("a", {"rpm_limit": 6}), {"key": "a", "rpm_limit": 6}),
    ("/key/delete", lambda c: c.key_delete("a"), {"token_ids": ["a"]}),
    ("/key/delete", lambda c: c.key_delete("a", "b"), {"token_ids": ["a", "b"]}),
    ("/key/block", lambda c: c.key_block("a"), {"key": "a"}),
    ("/key/unblock", lambda c: c.key_unblock("a"), {"key": "a"}),
    ("/key/regenerate", lambda c: c.key_regenerate("a"), {"key": "a"}),
    ("/sql", lambda c: c.sql("SELECT 1", limit=3), {"query": "SELECT 1", "limit": 3}),
    ("/sql", lambda c: c.sql("SELECT 1"), {"query": "SELECT 1"}),
]


@pytest.mark.parametrize(("path", "question", "body"), POSTS)
def test_changes_are_posted(gateway, path, question, body):
    answer, (asked,) = ask(gateway, {f"POST {path}": {"key": "sk-x", "token_id": "t"}}, question)
    assert (asked.method, asked.path, asked.body) == ("POST", path, body)
    assert asked.headers["content-type"] == "application/json"
    assert json.loads(answer.raw) == {"key": "sk-x", "token_id": "t"}


GETS = [
    ("/key/list", lambda c: c.keys(q="web", sort="spend"), {"q": "web", "sort": "spend"}),
    ("/key/info", lambda c: c.key_info("web frontend"), {"key": "web frontend"}),
    (
        "/spend",
        lambda c: c.spend("day,tag", since="30d", q="key:a"),
        {"by": "day,tag", "since": "30d", "q": "key:a"},
    ),
    ("/", lambda c: c.root(), {}),
]


@pytest.mark.parametrize(("path", "question", "query"), GETS)
def test_questions_are_asked(gateway, path, question, query):
    _, (asked,) = ask(gateway, {f"GET {path}": {}}, question)
    assert (asked.path, asked.query) == (path, query)


@pytest.mark.parametrize(("status", "ready"), [(200, True), (503, False)])
def test_not_being_ready_is_an_answer(gateway, status, ready):
    answer, _ = ask(
        gateway, {"GET /readyz": (status, {"reasons": ["draining"]})}, lambda client: client.ready()
    )
    assert answer.value is ready
    assert json.loads(answer.raw) == {"reasons": ["draining"]}


def test_a_new_secret_does_not_show_when_the_key_is_printed(gateway):
    made = {"POST /key/generate": {"key": SECRET, "token_id": "t", "key_alias": "a"}}
    answer, _ = ask(gateway, made, lambda client: client.key_generate({}))
    assert answer.value.key == SECRET
    assert SECRET not in repr(answer.value)


FAILURES = [
    (
        401,
        {"title": "Unauthorized"},
        api_errors.Unauthorized,
        "does not accept the key that it was sent: check --key or GATEKEEPER_MASTER_KEY",
    ),
    (
        403,
        {"detail": "That is a virtual key."},
        api_errors.Unauthorized,
        "That is a virtual key. Use the master key",
    ),
    (404, {"detail": "No call has this id."}, api_errors.NotFound, "No call has this id."),
    (404, b"nothing", api_errors.ServerError, "is not a gatekeeper gateway"),
    (
        400,
        {"title": "Bad", "detail": "limit is at most 1000"},
        api_errors.BadRequest,
        "limit is at most 1000",
    ),
    (409, {"title": "The alias is taken"}, api_errors.BadRequest, "The alias is taken"),
    (422, {}, api_errors.BadRequest, "refused the request (422)"),
    (500, {"detail": "The disk is full."}, api_errors.ServerError, "failed (500). The disk is full."),
    (503, b"<html>", api_errors.ServerError, "failed (503)"),
    (302, b"", api_errors.ServerError, "is not a gatekeeper gateway"),
    (200, b"<html>", api_errors.ServerError, "is not a gatekeeper gateway"),
    (200, {"calls": "many"}, api_errors.ServerError, "is not a gatekeeper gateway"),
]


@pytest.mark.parametrize(("status", "document", "kind", "said"), FAILURES)
def test_failures_say_what_happened_and_what_to_do(gateway, status, document, kind, said):
    with pytest.raises(kind) as caught:
        ask(gateway, {"GET /calls": (status, document)}, lambda client: client.calls())
    assert said in str(caught.value)
    assert isinstance(caught.value, api_errors.ApiError)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    ("problem", "column"),
    [
        ({"detail": "no field foo", "column": 5}, 5),
        ({"detail": "at column 12: no field foo"}, 12),
        ({"detail": "no"}, None),
    ],
)
def test_a_refused_filter_points_at_its_column(gateway, problem, column):
    with pytest.raises(api_errors.BadRequest) as caught:
        ask(gateway, {"GET /calls": (400, problem)}, lambda client: client.calls("x"))
    assert caught.value.problem.column == column


@cases("url", ["localhost:4000", "ftp://x", "http://", "http://[", "", "http://x:999999"])
def test_an_address_that_is_none(url):
    with pytest.raises(api_errors.BadRequest, match="is not an address of a gateway"):
        Client(url)


def test_nobody_there():
    async def run():
        async with Client("http://127.0.0.1:1") as client:
            await client.root()

    with pytest.raises(api_errors.Unreachable, match="Start one with `gatekeeper serve`"):
        asyncio.run(run())


def test_a_connection_that_breaks_off(gateway):
    async def run():
        async with gateway({}) as served, Client(served.url) as client:
            served.hold()
            asked = asyncio.create_task(client.root())
            await served.arrival.wait()
            await served.stop()
            await asked

    with pytest.raises(api_errors.Unreachable, match="was interrupted"):
        asyncio.run(run())


def test_a_key_that_no_header_carries_is_not_quoted():
    async def run():
        async with Client("http://127.0.0.1:1", "sk-secret\nx") as client:
            await client.root()

    with pytest.raises(api_errors.ApiError) as caught:
        asyncio.run(run())
    assert "sk-secret" not in str(caught.value)


def stream(gateway, publish, take, **asked):
    """The first events of a stream, and the request for it."""

    async def run():
        async with gateway() as served, Client(served.url) as client:
            publish(served)
            got = []
            async with aclosing(client.stream(**asked)) as events:
                async for event in events:
                    got.append(event)
                    if len(got) == take:
                        break
            return got, served.requests[0]

    return asyncio.run(asyncio.wait_for(run(), 5))


def publish_all(served):
    served.publish("call.started", {"id": "x", "outcome": None})
    served.publish("call.finished", {"id": "x", "outcome": "ok", "cost_usd": "0.1"})
    served.publish("call.amended", {"id": "x", "outcome": "ok", "cost_usd": "0.2"})
    served.publish("novelty", {"what": "ever"})
    served.publish("gap", {"missed": 12})
    served.publish("tick", {"calls": 1, "errors": 0, "in_flight": 3, "tokens": 9, "cost_usd": None})


def test_a_stream_is_resumed_and_gives_typed_events(gateway):
    events, asked = stream(gateway, publish_all, 5, q="tag:a", last_event_id="0")
    assert (asked.query, asked.headers["last-event-id"]) == ({"q": "tag:a"}, "0")
    assert [type(event) for event in events] == [
        call_types.CallStarted,
        call_types.CallFinished,
        call_types.CallAmended,
        call_types.StreamGap,
        call_types.StreamTick,
    ]
    assert [event.id for event in events] == ["1", "2", "3", "5", "6"]
    assert events[1].value.cost_usd == Decimal("0.1")
    assert events[3].value.missed == 12
    assert json.loads(events[4].raw)["in_flight"] == 3


def test_a_stream_resumes_after_the_last_event(gateway):
    events, _ = stream(gateway, publish_all, 1, last_event_id="5")
    assert isinstance(events[0], call_types.StreamTick)


def test_opening_a_stream_is_told_before_any_event(gateway):
    told = []
    stream(gateway, publish_all, 1, last_event_id="0", on_open=lambda: told.append("open"))
    assert told == ["open"]


BROKEN_STREAMS = [
    ((401, {}), api_errors.Unauthorized),
    ((400, {"detail": "column 3"}), api_errors.BadRequest),
    ({"not": "a stream"}, api_errors.ServerError),
]


@pytest.mark.parametrize(("answer", "kind"), BROKEN_STREAMS)
def test_a_stream_that_is_none(gateway, answer, kind):
    async def run():
        async with gateway({"GET /calls/stream": answer}) as served, Client(served.url) as client:
            await anext(client.stream())

    with pytest.raises(kind):
        asyncio.run(run())


def test_an_event_that_is_no_document(gateway):
    with pytest.raises(api_errors.ServerError):
        stream(gateway, lambda served: served.publish("gap", "many"), 1, last_event_id="0")
