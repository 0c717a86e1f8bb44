"""The exceptions that end a call without a completely relayed response.

    CallFailed
    ├── Refused               the gateway refused the call; nothing went upstream
    ├── UpstreamUnreachable   no connection, or it was lost before the response's first byte
    │   └── UpstreamTimeout   no byte within the timeout
    ├── UpstreamBroken        the upstream's response ended early
    ├── RedirectRefused       the upstream named a URL that the gateway does not request
    ├── GoogleKeyRefused      Google refused the gateway's own API key
    ├── ClientGone            the client disconnected
    └── CutByGateway          the gateway ended the response

`refusal` is the error for the client, if one can still be sent; `error_message` makes the text of the
ledger's column `error_message`, by Google or by the gateway, without any secret.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterable
from functools import lru_cache

from gatekeeper.gemini.upstream_error import TEXT_LIMIT, UpstreamError
from gatekeeper.ledger.call import ELLIPSIS, MAX_LENGTHS, Outcome, truncate
from gatekeeper.refusals import Reason, Refusal
from gatekeeper.server.client_stream import ClientDisconnected, MalformedBody
from gatekeeper.server.request_validation import MalformedRequest

MAX_ERROR_MESSAGE = MAX_LENGTHS["error_message"]
MAX_QUOTA_NOTE = 150  # characters of the quota and the delay, which are kept in full after a long message
# Keys of this gateway, and Google's two kinds of keys; not `task-force`, `FAQ.`, or `sk-...wxyz`, which is
# the name of a key without an alias.
SECRET_PATTERN = re.compile(
    # Keys, names of ephemeral tokens, and values of key parameters
    r"(?:AIza|(?<![A-Za-z])(?:sk-(?!\.{3}\S{4}(?!\S))|AQ\.)|(?i:auth_?tokens(?:/|%2F)(?=\w)))[\w.~+/=-]*"
    r"|(?i:(?<=[&;?]key=)|(?<=access_token=))[^\s`'\"&;…]+"
)
REPLACEMENT = "[secret]"

# Messages for outcomes without an error response.
DEFAULT_MESSAGES = {
    Outcome.UPSTREAM_BROKEN: "The response of the Gemini API ended early.",
    Outcome.CUT: "The gateway ended the call.",
}


class CallFailed(Exception):
    """Raised inside a call to end it; `outcome` is the ledger's."""

    outcome: Outcome
    may_have_run = False  # at Google, though the gateway ended the call before a response

    def __init__(self, refusal: Refusal | None = None) -> None:
        super().__init__(refusal.message if refusal else "")
        self.refusal = refusal


class Refused(CallFailed):
    outcome = Outcome.REFUSED


class UpstreamUnreachable(CallFailed):
    outcome = Outcome.UPSTREAM_UNREACHABLE


class NoResponse(UpstreamUnreachable):
    """The connection ended after the request and before a response."""

    may_have_run = True


class UpstreamTimeout(UpstreamUnreachable):
    """No byte within the timeout; it may still process the request."""

    may_have_run = True


class UpstreamBroken(CallFailed):
    outcome = Outcome.UPSTREAM_BROKEN


class RedirectRefused(CallFailed):
    outcome = Outcome.UPSTREAM_ERROR


class ClientGone(CallFailed):
    outcome = Outcome.CLIENT_DISCONNECTED


class CutByGateway(CallFailed):
    outcome = Outcome.CUT
    may_have_run = True


class GoogleKeyRefused(CallFailed):
    """Google refused the gateway's own API key; it must be fixed by the operator, not by the client."""

    outcome = Outcome.UPSTREAM_ERROR


MAY_HAVE_RUN = "The request may have been processed, and charged"


def unreachable(detail: str) -> UpstreamUnreachable:
    """No connection: nothing of the request was sent."""
    return UpstreamUnreachable(
        Refusal(
            Reason.UPSTREAM_UNREACHABLE, f"The Gemini API could not be reached: {detail}. Try again later."
        )
    )


def no_response(detail: str) -> NoResponse:
    """The request was sent, and the connection ended before a response."""
    return NoResponse(
        Refusal(Reason.UPSTREAM_UNREACHABLE, f"The Gemini API did not answer: {detail}. {MAY_HAVE_RUN}.")
    )


def undecodable_error(status: int, coding: bytes) -> UpstreamBroken:
    """An error response that the gateway cannot decode, and so cannot search for its own key."""
    return UpstreamBroken(
        Refusal(
            Reason.UPSTREAM_UNREACHABLE,
            f"The Gemini API answered with status {status} and an unsupported Content-Encoding "
            f"({coding.decode('latin-1')[:40]}), which the gateway cannot read and does not relay.",
        )
    )


def foreign_redirect(host: str | None) -> RedirectRefused:
    """The redirect of a download to a host that is not allowed, or (None) to something that is not a plain
    URL."""
    where = f"the host {host}" if host else "an address that is not a plain URL"
    return RedirectRefused(
        Refusal(
            Reason.UPSTREAM_UNREACHABLE,
            f"The Gemini API redirected this request to {where}. The gateway follows redirects only to its "
            "configured upstream, and over https to Google's hosts (*.googleapis.com, "
            "*.googleusercontent.com).",
        )
    )


def foreign_upload_address(host: str | None) -> RedirectRefused:
    """The URL of an upload at a host that is not allowed, or (None) something that is not a plain URL."""
    where = f"at the host {host}" if host else "that is not a plain URL"
    return RedirectRefused(
        Refusal(
            Reason.UPSTREAM_UNREACHABLE,
            f"The Gemini API answered with an address for the upload {where}. The gateway sends uploads only "
            "to its configured upstream, and over https to *.googleapis.com.",
        )
    )


def too_many_redirects(limit: int) -> RedirectRefused:
    return RedirectRefused(
        Refusal(
            Reason.UPSTREAM_UNREACHABLE,
            f"The Gemini API redirected this request more than {limit} times. Try again later.",
        )
    )


def redirect_unauthorized() -> RedirectRefused:
    """A 401 of a host that was sent no key: relayed, it would look to the client as if its own key was
    refused."""
    return RedirectRefused(
        Refusal(
            Reason.UPSTREAM_UNREACHABLE,
            "The Gemini API redirected this request to an address that asks for credentials (401). Your key "
            "is valid. Try again from the beginning.",
        )
    )


def store_refused() -> Refused:
    return Refused(
        Refusal(
            Reason.LEDGER_FULL,
            "The gateway cannot read or write its store of uploads and tokens (is the disk full?). "
            "Try again in a moment.",
            retry_after=10,
        )
    )


def loop_refusal(call_ids: Iterable[bytes], running: Container[str]) -> Refusal | None:
    """The refusal of a call that has an earlier gateway's call id, if that call runs here: a call is in
    flight from before its first byte upstream to its end, so one that loops back finds itself."""
    named = b",".join(call_ids).decode("latin-1").split(",")
    if not any(call_id.strip() in running for call_id in named):
        return None
    return Refusal(
        Reason.UPSTREAM_UNREACHABLE,
        "Request loop detected: the upstream of this gateway is the gateway itself. The operator must set "
        "--upstream (or GEMINI_API_BASE) to the address of the Gemini API.",
    )


@lru_cache(maxsize=16)  # each call makes two of them in advance
def first_byte_timeout(seconds: float) -> UpstreamTimeout:
    """No byte of a response within the timeout."""
    return UpstreamTimeout(_timeout_refusal(seconds, MAY_HAVE_RUN))


def stalled_response(seconds: float) -> CutByGateway:
    """No further byte of a response that had started."""
    return CutByGateway(_timeout_refusal(seconds, "Try again later"))


def _timeout_refusal(seconds: float, outlook: str) -> Refusal:
    return Refusal(
        Reason.UPSTREAM_TIMEOUT, f"The Gemini API sent nothing for {seconds:g} seconds. {outlook}."
    )


def malformed_refusal(malformed: MalformedRequest) -> Refused:
    """For a request that is not valid HTTP."""
    reason = Reason.TOO_LARGE if malformed.too_large else Reason.BAD_REQUEST
    return Refused(Refusal(reason, malformed.message))


def to_call_failed(
    error: CallFailed | ClientDisconnected | MalformedBody, *, response_started: bool = True
) -> CallFailed:
    """The errors of `server` as failures of a call. A response that breaks off makes the client's response
    break off; an error is sent only if nothing was sent yet: some responses are read before they are relayed
    (lists, tokens)."""
    match error:
        case UpstreamBroken(refusal=None) if not response_started:
            why = f"{DEFAULT_MESSAGES[Outcome.UPSTREAM_BROKEN]} {MAY_HAVE_RUN}."
            return UpstreamBroken(Refusal(Reason.UPSTREAM_UNREACHABLE, why))
        case ClientDisconnected():
            return ClientGone()
        case MalformedBody():
            return malformed_refusal(error.malformed)
        case _:
            return error


def draining_refusal() -> Refusal:
    return Refusal(Reason.DRAINING, "The gateway is shutting down. Try again in a moment.", retry_after=5)


def google_key_error(label: str) -> GoogleKeyRefused:
    return GoogleKeyRefused(
        Refusal(
            Reason.UPSTREAM_KEY_INVALID,
            f"Google refused the gateway's own API key ({label}). Your key is valid; the operator of the "
            "gateway must set a valid GEMINI_API_KEY.",
        )
    )


def error_message(
    failure: CallFailed | None, error: UpstreamError | None, secrets: Iterable[str]
) -> str | None:
    """At most 500 characters on one line, None without an error. Each of `secrets`, and whatever looks like a
    key, is masked."""
    own = google = None
    if failure is not None:
        own = failure.refusal.message if failure.refusal else DEFAULT_MESSAGES.get(failure.outcome)
    if error is not None:
        google = _google_message(error, secrets)
    sentence = " Google said: ".join(filter(None, (own and sanitize(own, secrets), google)))
    return truncate(sentence, MAX_ERROR_MESSAGE) or None


def _google_message(error: UpstreamError, secrets: Iterable[str]) -> str:
    """Google's message, then the quota that was exceeded and the delay until a retry."""
    message = error.message
    # The message was truncated, and a truncated key would not match the pattern: drop the last word.
    if len(message) == TEXT_LIMIT:
        message = message.rpartition(" ")[0] + ELLIPSIS
    sentence = sanitize(message or error.status or "", secrets)
    notes = [f"quota {sanitize(error.quota, secrets)}"] if error.quota else []
    if error.retry_delay is not None:
        notes.append(f"retry in {error.retry_delay:g} s")
    if not notes:
        return sentence
    # Quota and delay are kept in full: they are what an operator looks for first.
    note = f" ({truncate('; '.join(notes), MAX_QUOTA_NOTE)})"
    return (truncate(sentence, MAX_ERROR_MESSAGE - len(note)) + note).strip()


def sanitize(text: str, secrets: Iterable[str]) -> str:
    """On one line, without control characters and secrets."""
    text = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    for secret in secrets:
        text = text.replace(secret, REPLACEMENT)
    return SECRET_PATTERN.sub(REPLACEMENT, text)
