"""How a call can end other than by an answer that was relayed to its end.

    CallFailed
    ├── Refused               the gateway says no; nothing went upstream
    ├── UpstreamUnreachable   no answer came: no connection, or it was lost before the first byte
    │   └── UpstreamTimeout   or fell silent
    ├── UpstreamBroken        the upstream's answer ended early
    ├── GoogleKeyRefused      Google said no to the gateway's own key
    ├── ClientGone            the client went away
    └── Cut                   the gateway ended an answer that was under way

`refusal` is what the client is told, where anything can still be told; `error_message` is what its row says,
in Google's words or our own, without any secret.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

from gatekeeper.gemini.response_parser import TEXT_LIMIT, UpstreamError
from gatekeeper.ledger.call import LONGER, MARK, Outcome, cut
from gatekeeper.refusals import Reason, Refusal
from gatekeeper.server.client_stream import ClientDisconnected, MalformedBody
from gatekeeper.server.grammar import Malformed

LONGEST = LONGER["error_message"]
LONGEST_NOTE = 150  # characters of the quota and the delay, which a long sentence must not push out
# What keys of this gateway and Google's two kinds of keys look like; `task-force` and `FAQ.` are none, and
# `sk-...wxyz` is what a key without an alias is called.
SECRETS = re.compile(r"(?:AIza|(?<![A-Za-z])(?:sk-(?!\.{3}\S{4}(?!\S))|AQ\.))[\w.~+/=-]*")
REPLACEMENT = "[secret]"

# Outcomes of which nobody was told anything.
WITHOUT_WORDS = {
    Outcome.UPSTREAM_BROKEN: "The answer of the Gemini API ended early.",
    Outcome.CUT: "The gateway ended the call.",
}


class CallFailed(Exception):
    """Raised inside a call to end it; `outcome` is the ledger's."""

    outcome: Outcome
    may_have_run = False  # at Google, though the gateway gave it up before an answer

    def __init__(self, refusal: Refusal | None = None) -> None:
        super().__init__(refusal.message if refusal else "")
        self.refusal = refusal


class Refused(CallFailed):
    outcome = Outcome.REFUSED


class UpstreamUnreachable(CallFailed):
    outcome = Outcome.UPSTREAM_UNREACHABLE


class UpstreamTimeout(UpstreamUnreachable):
    """It was silent for too long; it may be at work all the same."""

    may_have_run = True


class UpstreamBroken(CallFailed):
    outcome = Outcome.UPSTREAM_BROKEN


class ClientGone(CallFailed):
    outcome = Outcome.CLIENT_DISCONNECTED


class Cut(CallFailed):
    outcome = Outcome.CUT
    may_have_run = True


class GoogleKeyRefused(CallFailed):
    """Google refused the gateway's own key: an alarm for the operator, nothing that the client can mend."""

    outcome = Outcome.UPSTREAM_ERROR


MAY_HAVE_RUN = "The request may have been processed, and charged"


def unreachable(detail: str) -> UpstreamUnreachable:
    """Nothing of the request went out."""
    return UpstreamUnreachable(
        Refusal(
            Reason.UPSTREAM_UNREACHABLE, f"The Gemini API could not be reached: {detail}. Try again later."
        )
    )


def unanswered(detail: str) -> UpstreamUnreachable:
    """The request went out, and the connection ended before an answer."""
    return UpstreamUnreachable(
        Refusal(Reason.UPSTREAM_UNREACHABLE, f"The Gemini API did not answer: {detail}. {MAY_HAVE_RUN}.")
    )


def unreadable(status: int, coding: bytes) -> UpstreamBroken:
    """An error whose body may hold anything, the gateway's own key included."""
    return UpstreamBroken(
        Refusal(
            Reason.UPSTREAM_UNREACHABLE,
            f"The Gemini API answered with status {status} in a coding that was not asked for "
            f"({coding.decode('latin-1')[:40]}), which the gateway cannot read and does not pass on.",
        )
    )


def went_round() -> Refusal:
    return Refusal(
        Reason.UPSTREAM_UNREACHABLE,
        "This call has been here before: the upstream of this gateway leads back to it. Whoever runs it must "
        "set --upstream (or GEMINI_API_BASE) to the address of the Gemini API.",
    )


@lru_cache(maxsize=16)  # a call has two of them ready
def silent(seconds: float, *, answered: bool) -> Refusal:
    """`answered`: whether some of the answer had come."""
    outlook = "Try again later" if answered else MAY_HAVE_RUN
    return Refusal(
        Reason.UPSTREAM_TIMEOUT, f"The Gemini API sent nothing for {seconds:g} seconds. {outlook}."
    )


def refused(malformed: Malformed) -> Refused:
    """For what is no proper HTTP."""
    reason = Reason.TOO_LARGE if malformed.too_large else Reason.BAD_REQUEST
    return Refused(Refusal(reason, malformed.message))


def failure_of(error: CallFailed | ClientDisconnected | MalformedBody) -> CallFailed:
    """What the server has to say of a client, in a call's terms."""
    match error:
        case ClientDisconnected():
            return ClientGone()
        case MalformedBody():
            return refused(error.malformed)
        case _:
            return error


def draining() -> Refusal:
    return Refusal(Reason.DRAINING, "The gateway is shutting down. Try again in a moment.", retry_after=5)


def google_key_refused(label: str) -> GoogleKeyRefused:
    return GoogleKeyRefused(
        Refusal(
            Reason.UPSTREAM_KEY_INVALID,
            f"Google refused the gateway's own API key ({label}). Your key is fine; whoever runs the gateway "
            "must set a valid GEMINI_API_KEY.",
        )
    )


def error_message(
    failure: CallFailed | None, error: UpstreamError | None, secrets: Iterable[str]
) -> str | None:
    """At most 500 characters on one line, None where nobody said anything. Each of `secrets`, and whatever
    looks like a key, is masked."""
    own = google = None
    if failure is not None:
        own = failure.refusal.message if failure.refusal else WITHOUT_WORDS.get(failure.outcome)
    if error is not None:
        google = _of_google(error, secrets)
    sentence = " Google said: ".join(filter(None, (own and clean(own, secrets), google)))
    return cut(sentence, LONGEST) or None


def _of_google(error: UpstreamError, secrets: Iterable[str]) -> str:
    """Its sentence, then the quota that it was about and the pause that it asks for."""
    message = error.message
    # Half a key would slip past the pattern that knows whole ones.
    if len(message) == TEXT_LIMIT:  # cut, so that its last word may be the beginning of a secret
        message = message.rpartition(" ")[0] + MARK
    sentence = clean(message or error.status or "", secrets)
    notes = [f"quota {clean(error.quota, secrets)}"] if error.quota else []
    if error.retry_delay is not None:
        notes.append(f"retry in {error.retry_delay:g} s")
    if not notes:
        return sentence
    # Room for quota and delay first: they are what an operator looks for at 3 a.m.
    note = f" ({cut('; '.join(notes), LONGEST_NOTE)})"
    return (cut(sentence, LONGEST - len(note)) + note).strip()


def clean(text: str, secrets: Iterable[str]) -> str:
    """On one line, without control characters and secrets."""
    text = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    for secret in secrets:
        text = text.replace(secret, REPLACEMENT)
    return SECRETS.sub(REPLACEMENT, text)
