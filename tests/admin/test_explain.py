"""What `/key/explain` says is what a real call gets, and asking changes nothing."""

from __future__ import annotations

from time import time_ns
from typing import Any

import pytest
from rig.cases import cases

from gatekeeper.google_key import GoogleKey
from gatekeeper.ledger.call import CallRecord, CreatedResources, Outcome

MODEL = "gemini-2.5-flash"
PATH = f"/v1beta/models/{MODEL}:generateContent"
BODY = {"contents": [{"parts": [{"text": ""}]}]}

# A key's fields, the question, the body of the same call, and the reason by which both are refused.
CASES: list[tuple[dict[str, Any], dict[str, Any], dict[str, Any], str]] = [
    ({"blocked": True}, {}, BODY, "GATEKEEPER_KEY_BLOCKED"),
    ({"models": ["gemini-2.5-pro"]}, {}, BODY, "GATEKEEPER_MODEL_NOT_ALLOWED"),
    ({"allowed_routes": ["embedContent"]}, {}, BODY, "GATEKEEPER_ROUTE_NOT_ALLOWED"),
    ({"max_budget": 0}, {}, BODY, "GATEKEEPER_BUDGET_EXCEEDED"),
    ({"max_output_tokens": 100}, {}, BODY, "GATEKEEPER_POLICY"),
    (
        {"max_output_tokens": 100},
        {"max_output_tokens": 200},
        {**BODY, "generationConfig": {"maxOutputTokens": 200}},
        "GATEKEEPER_POLICY",
    ),
    ({"searches": False}, {"body": {**BODY, "tools": [{"googleSearch": {}}]}}, {}, "GATEKEEPER_POLICY"),
    ({"allowed_ips": ["192.0.2.0/24"]}, {"address": "127.0.0.1"}, BODY, "GATEKEEPER_POLICY"),
    ({"max_budget": 5}, {"path": "/v1beta/interactions", "body": {}}, {}, "GATEKEEPER_ROUTE_NOT_ALLOWED"),
    ({}, {"path": "/v1beta/models//x:generateContent"}, BODY, "GATEKEEPER_BAD_REQUEST"),
]


@cases(("fields", "question", "body", "reason"), CASES)
async def test_a_refusal_is_that_of_a_real_call(admin, fields, question, body, reason) -> None:
    key = await admin.post("/key/generate", fields)
    shape = {} if "path" in question else {"model": MODEL}
    explained = await admin.post("/key/explain", {"key": key["token_id"], **shape, **question})
    assert explained["admitted"] is False
    error = explained["refusal"]["error"]
    assert error["details"][0]["reason"] == reason
    path = question.get("path", PATH)
    answer = await admin.client.post(
        f"/gemini{path}", json=question.get("body", body), headers={"x-goog-api-key": key["key"]}
    )
    assert (answer.status_code, answer.json()["error"]) == (error["code"], error)
    assert explained["reserves"] is None


async def assert_both_are_refused(admin, key, question, reason) -> None:
    explained = await admin.post("/key/explain", {"key": key["token_id"], **question})
    assert explained["refusal"]["error"]["details"][0]["reason"] == reason
    answer = await admin.client.request(
        question.get("method", "POST"),
        f"/gemini{question.get('path', PATH)}",
        json=question.get("body", BODY),
        headers={"x-goog-api-key": key["key"]},
    )
    assert answer.json()["error"] == explained["refusal"]["error"]


async def test_a_key_that_may_do_nothing_is_not_told_whose_a_file_is(admin) -> None:
    other, key = [await admin.post("/key/generate", {"blocked": blocked}) for blocked in (False, True)]
    made = CallRecord(
        id="m", started_at=1, method="POST", path="/", outcome=Outcome.OK, key_id=other["token_id"]
    )
    made.made = CreatedResources(("files/x",))
    admin.gateway.proxy.context.owners.apply(made)
    question = {"path": "/v1beta/files/x", "method": "GET"}
    await assert_both_are_refused(admin, key, question, "GATEKEEPER_KEY_BLOCKED")


@pytest.mark.parametrize(
    "question",
    [{"model": MODEL}, {"path": "/v1beta/interactions", "body": {"model": MODEL, "input": "x"}}],
)
async def test_a_model_that_no_google_key_is_for(admin, question) -> None:
    pool = admin.gateway.google_keys.pool
    pool.add(GoogleKey(label="pro", secret="x", project="pro", models=("gemini-2.5-pro",)))
    pool.remove("#1")
    key = await admin.post("/key/generate", {})
    await assert_both_are_refused(admin, key, question, "GATEKEEPER_MODEL_NOT_ALLOWED")


async def test_an_admitted_call_is_told_what_it_reserves_and_what_is_left(admin) -> None:
    key = await admin.post("/key/generate", {"key_alias": "web", "max_budget": 5, "budget_duration": "1d"})
    admin.gateway.registry.by_id(key["token_id"]).spend_pico = 10**12
    explained = await admin.post("/key/explain", {"key": "web", "model": MODEL, "max_output_tokens": 10})
    assert (explained["admitted"], explained["refusal"]) == (True, None)
    assert (explained["action"], explained["model"]) == ("generateContent", MODEL)
    assert 0 < float(explained["reserves"]) < 5
    (left,) = explained["left"]
    assert (left["whose"], left["limit"]) == ("The key web", "max_budget")
    assert (float(left["value"]), float(left["used"]), float(left["left"])) == (5, 1, 4)
    assert left["resets_at"]


async def test_a_call_that_would_wait_for_others_is_told_so(admin) -> None:
    key = await admin.post("/key/generate", {"key_alias": "web", "max_budget": 5})
    state = admin.gateway.registry.by_id(key["token_id"])
    state.reserved_pico = 5 * 10**12
    explained = await admin.post("/key/explain", {"key": "web", "model": MODEL, "max_output_tokens": 10})
    assert (explained["admitted"], explained["waits"], explained["reserves"]) == (True, True, None)
    assert (float(explained["left"][0]["used"]), float(explained["left"][0]["left"])) == (5, 0)
    assert state.reserved_pico == 5 * 10**12


async def test_rates_are_told_and_refuse_as_they_would_refuse_a_call(admin) -> None:
    limits = {"key_alias": "web", "rpm_limit": 2, "tpm_limit": 1000, "max_parallel_requests": 3}
    key = await admin.post("/key/generate", {**limits, "model_rpm_limit": {"gemini-2.5*": 5, "other": 1}})
    question = {"key": "web", "model": MODEL, "input_tokens": 100, "max_output_tokens": 100}
    for _ in range(3):
        explained = await admin.post("/key/explain", question)
        assert explained["admitted"] is True
        assert [(left["limit"], left["value"], left["left"]) for left in explained["left"]] == [
            ("rpm_limit", 2, 2),
            ("tpm_limit", 1000, 1000),
            ("max_parallel_requests", 3, 3),
            ("model_rpm_limit", 5, 5),
        ]
    for _ in range(2):
        await admin.client.post(f"/gemini{PATH}", json=BODY, headers={"x-goog-api-key": key["key"]})
    explained = await admin.post("/key/explain", question)
    error = explained["refusal"]["error"]
    assert (error["code"], error["details"][0]["reason"]) == (429, "GATEKEEPER_RATE_LIMITED")
    assert explained["left"][0]["left"] == 0


async def test_asking_changes_nothing(admin) -> None:
    limits = {"max_budget": 5, "rpm_limit": 100, "tpm_limit": 10**6, "max_parallel_requests": 1}
    key = await admin.post("/key/generate", {"key_alias": "web", "tags": ["a"], **limits})
    before = await admin.get("/key/info", key="web")
    for number in range(20):
        await admin.post("/key/explain", {"key": "web", "model": MODEL, "input_tokens": number * 1000})
    assert await admin.get("/key/info", key="web") == before
    left = (await admin.post("/key/explain", {"key": "web", "model": MODEL}))["left"]
    assert [each["left"] for each in left[1:]] == [100, 10**6, 1]
    assert (await admin.get("/calls"))["calls"] == []
    assert not admin.ledger.events.in_flight
    assert admin.gateway.registry.by_id(key["token_id"]).reserved_pico == 0


@cases(
    ("question", "field"),
    [
        ({}, "key"),
        ({"key": 1, "model": MODEL}, "key"),
        ({"key": "web"}, "model"),
        ({"key": "web", "model": ""}, "model"),
        ({"key": "web", "model": MODEL, "path": PATH}, "path"),
        ({"key": "web", "model": MODEL, "input_tokens": -1}, "input_tokens"),
        ({"key": "web", "model": MODEL, "input_tokens": True}, "input_tokens"),
        ({"key": "web", "model": MODEL, "max_output_tokens": 1.5}, "max_output_tokens"),
        ({"key": "web", "model": MODEL, "tags": "a"}, "tags"),
        ({"key": "web", "model": MODEL, "tags": [1]}, "tags"),
        ({"key": "web", "model": MODEL, "address": "here"}, "address"),
        ({"key": "web", "path": PATH, "body": []}, "body"),
        ({"key": "web", "path": PATH, "body": {}, "input_tokens": 1}, "body"),
        ({"key": "web", "model": MODEL, "nope": 1}, "nope"),
    ],
)
async def test_a_question_that_is_none_is_refused_by_field(admin, question, field) -> None:
    await admin.client.post("/key/generate", json={"key_alias": "web"})  # which has it from the first case on
    answer = await admin.client.post("/key/explain", json=question)
    assert (answer.status_code, answer.json()["field"]) == (400, field)


async def test_a_key_that_does_not_exist_is_not_found(admin) -> None:
    answer = await admin.client.post("/key/explain", json={"key": "nobody", "model": MODEL})
    assert answer.status_code == 404


async def test_an_expired_key_is_told_when(admin) -> None:
    key = await admin.post("/key/generate", {"duration": "1h"})
    state = admin.gateway.registry.by_id(key["token_id"])
    state.record = type(state.record)(
        token_id=state.record.token_id,
        secret_hash=state.record.secret_hash,
        key_name=state.record.key_name,
        created_at=1,
        updated_at=1,
        expires_at=time_ns() // 1000 - 1,
    )
    explained = await admin.post("/key/explain", {"key": key["token_id"], "model": MODEL})
    assert explained["refusal"]["error"]["details"][0]["reason"] == "GATEKEEPER_KEY_EXPIRED"
