"""Whether a call may be made: pure decisions over the accounts that it belongs to (its key, the key's group,
its end user, the whole gateway), in two steps: `RULES` by the request's head, `BODY_RULES` by what its body
names. Each rule is asked for each account; the first refusal is returned.

A rule is a function of account, access request and time that returns a refusal or None. What it reads is in
memory; it does no I/O and changes nothing. The messages are for the person whose call it was: whose limit it
is, what is allowed, what to do; they may name a key's alias and limits, never its secret.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache

from gatekeeper.gemini.actions import FREE_STANDARD_VERBS, PRICED_ACTIONS, Billing
from gatekeeper.keys.access_request import AccessRequest, Rule, model_allowed, models_in_body_allowed
from gatekeeper.keys.account import Account
from gatekeeper.keys.budgets import may_count
from gatekeeper.keys.globs import matches
from gatekeeper.keys.policies import POLICY_RULES, address_allowed
from gatekeeper.keys.spend import current_spend
from gatekeeper.keys.virtual_key import KeyState
from gatekeeper.keys.windows import MICROS_PER_SECOND
from gatekeeper.money import short_usd, usd
from gatekeeper.refusals import Reason, Refusal
from gatekeeper.times import iso

# When the calls end that hold what is left of a budget is not known: a client asks again after so long.
RETRY_SECONDS = 5.0
ANY_LIMIT: tuple[str, ...] = ()
"""Of a rule that is asked for every account."""
# Spellings of a path that Google reads as another path than the one that is matched with the globs.
NON_CANONICAL_PATH = re.compile(r"%|\\|//|/\.{1,2}(/|\Z)")


def admit(accounts: Iterable[Account], request: AccessRequest, now: int) -> Refusal | None:
    """The refusal by the request's head, or None."""
    # Of most calls nothing is refused: each account is asked only the rules that could. Which refusal is told
    # follows from the order of the rules over all accounts together, and is looked for once there is one.
    for account in accounts:
        for rule in _rules(account)[0]:
            if rule(account, request, now):
                return _first_refusal(RULES, accounts, request, now)
    return None


def admit_body(accounts: Iterable[Account], request: AccessRequest, now: int) -> Refusal | None:
    """The refusal by what the request's body names (`request.request_summary`), or None."""
    for account in accounts:
        for rule in _rules(account)[1]:
            if rule(account, request, now):
                return _first_refusal(BODY_RULES, accounts, request, now)
    return None


def has_body_rules(accounts: Iterable[Account]) -> bool:
    """Whether `admit_body` could refuse anything."""
    return any(_rules(account)[1] for account in accounts)


def _first_refusal(
    rules: Iterable[Rule], accounts: Iterable[Account], request: AccessRequest, now: int
) -> Refusal | None:
    for rule in rules:
        for account in accounts:
            if refusal := rule(account, request, now):
                return refusal
    return None


def may_go_on(accounts: Iterable[Account], request: AccessRequest, now: int) -> Refusal | None:
    """Why a call that was admitted and still runs may not go on: its key has been blocked, or has expired."""
    return _first_refusal((_unblocked, _unexpired), accounts, request, now)


def _unblocked(account: Account, _request: AccessRequest, _now: int) -> Refusal | None:
    blocked_at = account.record.blocked_at
    if blocked_at is None:
        return None
    return Refusal(
        Reason.KEY_BLOCKED,
        f"{account.title} has been blocked since {iso(blocked_at)}: "
        "ask the gateway's administrator to unblock it.",
        {**account.metadata, "blocked_at": iso(blocked_at)},
    )


def _unexpired(account: Account, _request: AccessRequest, now: int) -> Refusal | None:
    expires_at = account.record.expires_at if isinstance(account, KeyState) else None
    if expires_at is None or now < expires_at:
        return None
    return Refusal(
        Reason.KEY_EXPIRED,
        f"{account.title} expired at {iso(expires_at)}: "
        "ask the gateway's administrator for a new one or a later expiry.",
        {**account.metadata, "expires": iso(expires_at)},
    )


def _route_allowed(account: Account, request: AccessRequest, _now: int) -> Refusal | None:
    allowed = account.record.allowed_routes
    non_canonical = NON_CANONICAL_PATH.search(request.path)
    # A path that Google reads as another one must not match the glob of the one that it looks like.
    names = (request.action or "", "" if non_canonical else request.path)
    if not allowed or any(matches(glob, name) for glob in allowed for name in names):
        return None
    hint = (
        " A path counts only if it is written without percent-encoding, `//`, `.` and `..`."
        if non_canonical
        else ""
    )
    return Refusal(
        Reason.ROUTE_NOT_ALLOWED,
        f"{account.title} may not call {request.action or request.path}. "
        f"It may call: {', '.join(allowed)}.{hint}",
        {**account.metadata, "action": request.action or "", "path": request.path},
    )


def _ephemeral_token_allowed(account: Account, request: AccessRequest, _now: int) -> Refusal | None:
    """An ephemeral token opens Live calls at Google directly, past this gateway, where no limit would
    hold."""
    # The text first: of nearly all calls it is all that is looked at.
    if "auth_tokens" not in (request.action or ""):
        return None
    *collections, verb = (request.action or "").split(".")
    if collections[-1:] != ["auth_tokens"] or verb in FREE_STANDARD_VERBS:
        return None
    record = account.record
    limits = {
        # `*` is not a limit.
        "models": "*" not in record.models and record.models,
        "max_budget": record.max_budget_pico is not None,
        "model_max_budget": record.model_max_budget_pico,
        "allowed_routes": record.allowed_routes,
        "rpm_limit": record.rpm_limit is not None,
        "tpm_limit": record.tpm_limit is not None,
        "model_rpm_limit": record.model_rpm_limit,
        "model_tpm_limit": record.model_tpm_limit,
        "max_parallel_requests": record.max_parallel_requests is not None,
        "searches": record.max_searches is not None,
        "store": record.only_unstored,
        "max_output_tokens": record.max_output_tokens is not None,
        "service_tiers": record.service_tiers,
        "allowed_ips": record.allowed_ips,
        "an expiry": isinstance(account, KeyState) and account.record.expires_at is not None,
    }
    named = ", ".join(name for name, is_set in limits.items() if is_set)
    if not named:
        return None
    return Refusal(
        Reason.ROUTE_NOT_ALLOWED,
        f"{account.title} has limits ({named}), and a token made with it would be used at "
        "Google itself, where they do not hold: use a key without limits.",
        {**account.metadata, "action": request.action or "", "path": request.path},
    )


def _cost_known(account: Account, request: AccessRequest, _now: int) -> Refusal | None:
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


def _budget_left(account: Account, request: AccessRequest, now: int) -> Refusal | None:
    budget = account.record.max_budget_pico
    if budget is None or not request.billable:
        return None
    spend, reset_at = current_spend(account, now)
    if spend < budget:
        return None
    return over_budget(account, spend, reset_at, now)


def short_of_budget(account: Account, needed: int, now: int, *, own: int = 0) -> Refusal:
    """Of a call for which too little is left: it may cost `needed` pico-dollars. One that is cut has `own` of
    what is reserved."""
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
        retry_after=_until_enough(spend + needed <= budget and others > 0, needed <= budget, reset_at, now),
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


# Each with the limits that it is about: it refuses nothing where none of them is set. The first refusal is
# returned: first what is wrong with the key, then with the call, last what the key has spent.
RULES: dict[Rule, tuple[str, ...]] = {
    _unblocked: ("blocked_at",),
    _unexpired: ("expires_at",),
    address_allowed: ("allowed_ips",),
    _route_allowed: ("allowed_routes",),
    _ephemeral_token_allowed: ANY_LIMIT,
    _budget_left: ("max_budget_pico",),
    model_allowed: ("models",),
    _cost_known: ("max_budget_pico", "model_max_budget_pico"),
}
BODY_RULES: dict[Rule, tuple[str, ...]] = {models_in_body_allowed: ("models",), **POLICY_RULES}
_ABOUT = sorted({name for names in (*RULES.values(), *BODY_RULES.values()) for name in names})


def _rules(account: Account) -> tuple[Sequence[Rule], Sequence[Rule]]:
    """Those of both steps that may refuse a call of this account."""
    known = account.rules
    # A record is never changed, only replaced: the same object has the same limits.
    if known is None or known[0] is not account.record:
        limits = frozenset(name for name in _ABOUT if _is_set(getattr(account.record, name, None)))
        known = account.rules = (account.record, _rules_about(limits))
    return known[1]


def _is_set(limit: object) -> bool:
    # Not isinstance: False is an int to Python, and sets no limit.
    return bool(limit) or type(limit) is int  # a limit of 0 is one


# So that the many accounts with the same kinds of limits have the same rules in memory.
@lru_cache(maxsize=1024)
def _rules_about(limits: frozenset[str]) -> tuple[Sequence[Rule], Sequence[Rule]]:
    def request_summary(rules: dict[Rule, tuple[str, ...]]) -> tuple[Rule, ...]:
        return tuple(rule for rule, about in rules.items() if not about or not limits.isdisjoint(about))

    return request_summary(RULES), request_summary(BODY_RULES)
