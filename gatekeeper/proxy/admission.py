"""The admission checks that need the proxy: those of every request, whatever its key, and those of a
request's body. The rules of keys and their limits are in `keys.admission`. A body may refer only to resources
that its key may see: that is checked before its last byte goes upstream. A function that checks raises
Refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from msgspec.structs import replace

from gatekeeper.gemini.actions import CACHE_UPDATE, PRICED_ACTIONS
from gatekeeper.gemini.evasion import header_risk, query_risk
from gatekeeper.gemini.request_parser import UnreadRequest
from gatekeeper.gemini.request_summary import OVERLAP, ReferenceScan, RequestSummary, references
from gatekeeper.keys import admission
from gatekeeper.keys.admission import admit, has_body_rules
from gatekeeper.keys.budget_rules import cost_unknown_refusal
from gatekeeper.keys.budgets import may_count
from gatekeeper.keys.rate_rules import limits_of_models
from gatekeeper.keys.rates import UNBOUNDED
from gatekeeper.proxy.call import ProxyCall
from gatekeeper.proxy.call_accounting import apply_request
from gatekeeper.proxy.call_budget import reserve
from gatekeeper.proxy.call_rates import reserve_rates
from gatekeeper.proxy.failures import Refused
from gatekeeper.proxy.not_found import base_url_refusal
from gatekeeper.proxy.transport import PREFIX
from gatekeeper.public_url import public_base
from gatekeeper.refusals import Reason, Refusal
from gatekeeper.runtime import now_micros

UNCHECKED_BODY = Refusal(
    Reason.BAD_REQUEST,
    "Not relayed: this gateway looks at 16 MiB of a body, long strings not counted unless it is compressed, "
    "and the rest may refer to a file, a cache or another resource of somebody else. Send it as plain JSON, "
    "in smaller requests.",
)


def request_refusal(call: ProxyCall) -> Refusal | None:
    """The refusal of a request that no key may send; None if there is none."""
    context, head, route = call.context, call.head, call.route
    if unavailable := context.unavailable_refusal():
        return unavailable
    settings = context.settings
    # With a master key a page of another site has no key to send; which pages may use one is for CORS.
    if settings.open_mode and (why := head.cross_site_reason(context.allowed_origins)):
        return Refusal(Reason.POLICY, f"{why}.")
    if route.wrong_base_url:
        return base_url_refusal(PREFIX + head.path, public_base(head.scope, settings))
    if route.rejection:
        return Refusal(Reason.BAD_REQUEST, f"Not relayed: {route.rejection}.")
    return None


def override_refusal(call: ProxyCall) -> Refusal | None:
    """The refusal of a key's request with a method override: Google might run another method, and a list
    would not be filtered. (On a billable route it is refused for the master key, too.)"""
    if call.key is None or call.route.billable:
        return None
    risks = (query_risk(call.credential.query), header_risk(call.fields.keys(), b""))
    if not any(risk and risk.overrides_method for risk in risks):
        return None
    return Refusal(Reason.BAD_REQUEST, "Not relayed: a method override. Send the request by its own method.")


# By the body


def check_body(call: ProxyCall) -> None:
    """Checks what the body names, once all of it was received and before its last byte goes upstream. Raises
    Refused."""
    if call.route.upload:
        return
    request_summary = call.request_parser.summary
    if call.access and has_body_rules(call.accounts):
        if caches := _caches(call, request_summary):
            request_summary = replace(
                request_summary, models=(*request_summary.models, *_models_of(call, caches))
            )
        request = replace(call.access, request_summary=request_summary)
        if refusal := admission.admit_body(call.accounts, request, call.row.started_at):
            raise Refused(refusal)
    _check_named_models(call, request_summary)


def _caches(call: ProxyCall, request_summary: RequestSummary) -> Sequence[str]:
    """The cached contents that a call uses, or whose expiry it updates."""
    route = call.route
    updated = route.resource if route.action == CACHE_UPDATE else None
    return (*request_summary.cached_contents, updated) if updated else request_summary.cached_contents


def _models_of(call: ProxyCall, caches: Sequence[str]) -> list[str]:
    """The models of those cached contents that were created through this gateway and still exist."""
    made = [call.context.deferred.pending.find(name) for name in caches]
    return [row.model for row in made if row and row.model]


def _check_named_models(call: ProxyCall, named: RequestSummary) -> None:
    """Checks a call whose model only the body names: refuses one whose cost a budget could not limit. Raises
    Refused."""
    route = call.route
    if route.model or route.action not in PRICED_ACTIONS:
        return
    models = named.models if named.understood and named.models else (None,)
    counting = (each for each in call.accounts if any(may_count(each, model) for model in models))
    account = next(counting, None)
    if account is None:
        return
    why = None
    if not named.understood:
        why = "cannot look at all of its body first"
    elif named.background:
        why = "does not see what a background interaction costs"
    elif not named.models:
        why = "finds no model in its body"
    if why:
        raise Refused(cost_unknown_refusal(account, call.access_request(), why))
    _check_models(call, named.models, call.row.started_at)


def _check_models(call: ProxyCall, models: Iterable[str | None], now: int) -> None:
    """Checks the limits again, by each model that only the body names. Raises Refused."""
    for model in models:
        call.route = replace(call.route, model=model)
        if refusal := admit(call.accounts, call.access_request(), now):
            raise Refused(refusal)


async def check_setup(call: ProxyCall, setup: RequestSummary, payload: bytes) -> None:
    """Checks a Live session by its setup message, the first one, and reserves its budget and rates. Raises
    Refused."""
    apply_request(call.row, setup)
    models = setup.models if setup.models and setup.understood else None
    # What was not understood may name another one.
    _check_models(call, models or (*setup.models, None), now_micros())
    check_live_message(call, setup)
    call.request_parser = UnreadRequest(setup)
    await reserve(call, payload)
    if applied := limits_of_models(call.accounts, models, counts_tokens=True):
        reserve_rates(call, applied, UNBOUNDED)


def check_live_message(call: ProxyCall, named: RequestSummary) -> None:
    """Checks what a message of a Live session names. Raises Refused."""
    request = replace(call.access_request(), request_summary=named)
    if refusal := admission.admit_body(call.accounts, request, now_micros()):
        raise Refused(refusal)


# By the resources that it refers to


def has_reference_rules(call: ProxyCall) -> bool:
    """Whether the call's body may refer only to the resources that its key may see. An uploaded file refers
    to none."""
    return call.key is not None and not call.route.upload


class UnreadReferences:
    """Whether a body that could not be parsed to its end may refer to a resource in its rest. To be fed each
    chunk after the call's parser."""

    def __init__(self, call: ProxyCall) -> None:
        self._call = call
        self._scan = ReferenceScan()
        self._before = b""

    @property
    def are_possible(self) -> bool:
        failed = self._call.request_parser.failed
        return self._scan.found or (failed and self._call.head.is_compressed)

    def feed(self, chunk: bytes) -> None:
        if self._call.request_parser.failed:
            # The chunk before may end in the middle of a word.
            self._scan.feed(self._before + chunk)
            self._before = b""
        else:
            self._before = (self._before + chunk)[-OVERLAP:]


async def check_references(call: ProxyCall, unread: UnreadReferences) -> None:
    """Checks the resources that the body refers to; to be called once all of it was received. Raises
    Refused."""
    if call.route.upload:
        return
    if found := list(references(call.request_parser.summary)):
        await call.context.check_references(call.key, found)
    if call.key is not None and unread.are_possible:
        raise Refused(UNCHECKED_BODY)
