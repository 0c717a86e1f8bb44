"""Why a call failed, in one sentence for its row: Google's words or our own, without any secret."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

from gatekeeper.gemini.reading import TEXT_LIMIT, UpstreamError
from gatekeeper.ledger.bounds import LONGER, MARK, cut
from gatekeeper.ledger.entry import Outcome

if TYPE_CHECKING:
    from gatekeeper.proxy.endings import Ending

LONGEST = LONGER["error_message"]
LONGEST_NOTE = 150  # characters of the quota and the delay, which a long sentence must not push out
# What keys of this gateway and Google's two kinds of keys look like; `task-force` and `FAQ.` are none, and
# `sk-...wxyz` is what a key without an alias is called.
SECRETS = re.compile(r"(?:AIza|(?<![A-Za-z])(?:sk-(?!\.{3}\S{4}(?!\S))|AQ\.))[\w.~+/=-]*")
MASK = "[secret]"

# Endings of which nobody was told anything.
WITHOUT_WORDS = {
    Outcome.UPSTREAM_BROKEN: "The answer of the Gemini API ended early.",
    Outcome.CUT: "The gateway ended the call.",
}


def error_message(ending: Ending | None, error: UpstreamError | None, secrets: Iterable[str]) -> str | None:
    """At most 500 characters on one line, None where nobody said anything. Each of `secrets`, and whatever
    looks like a key, is masked."""
    own = google = None
    if ending is not None:
        own = ending.refusal.message if ending.refusal else WITHOUT_WORDS.get(ending.outcome)
    if error is not None:
        google = _of_google(error, secrets)
    sentence = " Google said: ".join(filter(None, (own and clean(own, secrets), google)))
    return cut(sentence, LONGEST) or None


def _of_google(error: UpstreamError, secrets: Iterable[str]) -> str:
    """Its sentence, then the quota that it was about and the pause that it asks for."""
    message = error.message
    if len(message) == TEXT_LIMIT:  # cut, so that its last word may be the beginning of a secret
        message = message.rpartition(" ")[0] + MARK
    sentence = clean(message or error.status or "", secrets)
    notes = [f"quota {clean(error.quota, secrets)}"] if error.quota else []
    if error.retry_delay is not None:
        notes.append(f"retry in {error.retry_delay:g} s")
    if not notes:
        return sentence
    note = f" ({cut('; '.join(notes), LONGEST_NOTE)})"
    return (cut(sentence, LONGEST - len(note)) + note).strip()


def clean(text: str, secrets: Iterable[str]) -> str:
    """On one line, without control characters and secrets."""
    text = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    for secret in secrets:
        text = text.replace(secret, MASK)
    return SECRETS.sub(MASK, text)
