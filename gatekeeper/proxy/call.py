"""One call to `/gemini`: its state, and what is done to it while it runs. The order of its steps is in
`lifecycle`.

What all calls share is in `ProxyContext`. The transport relays the bytes: HTTP in `http`, the WebSockets of
the Live API in `live`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from copy import copy
from time import perf_counter

import trio
import uuid_utils

from gatekeeper.gemini.actions import PRICED_ACTIONS, Billing
from gatekeeper.gemini.meter import NO_METER
from gatekeeper.gemini.meter_layers import Meter
from gatekeeper.gemini.request_parser import EMPTY_BODY, RequestParser
from gatekeeper.gemini.resource_names import recorded_path
from gatekeeper.gemini.routes import Route, route
from gatekeeper.http_fields import Headers
from gatekeeper.keys.access_request import AccessRequest
from gatekeeper.keys.account import Account
from gatekeeper.keys.budgets import Reservation, has_budget
from gatekeeper.keys.rates import RateReservation
from gatekeeper.keys.sessions import Session
from gatekeeper.keys.virtual_key import KeyState
from gatekeeper.ledger.call import CallRecord
from gatekeeper.pricing.bound import Bound
from gatekeeper.proxy.authenticate import CREDENTIAL_HEADERS, extract_credential
from gatekeeper.proxy.call_accounting import apply_summary
from gatekeeper.proxy.call_google_key import CallGoogleKey
from gatekeeper.proxy.call_price import why_unpriced
from gatekeeper.proxy.context import ProxyContext
from gatekeeper.proxy.failures import CallFailed, ClientGone
from gatekeeper.proxy.headers import upstream_headers
from gatekeeper.proxy.transport import RequestHead, Transport
from gatekeeper.proxy.upstream_exchange import UpstreamExchange
from gatekeeper.public_url import client_address
from gatekeeper.runtime import now_micros
from gatekeeper.upstream.pool import UpstreamPool

NOT_PARSED = Route(action=None)


class ProxyCall:
    """`row` is its row in the ledger, as far as known yet; `exchange` the state of its upstream request and
    response."""

    __slots__ = (
        "_started", "access", "accounts", "begin_recorded", "cancel_scope", "context", "cost_bound",
        "credential", "deadline", "exchange", "failure", "fields", "forwarded_call_ids", "google_key",
        "head", "headers", "key", "meter", "rate_reservations", "relay_complete", "request_parser",
        "reservation", "route", "row", "session", "tier_header", "timeout_failure", "transport",
    )  # fmt: skip

    def __init__(self, context: ProxyContext, head: RequestHead, transport: Transport[ProxyCall]) -> None:
        self.context, self.head, self.transport = context, head, transport
        self.headers, self.fields = head.headers, head.fields
        self.forwarded_call_ids = head.forwarded_call_ids()
        self.credential = extract_credential(head.named(CREDENTIAL_HEADERS), head.query)
        self.row = CallRecord(
            id=str(uuid_utils.uuid7()),
            started_at=now_micros(),
            method=head.method,
            path=recorded_path(head.path),
        )
        # Monotonic, unlike the row's `started_at`: durations must not change when the wall clock is set.
        self._started = perf_counter()
        self.google_key = CallGoogleKey(context.google_keys, context.projects)
        self.cancel_scope, self.exchange = trio.CancelScope(), UpstreamExchange()
        self.route = NOT_PARSED
        self.key: KeyState | None = None
        self.accounts: tuple[Account, ...] = ()  # whose limits and spend the call counts for
        self.access: AccessRequest | None = None  # by the request's head, once that is admitted
        self.reservation: Reservation | None = None  # of the budgets of its accounts, until its end
        self.cost_bound: Bound | None = (
            None  # what it can cost at most by its request, where that is reserved
        )
        self.rate_reservations: tuple[RateReservation, ...] = ()  # until its end
        self.session: Session | None = None  # that an earlier call has begun
        self.request_parser: RequestParser = EMPTY_BODY  # its summary: all that the body has named so far
        self.meter: Meter = NO_METER
        self.tier_header: bytes | None = None  # the response's x-gemini-service-tier
        self.failure: CallFailed | None = None
        self.begin_recorded = self.relay_complete = False  # `begin_recorded`: its `begin` is in the ledger
        self.deadline = math.inf  # on trio's clock; past it the sweep ends the call with `timeout_failure`
        self.timeout_failure: Callable[[], CallFailed] | None = None

    # Whose call it is, and for what

    def find_route(self, query: bytes) -> None:
        # Some headers (method overrides, field masks, media types) change what Google does, and so how it is
        # metered.
        media_types = self.head.media_types()
        self.route = route(self.row.method, self.head.path, query, self.fields.keys(), media_types)

    def authenticate(self) -> None:
        """Finds the caller's key. `self.key` stays None for the master key, and in open mode."""
        identify = self.context.authenticator.identify
        self.key = identify(self.row, self.credential.secret, self.session)
        if self.key is not None:
            self.row.group = self.key.record.group
        self.accounts = self.context.registry.accounts.of(self.key, self.row.user_id)

    def access_request(self) -> AccessRequest:
        """The facts that the admission rules need. What costs more than reading the head is determined only
        for accounts that limit it."""
        route, head, accounts, context = self.route, self.head, self.accounts, self.context
        unpriced, client = None, ""
        has_price = route.billing is Billing.METERED or route.action in PRICED_ACTIONS
        if has_price and route.model and has_budget(accounts):
            unpriced = why_unpriced(self.row, route.model, context.catalogue, context.accounting_errors)
        for account in accounts:
            if account.record.allowed_ips:
                client = client_address(head.scope, context.settings)
        path = head.path.decode("latin-1")  # all of it: the row's is without secrets
        pending = self.transport.model_pending and not route.upload
        return AccessRequest(route.action, route.model, path, route.billing, unpriced, pending, None, client)

    # Its request upstream

    def upstream_target(self, upstream: UpstreamPool) -> bytes:
        """Path and query, without the client's credential."""
        query = self.credential.query
        return upstream.prefix + self.head.path + (b"?" + query if query else b"")

    def upstream_headers(self, upstream: UpstreamPool, *, chunked: bool) -> Headers:
        """The client's headers, with the Google key that the call uses now."""
        # Not sent to Google. Any other upstream may lead back to this gateway, which then finds its own id.
        call_ids = None
        if upstream.may_be_gateway:
            call_ids = b", ".join([*self.forwarded_call_ids, self.row.id.encode()])
        google_key = self.google_key.secret
        return upstream_headers(
            self.headers, upstream.authority, google_key, chunked=chunked, call_ids=call_ids
        )

    # While it runs

    def record_begin(self) -> None:
        """Writes the `begin` record, before the call waits or its first byte goes upstream. To be called
        again when what is charged if the process dies has changed."""
        if self.begin_recorded:
            self.context.ledger.update_begin(self.row)
        else:
            self.begin_recorded = True
            self.context.ledger.begin(self.row)

    def snapshot(self) -> CallRecord:
        """The current state of the running call: a copy, with the bytes and tokens so far."""
        row = copy(self.row)
        row.request_bytes, row.response_bytes = self.transport.received_bytes, self.transport.sent_bytes
        apply_summary(row, self.meter.summary)
        return row

    def elapsed_ms(self) -> float:
        return round((perf_counter() - self._started) * 1000, 3)

    def mark_first_byte(self) -> None:
        """Called when the first byte goes to the client. The time since the upstream request started counts
        as the upstream's, except while the next piece of an upload was awaited from the client: that counts
        as the gateway's, as it does for a body that is read before."""
        exchange, upstream_seconds = self.exchange, 0.0
        if exchange.started_at is not None:
            upstream_seconds = (
                self.context.current_time() - exchange.started_at - exchange.client_wait_seconds
            )
        elapsed = self.elapsed_ms()
        self.row.first_byte_ms = elapsed
        self.row.gateway_ms = round(max(0.0, elapsed - upstream_seconds * 1000), 3)

    def set_deadline(self, seconds: float, timeout_failure: Callable[[], CallFailed]) -> None:
        """Ends the call with this failure unless the deadline is moved within so many seconds."""
        self.deadline, self.timeout_failure = self.context.current_time() + seconds, timeout_failure

    def client_disconnected(self) -> bool:
        """Called when the client has disconnected. Ends the call, unless it is finished without its client;
        returns whether it is."""
        if self.relay_complete or not self.exchange.continues(self.context.current_time()):
            self.end(ClientGone())
            return False
        self.failure = self.failure or ClientGone()
        return True

    def end(self, failure: CallFailed) -> None:
        """Ends the call from another task, whatever it waits for, unless its response is complete."""
        if self.relay_complete:
            return
        # The first failure counts; a later one is its consequence.
        self.failure = self.failure or failure
        self.cancel_scope.cancel()
