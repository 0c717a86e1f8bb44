"""Decides whether a call is allowed by the limits of its accounts (its key, the key's group, its end user,
the whole gateway), in two steps: `RULES` check the request's head, `BODY_RULES` its body. Each rule is
evaluated for each account; the first refusal is returned. Pure.

A rule is a function of account, access request and time that returns a refusal or None. It reads memory only,
does no I/O and has no side effects. The messages are for the user of the key: whose limit it is, what is
allowed, what to do. They may include a key's alias and limits, but never its secret.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache

from gatekeeper.gemini.actions import FREE_STANDARD_VERBS
from gatekeeper.keys.access_request import AccessRequest, Rule, model_allowed, models_in_body_allowed
from gatekeeper.keys.account import Account
from gatekeeper.keys.budget_rules import budget_left, cost_known
from gatekeeper.keys.globs import matches
from gatekeeper.keys.policies import POLICY_RULES, address_allowed
from gatekeeper.keys.virtual_key import KeyState
from gatekeeper.refusals import Reason, Refusal
from gatekeeper.times import iso

ANY_LIMIT: tuple[str, ...] = ()
"""For a rule that applies to every account."""
# Spellings that Google reads as another path than the one that is matched against the globs.
NON_CANONICAL_PATH = re.compile(r"%|\\|//|/\.{1,2}(/|\Z)")


def admit(accounts: Iterable[Account], request: AccessRequest, now: int) -> Refusal | None:
    """The refusal due to the request's head, or None."""
    # Fast path: most calls are not refused, so only the rules that apply to each account are evaluated. If
    # one refuses, the refusal to return is the first by the order of the rules over all accounts.
    for account in accounts:
        for rule in _rules(account)[0]:
            if rule(account, request, now):
                return _first_refusal(RULES, accounts, request, now)
    return None


def admit_body(accounts: Iterable[Account], request: AccessRequest, now: int) -> Refusal | None:
    """The refusal due to the request's body (`request.request_summary`), or None."""
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
    """The refusal if a running call may not continue, because its key was blocked or has expired; else
    None."""
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
    # A path must not match the glob of a path that it only resembles.
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
    """An ephemeral token opens Live sessions directly at Google, bypassing this gateway and its limits."""
    # Fast path: nearly all calls end here.
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


# Each rule with the limits that it checks: if none of them is set, it cannot refuse. The order determines
# which refusal is returned: first those about the key, then about the call, last about the spend.
RULES: dict[Rule, tuple[str, ...]] = {
    _unblocked: ("blocked_at",),
    _unexpired: ("expires_at",),
    address_allowed: ("allowed_ips",),
    _route_allowed: ("allowed_routes",),
    _ephemeral_token_allowed: ANY_LIMIT,
    budget_left: ("max_budget_pico",),
    model_allowed: ("models",),
    cost_known: ("max_budget_pico", "model_max_budget_pico"),
}
BODY_RULES: dict[Rule, tuple[str, ...]] = {models_in_body_allowed: ("models",), **POLICY_RULES}
_ABOUT = sorted({name for names in (*RULES.values(), *BODY_RULES.values()) for name in names})


def _rules(account: Account) -> tuple[Sequence[Rule], Sequence[Rule]]:
    """The rules of both steps that may refuse a call of this account."""
    known = account.rules
    # Records are immutable: the same object has the same limits.
    if known is None or known[0] is not account.record:
        limits = frozenset(name for name in _ABOUT if _is_set(getattr(account.record, name, None)))
        known = account.rules = (account.record, _rules_about(limits))
    return known[1]


def _is_set(limit: object) -> bool:
    # Not isinstance: False is an int in Python, and sets no limit.
    return bool(limit) or type(limit) is int  # 0 is a limit, too


# Cached so that accounts with the same kinds of limits share the tuples of rules.
@lru_cache(maxsize=1024)
def _rules_about(limits: frozenset[str]) -> tuple[Sequence[Rule], Sequence[Rule]]:
    def request_summary(rules: dict[Rule, tuple[str, ...]]) -> tuple[Rule, ...]:
        return tuple(rule for rule, about in rules.items() if not about or not limits.isdisjoint(about))

    return request_summary(RULES), request_summary(BODY_RULES)
