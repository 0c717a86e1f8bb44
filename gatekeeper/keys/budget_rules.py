"""The rules of budgets and their messages: the refusal of a call whose cost is unknown or exceeds a budget,
and the warning of a soft budget. Pure.

When an account reaches its soft budget, there is a warning: once in the log and as an event, and in each
response. No call is refused for it.
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

# For `Retry-After`, because it is unknown when the calls end that have reserved the rest of a budget.
RETRY_SECONDS = 5.0


def cost_known(account: Account, request: AccessRequest, _now: int) -> Refusal | None:
    """Refuses a call whose cost will not be known, because a budget cannot limit it."""
    if not may_count(account, request.model):
        return None
    what = request.action or request.path
    # The cost of an unknown route is unknown even if its model has a price.
    if request.billing is Billing.UNKNOWN and request.action not in PRICED_ACTIONS:
        return cost_unknown_refusal(account, request, f"cannot tell what {what} costs")
    # The account is charged an upper bound instead.
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
    """The refusal of a call that a budget cannot limit; `why` is the reason."""
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
    """The refusal of a call that may cost `needed` pico-dollars, more than is left. For a running call that
    is cut off, `own` is its own reservation. `fits_alone`: it would run if all of the budget were left,
    whatever it may cost."""
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
    """Seconds until a retry may succeed: until running calls release their reservations, if these hold
    enough; else until the reset, if the whole budget is enough; else None."""
    if is_held:
        return RETRY_SECONDS
    return (reset_at - now) / MICROS_PER_SECOND if is_enough and reset_at is not None else None


def over_budget(account: Account, spend: int, reset_at: int | None, now: int) -> Refusal:
    """The refusal for an account that has spent its budget."""
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
        # With a budget of 0 waiting for the reset is no use.
        retry_after=(reset_at - now) / MICROS_PER_SECOND if budget else None,
    )


def soft_budget_document(account: Account) -> dict[str, str | None]:
    """The event of an account that has reached its soft budget: its kind, its name, and amounts in USD."""
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
    """An `x-gatekeeper-budget-warning` header for each account that has spent its soft budget."""
    warnings: list[tuple[bytes, bytes]] = []
    for account in accounts:
        soft = account.record.soft_budget_pico
        if soft is not None and (spent := current_spend(account, now)[0]) >= soft:
            warning = f"{account.id.kind} has spent {short_usd(spent)} of {short_usd(soft)} USD"
            warnings.append((b"x-gatekeeper-budget-warning", warning.encode()))
    return warnings
