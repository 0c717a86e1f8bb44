"""Heads of responses with a date and a reason phrase, which h11 and Hypercorn leave out: clients show the
phrase in their errors (@google/genai 1.x: "Retryable HTTP Error: Too Many Requests")."""

from __future__ import annotations

from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus
from time import time

import h11
from hypercorn.typing import H11SendableEvent

REASON_PHRASES = {status.value: status.phrase.encode() for status in HTTPStatus}


def date_field() -> tuple[bytes, bytes]:
    """The `Date` of a response that has none, the gateway's own or a relayed one (RFC 9110 §6.6.1)."""
    return b"date", _http_date(int(time()))


@lru_cache(maxsize=1)
def _http_date(seconds: int) -> bytes:
    return formatdate(seconds, usegmt=True).encode("ascii")


def response_head(status: int, headers: list[tuple[bytes, bytes]], reason: bytes | None) -> h11.Response:
    """With the status's standard phrase if `reason` is None. h11's checks of the fields are skipped: each was
    parsed by h11 or made by the gateway."""
    if reason is None:
        reason = REASON_PHRASES.get(status, b"")
    if b"date" not in dict(headers):
        headers = [*headers, date_field()]
    return h11.Response(status_code=status, headers=headers, http_version=b"1.1", reason=reason, _parsed=True)


def with_complete_head(event: H11SendableEvent) -> H11SendableEvent:
    """An event to send; a response's head gets a date and a reason phrase, a 1xx one's the phrase."""
    if isinstance(event, h11.Response):
        return response_head(event.status_code, list(event.headers), event.reason or None)
    if not isinstance(event, h11.InformationalResponse) or event.reason:
        return event
    reason = REASON_PHRASES.get(event.status_code, b"")
    return h11.InformationalResponse(status_code=event.status_code, headers=event.headers, reason=reason)
