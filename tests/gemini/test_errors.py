"""What the gateway says no with, held against the contract's table."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st
from rig.cases import cases

from gatekeeper.gemini.errors import error_body, error_document, error_event, error_headers
from gatekeeper.gemini.splitters import Delimiters
from gatekeeper.refusals import STATUS, Reason, Refusal

CONTRACT = {
    "GATEKEEPER_BAD_REQUEST": (400, "INVALID_ARGUMENT"),
    "GATEKEEPER_KEY_MISSING": (401, "UNAUTHENTICATED"),
    "GATEKEEPER_KEY_UNKNOWN": (401, "UNAUTHENTICATED"),
    "GATEKEEPER_KEY_BLOCKED": (403, "PERMISSION_DENIED"),
    "GATEKEEPER_KEY_EXPIRED": (403, "PERMISSION_DENIED"),
    "GATEKEEPER_MODEL_NOT_ALLOWED": (403, "PERMISSION_DENIED"),
    "GATEKEEPER_MODEL_UNPRICED": (403, "PERMISSION_DENIED"),
    "GATEKEEPER_ROUTE_NOT_ALLOWED": (403, "PERMISSION_DENIED"),
    "GATEKEEPER_POLICY": (403, "PERMISSION_DENIED"),
    "GATEKEEPER_NOT_FOUND": (404, "NOT_FOUND"),
    "GATEKEEPER_TOO_LARGE": (413, "INVALID_ARGUMENT"),
    "GATEKEEPER_RATE_LIMITED": (429, "RESOURCE_EXHAUSTED"),
    "GATEKEEPER_BUDGET_EXCEEDED": (429, "RESOURCE_EXHAUSTED"),
    "GATEKEEPER_TOO_MANY_PARALLEL": (429, "RESOURCE_EXHAUSTED"),
    "GATEKEEPER_UPSTREAM_UNREACHABLE": (502, "UNAVAILABLE"),
    "GATEKEEPER_UPSTREAM_KEY_INVALID": (502, "UNAVAILABLE"),
    "GATEKEEPER_DRAINING": (503, "UNAVAILABLE"),
    "GATEKEEPER_UPSTREAM_TIMEOUT": (504, "DEADLINE_EXCEEDED"),
    # Ours, beside the contract's: a call that could not be recorded is not made.
    "GATEKEEPER_LEDGER_FULL": (503, "UNAVAILABLE"),
}


@cases("reason", Reason)
def test_every_reason_is_answered_as_the_contract_says(reason: Reason) -> None:
    assert STATUS[reason] == CONTRACT[reason.value]
    refusal = Refusal(reason, "No.")
    error = error_document(refusal)["error"]
    assert (error["code"], error["status"]) == CONTRACT[reason.value]
    assert refusal.status == error["code"]


def test_the_document_has_googles_shape() -> None:
    refusal = Refusal(Reason.KEY_BLOCKED, "This key is blocked.", {"token_id": "key_1"})
    assert json.loads(error_body(refusal)) == {
        "error": {
            "code": 403,
            "message": "This key is blocked.",
            "status": "PERMISSION_DENIED",
            "details": [
                {
                    "@type": "type.googleapis.com/google.rpc.ErrorInfo",
                    "reason": "GATEKEEPER_KEY_BLOCKED",
                    "domain": "gatekeeper",
                    "metadata": {"token_id": "key_1"},
                }
            ],
        }
    }


def test_the_headers_fit_the_body() -> None:
    refusal = Refusal(Reason.BAD_REQUEST, "Nö.")
    body = error_body(refusal)
    assert error_headers(refusal, body) == [
        (b"content-type", b"application/json; charset=UTF-8"),
        (b"content-length", str(len(body)).encode()),
    ]


@cases("reason", Reason)
def test_a_401_says_how_to_authenticate(reason: Reason) -> None:
    """RFC 9110 §15.5.2."""
    refusal = Refusal(reason, "No.")
    challenge = dict(error_headers(refusal, b"")).get(b"www-authenticate")
    assert challenge == (b'Bearer realm="gatekeeper"' if refusal.status == 401 else None)


@given(st.floats(0, 1e10))
def test_the_body_tells_every_wait_in_whole_seconds_and_never_too_short(seconds: float) -> None:
    refusal = Refusal(Reason.BUDGET_EXCEEDED, "Spent.", retry_after=seconds)
    *_, retry_info = error_document(refusal)["error"]["details"]
    told = int(retry_info["retryDelay"].removesuffix("s"))
    assert 0 <= told - seconds <= 1
    assert retry_info == {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": f"{told}s"}
    headers = dict(error_headers(refusal, b""))
    assert headers.get(b"retry-after") == (b"%d" % told if seconds <= 60 else None)
    assert headers.get(b"x-should-retry") == (None if seconds <= 60 else b"false")


@cases("reason", Reason)
def test_clients_are_told_to_give_up_where_only_a_person_can_help(reason: Reason) -> None:
    headers = dict(error_headers(Refusal(reason, "No."), b""))
    hopeless = (Reason.BUDGET_EXCEEDED, Reason.TOO_MANY_PARALLEL, Reason.UPSTREAM_KEY_INVALID)
    assert (headers.get(b"x-should-retry") == b"false") == (reason in hopeless)
    assert b"retry-after" not in headers


@given(st.text(st.characters(codec="utf-8")))
def test_whatever_it_says_it_is_one_event(message: str) -> None:
    refusal = Refusal(Reason.DRAINING, message)
    event = error_event(refusal, Delimiters(b"data: ", b"\r\n\r\n"))
    assert event.startswith(b"data: ")
    assert event.endswith(b"\r\n\r\n")
    data = event[6:-4]
    assert not {b"\r"[0], b"\n"[0]} & set(data)
    assert json.loads(data) == error_document(refusal)
