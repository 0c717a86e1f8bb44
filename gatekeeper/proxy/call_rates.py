"""Rate limits of one call: reserved in the rates of its accounts once nothing else refuses it, settled at its
end.

Tokens are reserved by an estimate: of the prompt by the size of the body (`RequestSize`), of the output as
`keys.rates` says. A body that is not received yet when the call is admitted may be a picture or a book: it
counts as the fewest tokens that its Content-Length can be, inline media, until all of it was received
(`RateReservation.retake`).
"""

from __future__ import annotations

from collections.abc import Sequence

from gatekeeper.gemini.actions import EMBEDDING, OPENAI_EMBEDDING
from gatekeeper.gemini.request_parser import RequestSummary
from gatekeeper.gemini.response_parser import ResponseSummary
from gatekeeper.gemini.routes import Route
from gatekeeper.keys.rate_rules import limits_of_accounts, limits_of_models, rate_refusal
from gatekeeper.keys.rates import AppliedLimits, Exceeded, ExpectedTokens
from gatekeeper.ledger.call import CallRecord, Outcome
from gatekeeper.pricing.expected import RequestSize
from gatekeeper.pricing.priced_call import has_failed
from gatekeeper.proxy.call import ProxyCall
from gatekeeper.proxy.failures import Refused


def reserve_rates_of(call: ProxyCall, *, is_seen: bool) -> None:
    """The last step of admission. `is_seen`: the body was received and checked; otherwise only that can still
    refuse the call. Raises Refused."""
    if not call.accounts:
        return
    route, request_summary = call.route, call.request_parser.summary
    # The bytes of a file are no prompt.
    counts_tokens = route.billable and not route.upload
    applied = limits_of_accounts(
        call.accounts, counts_tokens=counts_tokens, continues=call.session is not None
    )
    if is_seen or route.model:
        applied += limits_of_models(call.accounts, _models(call), counts_tokens=counts_tokens)
    if applied:
        if is_seen:
            size = call.exchange.buffered_size()
            expected = expected_tokens(route, request_summary, size, is_compressed=call.head.is_compressed)
        else:
            expected = announced_tokens(call.transport.request_length())
        reserve_rates(call, applied, expected)


def correct_rates(call: ProxyCall, *, path_has_model: bool) -> None:
    """Corrects the reserved tokens by the streamed body, and reserves the rates of its model where only the
    body names that. Raises Refused."""
    route = call.route
    if not call.accounts:
        return
    size, request_summary, context = call.exchange.size, call.request_parser.summary, call.context
    expected = expected_tokens(route, request_summary, size, is_compressed=call.head.is_compressed)
    for taken in call.rate_reservations:
        if exceeded := taken.retake(expected, context.monotonic_micros()):
            raise Refused(rate_refusal(exceeded, call.accounts))
    if not path_has_model:
        applied = limits_of_models(call.accounts, _models(call), counts_tokens=route.billable)
        if applied:
            reserve_rates(call, applied, expected)


def _models(call: ProxyCall) -> Sequence[str] | None:
    """The call's models; None if they are not known. A free call without a model has none."""
    route, request_summary = call.route, call.request_parser.summary
    if route.model:
        return [route.model, *request_summary.models]
    return request_summary.models if request_summary.understood or not route.billable else None


def reserve_rates(call: ProxyCall, applied: Sequence[AppliedLimits], expected: ExpectedTokens) -> None:
    """Reserves what the call needs of all these limits. Raises Refused."""
    context = call.context
    taken = context.rates.admit(applied, expected, context.monotonic_micros())
    if isinstance(taken, Exceeded):
        raise Refused(rate_refusal(taken, call.accounts))
    call.rate_reservations = (*call.rate_reservations, taken)


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


def note_rates(call: ProxyCall, response: ResponseSummary) -> None:
    """Records the tokens that a running Live session has used so far: it may last for hours."""
    if response.read_usage and (total := response.read_usage.total):
        now = call.context.monotonic_micros()
        for taken in call.rate_reservations:
            taken.note(total, now)


def settle_rates(call: ProxyCall) -> None:
    """To be called at the end of every call. For a refused one the reservations are undone."""
    row, now = call.row, call.context.monotonic_micros()
    output = row.output_tokens
    for taken in call.rate_reservations:
        # Google did not run it: it has used nothing of a rate.
        if row.outcome is Outcome.REFUSED:
            taken.undo()
        else:
            taken.settle(used_tokens(row), output and output + (row.thoughts_tokens or 0), now)


def used_tokens(row: CallRecord) -> int | None:
    """All tokens of a call; None where they are not known."""
    if row.total_tokens is not None:
        return row.total_tokens
    known = [row.prompt_tokens, row.output_tokens, row.thoughts_tokens, row.tool_tokens]
    if any(known):
        return sum(filter(None, known))
    return 0 if has_failed(row.outcome, row.status) or row.cost_pico == 0 else None
