"""One call's life, from the request's head to its line in the ledger. Read `ProxyCall.run` first.

What a call shares with others is in `ProxyContext`. How its bytes travel is its carrier's business: HTTP in
`http`, a WebSocket, which is refused, in `live`.
"""

from __future__ import annotations

import contextlib
import math
from copy import copy
from time import perf_counter, time_ns

import structlog
import trio
import uuid_utils

from gatekeeper.gemini.actions import Charge
from gatekeeper.gemini.meter import NOTHING, Meter
from gatekeeper.gemini.routes import Route, route
from gatekeeper.keys.admission import Ask, admit
from gatekeeper.keys.virtual_key import KeyState
from gatekeeper.ledger.call import Call, Outcome
from gatekeeper.pricing.estimate import noted_in_advance
from gatekeeper.pricing.quote import unpriced
from gatekeeper.proxy.authenticate import take
from gatekeeper.proxy.carrier import PREFIX, Carrier, RequestHead
from gatekeeper.proxy.context import ProxyContext
from gatekeeper.proxy.directions import directions
from gatekeeper.proxy.headers import CALL_ID, end_user, tags, text_of, trace_id, value_of
from gatekeeper.proxy.outcomes import (
    CallFailed,
    Cut,
    GoogleKeyRefused,
    Refused,
    failure_of,
    refused,
    went_round,
)
from gatekeeper.proxy.settlement import account, charge_in_advance, take_reading
from gatekeeper.proxy.spend import settlement
from gatekeeper.refusals import Reason, Refusal
from gatekeeper.server.client_stream import ClientDisconnected, MalformedBody
from gatekeeper.times import day_of

log = structlog.get_logger()

HEAD_LIMIT = 64 * 1024  # bytes of a request's head; Google takes less
FORMS = (b"content-type", b"accept")
FINAL_ERROR = 5.0  # seconds that the last error to a client may take


class ProxyCall:
    """A call that came to `/gemini`. `row` is its line in the ledger as far as it is known."""

    def __init__(self, context: ProxyContext, head: RequestHead, carrier: Carrier[ProxyCall]) -> None:
        self.context = context
        self.head = head
        self.headers = head.headers
        self.carrier = carrier
        # The ids of the calls that this one was before, at gateways on its way here.
        self.earlier_ids = [value for name, value in head.headers if name == CALL_ID]
        self.credential = take(head.headers, head.query)
        self.row = Call(
            id=str(uuid_utils.uuid7()),
            started_at=time_ns() // 1000,
            method=head.method,
            path=head.path.partition(b"#")[0].decode("latin-1"),  # behind it there may be a secret
        )
        # Beside `started_at`: the wall clock may be set while the call runs, durations must not follow it.
        self.began = perf_counter()
        self.route = Route(action=None)
        self.key: KeyState | None = None
        self.google_key = ""
        self.meter: Meter = NOTHING
        self.tier: bytes | None = None  # what the answer's header says of the service tier
        self.scope = trio.CancelScope()
        self.failure: CallFailed | None = None
        self.asked: float | None = None  # on trio's clock, when the upstream's turn began
        self.clients_turn = 0.0  # seconds since then that it was the client's instead
        self.relayed = False  # to its proper end
        self.deadline = math.inf  # on trio's clock; past it the sweep ends the call as `overdue` says
        self.overdue: CallFailed | None = None

    async def run(self) -> None:
        """The story. Whatever happens the call is settled, and nothing is awaited between its last byte and
        its line in the ledger."""
        try:
            try:
                with self.scope:
                    self.parse()
                    self.identify()
                    self.admit()
                    self.begin()
                    await self.carrier.relay(self)
            except (CallFailed, ClientDisconnected, MalformedBody) as error:
                self.failure = self.failure or failure_of(error)
            # Outside the scope, which may have been cancelled: the last error needs to be written all the
            # same.
            await self.tell_client()
        finally:
            self.carrier.release()
            self.settle()

    def parse(self) -> None:
        """The request line, and the headers that are meant for us."""
        if self.head.malformed:
            raise refused(self.head.malformed)
        if self.head.size > HEAD_LIMIT:
            raise Refused(Refusal(Reason.TOO_LARGE, f"The head of the request is over {HEAD_LIMIT:,} bytes."))
        row = self.row
        # Some headers change what Google does (method overrides, field masks, other body forms), and so what
        # can be metered: the route is judged with them.
        names = frozenset(name for name, _ in self.headers)
        forms = b" ".join(value for name, value in self.headers if name in FORMS)
        self.route = route(row.method, self.head.path, self.credential.query, names, forms)
        row.action, row.model = self.route.action, self.route.model
        row.stream = self.route.stream or self.carrier.streams
        row.tags, row.user_id = tags(self.headers), end_user(self.headers)
        agent = value_of(self.headers, b"user-agent")
        row.user_agent = text_of(agent) if agent else None
        row.trace_id = trace_id(self.headers)
        if self.earlier_ids and self.has_come_round():
            raise Refused(went_round())

    def has_come_round(self) -> bool:
        """Whether one of the calls that this one was before runs here."""
        # A call is there from before its first byte upstream to its end, so one that comes round finds
        # itself.
        running = self.context.ledger.live.in_flight
        named = b",".join(self.earlier_ids).decode("latin-1").split(",")
        return any(call_id.strip() in running for call_id in named)

    def identify(self) -> None:
        """Whose key it is. `self.key` stays None where open mode or the master key lets the call pass."""
        identity = self.context.authenticator.identify(self.credential.secret)
        self.row.key_id, self.row.key_alias, self.key = identity
        if self.key is not None:
            record = self.key.record
            # A key's own tags come first, and no request can take them off.
            if record.tags:
                self.row.tags = tags(self.headers, record.tags)
            self.row.user_id = self.row.user_id or record.user_id

    def admit(self) -> None:
        """Everything that can be said no to before a byte goes upstream."""
        # Before the key's limits: a gateway that stops says so, and not that a key has no budget.
        if closed := self.context.closed():
            raise Refused(closed)
        if self.context.settings.open_mode and (why := self.head.foreign()):
            raise Refused(Refusal(Reason.POLICY, f"{why}."))
        if self.route.astray:
            raise Refused(directions(PREFIX + self.head.path, self.head.scheme, self.headers))
        if self.route.objection:
            raise Refused(Refusal(Reason.BAD_REQUEST, f"Not relayed: {self.route.objection}."))
        refusal = self.carrier.objection(self) or (
            self.key and admit(self.key, self.ask(), self.row.started_at)
        )
        if refusal:
            raise Refused(refusal)

    def ask(self) -> Ask:
        route, reason = self.route, None
        if self.budgeted and route.charge is Charge.METERED and route.model:
            day = day_of(self.row.started_at)
            reason = unpriced(self.context.catalogue, route.model, day, route.action)
        return Ask(route.action, route.model, self.row.path, route.charge, reason)

    def begin(self) -> None:
        """The first line in the journal, before the first byte upstream."""
        # From here on the call counts as let in, and a stop waits for it.
        self.google_key, self.row.upstream_key = self.context.choose_google_key()
        if self.budgeted:
            # A zipped body of a few bytes may hold the longest prompt that the model takes.
            size = None if self.coded else self.carrier.request_length()
            charge_in_advance(self.row, self.route, size, self.context.catalogue)
        self.context.ledger.begin(self.row)

    @property
    def budgeted(self) -> bool:
        """Whether there is a budget that this call counts against."""
        return self.key is not None and self.key.record.max_budget_pico is not None

    @property
    def coded(self) -> bool:
        """Whether the request's body is zipped, so that its length bounds no prompt."""
        return value_of(self.headers, b"content-encoding") not in (None, b"", b"identity")

    async def tell_client(self) -> None:
        """What a client is told of a call that ended otherwise than by an answer: all of it, or, where some
        of an answer has gone out, one more event. That is no proper end, and neither is what is broken: most
        clients would take it for whole. Returning without an end breaks the client's connection."""
        failure = self.failure
        if failure is None:
            return
        if failure.refusal is not None:
            with trio.move_on_after(FINAL_ERROR), contextlib.suppress(ClientDisconnected):
                if not self.carrier.started:
                    await self.refuse(failure.refusal)
                elif isinstance(failure, Cut):
                    await self.carrier.final_error(failure.refusal, self)
        self.carrier.break_off()

    async def refuse(self, refusal: Refusal) -> None:
        if refusal.reason is Reason.KEY_UNKNOWN:
            # Guessing keys is made slow here, in the answer, so that a right key never waits.
            await self.context.failures.hold_back(self.head.client)
        self.mark_first_byte()
        self.row.status = refusal.status
        await self.carrier.refuse(refusal, self.row.id)

    def settle(self) -> None:
        """Tokens, cost, the ledger's line and the key's spend, in one go without an await. What goes wrong in
        that is logged, and the row written all the same: its cost is unknown, and a budget is charged what it
        was in advance."""
        row, context = self.row, self.context
        if self.failure is None and not self.relayed:
            self.failure = Cut()  # the server itself is being cancelled
        row.duration_ms = self.elapsed_ms()
        row.request_bytes, row.response_bytes = self.carrier.received, self.carrier.sent
        # Kept for the case that accounting fails below, which sets it anew.
        in_advance = row.charged_pico
        try:
            self.account()
        except Exception as fault:  # noqa: BLE001
            context.faults.note_fault(fault)
            row.outcome = row.outcome or (self.failure.outcome if self.failure else Outcome.OK)
            row.cost_pico = row.price_version = None
            row.charged_pico, row.usage_note = in_advance, noted_in_advance(in_advance)
        # Google's own words may name the key that it refused.
        row.reason = context.mask.text(row.reason)
        self.record()

    def record(self) -> None:
        """The journal's line, the key's spend, the alarm if Google refused our key."""
        try:
            self.context.ledger.end(self.row)
        except Exception as fault:  # noqa: BLE001  the key's spend counts whatever becomes of the row
            self.context.faults.note_fault(fault)
        if self.key is not None and (counted := settlement(self.row)):
            self.context.registry.settle(*counted)
        if isinstance(self.failure, GoogleKeyRefused):
            log.error(
                "google_key_refused",
                key=self.row.upstream_key,
                remedy="set a valid GEMINI_API_KEY and restart",
            )

    def account(self) -> None:
        context, reading = self.context, self.meter.finish()
        account(
            self.row,
            self.route,
            self.failure,
            reading,
            self.tier,
            context.catalogue,
            context.secrets,
            budgeted=self.budgeted and self.asked is not None,
            coded=self.coded,
        )

    def peek(self) -> Call:
        """The call as it stands while it runs: a copy, with what has passed and been understood until now."""
        row = copy(self.row)
        row.request_bytes, row.response_bytes = self.carrier.received, self.carrier.sent
        take_reading(row, self.meter.reading)
        return row

    # What the carrier and the sweep use

    def elapsed_ms(self) -> float:
        return round((perf_counter() - self.began) * 1000, 3)

    def mark_first_byte(self) -> None:
        """The first byte goes to the client now. What passed since the upstream was first turned to, for a
        connection, was its own: also while it took the request, but not while the next piece of an upload was
        awaited from the client. That counts as ours, as it does for a body that is read before."""
        turn = 0.0 if self.asked is None else trio.current_time() - self.asked - self.clients_turn
        upstream_ms = turn * 1000
        self.row.first_byte_ms = self.elapsed_ms()
        self.row.gateway_ms = round(max(0.0, self.row.first_byte_ms - upstream_ms), 3)

    def expect(self, seconds: float, overdue: CallFailed) -> None:
        """From now on the next sign of life must come within so many seconds, else the call ends so."""
        self.deadline, self.overdue = trio.current_time() + seconds, overdue

    def end(self, failure: CallFailed) -> None:
        """Ends the call from outside, wherever it waits, unless its answer has been relayed."""
        if self.relayed:
            return
        # The first reason counts; a later one is what the first has caused.
        self.failure = self.failure or failure
        self.scope.cancel()
