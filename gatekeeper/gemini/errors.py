"""What the gateway itself says no with, in Google's error shape, so that SDKs raise what they know.

The table below is the contract's: a reason, the HTTP status it is sent with and the canonical status of
google.rpc.Code (https://github.com/googleapis/googleapis/blob/master/google/rpc/code.proto).
"""

from __future__ import annotations

import math
from enum import StrEnum
from typing import Any, NamedTuple

import msgspec

from gatekeeper.gemini.reading import Seam


class Reason(StrEnum):
    """The contract's error reasons, as they stand in `details[].reason` and in the column `reason`."""

    BAD_REQUEST = "GATEKEEPER_BAD_REQUEST"
    KEY_MISSING = "GATEKEEPER_KEY_MISSING"
    KEY_UNKNOWN = "GATEKEEPER_KEY_UNKNOWN"
    KEY_BLOCKED = "GATEKEEPER_KEY_BLOCKED"
    KEY_EXPIRED = "GATEKEEPER_KEY_EXPIRED"
    MODEL_NOT_ALLOWED = "GATEKEEPER_MODEL_NOT_ALLOWED"
    MODEL_UNPRICED = "GATEKEEPER_MODEL_UNPRICED"
    ROUTE_NOT_ALLOWED = "GATEKEEPER_ROUTE_NOT_ALLOWED"
    POLICY = "GATEKEEPER_POLICY"
    NOT_FOUND = "GATEKEEPER_NOT_FOUND"
    TOO_LARGE = "GATEKEEPER_TOO_LARGE"
    BUDGET_EXCEEDED = "GATEKEEPER_BUDGET_EXCEEDED"
    UPSTREAM_UNREACHABLE = "GATEKEEPER_UPSTREAM_UNREACHABLE"
    UPSTREAM_KEY_INVALID = "GATEKEEPER_UPSTREAM_KEY_INVALID"
    UPSTREAM_TIMEOUT = "GATEKEEPER_UPSTREAM_TIMEOUT"
    DRAINING = "GATEKEEPER_DRAINING"
    LEDGER_FULL = "GATEKEEPER_LEDGER_FULL"


class HttpStatus(NamedTuple):
    """An HTTP status code with its google.rpc.Code name."""

    code: int
    status: str


STATUS: dict[Reason, HttpStatus] = {
    Reason.BAD_REQUEST: HttpStatus(400, "INVALID_ARGUMENT"),
    Reason.KEY_MISSING: HttpStatus(401, "UNAUTHENTICATED"),
    Reason.KEY_UNKNOWN: HttpStatus(401, "UNAUTHENTICATED"),
    Reason.KEY_BLOCKED: HttpStatus(403, "PERMISSION_DENIED"),
    Reason.KEY_EXPIRED: HttpStatus(403, "PERMISSION_DENIED"),
    Reason.MODEL_NOT_ALLOWED: HttpStatus(403, "PERMISSION_DENIED"),
    Reason.MODEL_UNPRICED: HttpStatus(403, "PERMISSION_DENIED"),
    Reason.ROUTE_NOT_ALLOWED: HttpStatus(403, "PERMISSION_DENIED"),
    Reason.POLICY: HttpStatus(403, "PERMISSION_DENIED"),
    Reason.NOT_FOUND: HttpStatus(404, "NOT_FOUND"),
    Reason.TOO_LARGE: HttpStatus(413, "INVALID_ARGUMENT"),
    Reason.BUDGET_EXCEEDED: HttpStatus(429, "RESOURCE_EXHAUSTED"),
    Reason.UPSTREAM_UNREACHABLE: HttpStatus(502, "UNAVAILABLE"),
    Reason.UPSTREAM_KEY_INVALID: HttpStatus(502, "UNAVAILABLE"),
    Reason.UPSTREAM_TIMEOUT: HttpStatus(504, "DEADLINE_EXCEEDED"),
    Reason.DRAINING: HttpStatus(503, "UNAVAILABLE"),
    Reason.LEDGER_FULL: HttpStatus(503, "UNAVAILABLE"),
}


LONGEST_HEADER = 60  # seconds; some clients sleep a longer `Retry-After` in full, for days, without a word

# Their statuses (429, 502) make clients try again; without a time only a person can change anything.
FOR_A_PERSON = frozenset({Reason.BUDGET_EXCEEDED, Reason.UPSTREAM_KEY_INVALID})


class Refusal(msgspec.Struct, frozen=True):
    """A "no" of the gateway's own. `message` is for the person at the other end and holds no secret;
    `retry_after` is seconds, the true time however long, given only where waiting helps."""

    reason: Reason
    message: str
    metadata: dict[str, str] = {}
    retry_after: float | None = None

    @property
    def status(self) -> int:
        """The HTTP status that the client is sent."""
        return STATUS[self.reason].code


def error_document(refusal: Refusal) -> dict[str, Any]:
    """The refusal as google.rpc.Status in JSON, with an ErrorInfo and, where waiting helps, a RetryInfo
    (https://github.com/googleapis/googleapis/blob/master/google/rpc/error_details.proto)."""
    code, status = STATUS[refusal.reason]
    details: list[dict[str, Any]] = [
        {
            "@type": "type.googleapis.com/google.rpc.ErrorInfo",
            "reason": refusal.reason.value,
            "domain": "gatekeeper",
            "metadata": refusal.metadata,
        }
    ]
    if refusal.retry_after is not None:
        details.append(
            {
                "@type": "type.googleapis.com/google.rpc.RetryInfo",
                "retryDelay": f"{math.ceil(refusal.retry_after)}s",
            }
        )
    return {"error": {"code": code, "message": refusal.message, "status": status, "details": details}}


def error_body(refusal: Refusal) -> bytes:
    """The document as it is sent, indented as Google's is."""
    return msgspec.json.format(msgspec.json.encode(error_document(refusal)), indent=2) + b"\n"


def error_headers(refusal: Refusal, body: bytes) -> list[tuple[bytes, bytes]]:
    """Response headers that go with `error_body`. A short wait is told as `Retry-After` in whole seconds
    (RFC 9110 §10.2.3). Of a longer one only the body tells: the header says, to clients that know it, to
    give up."""
    headers = [
        (b"content-type", b"application/json; charset=UTF-8"),
        (b"content-length", b"%d" % len(body)),
    ]
    wait = refusal.retry_after
    if wait is not None and wait <= LONGEST_HEADER:
        headers.append((b"retry-after", b"%d" % math.ceil(wait)))
    elif wait is not None or refusal.reason in FOR_A_PERSON:
        headers.append((b"x-should-retry", b"false"))
    return headers


def error_event(refusal: Refusal, seam: Seam) -> bytes:
    """The refusal as the last event, or the last element of an array, of a stream that the gateway cuts."""
    return seam.before + msgspec.json.encode(error_document(refusal)) + seam.after
