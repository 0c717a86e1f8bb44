"""Refusals: errors that the gateway itself makes, with a reason, a status and a message.

The table below is what clients are told: a reason, its HTTP status and the canonical status of
google.rpc.Code (https://github.com/googleapis/googleapis/blob/master/google/rpc/code.proto). Their JSON body
is made in `gemini.errors`.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

import msgspec


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
    RATE_LIMITED = "GATEKEEPER_RATE_LIMITED"
    BUDGET_EXCEEDED = "GATEKEEPER_BUDGET_EXCEEDED"
    TOO_MANY_PARALLEL = "GATEKEEPER_TOO_MANY_PARALLEL"
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
    Reason.RATE_LIMITED: HttpStatus(429, "RESOURCE_EXHAUSTED"),
    Reason.BUDGET_EXCEEDED: HttpStatus(429, "RESOURCE_EXHAUSTED"),
    Reason.TOO_MANY_PARALLEL: HttpStatus(429, "RESOURCE_EXHAUSTED"),
    Reason.UPSTREAM_UNREACHABLE: HttpStatus(502, "UNAVAILABLE"),
    Reason.UPSTREAM_KEY_INVALID: HttpStatus(502, "UNAVAILABLE"),
    Reason.UPSTREAM_TIMEOUT: HttpStatus(504, "DEADLINE_EXCEEDED"),
    Reason.DRAINING: HttpStatus(503, "UNAVAILABLE"),
    Reason.LEDGER_FULL: HttpStatus(503, "UNAVAILABLE"),
}

# Their statuses (429, 502) make clients retry; without a `retry_after` a retry is useless.
NOT_RETRYABLE = frozenset({Reason.BUDGET_EXCEEDED, Reason.TOO_MANY_PARALLEL, Reason.UPSTREAM_KEY_INVALID})


class Refusal(msgspec.Struct, frozen=True):
    """An error of the gateway itself. `message` is shown to the client and contains no secret; `retry_after`
    is in seconds, the true time however long, set only if waiting helps."""

    reason: Reason
    message: str
    metadata: dict[str, str] = {}
    retry_after: float | None = None

    @property
    def is_final(self) -> bool:
        """Whether the same request will always be refused: only a person can help."""
        return self.status < 500 and self.retry_after is None

    @property
    def status(self) -> int:
        """The HTTP status of the response."""
        return STATUS[self.reason].code
