"""Which rates apply to a call, and the refusal of a call that exceeds one. Pure.

A call must fit the limits of each of its accounts, including those for some models: the models that match a
glob share its limit, and a call counts for each glob that matches one of its models. A call whose model is
unknown counts for each glob.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence

from gatekeeper.keys.account import Account, AccountId
from gatekeeper.keys.globs import matches_model
from gatekeeper.keys.rates import AppliedLimits, Exceeded, Rate, RateLimits
from gatekeeper.keys.windows import MICROS_PER_SECOND
from gatekeeper.refusals import Reason, Refusal

# Seconds for `Retry-After`, because it is unknown when a parallel call ends.
PARALLEL_RETRY_AFTER = 1.0


def limits_of_accounts(
    accounts: Iterable[Account], *, counts_tokens: bool, continues: bool = False
) -> list[AppliedLimits]:
    """The limits of the accounts for all of their calls. `counts_tokens`: whether the call's tokens count;
    those of a free call do not. `continues`: the call continues an upload, whose start was counted as a
    request, because the number of chunks is up to the SDK."""
    applied: list[AppliedLimits] = []
    for account in accounts:
        record = account.record
        requests = None if continues else record.rpm_limit
        tokens = record.tpm_limit if counts_tokens else None
        # Fast path: most keys have none.
        if requests is not None or tokens is not None or record.max_parallel_requests is not None:
            limits = RateLimits(requests, tokens, record.max_parallel_requests)
            applied.append(AppliedLimits(account.id, limits))
    return applied


def limits_of_models(
    accounts: Iterable[Account], models: Sequence[str] | None, *, counts_tokens: bool
) -> list[AppliedLimits]:
    """The limits of the accounts for models that match a glob. `models` are those of the call; None:
    unknown."""
    applied: list[AppliedLimits] = []
    for account in accounts:
        record = account.record
        if not (record.model_rpm_limit or record.model_tpm_limit):
            continue
        for glob in _matching({**record.model_rpm_limit, **record.model_tpm_limit}, models):
            tokens = record.model_tpm_limit.get(glob) if counts_tokens else None
            limits = RateLimits(record.model_rpm_limit.get(glob), tokens)
            # A glob with only a `model_tpm_limit` does not limit a free call.
            if any(limit is not None for limit in limits):
                applied.append(AppliedLimits(AccountId(account.id.kind, account.id.name, glob), limits))
    return applied


def _matching(globs: Iterable[str], models: Sequence[str] | None) -> Iterator[str]:
    for glob in globs:
        if models is None or any(matches_model(glob, model) for model in models):
            yield glob


RATE_NAMES = {  # of the fields
    Rate.REQUESTS: "rpm_limit",
    Rate.TOKENS: "tpm_limit",
    Rate.PARALLEL: "max_parallel_requests",
}
_PROBLEMS = {
    Rate.REQUESTS: "may make {} a minute, and has made them",
    Rate.TOKENS: "may use {} a minute, and has not enough of them left for this call",
    Rate.PARALLEL: "may make {} at a time, and that many are running",
}
_UNITS = {Rate.REQUESTS: "request", Rate.TOKENS: "token", Rate.PARALLEL: "request"}


def rate_refusal(exceeded: Exceeded, accounts: Iterable[Account]) -> Refusal:
    """The refusal by a limit of one of these accounts."""
    rate, id_ = exceeded.rate, exceeded.account
    account = next(each for each in accounts if each.id == id_._replace(model=""))
    name = f"model_{RATE_NAMES[rate]}" if id_.model else RATE_NAMES[rate]
    of_models = f", for the models {id_.model}," if id_.model else ""
    amount = f"{exceeded.limit:,} {_UNITS[rate]}{'' if exceeded.limit == 1 else 's'}"
    if exceeded.wait is None:
        reason, seconds = Reason.TOO_MANY_PARALLEL, PARALLEL_RETRY_AFTER
        remedy = "try again when one of them has ended"
    else:
        reason, seconds = Reason.RATE_LIMITED, exceeded.wait / MICROS_PER_SECOND
        remedy = f"try again in {math.ceil(seconds)} s"
    return Refusal(
        reason,
        f"{account.title}{of_models} {_PROBLEMS[rate].format(amount)}: {remedy}, "
        f"or ask the gateway's administrator for a higher {name}.",
        {
            **account.metadata,
            **({"models": id_.model} if id_.model else {}),
            "limit": name,
            "value": str(exceeded.limit),
        },
        retry_after=seconds,
    )
