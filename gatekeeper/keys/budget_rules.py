"""The rules of budgets, and what people are told of them: the refusal of a call whose cost is not known, or
that exceeds a budget, and the warning of a soft budget. Pure.

An account that has reached its soft budget is warned of: once in the log and as an event, and in each
response. Nothing is refused.
"""

from __future__ import annotations

from collections.abc import Iterable

from gatekeeper.gemini.actions import PRICED_ACTIONS, Billing
from gatekeeper.keys.access_request import AccessRequest
from gatekeeper.keys.account import Account
from gatekeeper.keys.budgets import may_count
from gatekeeper.keys.spend import current_spend
from gatekeeper.keys.windows import MICROS_PER_SECOND
from gatekeeper.money import short_usd, usd
from gatekeeper.refusals import Reason, Refusal
from gatekeeper.times import iso

# When the calls end that hold what is left of a budget is not known: a client asks again after so long.
RETRY_SECONDS = 5.0


def cost_known(account: Account, request: AccessRequest, _now: int) -> Refusal | None:
    """A budget can limit only calls whose cost will be known."""
    if not may_count(account, request.model):
        return None
    what = request.action or request.path
    # A route that this version does not know may cost anything, also where its model has a price.
    if request.billing is Billing.UNKNOWN and request.action not in PRICED_ACTIONS:
        return cost_unknown_refusal(account, request, f"cannot tell what {what} costs")
    # Its calls are charged an upper bound instead.
    if request.unpriced_reason is None or account.record.allow_unpriced:
        return None
    # The gateway has no such setting.
    instead = "" if account.id.kind == "gateway" else ", or to set `allow_unpriced` there"
    return Refusal(
        Reason.MODEL_UNPRICED,
        f"{account.title} has a budget, and {what} could not be counted against it: "
        f"{request.unpriced_reason}. Use a model that `gatekeeper prices show` lists, or ask the gateway's "
        f"administrator to add its price{instead}.",
        {**account.metadata, "model": request.model or ""},
    )


def cost_unknown_refusal(account: Account, request: AccessRequest, why: str) -> Refusal:
    """Of a call that a budget cannot limit. `why` says what this gateway cannot do."""
    return Refusal(
        Reason.ROUTE_NOT_ALLOWED,
        f"{account.title} has a budget, and this gateway {why}: call generateContent or "
        "another method whose response reports its tokens, or use a key without a budget.",
        {**account.metadata, "action": request.action or "", "path": request.path},
    )


def budget_left(account: Account, request: AccessRequest, now: int) -> Refusal | None:
    budget = account.record.max_budget_pico
    if budget is None or not request.billable:
        return None
    spend, reset_at = current_spend(account, now)
    if spend < budget:
        return None
    return over_budget(account, spend, reset_at, now)


def short_of_budget(
    account: Account, needed: int, now: int, *, own: int = 0, fits_alone: bool = False
) -> Refusal:
    """Of a call for which too little is left: it may cost `needed` pico-dollars. One that is cut has `own` of
    what is reserved. `fits_alone`: with all of the budget left it would run, whatever it may cost."""
    budget = account.record.max_budget_pico or 0
    spend, reset_at = current_spend(account, now)
    others = account.reserved_pico - own
    metadata = {
        **account.metadata,
        "spend": usd(spend),
        "reserved": usd(account.reserved_pico),
        "max_budget": usd(budget),
        "needed": usd(needed),
    }
    held = f", and {short_usd(others)} USD are reserved for calls under way" if others else ""
    what = "the rest of this call, which" if own else "this call, which"
    reset = "" if reset_at is None else f" The budget resets at {iso(reset_at)}."
    return Refusal(
        Reason.BUDGET_EXCEEDED,
        f"{account.title} has spent {short_usd(spend)} of {short_usd(budget)} USD{held}: what is left may "
        f"not be enough for {what} may cost {short_usd(needed)} USD. Name a lower maxOutputTokens, shorten "
        f"the request, or ask the gateway's administrator for a higher budget.{reset}",
        metadata if reset_at is None else {**metadata, "budget_reset_at": iso(reset_at)},
        retry_after=_until_enough(
            spend + needed <= budget and others > 0, needed <= budget or fits_alone, reset_at, now
        ),
    )


def _until_enough(is_held: bool, is_enough: bool, reset_at: int | None, now: int) -> float | None:
    """Seconds until a repeated call may find enough: until other calls end that hold it, which may give back
    what they did not need; else until the reset, if all of the budget is enough."""
    if is_held:
        return RETRY_SECONDS
    return (reset_at - now) / MICROS_PER_SECOND if is_enough and reset_at is not None else None


def over_budget(account: Account, spend: int, reset_at: int | None, now: int) -> Refusal:
    """Of an account that has spent its budget."""
    budget = account.record.max_budget_pico or 0
    metadata = {**account.metadata, "spend": usd(spend), "max_budget": usd(budget)}
    of_budget = f"{short_usd(spend)} USD of its budget of {short_usd(budget)} USD"
    spent = f"{account.title} has spent {of_budget}"
    if reset_at is None:
        return Refusal(
            Reason.BUDGET_EXCEEDED,
            f"{spent}: ask the gateway's administrator for a higher budget.",
            metadata,
        )
    return Refusal(
        Reason.BUDGET_EXCEEDED,
        f"{spent}, which resets at {iso(reset_at)}: "
        "wait until then, or ask the gateway's administrator for a higher budget.",
        {**metadata, "budget_reset_at": iso(reset_at)},
        # With a budget of 0 waiting for the reset does not help.
        retry_after=(reset_at - now) / MICROS_PER_SECOND if budget else None,
    )


def soft_budget_document(account: Account) -> dict[str, str | None]:
    """That an account has reached its soft budget: its kind, its name, and amounts in USD."""
    kind, name, _ = account.id
    limits = account.record
    return {
        "of": kind,
        "name": name or None,
        "title": account.title,
        "spend": usd(account.spend_pico),
        "soft_budget": usd(limits.soft_budget_pico or 0),
        "max_budget": None if limits.max_budget_pico is None else usd(limits.max_budget_pico),
    }


def soft_budget_headers(accounts: Iterable[Account], now: int) -> list[tuple[bytes, bytes]]:
    """`x-gatekeeper-budget-warning` for each of the accounts that has spent its soft budget."""
    warnings: list[tuple[bytes, bytes]] = []
    for account in accounts:
        soft = account.record.soft_budget_pico
        if soft is not None and (spent := current_spend(account, now)[0]) >= soft:
            warning = f"{account.id.kind} has spent {short_usd(spent)} of {short_usd(soft)} USD"
            warnings.append((b"x-gatekeeper-budget-warning", warning.encode()))
    return warnings
