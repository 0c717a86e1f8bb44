"""The lifecycle of one call, from the request's head to its row in the ledger. Read `CallLifecycle.run`
first."""

from __future__ import annotations

import contextlib
from functools import partial

import trio

from gatekeeper.keys.admission import admit
from gatekeeper.ledger.call import Outcome
from gatekeeper.pricing.cost_notes import reserved_note
from gatekeeper.proxy.admission import request_refusal
from gatekeeper.proxy.call import ProxyCall
from gatekeeper.proxy.call_accounting import Accounting
from gatekeeper.proxy.call_budget import chargeable, max_cost_pico, release_budget
from gatekeeper.proxy.call_rates import settle_rates
from gatekeeper.proxy.failures import (
    CallFailed,
    CutByGateway,
    Refused,
    loop_refusal,
    malformed_refusal,
    to_call_failed,
)
from gatekeeper.proxy.headers import TAG_HEADERS, end_user, tags, trace_id, user_agent
from gatekeeper.proxy.upstream_exchange import finishes_without_client
from gatekeeper.public_url import client_address
from gatekeeper.refusals import Reason, Refusal
from gatekeeper.server.client_stream import ClientDisconnected, MalformedBody

MAX_REQUEST_HEAD = 64 * 1024  # bytes of a request's head; Google takes less
FINAL_ERROR_TIMEOUT = 5.0  # seconds to send the error of a failed call


class CallLifecycle(ProxyCall):
    """A call and its lifecycle: `run` calls the steps in order."""

    __slots__ = ()

    async def run(self) -> None:
        """Runs the call from start to end. It is always settled."""
        try:
            try:
                with self.cancel_scope:
                    self.parse()
                    # First: a request of a running upload, or with an ephemeral token, needs no key.
                    if self.route.upload or self.transport.is_stream:
                        self.session = await self.transport.find_session(self)
                    self.authenticate()  # of `ProxyCall`: sets `key` and `accounts`
                    self.admit()
                    await self.context.check_path(self.key, self.head.path)
                    self.prepare_exchange()
                    await self.transport.relay(self)  # HTTP: `Relay.run`, which admits the body, too
            except (CallFailed, ClientDisconnected, MalformedBody) as error:
                started = self.transport.response_started
                # Not by a variable: this frame is in the error's traceback, and each would keep the other.
                self.failure = self.failure or to_call_failed(error, response_started=started)
            # Outside the scope: the final error has to be sent even if that was cancelled.
            await self.send_final_error()
        finally:
            # No await between the last byte and the journal's line: a cancellation could come between them.
            self.transport.release()
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
        row.stream = self.route.stream or self.transport.is_stream
        if not TAG_HEADERS.isdisjoint(self.fields):
            row.tags = tags(self.headers)
        row.user_id = end_user(self.fields)
        row.user_agent, row.trace_id = user_agent(self.fields), trace_id(self.fields)
        running = self.context.ledger.events.in_flight
        if self.forwarded_call_ids and (refusal := loop_refusal(self.forwarded_call_ids, running)):
            raise Refused(refusal)

    def admit(self) -> None:
        """Checks the request's head before a byte goes upstream. Raises Refused."""
        refusal = request_refusal(self)
        if refusal is None:
            refusal = self.transport.unsupported_refusal(self)
        if refusal is None and self.accounts:
            self.access = self.access_request()
            refusal = admit(self.accounts, self.access, self.row.started_at)
        if refusal:
            raise Refused(refusal)

    def prepare_exchange(self) -> None:
        """Chooses the Google key, and whether the call is finished if its client disconnects."""
        self.google_key.choose(self.row, self.route, self.session and self.session.google_key)
        self.exchange.finishes_without_client = finishes_without_client(
            self.route, self.key, self.context.settings
        )
        self.row.cost_pico = None if self.route.billable else 0  # kept if the process is killed

    async def send_final_error(self) -> None:
        """Sends the client the error of a failed call: a full response, or one more event of a stream."""
        if (failure := self.failure) is None:
            return
        if failure.refusal is not None:
            with trio.move_on_after(FINAL_ERROR_TIMEOUT), contextlib.suppress(ClientDisconnected):
                if self.transport.response_started:
                    await self.transport.final_error(failure.refusal, self)
                else:
                    await self.refuse(failure.refusal)
        # Not ended cleanly: most clients would take that for a complete response.
        self.transport.abort()

    async def refuse(self, refusal: Refusal) -> None:
        if refusal.reason is Reason.KEY_UNKNOWN:
            # Guessing keys is slowed down here, in the response, so that a valid key never waits.
            await self.context.auth_failures.throttle(client_address(self.head.scope, self.context.settings))
        self.mark_first_byte()
        self.row.status = self.transport.refusal_status(refusal)
        await self.transport.refuse(refusal, self.row.id)

    def settle(self) -> None:
        """Completes the row, writes it to the ledger and adds its cost to the spend, without an await. If
        accounting fails, that is logged and the row is still written: with an unknown cost, and the budgets
        are charged what was reserved at the start."""
        row, context = self.row, self.context
        if self.failure is None and not self.relay_complete:
            self.failure = CutByGateway()  # the server's task is being cancelled
        row.duration_ms = self.elapsed_ms()
        row.request_bytes, row.response_bytes = self.transport.received_bytes, self.transport.sent_bytes
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
            settle_rates(self)
        self.record()

    def record(self) -> None:
        """Writes the row to the journal and adds its cost to the spend."""
        row, context = self.row, self.context
        try:
            context.ledger.end(row)
        except Exception as error:  # noqa: BLE001  the key's spend counts even if the row is lost
            context.accounting_errors.record_exception(error)
        if self.accounts:
            context.charge_accounts(row)
        release_budget(self)
        context.apply_ended_call(row)
        context.deferred.apply_ended_call(
            row, self.meter, context.catalogue, is_complete=self.failure is None
        )

    def account(self) -> None:
        """Completes the row: outcome, tokens, cost, and created resources."""
        context, exchange, response = self.context, self.exchange, self.meter.finish()
        exchange.response_bytes = self.meter.body_bytes
        self.row.made = context.created_by(self.row, self.head.path, exchange.upstream_status, response)
        Accounting(
            route=self.route,
            request=self.request_parser.summary,
            response=response,
            catalogue=context.catalogue,
            free_searches=context.free_searches,
            secrets=context.secrets,
            failure=self.failure,
            tier=self.tier_header,
            is_compressed=self.head.is_compressed,
            exchange=exchange,
            is_complete=self.relay_complete,
            chargeable=partial(chargeable, self),
            max_cost_pico=max_cost_pico(self),
        ).complete(self.row)
        context.deferred.set_pending(self.row, self.meter)
        context.unpriced_models.note(self.row, context.catalogue)
