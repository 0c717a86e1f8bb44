"""The access that a call requests, the type of the rules that decide on it, and the rules for models: each
model that a call names, in its path or its body, must be allowed. Pure."""

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
    """The access that a call requests: its action and model, if the request line has them, and its path after
    `/gemini`. `billing` is that of its route. `unpriced_reason` says why the call cannot be priced, and is
    set only if the key has a budget. `model_pending`: the body or a later message names the model, and is
    checked then. `request_summary` is None until the body is parsed. `client` is the client's address, set
    only if an account has `allowed_ips`."""

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
        """The called method, as part of a sentence."""
        return self.action or self.path


Rule = Callable[[Account, AccessRequest, int], Refusal | None]
"""A function of account, request and time (microseconds since 1970)."""


def model_allowed(account: Account, request: AccessRequest, _now: int) -> Refusal | None:
    """The rule for the model in the request's path."""
    if not account.record.limits_models:
        return None
    if request.model is not None:
        return _model_refusal(account, request.model)
    if request.model_pending or not request.billable:
        return None
    return _unknown(account, request, "does not name its model: call a route that does")


def models_in_body_allowed(account: Account, request: AccessRequest, _now: int) -> Refusal | None:
    """The rule for the body: it must name a model if the path does not. The unread part of a body may name
    another model, unless the path determines it."""
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
