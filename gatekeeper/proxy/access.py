"""Which requests nobody may make, and what a call needs access to, for the rules of `keys.admission`."""

from __future__ import annotations

from collections.abc import Sequence

from gatekeeper.gemini.actions import PRICED_ACTIONS, Billing
from gatekeeper.gemini.routes import Route
from gatekeeper.keys.access_request import AccessRequest
from gatekeeper.keys.account import Account
from gatekeeper.keys.budgets import has_budget
from gatekeeper.ledger.call import CallRecord
from gatekeeper.proxy.carrier import PREFIX, RequestHead
from gatekeeper.proxy.context import ProxyContext
from gatekeeper.proxy.not_found import base_url_refusal
from gatekeeper.proxy.unpriced import why_unpriced
from gatekeeper.public_url import client_address, public_base
from gatekeeper.refusals import Reason, Refusal


def request_refusal(context: ProxyContext, head: RequestHead, route: Route) -> Refusal | None:
    """Why a request is refused, whosever key it has."""
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


def access_request(
    context: ProxyContext,
    head: RequestHead,
    row: CallRecord,
    route: Route,
    accounts: Sequence[Account],
    model_pending: bool,
) -> AccessRequest:
    """By the request's head. What takes a look at more than that is asked only for accounts that limit it."""
    reason, client = None, ""
    has_price = route.billing is Billing.METERED or route.action in PRICED_ACTIONS
    if has_price and route.model and has_budget(accounts):
        reason = why_unpriced(row, route.model, context.catalogue, context.accounting_errors)
    for account in accounts:
        if account.record.allowed_ips:
            client = client_address(head.scope, context.settings)
    path = head.path.decode("latin-1")  # all of it: the row's is without secrets
    return AccessRequest(route.action, route.model, path, route.billing, reason, model_pending, None, client)
