"""Whether a key may make a call: pure decisions over its state, in the order of `RULES`, the first no wins.

A rule is a function of state, ask and time that answers with a refusal or None. What it reads is in memory;
it does no I/O and changes nothing. The texts are for the person whose call it was: what is wrong, what is
allowed, what to do; they may name the key's alias and limits, never its secret.
"""

from __future__ import annotations

import fnmatch
import re
from functools import lru_cache

import msgspec

from gatekeeper.gemini.actions import READING_VERBS, Charge
from gatekeeper.keys.virtual_key import SECOND, KeyState, standing
from gatekeeper.money import short_usd, usd
from gatekeeper.refusals import Reason, Refusal
from gatekeeper.times import iso

# Spellings that Google would read as another path than the one that a glob sees.
TWISTED = re.compile(r"%|\\|//|/\.{1,2}(/|\Z)")


class Ask(msgspec.Struct, frozen=True):
    """What a call wants: its action and model as far as the request line tells, and its path after
    `/gemini`. `charge` is what calls of its route cost; `unpriced` says why this one could not be priced, for
    a key with a budget only."""

    action: str | None
    model: str | None
    path: str
    charge: Charge
    unpriced: str | None = None

    @property
    def billable(self) -> bool:
        """Whether it may cost anything."""
        return self.charge is not Charge.FREE


def admit(state: KeyState | None, ask: Ask, now: int) -> Refusal | None:
    """The reason to refuse, or None. `state` is None for a secret that no living key has."""
    if state is None:
        return Refusal(
            Reason.KEY_UNKNOWN,
            "This gateway does not know this key. It may be mistyped, rotated or deleted: "
            "ask the gateway's administrator for a key.",
        )
    for rule in RULES:
        if refusal := rule(state, ask, now):
            return refusal
    return None


def matches(glob: str, text: str) -> bool:
    """Whether the whole text fits the glob: `*` is any run of characters, `/` included, `?` any one; every
    other character is itself, in its case. Takes a time linear in the text for each `*`."""
    return _compiled(glob).match(text) is not None


@lru_cache(maxsize=4096)
def _compiled(glob: str) -> re.Pattern[str]:
    # fnmatch makes patterns that do not backtrack; its character sets are not ours.
    return re.compile(fnmatch.translate(glob.replace("[", "[[]")))


def _unblocked(state: KeyState, _ask: Ask, _now: int) -> Refusal | None:
    blocked_at = state.record.blocked_at
    if blocked_at is None:
        return None
    return Refusal(
        Reason.KEY_BLOCKED,
        f"The key {state.record.title} has been blocked since {iso(blocked_at)}: "
        "ask the gateway's administrator to unblock it.",
        {"token_id": state.record.token_id, "blocked_at": iso(blocked_at)},
    )


def _unexpired(state: KeyState, _ask: Ask, now: int) -> Refusal | None:
    expires_at = state.record.expires_at
    if expires_at is None or now < expires_at:
        return None
    return Refusal(
        Reason.KEY_EXPIRED,
        f"The key {state.record.title} expired at {iso(expires_at)}: "
        "ask the gateway's administrator for a new one or a later end.",
        {"token_id": state.record.token_id, "expires": iso(expires_at)},
    )


def _route_allowed(state: KeyState, ask: Ask, _now: int) -> Refusal | None:
    allowed = state.record.allowed_routes
    twisted = TWISTED.search(ask.path)
    # A path that Google reads as another one must not fit the glob of the one that it looks like.
    names = (ask.action or "", "" if twisted else ask.path)
    if not allowed or any(matches(glob, name) for glob in allowed for name in names):
        return None
    hint = (
        " A path counts only if it is spelt without percent-encoding, `//`, `.` and `..`." if twisted else ""
    )
    return Refusal(
        Reason.ROUTE_NOT_ALLOWED,
        f"The key {state.record.title} may not call {ask.action or ask.path}. "
        f"It may call: {', '.join(allowed)}.{hint}",
        {"token_id": state.record.token_id, "action": ask.action or "", "path": ask.path},
    )


def _token_kept(state: KeyState, ask: Ask, _now: int) -> Refusal | None:
    """An ephemeral token opens Live at Google itself, past this gateway: no limit would hold there."""
    *collections, verb = (ask.action or "").split(".")
    if collections[-1:] != ["auth_tokens"] or verb in READING_VERBS:
        return None
    record = state.record
    limits = {
        # `*` is no limit.
        "models": "*" not in record.models and record.models,
        "max_budget": record.max_budget_pico is not None,
        "allowed_routes": record.allowed_routes,
        "rpm_limit": record.rpm_limit is not None,
        "tpm_limit": record.tpm_limit is not None,
        "max_parallel_requests": record.max_parallel_requests is not None,
        "an expiry": record.expires_at is not None,
    }
    named = ", ".join(name for name, is_set in limits.items() if is_set)
    if not named:
        return None
    return Refusal(
        Reason.ROUTE_NOT_ALLOWED,
        f"The key {record.title} has limits ({named}), and a token made with it would be used at Google "
        "itself, where they do not hold: use a key without limits.",
        {"token_id": record.token_id, "action": ask.action or "", "path": ask.path},
    )


def _model_allowed(state: KeyState, ask: Ask, _now: int) -> Refusal | None:
    allowed = state.record.models
    # With `*` a call is let through as well whose path does not name its model.
    if not allowed or "*" in allowed:
        return None
    if ask.model is None:
        return _hidden_model(state, ask) if ask.billable else None
    model = ask.model.removeprefix("models/")
    if any(matches(glob.removeprefix("models/"), model) for glob in allowed):
        return None
    return Refusal(
        Reason.MODEL_NOT_ALLOWED,
        f"The key {state.record.title} may not use the model {model}. It may use: {', '.join(allowed)}.",
        {"token_id": state.record.token_id, "model": model},
    )


def _hidden_model(state: KeyState, ask: Ask) -> Refusal:
    return Refusal(
        Reason.MODEL_NOT_ALLOWED,
        f"The key {state.record.title} is limited to the models {', '.join(state.record.models)}, and "
        f"{ask.action or ask.path} does not name its model in the path: call a route that does, "
        "or use a key without a limit on models.",
        {"token_id": state.record.token_id},
    )


def _countable(state: KeyState, ask: Ask, _now: int) -> Refusal | None:
    """A budget bounds only what can be counted against it."""
    if state.record.max_budget_pico is None:
        return None
    what = ask.action or ask.path
    if ask.charge is Charge.UNKNOWN:
        return Refusal(
            Reason.ROUTE_NOT_ALLOWED,
            f"The key {state.record.title} has a budget, and this gateway cannot tell what {what} costs: "
            "call generateContent or another method whose answer reports its tokens, "
            "or use a key without a budget.",
            {"token_id": state.record.token_id, "action": ask.action or "", "path": ask.path},
        )
    if ask.unpriced is None:
        return None
    return Refusal(
        Reason.MODEL_UNPRICED,
        f"The key {state.record.title} has a budget, and {what} could not be counted against it: "
        f"{ask.unpriced}. Use a model that `gatekeeper prices show` lists, or a key without a budget.",
        {"token_id": state.record.token_id, "model": ask.model or ""},
    )


def _budget_left(state: KeyState, ask: Ask, now: int) -> Refusal | None:
    budget = state.record.max_budget_pico
    if budget is None or not ask.billable:
        return None
    spend, reset_at = standing(state, now)
    if spend < budget:
        return None
    return _over_budget(state, spend, budget, reset_at, now)


def _over_budget(state: KeyState, spend: int, budget: int, reset_at: int | None, now: int) -> Refusal:
    metadata = {"token_id": state.record.token_id, "spend": usd(spend), "max_budget": usd(budget)}
    of_budget = f"{short_usd(spend)} USD of its budget of {short_usd(budget)} USD"
    spent = f"The key {state.record.title} has spent {of_budget}"
    if reset_at is None:
        return Refusal(
            Reason.BUDGET_EXCEEDED,
            f"{spent}: ask the gateway's administrator for a higher budget.",
            metadata,
        )
    return Refusal(
        Reason.BUDGET_EXCEEDED,
        f"{spent}, which starts anew at {iso(reset_at)}: "
        "wait until then, or ask the gateway's administrator for a higher budget.",
        {**metadata, "budget_reset_at": iso(reset_at)},
        # A budget of nothing is as spent after the reset as before.
        retry_after=(reset_at - now) / SECOND if budget else None,
    )


# The first no wins: first what is wrong with the key, then with the call, and what it has spent at last.
RULES = (_unblocked, _unexpired, _route_allowed, _token_kept, _model_allowed, _countable, _budget_left)
