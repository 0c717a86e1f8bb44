"""What a call takes of the rates of its accounts, once nothing else refuses it, and gives back at its end.

The tokens that it is expected to use: of its prompt by the size of its body (`RequestSize`), and its output
as `keys.rates` says. A body that is still to be received when the call is admitted may be a picture or a
book: it counts as the least that it can be, inline media of the announced length, until all of it was
received (`RateReservation.retake`).
"""

from __future__ import annotations

from collections.abc import Sequence

from gatekeeper.gemini.actions import EMBEDDING, OPENAI_EMBEDDING
from gatekeeper.gemini.request_parser import RequestSummary
from gatekeeper.gemini.response_parser import ResponseSummary
from gatekeeper.gemini.routes import Route
from gatekeeper.keys.rates import ExpectedTokens, RateReservation
from gatekeeper.ledger.call import CallRecord, Outcome
from gatekeeper.pricing.expected import RequestSize
from gatekeeper.pricing.priced_call import has_failed


def expected_tokens(
    route: Route, request_summary: RequestSummary, size: RequestSize, *, is_compressed: bool
) -> ExpectedTokens:
    """What a call is expected to use, by its body."""
    prompt = size.tokens(is_compressed=is_compressed)
    if route.action in EMBEDDING or route.action == OPENAI_EMBEDDING:
        return ExpectedTokens(prompt, 0)
    output = request_summary.max_output_tokens if request_summary.understood else None
    return ExpectedTokens(prompt, output and output * max(request_summary.candidate_count or 1, 1))


def announced_tokens(length: int | None) -> ExpectedTokens:
    """Of a body that is still to be received, by its length; None: not announced."""
    size = RequestSize()
    size.media = length or 0
    return ExpectedTokens(size.tokens(is_compressed=False), 0)


def note_rates(taken: Sequence[RateReservation], summary: ResponseSummary, now: int) -> None:
    """What a session has used by now: it may go on for hours."""
    if summary.read_usage and (total := summary.read_usage.total):
        for admitted in taken:
            admitted.note(total, now)


def settle_rates(taken: Sequence[RateReservation], row: CallRecord, now: int) -> None:
    """To be called at the end of a call, whichever it is. One that was refused has taken nothing."""
    output = row.output_tokens
    for admitted in taken:
        # Google did not run it: it has used nothing of a rate.
        if row.outcome is Outcome.REFUSED:
            admitted.undo()
        else:
            admitted.settle(used_tokens(row), output and output + (row.thoughts_tokens or 0), now)


def used_tokens(row: CallRecord) -> int | None:
    """All tokens of a call; None where they are not known."""
    if row.total_tokens is not None:
        return row.total_tokens
    known = [row.prompt_tokens, row.output_tokens, row.thoughts_tokens, row.tool_tokens]
    if any(known):
        return sum(filter(None, known))
    return 0 if has_failed(row.outcome, row.status) or row.cost_pico == 0 else None
