"""What a call needs access to, the form of a rule that decides on it, and the rules of models: each model
that a call names, in its path or its body, must be allowed. Pure."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import msgspec

from gatekeeper.gemini.actions import PATH_MODEL_ACTIONS, Billing
from gatekeeper.gemini.request_summary import RequestSummary
from gatekeeper.keys.account import Account
from gatekeeper.keys.globs import matches_model
from gatekeeper.refusals import Reason, Refusal


class AccessRequest(msgspec.Struct, frozen=True):
    """What a call needs access to: its action and model as far as the request line names them, and its path
    after `/gemini`. `billing` is that of its route; `unpriced_reason` says why this call could not be priced,
    and is set for a key with a budget only. `model_pending`: the body or a later message names the model, and
    is admitted then. `request_summary` is what its body names, None while that is not known. `client` is the
    address that it comes from, if one of its accounts is limited to some."""

    action: str | None
    model: str | None
    path: str
    billing: Billing
    unpriced_reason: str | None = None
    model_pending: bool = False
    request_summary: RequestSummary | None = None
    client: str = ""

    @property
    def billable(self) -> bool:
        """Whether it may cost anything."""
        return self.billing is not Billing.FREE

    @property
    def what(self) -> str:
        """What it calls, in a sentence."""
        return self.action or self.path


Rule = Callable[[Account, AccessRequest, int], Refusal | None]
"""By account, request and time (microseconds since 1970)."""


def model_allowed(account: Account, request: AccessRequest, _now: int) -> Refusal | None:
    """By the request's head."""
    if not account.record.limits_models:
        return None
    if request.model is not None:
        return _model_refusal(account, request.model)
    if request.model_pending or not request.billable:
        return None
    return _unknown(account, request, "does not name its model: call a route that does")


def models_in_body_allowed(account: Account, request: AccessRequest, _now: int) -> Refusal | None:
    """By the body: there must be a model if the path names none. What is not seen of a body may name another
    one, unless the path decides."""
    request_summary = request.request_summary
    if request_summary is None or not account.record.limits_models:
        return None
    for model in request_summary.models:
        if refusal := _model_refusal(account, model):
            return refusal
    if request.action in PATH_MODEL_ACTIONS and request.model is not None:
        return None
    if not request_summary.understood:
        seen = "plain JSON, of at most 16 MiB without its long strings"
        return _unknown(account, request, f"has a body that the gateway cannot check for models: send {seen}")
    if request.model is None and not request_summary.models and request.billable:
        return _unknown(account, request, "names none, in its path or its body: name one")
    return None


def _model_refusal(account: Account, named: str) -> Refusal | None:
    allowed, model = account.record.models, named.removeprefix("models/")
    if _is_one_of(model, allowed):
        return None
    return Refusal(
        Reason.MODEL_NOT_ALLOWED,
        f"{account.title} may not use the model {model}. It may use: {', '.join(allowed)}.",
        {**account.metadata, "model": model},
    )


# Bounded, because clients choose the names; few models are in use.
@lru_cache(maxsize=1024)
def _is_one_of(model: str, allowed: tuple[str, ...]) -> bool:
    return any(matches_model(glob, model) for glob in allowed)


def _unknown(account: Account, request: AccessRequest, why: str) -> Refusal:
    return Refusal(
        Reason.MODEL_NOT_ALLOWED,
        f"{account.title} is limited to the models {', '.join(account.record.models)}, and {request.what} "
        f"{why}, or use a key without a limit on models.",
        account.metadata,
    )
