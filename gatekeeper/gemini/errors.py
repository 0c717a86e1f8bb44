"""The gateway's own errors in Google's error format, so that SDKs raise their usual exceptions: as a response
body, or as the last event of a stream."""

from __future__ import annotations

import math
from http import HTTPStatus

import msgspec

from gatekeeper.gemini.splitters import Delimiters
from gatekeeper.refusals import NOT_RETRYABLE, STATUS, Refusal

# A 401 must have a challenge (RFC 9110 §15.5.2); the admin API sends the same. With the scheme Bearer
# browsers do not prompt for a password.
CHALLENGE = (b"www-authenticate", b'Bearer realm="gatekeeper"')
# Seconds. Some clients would silently sleep for the whole of a longer `Retry-After`, even for days.
MAX_RETRY_AFTER = 60


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
    """The document as JSON, indented like Google's."""
    return msgspec.json.format(msgspec.json.encode(error_document(refusal)), indent=2) + b"\n"


def error_headers(refusal: Refusal, body: bytes) -> list[tuple[bytes, bytes]]:
    """Response headers for `error_body`. A short wait is sent as `Retry-After` in whole seconds (RFC 9110
    §10.2.3). A longer one is in the body only; then `x-should-retry: false` tells the SDKs that support it
    not to retry."""
    headers = [
        (b"content-type", b"application/json; charset=UTF-8"),
        (b"content-length", b"%d" % len(body)),
    ]
    if refusal.status == HTTPStatus.UNAUTHORIZED:
        headers.append(CHALLENGE)
    wait = refusal.retry_after
    if wait is not None and wait <= MAX_RETRY_AFTER:
        # Rounded up: a client that retries a moment too early would be refused again.
        headers.append((b"retry-after", b"%d" % math.ceil(wait)))
    elif wait is not None or refusal.reason in NOT_RETRYABLE:
        headers.append((b"x-should-retry", b"false"))
    return headers


def error_event(refusal: Refusal, delimiters: Delimiters) -> bytes:
    """The refusal as the last event, or last array element, of a stream that the gateway ends early."""
    return delimiters.prefix + msgspec.json.encode(error_document(refusal)) + delimiters.suffix
