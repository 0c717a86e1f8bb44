"""One call's life, from the request's head to its line in the ledger. Read `Exchange.run` first."""

from __future__ import annotations

import contextlib
import math
from copy import copy
from time import perf_counter, time_ns
from typing import TYPE_CHECKING

import trio
import uuid_utils

from gatekeeper.browser import foreign
from gatekeeper.gemini.actions import Charge
from gatekeeper.gemini.errors import Reason, Refusal, error_body, error_event, error_headers
from gatekeeper.gemini.estimate import noted_in_advance
from gatekeeper.gemini.meter import NOTHING, Meter
from gatekeeper.gemini.price import unpriced
from gatekeeper.gemini.route import Route, route
from gatekeeper.keys.rules import Ask, admit
from gatekeeper.ledger.entry import Call, Outcome
from gatekeeper.proxy.account import account, charge_in_advance, take_reading
from gatekeeper.proxy.credentials import take
from gatekeeper.proxy.directions import directions
from gatekeeper.proxy.downstream import Downstream, Receive, Scope, Send
from gatekeeper.proxy.endings import ClientGone, Cut, Ending, Refused, refused, went_round
from gatekeeper.proxy.headers import CALL_ID, end_user, tags, text_of, trace_id, value_of
from gatekeeper.proxy.relay import Relay
from gatekeeper.proxy.uploads import NOT_RESUMABLE, starts_resumable
from gatekeeper.server.grammar import Malformed
from gatekeeper.times import day_of

if TYPE_CHECKING:
    from gatekeeper.keys.record import KeyState
    from gatekeeper.proxy.door import Proxy

PREFIX = b"/gemini"
HEAD_LIMIT = 64 * 1024  # bytes of a request's head; Google takes less
FROM_A_BROWSER = (b"host", b"origin", b"sec-fetch-site")
FORMS = (b"content-type", b"accept")
FAREWELL = 5.0  # seconds that the last words to a client may take


class Exchange:
    """A call that came to `/gemini`: what is known of it, and the client's side of it."""

    def __init__(self, proxy: Proxy, scope: Scope, receive: Receive, send: Send) -> None:
        self.proxy = proxy
        self.downstream = Downstream(scope, receive, send)
        self.headers: list[tuple[bytes, bytes]] = scope["headers"]
        self.target_bytes = len(scope["raw_path"]) + len(scope["query_string"])
        self.malformed: Malformed | None = scope.get("state", {}).get("malformed")
        self.scheme: str = scope["scheme"]
        self.client: str = (scope.get("client") or ("",))[0]  # its address
        self.path = path_of(scope)
        self.trail = [value for name, value in self.headers if name == CALL_ID]
        self.credential = take(self.headers, scope["query_string"])
        self.call = Call(
            id=str(uuid_utils.uuid7()),
            started_at=time_ns() // 1000,
            method=scope["method"],
            path=self.path.partition(b"#")[0].decode("latin-1"),  # behind it there may be a secret
        )
        self.began = perf_counter()
        self.route = Route(action=None)
        self.key: KeyState | None = None
        self.google_key = ""
        self.meter: Meter = NOTHING
        self.tier: bytes | None = None  # what the answer's header says of the service tier
        self.scope = trio.CancelScope()
        self.ending: Ending | None = None
        self.asked: float | None = None  # on trio's clock, when the upstream's turn began
        self.clients_turn = 0.0  # seconds since then that it was the client's instead
        self.relayed = False  # to its proper end
        self.deadline = math.inf  # on trio's clock; past it the watch ends the call as `overdue` says
        self.overdue: Ending | None = None

    async def run(self) -> None:
        """The story. Whatever happens the call is settled, and nothing is awaited between its last byte and
        its line in the ledger."""
        try:
            try:
                with self.scope:
                    self.understand()
                    self.identify()
                    self.admit()
                    self.begin()
                    await Relay(self).run()
            except Ending as ending:
                self.ending = self.ending or ending
            await self.take_leave()
        finally:
            self.downstream.let_go()
            self.settle()

    def understand(self) -> None:
        """The request line, and the headers that are meant for us."""
        if self.malformed:
            raise refused(self.malformed)
        if self.target_bytes + sum(len(name) + len(value) for name, value in self.headers) > HEAD_LIMIT:
            raise Refused(Refusal(Reason.TOO_LARGE, f"The head of the request is over {HEAD_LIMIT:,} bytes."))
        call = self.call
        names = frozenset(name for name, _ in self.headers)
        forms = b" ".join(value for name, value in self.headers if name in FORMS)
        self.route = route(call.method, self.path, self.credential.query, names, forms)
        call.action, call.model, call.stream = self.route.action, self.route.model, self.route.stream
        call.tags, call.user_id = tags(self.headers), end_user(self.headers)
        agent = value_of(self.headers, b"user-agent")
        call.user_agent = text_of(agent) if agent else None
        call.trace_id = trace_id(self.headers)
        if self.trail and self.proxy.is_open(self.trail):
            raise Refused(went_round())

    def identify(self) -> None:
        """Whose key it is. `self.key` stays None where open mode or the master key lets the call pass."""
        identity = self.proxy.identify(self.credential.secret)
        self.call.key_id, self.call.key_alias, self.key = identity
        if self.key is not None:
            record = self.key.record
            if record.tags:
                self.call.tags = tags(self.headers, record.tags)
            self.call.user_id = self.call.user_id or record.user_id

    def admit(self) -> None:
        """Everything that can be said no to before a byte goes upstream."""
        if closed := self.proxy.closed():
            raise Refused(closed)
        if self.proxy.settings.open_mode and (why := self.foreign()):
            raise Refused(Refusal(Reason.POLICY, f"{why}."))
        if self.route.astray:
            raise Refused(directions(PREFIX + self.path, self.scheme, self.headers))
        if self.route.objection:
            raise Refused(Refusal(Reason.BAD_REQUEST, f"Not relayed: {self.route.objection}."))
        if starts_resumable(self.route.action, self.path, self.headers, self.credential.query):
            raise Refused(NOT_RESUMABLE)
        refusal = self.key and admit(self.key, self.ask(), self.call.started_at)
        if refusal:
            raise Refused(refusal)

    def ask(self) -> Ask:
        route, reason = self.route, None
        if self.budgeted and route.charge is Charge.METERED and route.model:
            day = day_of(self.call.started_at)
            reason = unpriced(self.proxy.catalogue, route.model, day, route.action)
        return Ask(route.action, route.model, self.call.path, route.charge, reason)

    def foreign(self) -> str | None:
        """Why the request may be a web page's, where nobody is asked for a key."""
        said = {name: value.decode("latin-1") for name, value in self.headers if name in FROM_A_BROWSER}
        return foreign(said.get(b"host", ""), said.get(b"origin"), said.get(b"sec-fetch-site"))

    def begin(self) -> None:
        """The first line in the journal, before the first byte upstream."""
        self.google_key, self.call.upstream_key = self.proxy.choose_google_key()
        if self.budgeted:
            length = value_of(self.headers, b"content-length")
            size = None if self.downstream.length_is_open or self.coded else int(length or 0)
            charge_in_advance(self.call, self.route, size, self.proxy.catalogue)
        self.proxy.ledger.begin(self.call)

    @property
    def budgeted(self) -> bool:
        """Whether there is a budget that this call counts against."""
        return self.key is not None and self.key.record.max_budget_pico is not None

    @property
    def coded(self) -> bool:
        """Whether the request's body is zipped, so that its length bounds no prompt."""
        return value_of(self.headers, b"content-encoding") not in (None, b"", b"identity")

    async def take_leave(self) -> None:
        """What a client is told of a call that ended otherwise than by an answer: all of it, or, where some
        of an answer has gone out, one more event. That is no proper end, and neither is what is broken: most
        clients would take it for whole. Returning without an end breaks the client's connection."""
        ending = self.ending
        if ending is None:
            return
        if ending.refusal is not None:
            with trio.move_on_after(FAREWELL), contextlib.suppress(ClientGone):
                if not self.downstream.started:
                    await self.refuse(ending.refusal)
                elif isinstance(ending, Cut) and (seam := self.meter.seam):
                    await self.downstream.write(error_event(ending.refusal, seam))
        self.downstream.break_off()

    async def refuse(self, refusal: Refusal) -> None:
        if refusal.reason is Reason.KEY_UNKNOWN:
            await self.proxy.failures.hold_back(self.client)
        self.mark_first_byte()
        self.call.status = refusal.status
        body = error_body(refusal)
        headers = [*error_headers(refusal, body), (b"x-gatekeeper-call-id", self.call.id.encode())]
        await self.downstream.start(refusal.status, headers, body_follows=True)
        await self.downstream.write(body)
        await self.downstream.finish()

    def settle(self) -> None:
        """Tokens, cost, the ledger's line and the key's spend, in one go without an await. What goes wrong in
        that is logged, and the row written all the same: its cost is unknown, and a budget is charged what it
        was in advance."""
        call, proxy = self.call, self.proxy
        if self.ending is None and not self.relayed:
            self.ending = Cut()  # the server itself is being cancelled
        call.duration_ms = self.elapsed_ms()
        call.request_bytes, call.response_bytes = self.downstream.received, self.downstream.sent
        in_advance = call.charged_pico
        try:
            self.account()
        except Exception as fault:  # noqa: BLE001
            proxy.faults.note_fault(fault)
            call.outcome = call.outcome or (self.ending.outcome if self.ending else Outcome.OK)
            call.cost_pico = call.price_version = None
            call.charged_pico, call.usage_note = in_advance, noted_in_advance(in_advance)
        call.reason = proxy.mask.text(call.reason)
        proxy.settle(self)

    def account(self) -> None:
        proxy, reading = self.proxy, self.meter.finish()
        account(
            self.call,
            self.route,
            self.ending,
            reading,
            self.tier,
            proxy.catalogue,
            proxy.secrets,
            budgeted=self.budgeted and self.asked is not None,
            coded=self.coded,
        )

    def so_far(self) -> Call:
        """The call as it stands while it runs: a copy, with what has passed and been understood until now."""
        call = copy(self.call)
        call.request_bytes, call.response_bytes = self.downstream.received, self.downstream.sent
        take_reading(call, self.meter.reading)
        return call

    # What the relay and the watch use

    def elapsed_ms(self) -> float:
        return round((perf_counter() - self.began) * 1000, 3)

    def mark_first_byte(self) -> None:
        """The first byte goes to the client now. What passed since the upstream was first turned to, for a
        connection, was its own: also while it took the request, but not while the next piece of an upload was
        awaited from the client. That counts as ours, as it does for a body that is read before."""
        turn = 0.0 if self.asked is None else trio.current_time() - self.asked - self.clients_turn
        upstream_ms = turn * 1000
        self.call.first_byte_ms = self.elapsed_ms()
        self.call.gateway_ms = round(max(0.0, self.call.first_byte_ms - upstream_ms), 3)

    def expect(self, seconds: float, overdue: Ending) -> None:
        """From now on the next sign of life must come within so many seconds, else the call ends so."""
        self.deadline, self.overdue = trio.current_time() + seconds, overdue

    def end(self, ending: Ending) -> None:
        """Ends the call from outside, wherever it waits, unless its answer has been relayed."""
        if self.relayed:
            return
        self.ending = self.ending or ending
        self.scope.cancel()


def path_of(scope: Scope) -> bytes:
    """The path after `/gemini`, with one slash before it: a base URL that ends in one makes it two."""
    path: bytes = scope["raw_path"][len(PREFIX) :]
    return b"/" + path.lstrip(b"/") if path.startswith(b"//") else path
