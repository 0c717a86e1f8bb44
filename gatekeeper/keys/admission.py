"""Whether a key may make a call: pure decisions over its state, in the order of `RULES`; the first refusal is
returned.

A rule is a function of state, access request and time that returns a refusal or None. What it reads is in
memory; it does no I/O and changes nothing. The messages are for the person whose call it was: what is wrong,
what is allowed, what to do; they may name the key's alias and limits, never its secret.
"""

from __future__ import annotations

import fnmatch
import re
from functools import lru_cache

import msgspec

from gatekeeper.gemini.actions import FREE_STANDARD_VERBS, PRICED_ACTIONS, Billing
from gatekeeper.keys.virtual_key import MICROS_PER_SECOND, KeyState, current_spend
from gatekeeper.money import short_usd, usd
from gatekeeper.refusals import Reason, Refusal
from gatekeeper.times import iso

# Spellings of a path that Google reads as another path than the one that is matched with the globs.
NON_CANONICAL_PATH = re.compile(r"%|\\|//|/\.{1,2}(/|\Z)")


class AccessRequest(msgspec.Struct, frozen=True):
    """What a call needs access to: its action and model as far as the request line names them, and its path
    after `/gemini`. `billing` is that of its route; `unpriced_reason` says why this call could not be priced,
    and is set for a key with a budget only. `model_pending`: a later message names the model, and is admitted
    then."""

    action: str | None
    model: str | None
    path: str
    billing: Billing
    unpriced_reason: str | None = None
    model_pending: bool = False

    @property
    def billable(self) -> bool:
        """Whether it may cost anything."""
        return self.billing is not Billing.FREE


def admit(state: KeyState | None, request: AccessRequest, now: int) -> Refusal | None:
    """The refusal, or None. `state` is None for a secret that no existing key has."""
    if state is None:
        return Refusal(
            Reason.KEY_UNKNOWN,
            "This gateway does not know this key. It may be mistyped, rotated or deleted: "
            "ask the gateway's administrator for a key.",
        )
    for rule in RULES:
        if refusal := rule(state, request, now):
            return refusal
    return None


def may_go_on(state: KeyState, request: AccessRequest, now: int) -> Refusal | None:
    """Why a call that was admitted and still runs may not go on: its key has been blocked, or has expired."""
    return _unblocked(state, request, now) or _unexpired(state, request, now)


def matches(glob: str, text: str) -> bool:
    """Whether the whole text matches the glob: `*` is any run of characters, `/` included, `?` any one; every
    other character is itself, case-sensitive. The time is linear in the text for each `*`."""
    return _compiled(glob).match(text) is not None


@lru_cache(maxsize=4096)
def _compiled(glob: str) -> re.Pattern[str]:
    # fnmatch makes patterns that do not backtrack; its character sets are not part of our globs.
    return re.compile(fnmatch.translate(glob.replace("[", "[[]")))


def _unblocked(state: KeyState, _request: AccessRequest, _now: int) -> Refusal | None:
    blocked_at = state.record.blocked_at
    if blocked_at is None:
        return None
    return Refusal(
        Reason.KEY_BLOCKED,
        f"The key {state.record.display_name} has been blocked since {iso(blocked_at)}: "
        "ask the gateway's administrator to unblock it.",
        {"token_id": state.record.token_id, "blocked_at": iso(blocked_at)},
    )


def _unexpired(state: KeyState, _request: AccessRequest, now: int) -> Refusal | None:
    expires_at = state.record.expires_at
    if expires_at is None or now < expires_at:
        return None
    return Refusal(
        Reason.KEY_EXPIRED,
        f"The key {state.record.display_name} expired at {iso(expires_at)}: "
        "ask the gateway's administrator for a new one or a later expiry.",
        {"token_id": state.record.token_id, "expires": iso(expires_at)},
    )


def _route_allowed(state: KeyState, request: AccessRequest, _now: int) -> Refusal | None:
    allowed = state.record.allowed_routes
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
        f"The key {state.record.display_name} may not call {request.action or request.path}. "
        f"It may call: {', '.join(allowed)}.{hint}",
        {"token_id": state.record.token_id, "action": request.action or "", "path": request.path},
    )


def _ephemeral_token_allowed(state: KeyState, request: AccessRequest, _now: int) -> Refusal | None:
    """An ephemeral token opens Live calls at Google directly, past this gateway, where no limit would
    hold."""
    *collections, verb = (request.action or "").split(".")
    if collections[-1:] != ["auth_tokens"] or verb in FREE_STANDARD_VERBS:
        return None
    record = state.record
    limits = {
        # `*` is not a limit.
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
        f"The key {record.display_name} has limits ({named}), and a token made with it would be used at "
        "Google itself, where they do not hold: use a key without limits.",
        {"token_id": record.token_id, "action": request.action or "", "path": request.path},
    )


def _model_allowed(state: KeyState, request: AccessRequest, _now: int) -> Refusal | None:
    allowed = state.record.models
    # `*` also admits calls whose path does not name their model.
    if not allowed or "*" in allowed or request.model_pending:
        return None
    if request.model is None:
        return _model_not_in_path(state, request) if request.billable else None
    model = request.model.removeprefix("models/")
    if any(matches(glob.removeprefix("models/"), model) for glob in allowed):
        return None
    return Refusal(
        Reason.MODEL_NOT_ALLOWED,
        f"The key {state.record.display_name} may not use the model {model}. "
        f"It may use: {', '.join(allowed)}.",
        {"token_id": state.record.token_id, "model": model},
    )


def _model_not_in_path(state: KeyState, request: AccessRequest) -> Refusal:
    return Refusal(
        Reason.MODEL_NOT_ALLOWED,
        f"The key {state.record.display_name} is limited to the models {', '.join(state.record.models)}, and "
        f"{request.action or request.path} does not name its model in the path: call a route that does, "
        "or use a key without a limit on models.",
        {"token_id": state.record.token_id},
    )


def _cost_known(state: KeyState, request: AccessRequest, _now: int) -> Refusal | None:
    """A budget can limit only calls whose cost will be known."""
    if state.record.max_budget_pico is None:
        return None
    what = request.action or request.path
    if request.billing is Billing.UNKNOWN and request.action not in PRICED_ACTIONS:
        return cost_unknown_refusal(state, request, f"cannot tell what {what} costs")
    # Its calls are charged an upper bound instead.
    if request.unpriced_reason is None or state.record.allow_unpriced:
        return None
    return Refusal(
        Reason.MODEL_UNPRICED,
        f"The key {state.record.display_name} has a budget, and {what} could not be counted against it: "
        f"{request.unpriced_reason}. Use a model that `gatekeeper prices show` lists, or ask the gateway's "
        "administrator to add its price, or to set `allow_unpriced` of this key.",
        {"token_id": state.record.token_id, "model": request.model or ""},
    )


def cost_unknown_refusal(state: KeyState, request: AccessRequest, why: str) -> Refusal:
    """Of a call that a budget cannot limit. `why` says what this gateway cannot do."""
    return Refusal(
        Reason.ROUTE_NOT_ALLOWED,
        f"The key {state.record.display_name} has a budget, and this gateway {why}: call generateContent or "
        "another method whose response reports its tokens, or use a key without a budget.",
        {"token_id": state.record.token_id, "action": request.action or "", "path": request.path},
    )


def _budget_left(state: KeyState, request: AccessRequest, now: int) -> Refusal | None:
    budget = state.record.max_budget_pico
    if budget is None or not request.billable:
        return None
    spend, reset_at = current_spend(state, now)
    if spend < budget:
        return None
    return _over_budget(state, spend, budget, reset_at, now)


def _over_budget(state: KeyState, spend: int, budget: int, reset_at: int | None, now: int) -> Refusal:
    metadata = {"token_id": state.record.token_id, "spend": usd(spend), "max_budget": usd(budget)}
    of_budget = f"{short_usd(spend)} USD of its budget of {short_usd(budget)} USD"
    spent = f"The key {state.record.display_name} has spent {of_budget}"
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


# The first refusal is returned: first what is wrong with the key, then with the call, last what the key has
# spent.
RULES = (
    _unblocked,
    _unexpired,
    _route_allowed,
    _ephemeral_token_allowed,
    _model_allowed,
    _cost_known,
    _budget_left,
)
