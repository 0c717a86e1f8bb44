"""A refusal in Google's error shape, so that SDKs raise what they know: as a body, as an event."""

from __future__ import annotations

import math

import msgspec

from gatekeeper.gemini.splitters import Seam
from gatekeeper.refusals import FOR_A_PERSON, STATUS, Refusal

# Seconds. Some clients sleep a longer `Retry-After` in full, for days, without a word
LONGEST_HEADER = 60


def error_document(refusal: Refusal) -> dict[str, object]:
    """The refusal as google.rpc.Status in JSON, with an ErrorInfo and, where waiting helps, a RetryInfo
    (https://github.com/googleapis/googleapis/blob/master/google/rpc/error_details.proto)."""
    code, status = STATUS[refusal.reason]
    details: list[dict[str, object]] = [
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
        # Up, never down: a client that comes a moment early would be refused again.
        headers.append((b"retry-after", b"%d" % math.ceil(wait)))
    elif wait is not None or refusal.reason in FOR_A_PERSON:
        headers.append((b"x-should-retry", b"false"))
    return headers


def error_event(refusal: Refusal, seam: Seam) -> bytes:
    """The refusal as the last event, or the last element of an array, of a stream that the gateway cuts."""
    return seam.before + msgspec.json.encode(error_document(refusal)) + seam.after
