"""`gatekeeper keys explain`: what is asked, what is shown, and the exit status."""

from __future__ import annotations

from typing import Any

LEFT = {
    "whose": "The group shop",
    "limit": "max_budget",
    "value": "50.000000000000",
    "used": "48.500000000000",
    "left": "1.500000000000",
    "resets_at": "2099-01-01T12:30:00Z",
}
RATE = {"whose": "The key ci", "limit": "rpm_limit", "value": 600, "used": 12, "left": 588, "resets_at": None}
ADMITTED = {
    "admitted": True,
    "action": "generateContent",
    "model": "gemini-2.5-pro",
    "refusal": None,
    "reserves": "0.002860000000",
    "left": [LEFT, RATE],
}
REFUSED = {
    **ADMITTED,
    "admitted": False,
    "reserves": None,
    "refusal": {
        "error": {
            "code": 429,
            "message": "The group shop has spent its budget: wait.",
            "status": "RESOURCE_EXHAUSTED",
            "details": [{"reason": "GATEKEEPER_BUDGET_EXCEEDED"}, {"retryDelay": "17s"}],
        }
    },
    "left": [],
}


def test_an_admitted_call_is_shown_with_what_is_left(on: Any, gateway: Any) -> None:
    gateway.answers = {"POST /key/explain": ADMITTED}
    ended = on(
        "keys", "explain", "ci", "--model", "gemini-2.5-pro", "--max-output-tokens", "1024", "--tags", "a, b",
        "--input-tokens", "200", "--user", "ann", "--address", "192.0.2.7",
    )  # fmt: skip
    assert gateway.asked[0].body == {
        "key": "ci",
        "model": "gemini-2.5-pro",
        "max_output_tokens": 1024,
        "input_tokens": 200,
        "tags": ["a", "b"],
        "user_id": "ann",
        "address": "192.0.2.7",
    }
    assert ended.status == 0
    assert (
        ended.out
        == """\
call      generateContent gemini-2.5-pro
admitted  yes
reserves  $0.0029

whose           limit        of    used   left  resets
The group shop  max_budget  $50  $48.50  $1.50  2099-01-01 12:30:00.000Z
The key ci      rpm_limit   600      12    588
"""
    )


def test_a_refusal_is_shown_with_its_reason_and_its_wait_and_has_a_status_of_its_own(
    on: Any, gateway: Any
) -> None:
    gateway.answers = {"POST /key/explain": REFUSED}
    ended = on("keys", "explain", "ci", "--path", "/v1beta/interactions")
    assert gateway.asked[0].body == {"key": "ci", "path": "/v1beta/interactions"}
    assert ended.status == 7
    assert (
        ended.out
        == """\
call      generateContent gemini-2.5-pro
admitted  no: 429 GATEKEEPER_BUDGET_EXCEEDED
why       The group shop has spent its budget: wait.
wait      17s
"""
    )


def test_the_document_is_printed_as_it_came_with_the_same_status(on: Any, gateway: Any) -> None:
    gateway.answers = {"POST /key/explain": REFUSED}
    ended = on("keys", "explain", "ci", "--model", "m", "--json")
    assert (ended.status, ended.document) == (7, REFUSED)


def test_the_whole_request_may_be_given(on: Any, gateway: Any) -> None:
    gateway.answers = {"POST /key/explain": ADMITTED}
    on("keys", "explain", "ci", "--model", "gemini-2.5-pro", "--body", '{"store": false}')
    assert gateway.asked[0].body == {"key": "ci", "model": "gemini-2.5-pro", "body": {"store": False}}
    ended = on("keys", "explain", "ci", "--body", "{")
    assert (ended.status, len(gateway.asked)) == (2, 1)
    assert "no JSON" in ended.err
