"""The lifecycle of one call, from the request's head to its line in the ledger. Read `ProxyCall.run` first.

What all calls share is in `ProxyContext`. The carrier relays the bytes: HTTP in `http`, the WebSockets of the
Live API in `live`.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable
from copy import copy
from time import time_ns

import trio
import uuid_utils

from gatekeeper.gemini.meter import NO_METER
from gatekeeper.gemini.meter_layers import Meter
from gatekeeper.gemini.request_parser import NOTHING_NAMED, RequestParser
from gatekeeper.gemini.resource_names import recorded_path
from gatekeeper.gemini.routes import Route, route
from gatekeeper.keys.access_request import AccessRequest
from gatekeeper.keys.account import Account
from gatekeeper.keys.admission import admit
from gatekeeper.keys.rates import RateReservation
from gatekeeper.keys.sessions import Session
from gatekeeper.keys.virtual_key import KeyState
from gatekeeper.ledger.call import CallRecord, Outcome
from gatekeeper.pricing.cost_notes import reserved_note
from gatekeeper.proxy.access import access_request, request_refusal
from gatekeeper.proxy.authenticate import CREDENTIAL_HEADERS, extract_credential
from gatekeeper.proxy.call_accounting import apply_summary, complete_row
from gatekeeper.proxy.call_budget import CallBudget
from gatekeeper.proxy.call_clock import CallClock
from gatekeeper.proxy.call_google_key import CallGoogleKey
from gatekeeper.proxy.call_rates import settle_rates
from gatekeeper.proxy.carrier import Carrier, RequestHead
from gatekeeper.proxy.context import ProxyContext
from gatekeeper.proxy.disconnect import Progress, finishes_without_client
from gatekeeper.proxy.failures import (
    CallFailed,
    ClientGone,
    CutByGateway,
    Refused,
    loop_refusal,
    malformed_refusal,
    to_call_failed,
)
from gatekeeper.proxy.headers import TAG_HEADERS, end_user, tags, trace_id, user_agent
from gatekeeper.public_url import client_address
from gatekeeper.refusals import Reason, Refusal
from gatekeeper.server.client_stream import ClientDisconnected, MalformedBody

MAX_REQUEST_HEAD = 64 * 1024  # bytes of a request's head; Google takes less
FINAL_ERROR_TIMEOUT = 5.0  # seconds to send the error of a failed call
NOT_PARSED = Route(action=None)


class ProxyCall:
    """A call to `/gemini`. `row` is its line in the ledger as far as it is known."""

    __slots__ = (
        "access", "accounts", "begun", "budget", "cancel_scope", "carrier", "clock", "context", "credential",
        "deadline", "failure", "fields", "forwarded_call_ids", "google_key", "head", "headers", "key",
        "meter", "progress", "rate_reservations", "relay_complete", "request_parser", "route", "row",
        "session", "tier_header", "timeout_failure",
    )  # fmt: skip

    def __init__(self, context: ProxyContext, head: RequestHead, carrier: Carrier[ProxyCall]) -> None:
        self.context, self.head, self.carrier = context, head, carrier
        self.headers, self.fields = head.headers, head.fields
        self.forwarded_call_ids = head.forwarded_call_ids()
        self.credential = extract_credential(head.named(CREDENTIAL_HEADERS), head.query)
        self.row = CallRecord(
            id=str(uuid_utils.uuid7()),
            started_at=time_ns() // 1000,
            method=head.method,
            path=recorded_path(head.path),
        )
        self.clock = CallClock()
        self.google_key = CallGoogleKey(context.google_keys, context.projects)
        self.budget = CallBudget(context.budgets, context.cost_history)
        self.cancel_scope, self.progress = trio.CancelScope(), Progress()
        self.route = NOT_PARSED
        self.key: KeyState | None = None
        self.accounts: tuple[Account, ...] = ()  # whose limits and spend the call counts for
        self.access: AccessRequest | None = None  # by the request's head, once that is admitted
        self.rate_reservations: tuple[RateReservation, ...] = ()  # until its end
        self.session: Session | None = None  # that an earlier call has begun
        self.request_parser: RequestParser = NOTHING_NAMED  # its summary: all that the body has named so far
        self.meter: Meter = NO_METER
        self.tier_header: bytes | None = None  # the response's x-gemini-service-tier
        self.failure: CallFailed | None = None
        self.begun = self.relay_complete = False  # `begun`: its `begin` is in the ledger
        self.deadline = math.inf  # on trio's clock; past it the sweep ends the call with `timeout_failure`
        self.timeout_failure: Callable[[], CallFailed] | None = None

    async def run(self) -> None:
        """The call's lifecycle. It is always settled."""
        try:
            try:
                with self.cancel_scope:
                    self.parse()
                    # First: what goes on with an upload, or has an ephemeral token, may have no key.
                    if self.route.upload or self.carrier.is_stream:
                        self.session = await self.carrier.find_session(self)
                    self.authenticate()
                    self.admit()
                    await self.context.check_path(self.key, self.head.path)
                    self.begin()
                    await self.carrier.relay(self)
            except (CallFailed, ClientDisconnected, MalformedBody) as error:
                started = self.carrier.response_started
                # Not by a variable: this frame is in the error's traceback, and each would keep the other.
                self.failure = self.failure or to_call_failed(error, response_started=started)
            # Outside the scope: the final error has to be sent even if that was cancelled.
            await self.send_final_error()
        finally:
            # No await between the last byte and the journal's line: a cancellation could come between them.
            self.carrier.release()
            self.settle()

    def parse(self) -> None:
        """Parses the request line, and the headers that are meant for the gateway."""
        if self.head.malformed:
            raise malformed_refusal(self.head.malformed)
        if self.head.size > MAX_REQUEST_HEAD:
            why = f"The head of the request is over {MAX_REQUEST_HEAD:,} bytes."
            raise Refused(Refusal(Reason.TOO_LARGE, why))
        row = self.row
        self.find_route(self.credential.query)
        row.action, row.model, row.resource = self.route.action, self.route.model, self.route.resource
        row.stream = self.route.stream or self.carrier.is_stream
        if not TAG_HEADERS.isdisjoint(self.fields):
            row.tags = tags(self.headers)
        row.user_id = end_user(self.fields)
        row.user_agent, row.trace_id = user_agent(self.fields), trace_id(self.fields)
        running = self.context.ledger.events.in_flight
        if self.forwarded_call_ids and (refusal := loop_refusal(self.forwarded_call_ids, running)):
            raise Refused(refusal)

    def find_route(self, query: bytes) -> None:
        # Some headers (method overrides, field masks, media types) change what Google does, and is metered.
        media_types = self.head.media_types()
        self.route = route(self.row.method, self.head.path, query, self.fields.keys(), media_types)

    def authenticate(self) -> None:
        """Finds the caller's key. `self.key` stays None for the master key, and in open mode."""
        identify = self.context.authenticator.identify
        self.key = identify(self.row, self.credential.secret, self.session)
        if self.key is not None:
            self.row.group = self.key.record.group
        self.accounts = self.context.registry.accounts.of(self.key, self.row.user_id)

    def admit(self) -> None:
        """Refuses what is not allowed, before a byte goes upstream."""
        refusal = request_refusal(self.context, self.head, self.route)
        if refusal is None:
            refusal = self.carrier.unsupported_refusal(self)
        if refusal is None and self.accounts:
            self.access = self.access_request()
            refusal = admit(self.accounts, self.access, self.row.started_at)
        if refusal:
            raise Refused(refusal)

    def access_request(self) -> AccessRequest:
        """What the rules of admission ask about."""
        pending = self.carrier.model_pending and not self.route.upload
        return access_request(self.context, self.head, self.row, self.route, self.accounts, pending)

    def begin(self) -> None:
        """From here on the call counts as admitted, and a shutdown waits for it."""
        self.google_key.choose(self.row, self.route, self.session and self.session.google_key)
        self.progress.finishes_without_client = finishes_without_client(
            self.route, self.key, self.context.settings
        )
        self.row.cost_pico = None if self.route.billable else 0  # kept if the process is killed

    def record_begin(self) -> None:
        """Writes the `begin` record, before the call waits or its first byte goes upstream; again once more
        is known of what the call is charged if the process dies."""
        if self.begun:
            self.context.ledger.begin_again(self.row)
        else:
            self.begun = True
            self.context.ledger.begin(self.row)

    async def send_final_error(self) -> None:
        """Sends the client the error of a failed call: a full response, or one more event of a stream."""
        if (failure := self.failure) is None:
            return
        if failure.refusal is not None:
            with trio.move_on_after(FINAL_ERROR_TIMEOUT), contextlib.suppress(ClientDisconnected):
                if self.carrier.response_started:
                    await self.carrier.final_error(failure.refusal, self)
                else:
                    await self.refuse(failure.refusal)
        # Not ended cleanly: most clients would take that for a complete response.
        self.carrier.abort()

    async def refuse(self, refusal: Refusal) -> None:
        if refusal.reason is Reason.KEY_UNKNOWN:
            # Guessing keys is slowed down here, in the response, so that a valid key never waits.
            await self.context.auth_failures.throttle(client_address(self.head.scope, self.context.settings))
        self.mark_first_byte()
        self.row.status = self.carrier.refusal_status(refusal)
        await self.carrier.refuse(refusal, self.row.id)

    def settle(self) -> None:
        """Tokens, cost, the ledger's line and the key's spend, without an await. If accounting fails that is
        logged, and the row is written all the same: its cost is unknown, and a budget is charged the upper
        bound from the call's start."""
        row, context = self.row, self.context
        if self.failure is None and not self.relay_complete:
            self.failure = CutByGateway()  # the server's task is being cancelled
        row.duration_ms = self.clock.elapsed_ms()
        row.request_bytes, row.response_bytes = self.carrier.received_bytes, self.carrier.sent_bytes
        in_advance = row.charged_pico  # accounting, which may fail, overwrites it
        try:
            self.account()
        except Exception as error:  # noqa: BLE001
            context.accounting_errors.record_exception(error)
            row.outcome = row.outcome or (self.failure.outcome if self.failure else Outcome.OK)
            row.cost_pico = row.price_version = None
            row.charged_pico, row.usage_note = in_advance, reserved_note(in_advance)
        self.google_key.finish(row, self.failure)
        row.reason = context.mask.text(row.reason)  # Google's error text may contain the key
        if self.rate_reservations:
            settle_rates(self.rate_reservations, row, context.micros())
        self.record()

    def record(self) -> None:
        """Writes the journal's line and the key's spend."""
        row, context = self.row, self.context
        try:
            context.ledger.end(row)
        except Exception as error:  # noqa: BLE001  the key's spend counts even if the row is lost
            context.accounting_errors.record_exception(error)
        if self.accounts:
            context.charge_accounts(row)
        self.budget.settle(row)
        context.note_ended(row)
        context.deferred.call_ended(row, self.meter, context.catalogue, is_complete=self.failure is None)

    def account(self) -> None:
        context, reading = self.context, self.meter.finish()
        self.progress.response_bytes = self.meter.body_bytes
        self.row.made = context.created_by(self.row, self.head.path, self.progress.upstream_status, reading)
        complete_row(
            self.row,
            self.route,
            self.failure,
            reading,
            self.tier_header,
            context.catalogue,
            context.free_searches,
            context.secrets,
            request_summary=self.request_parser.summary,
            chargeable=lambda: (
                self.budget.chargeable() if self.clock.upstream_started_at is not None else None
            ),
            most_pico=self.budget.most(),
            is_compressed=self.head.is_compressed,
            progress=self.progress,
            is_complete=self.relay_complete,
        )
        context.deferred.call_ends(self.row, self.meter)
        context.unpriced_models.note(self.row, context.catalogue)

    def snapshot(self) -> CallRecord:
        """The current state of the running call: a copy, with the bytes and tokens so far."""
        row = copy(self.row)
        row.request_bytes, row.response_bytes = self.carrier.received_bytes, self.carrier.sent_bytes
        apply_summary(row, self.meter.summary)
        return row

    def mark_first_byte(self) -> None:
        """Called when the first byte goes to the client."""
        self.row.first_byte_ms, self.row.gateway_ms = self.clock.first_byte(self.context.now())

    def set_deadline(self, seconds: float, timeout_failure: Callable[[], CallFailed]) -> None:
        """Ends the call with this failure unless the deadline is moved within so many seconds."""
        self.deadline, self.timeout_failure = self.context.now() + seconds, timeout_failure

    def client_disconnected(self) -> bool:
        """The client has gone: ends the call, unless it is finished without it; returns whether it is."""
        if self.relay_complete or not self.progress.continues(self.context.now()):
            self.end(ClientGone())
            return False
        self.failure = self.failure or ClientGone()
        return True

    def end(self, failure: CallFailed) -> None:
        """Ends the call from outside, wherever it waits, unless its response is complete."""
        if self.relay_complete:
            return
        # The first failure counts; a later one is its consequence.
        self.failure = self.failure or failure
        self.cancel_scope.cancel()
