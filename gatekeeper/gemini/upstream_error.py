"""The `error` object of a response: a google.rpc.Status, or Interactions' variant, whose code is a word."""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec

from gatekeeper.gemini.json_values import as_list, as_object

# Characters of each text of an error that are kept.
TEXT_LIMIT = 1000

MAX_QUOTAS = 20  # quotas of an error that are kept

# A google.protobuf.Duration in JSON. Ten digits are three centuries.
_DURATION = re.compile(r"([0-9]{1,10}(?:\.[0-9]{1,9})?)s")


class Quota(msgspec.Struct, frozen=True):
    """A quota in a QuotaFailure detail: its id (`GenerateRequestsPerDayPerProjectPerModel-FreeTier`), and the
    model among its dimensions."""

    id: str
    model: str | None = None

    @property
    def per_day(self) -> bool:
        return "perday" in self.id.lower()

    @property
    def per_project(self) -> bool:
        return "perproject" in self.id.lower()

    @property
    def per_model(self) -> bool:
        return self.model is not None or "permodel" in self.id.lower()


class UpstreamError(msgspec.Struct, frozen=True):
    """The `error` of a response: a google.rpc.Status, or Interactions' variant, whose code is a word."""

    code: int | None
    status: str | None
    """The canonical name of the code (`NOT_FOUND`); for Interactions, the code itself, which is a string."""
    message: str
    reason: str | None
    """The reason of the ErrorInfo detail, else the status."""
    retry_delay: float | None
    """Seconds, from a RetryInfo detail."""
    quota: str | None = None
    """The quota ids in a QuotaFailure detail: they distinguish a limit per minute from one per day."""
    quotas: tuple[Quota, ...] = ()


def read_error(error: dict[str, object]) -> UpstreamError:
    """Parses the `error` object of a response. Never raises: invalid members are left out."""
    code = error.get("code")
    status = _text(error.get("status")) or _text(code)
    quotas = tuple(_quotas(_detail(error, "google.rpc.QuotaFailure", "violations")))
    return UpstreamError(
        code=code if type(code) is int else None,
        status=status,
        message=_text(error.get("message")) or "",
        reason=_text(_detail(error, "google.rpc.ErrorInfo", "reason")) or status,
        retry_delay=_seconds(_detail(error, "google.rpc.RetryInfo", "retryDelay")),
        quota=", ".join(dict.fromkeys(quota.id for quota in quotas))[:TEXT_LIMIT] or None,
        quotas=quotas,
    )


def _detail(error: dict[str, object], kind: str, member: str) -> object:
    for detail in as_list(error.get("details")):
        named = as_object(detail) or {}
        # `type.googleapis.com/google.rpc.…`: the part before the last slash is arbitrary
        # (google.protobuf.Any).
        if str(named.get("@type")).endswith(kind):
            return named.get(member)
    return None


def _quotas(violations: object) -> Iterator[Quota]:
    for violation in as_list(violations)[:MAX_QUOTAS]:
        named = as_object(violation) or {}
        model = _text((as_object(named.get("quotaDimensions")) or {}).get("model"))
        if quota_id := _text(named.get("quotaId")):
            yield Quota(quota_id, model.removeprefix("models/") if model else None)


def _text(value: object) -> str | None:
    return value[:TEXT_LIMIT] if isinstance(value, str) else None


def _seconds(value: object) -> float | None:
    duration = _DURATION.fullmatch(value) if isinstance(value, str) else None
    return float(duration[1]) if duration else None
