"""Heads of responses with a reason phrase, which h11 and Hypercorn leave empty: clients show it in their
errors (@google/genai 1.x: "Retryable HTTP Error: Too Many Requests")."""

from __future__ import annotations

from http import HTTPStatus

import h11
from hypercorn.typing import H11SendableEvent

REASON_PHRASES = {status.value: status.phrase.encode() for status in HTTPStatus}


def response_head(status: int, headers: list[tuple[bytes, bytes]], reason: bytes | None) -> h11.Response:
    """With the status's standard phrase if `reason` is None. h11's checks of the fields are skipped: each was
    parsed by h11 or made by the gateway."""
    if reason is None:
        reason = REASON_PHRASES.get(status, b"")
    return h11.Response(status_code=status, headers=headers, http_version=b"1.1", reason=reason, _parsed=True)


def with_reason_phrase(event: H11SendableEvent) -> H11SendableEvent:
    """An event to send; a response's or informational response's head has a reason phrase."""
    if not isinstance(event, h11.Response | h11.InformationalResponse) or event.reason:
        return event
    reason = REASON_PHRASES.get(event.status_code, b"")
    return type(event)(status_code=event.status_code, headers=event.headers, reason=reason)
