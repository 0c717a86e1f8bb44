"""What a call needs access to, for the rules of `keys.admission`."""

from __future__ import annotations

from collections.abc import Sequence

from gatekeeper.gemini.actions import PRICED_ACTIONS, Billing
from gatekeeper.gemini.routes import Route
from gatekeeper.keys.access_request import AccessRequest
from gatekeeper.keys.account import Account
from gatekeeper.keys.budgets import has_budget
from gatekeeper.ledger.call import Call
from gatekeeper.proxy.carrier import RequestHead
from gatekeeper.proxy.context import ProxyContext
from gatekeeper.proxy.unpriced import why_unpriced
from gatekeeper.public_url import client_address


def access_request(
    context: ProxyContext,
    head: RequestHead,
    row: Call,
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
