"""Why a call failed, in words, and what to do about it, for the terminal application and the command line.

A reason of the gateway begins with `GATEKEEPER_`; its remedy is the one of docs/errors.md. Any other is
Google's: a canonical status of google.rpc.Code, or the reason of an ErrorInfo
(https://ai.google.dev/gemini-api/docs/troubleshooting). Without a reason the outcome says it.
"""

from __future__ import annotations

from typing import NamedTuple

from gatekeeper.client.call_types import Call

# Cells of the longest words, so that a column can have room for all of them.
WORDS_WIDTH = 23
UPSTREAM_ERROR = "upstream_error"


class Cause(NamedTuple):
    """`words` name it in a column; `remedy` says in a sentence what to do, or is empty."""

    words: str
    remedy: str = ""


GATEWAY_REASONS = {
    "GATEKEEPER_BAD_REQUEST": Cause(
        "malformed request",
        "change the part that the message names. On routes that cost money only parameters that "
        "Google documents are accepted, spelled exactly",
    ),
    "GATEKEEPER_KEY_MISSING": Cause(
        "no key sent", "send one, as `x-goog-api-key`, `?key=` or `Authorization: Bearer`"
    ),
    "GATEKEEPER_KEY_UNKNOWN": Cause(
        "unknown key",
        "ask the administrator for a key. After ten wrong ones in a minute an address waits half a second "
        "for each response",
    ),
    "GATEKEEPER_KEY_BLOCKED": Cause("key blocked", "ask the administrator to unblock it"),
    "GATEKEEPER_KEY_EXPIRED": Cause("key expired", "ask the administrator for a new key or a later expiry"),
    "GATEKEEPER_MODEL_NOT_ALLOWED": Cause("model not allowed", "use a model that the message names"),
    "GATEKEEPER_MODEL_UNPRICED": Cause(
        "model has no price",
        "use a model of `gatekeeper prices show`; or have its price added, or `allow_unpriced` set",
    ),
    "GATEKEEPER_ROUTE_NOT_ALLOWED": Cause(
        "route not allowed", "call what the message names, or use a key without that limit"
    ),
    "GATEKEEPER_POLICY": Cause(
        "not allowed by policy",
        "change what the message names in the request, or ask the administrator",
    ),
    "GATEKEEPER_NOT_FOUND": Cause(
        "not found", "use a base URL that the message names; create the resource again"
    ),
    "GATEKEEPER_TOO_LARGE": Cause("request too large", "send shorter headers; ask for fewer items"),
    "GATEKEEPER_RATE_LIMITED": Cause(
        "rate limit reached", "wait as long as `RetryInfo` says: then the call is accepted"
    ),
    "GATEKEEPER_BUDGET_EXCEEDED": Cause(
        "over budget",
        "wait for the reset, ask for less output, or ask the administrator for a higher budget",
    ),
    "GATEKEEPER_TOO_MANY_PARALLEL": Cause(
        "too many at once", "wait until a parallel call ends, or cancel one"
    ),
    "GATEKEEPER_UPSTREAM_UNREACHABLE": Cause(
        "Google unreachable", "repeat it later; look at the gateway's network"
    ),
    "GATEKEEPER_UPSTREAM_KEY_INVALID": Cause("Google key refused", "set a valid `GEMINI_API_KEY`"),
    "GATEKEEPER_DRAINING": Cause("gateway shutting down", "repeat it"),
    "GATEKEEPER_LEDGER_FULL": Cause(
        "gateway's disk full", "free some disk space; calls in flight are still recorded"
    ),
    "GATEKEEPER_UPSTREAM_TIMEOUT": Cause(
        "Google timed out", "repeat it, or set a longer `first_byte_timeout` or `read_timeout`"
    ),
}

REPEAT = "repeat it later: Google calls this temporary"
QUOTA = Cause(
    "Google: quota exceeded",
    "wait as long as the message says; have the quota raised at Google, or add another Google key",
)
GOOGLE_REASONS = {
    "RESOURCE_EXHAUSTED": QUOTA,
    "RATE_LIMIT_EXCEEDED": QUOTA,
    "INVALID_ARGUMENT": Cause("Google: bad request", "change the part of the request that the message names"),
    "FAILED_PRECONDITION": Cause(
        "Google: precondition", "do what the message asks for first, such as enabling billing at Google"
    ),
    "PERMISSION_DENIED": Cause(
        "Google: not permitted", "look at what the gateway's Google key may use, and at the resource's owner"
    ),
    "UNAUTHENTICATED": Cause("Google: key refused", "set a valid `GEMINI_API_KEY`"),
    "NOT_FOUND": Cause(
        "Google: not found", "look for a typing error in the model, the resource and the API's version"
    ),
    "ALREADY_EXISTS": Cause("Google: already exists", "use the resource that exists, or another name"),
    "ABORTED": Cause("Google: aborted", REPEAT),
    "OUT_OF_RANGE": Cause("Google: out of range", "change the value that the message names"),
    "CANCELLED": Cause("Google: cancelled"),
    "INTERNAL": Cause("Google: internal error", "repeat it, with a shorter prompt if it fails again"),
    "UNAVAILABLE": Cause("Google: unavailable", REPEAT),
    "DEADLINE_EXCEEDED": Cause("Google: timed out", "repeat it, with a shorter prompt or as a stream"),
    "UNIMPLEMENTED": Cause("Google: not supported", "use a method that the model has"),
    "DATA_LOSS": Cause("Google: data lost", "repeat it"),
    "UNKNOWN": Cause("Google: unknown error", "repeat it"),
}

# Of outcomes that need no reason.
OUTCOMES = {
    UPSTREAM_ERROR: Cause("Google: error"),
    "upstream_unreachable": GATEWAY_REASONS["GATEKEEPER_UPSTREAM_UNREACHABLE"],
    "upstream_broken": Cause("Google ended early", "repeat it: the response is not complete"),
    "client_disconnected": Cause("client disconnected", "set a longer timeout in the client, if it gave up"),
    "cut": Cause("ended by the gateway"),
    "interrupted": Cause("gateway was killed", "repeat it: it is not known what Google charged for it"),
}


def cause(call: Call) -> Cause | None:
    """Why the call failed; None for one that did not, and in flight."""
    if call.outcome in (None, "ok"):
        return None
    reason = call.reason or ""
    known = GATEWAY_REASONS.get(reason) or GOOGLE_REASONS.get(reason.upper())
    if known is None and reason:
        return Cause(unknown_words(call.outcome, reason))
    return known or OUTCOMES.get(call.outcome) or Cause(call.outcome.replace("_", " "))


def unknown_words(outcome: str, reason: str) -> str:
    """A reason that is in no table, as it stands, but without its capitals."""
    words = reason.removeprefix("GATEKEEPER_").replace("_", " ").lower()
    return f"Google: {words}" if outcome == UPSTREAM_ERROR else words
