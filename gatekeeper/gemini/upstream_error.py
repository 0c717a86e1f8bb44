"""The `error` object of a response: a google.rpc.Status, or Interactions' variant, whose code is a word."""

from __future__ import annotations

import re

import msgspec

from gatekeeper.gemini.json_values import as_list, as_object

# Characters that are kept of each text of an error.
TEXT_LIMIT = 1000

# A google.protobuf.Duration in JSON. Ten digits are three centuries.
_DURATION = re.compile(r"([0-9]{1,10}(?:\.[0-9]{1,9})?)s")


class UpstreamError(msgspec.Struct, frozen=True):
    """The `error` of a response: a google.rpc.Status, or Interactions' variant, whose code is a word."""

    code: int | None
    status: str | None
    """The canonical name (`NOT_FOUND`), or the word that is the code."""
    message: str
    reason: str | None
    """The ErrorInfo detail's, else the status."""
    retry_delay: float | None
    """Seconds to wait, from a RetryInfo detail."""
    quota: str | None = None
    """The ids of the quotas in a QuotaFailure detail: they distinguish a limit per minute from one per
    day."""


def read_error(error: dict[str, object]) -> UpstreamError:
    """The error of the object under `error`. Never raises: what is not as it should be is left out."""
    code = error.get("code")
    status = _text(error.get("status")) or _text(code)
    return UpstreamError(
        code=code if type(code) is int else None,
        status=status,
        message=_text(error.get("message")) or "",
        reason=_text(_detail(error, "google.rpc.ErrorInfo", "reason")) or status,
        retry_delay=_seconds(_detail(error, "google.rpc.RetryInfo", "retryDelay")),
        quota=_quotas(_detail(error, "google.rpc.QuotaFailure", "violations")),
    )


def _detail(error: dict[str, object], kind: str, member: str) -> object:
    for detail in as_list(error.get("details")):
        named = as_object(detail) or {}
        if str(named.get("@type")).endswith(kind):
            return named.get(member)
    return None


def _quotas(violations: object) -> str | None:
    ids = (_text((as_object(violation) or {}).get("quotaId")) for violation in as_list(violations))
    return ", ".join(dict.fromkeys(filter(None, ids)))[:TEXT_LIMIT] or None


def _text(value: object) -> str | None:
    return value[:TEXT_LIMIT] if isinstance(value, str) else None


def _seconds(value: object) -> float | None:
    duration = _DURATION.fullmatch(value) if isinstance(value, str) else None
    return float(duration[1]) if duration else None
