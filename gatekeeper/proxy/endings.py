"""How a call can end other than by an answer that was relayed to its end.

    Ending
    ├── Refused       the gateway says no; nothing went upstream
    ├── Unreachable   no answer came: no connection, or it died before the first byte
    │   └── GivenUp   or fell silent
    ├── Broken        the upstream's answer ended early
    ├── ClientGone    the client went away
    └── Cut           the gateway ended an answer that was under way

`refusal` is what the client is told, where anything can still be told.
"""

from __future__ import annotations

from functools import lru_cache

from gatekeeper.gemini.errors import Reason, Refusal
from gatekeeper.ledger.entry import Outcome
from gatekeeper.server.grammar import Malformed


class Ending(Exception):
    """Raised inside a call to end it; `outcome` is the ledger's."""

    outcome: Outcome
    may_have_run = False  # at Google, though the gateway gave it up before an answer

    def __init__(self, refusal: Refusal | None = None) -> None:
        super().__init__(refusal.message if refusal else "")
        self.refusal = refusal


class Refused(Ending):
    outcome = Outcome.REFUSED


class Unreachable(Ending):
    outcome = Outcome.UPSTREAM_UNREACHABLE


class GivenUp(Unreachable):
    """It was silent for too long; it may be at work all the same."""

    may_have_run = True


class Broken(Ending):
    outcome = Outcome.UPSTREAM_BROKEN


class ClientGone(Ending):
    outcome = Outcome.CLIENT_DISCONNECTED


class Cut(Ending):
    outcome = Outcome.CUT
    may_have_run = True


class KeyInvalid(Ending):
    """Google refused the gateway's own key: an alarm for the operator, nothing that the client can mend."""

    outcome = Outcome.UPSTREAM_ERROR


MAY_HAVE_RUN = "The request may have been processed, and charged"


def unreachable(detail: str) -> Unreachable:
    """Nothing of the request went out."""
    return Unreachable(
        Refusal(
            Reason.UPSTREAM_UNREACHABLE, f"The Gemini API could not be reached: {detail}. Try again later."
        )
    )


def unanswered(detail: str) -> Unreachable:
    """The request went out, and the connection ended before an answer."""
    return Unreachable(
        Refusal(Reason.UPSTREAM_UNREACHABLE, f"The Gemini API did not answer: {detail}. {MAY_HAVE_RUN}.")
    )


def unreadable(status: int, coding: bytes) -> Broken:
    """An error whose body may hold anything, the gateway's own key included."""
    return Broken(
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


def draining() -> Refusal:
    return Refusal(Reason.DRAINING, "The gateway is shutting down. Try again in a moment.", retry_after=5)


def key_invalid(label: str) -> KeyInvalid:
    return KeyInvalid(
        Refusal(
            Reason.UPSTREAM_KEY_INVALID,
            f"Google refused the gateway's own API key ({label}). Your key is fine; whoever runs the gateway "
            "must set a valid GEMINI_API_KEY.",
        )
    )
