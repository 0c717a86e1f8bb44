"""What an admitted call reserves of the rates of its accounts, by what its head and then its body say."""

from __future__ import annotations

from collections.abc import Sequence

from gatekeeper.keys.rate_rules import limits_of_accounts, limits_of_models, rate_refusal
from gatekeeper.keys.rates import AppliedLimits, Exceeded, ExpectedTokens
from gatekeeper.proxy.call import ProxyCall
from gatekeeper.proxy.call_rates import announced_tokens, expected_tokens
from gatekeeper.proxy.failures import Refused
from gatekeeper.refusals import Refusal


def reserve_rates_of(call: ProxyCall, *, is_seen: bool) -> None:
    """The last step of admission: nothing else refuses the call any more, but what is in a body that is not
    `is_seen` yet. Raises Refused."""
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
            size = call.progress.buffered_size()
            expected = expected_tokens(route, request_summary, size, is_compressed=call.head.is_compressed)
        else:
            expected = announced_tokens(call.carrier.request_length())
        if refusal := reserve_rates(call, applied, expected):
            raise Refused(refusal)


def correct_rates(call: ProxyCall, *, path_has_model: bool) -> None:
    """Takes the tokens of a streamed body by what it was, and the rates of its model where only the body
    names that. Raises Refused."""
    route = call.route
    if not call.accounts:
        return
    size, request_summary, context = call.progress.size, call.request_parser.summary, call.context
    expected = expected_tokens(route, request_summary, size, is_compressed=call.head.is_compressed)
    for taken in call.rate_reservations:
        if exceeded := taken.retake(expected, context.micros()):
            raise Refused(rate_refusal(exceeded, call.accounts))
    if not path_has_model:
        applied = limits_of_models(call.accounts, _models(call), counts_tokens=route.billable)
        if applied and (refusal := reserve_rates(call, applied, expected)):
            raise Refused(refusal)


def _models(call: ProxyCall) -> Sequence[str] | None:
    """The call's models; None if they are not known. Of a free call without a model nothing is hidden."""
    route, request_summary = call.route, call.request_parser.summary
    if route.model:
        return [route.model, *request_summary.models]
    return request_summary.models if request_summary.understood or not route.billable else None


def reserve_rates(
    call: ProxyCall, applied: Sequence[AppliedLimits], expected: ExpectedTokens
) -> Refusal | None:
    """Takes what the call needs of all these limits, or is the refusal by one of them."""
    context = call.context
    answer = context.rates.admit(applied, expected, context.micros())
    if isinstance(answer, Exceeded):
        return rate_refusal(answer, call.accounts)
    call.rate_reservations = (*call.rate_reservations, answer)
    return None
