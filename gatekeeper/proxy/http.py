"""The plain carrier of a call: an HTTP request up, its answer down, each chunk sent on before it is read."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import NamedTuple

import trio

from gatekeeper.gemini.actions import Charge
from gatekeeper.gemini.errors import error_body, error_event, error_headers
from gatekeeper.gemini.meter import NOTHING, meter_for
from gatekeeper.proxy.call import ProxyCall
from gatekeeper.proxy.error_answer import ErrorAnswer, NextChunk
from gatekeeper.proxy.headers import Headers, downstream_headers, upstream_headers, value_of
from gatekeeper.proxy.outcomes import (
    CallFailed,
    ClientGone,
    Cut,
    UpstreamBroken,
    UpstreamTimeout,
    failure_of,
    google_key_refused,
    silent,
    unanswered,
    unreachable,
)
from gatekeeper.proxy.uploads import NOT_RESUMABLE, starts_resumable
from gatekeeper.proxy.upstream import ConnectFailed
from gatekeeper.proxy.upstream_connection import Connection, ConnectionLost, Head
from gatekeeper.refusals import Refusal
from gatekeeper.server.application import Receive, Scope, Send
from gatekeeper.server.client_stream import ClientDisconnected, ClientStream, MalformedBody

WHOLE_BODY = 256 * 1024
"""Bytes. A body up to here is read before a connection is taken, and can be sent again."""


class UpstreamRequest(NamedTuple):
    """A request as it goes upstream, without its body."""

    method: str
    target: bytes
    headers: Headers


class HttpCarrier:
    """The carrier of plain HTTP: unary calls, streams, uploads in one request, downloads."""

    streams = False

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.stream = ClientStream(scope, receive, send)
        self._content_length = value_of(scope["headers"], b"content-length")

    @property
    def received(self) -> int:
        return self.stream.received

    @property
    def sent(self) -> int:
        return self.stream.sent

    @property
    def blocked(self) -> bool:
        return self.stream.blocked

    @property
    def started(self) -> bool:
        return self.stream.started

    def objection(self, call: ProxyCall) -> Refusal | None:
        begins = starts_resumable(call.route.action, call.head.path, call.headers, call.credential.query)
        return NOT_RESUMABLE if begins else None

    def request_length(self) -> int | None:
        return None if self.stream.length_is_open else int(self._content_length or 0)

    async def relay(self, call: ProxyCall) -> None:
        await Relay(call, self.stream).run()

    async def refuse(self, refusal: Refusal, call_id: str) -> None:
        body = error_body(refusal)
        headers = [*error_headers(refusal, body), (b"x-gatekeeper-call-id", call_id.encode())]
        await self.stream.start(refusal.status, headers, body_follows=True)
        await self.stream.write(body)
        await self.stream.finish()

    async def final_error(self, refusal: Refusal, call: ProxyCall) -> None:
        if seam := call.meter.seam:
            await self.stream.write(error_event(refusal, seam))

    def break_off(self) -> None:
        self.stream.break_off()

    def release(self) -> None:
        self.stream.release()

    def has_gone(self) -> bool:
        return self.stream.has_gone()


class Relay:
    """One call's request up and its answer down. Raises CallFailed, ClientDisconnected and MalformedBody."""

    def __init__(self, call: ProxyCall, stream: ClientStream) -> None:
        self.call = call
        self.stream = stream
        self.upstream = call.context.upstream
        self.settings = call.context.settings
        self.mask = call.context.mask
        self.length = int(value_of(call.headers, b"content-length") or 0)
        self.chunked = stream.length_is_open

    async def run(self) -> None:
        # The client's turn: it has announced a body and not sent all of it.
        self.call.expect(self.settings.read_timeout, ClientGone())
        if self.chunked or self.length > WHOLE_BODY:
            await self.ask_streaming()
        else:
            await self.ask_whole(await self.stream.body())
        # Who has it all may go before the server has tidied up.
        with suppress(ClientDisconnected):
            await self.stream.finish()

    def request(self) -> UpstreamRequest:
        query = self.call.credential.query
        target = self.upstream.prefix + self.call.head.path + (b"?" + query if query else b"")
        call = self.call
        # Nothing is added for Google; any other upstream may lead back here, and then the call is known.
        call_ids = b", ".join([*call.earlier_ids, call.row.id.encode()])
        headers = upstream_headers(
            call.headers,
            self.upstream.authority,
            call.google_key,
            chunked=self.chunked,
            call_ids=call_ids if self.upstream.may_be_gateway else None,
        )
        return UpstreamRequest(self.call.row.method, target, headers)

    # A request up

    async def ask_whole(self, body: bytes) -> None:
        """A body that is held whole: one write, and one more try where the connection had been closed before
        anything reached the other side. Else nobody knows whether Google ran the call, and charged it."""
        self.await_answer()
        try:
            connection = await self.upstream.take()
            try:
                await self.attempt(connection, body)
            except ConnectionLost as lost:
                if lost.delivered:
                    raise
                # On a connection of its own: the next idle one may have been closed by the same restart.
                await self.attempt(await self.upstream.connect(), body)
        except ConnectFailed as fault:
            raise unreachable(str(fault)) from None
        except ConnectionLost as lost:
            raise unanswered(str(lost)) from None

    def await_answer(self) -> None:
        if self.call.asked is None:
            self.call.asked = trio.current_time()
        seconds = self.settings.first_byte_timeout
        self.call.expect(seconds, UpstreamTimeout(silent(seconds, answered=False)))

    async def attempt(self, connection: Connection, body: bytes) -> None:
        try:
            await connection.send_whole(*self.request(), body)
            await self.answer(connection)
        finally:
            self.upstream.give_back(connection)

    async def ask_streaming(self) -> None:
        """A large body or one of unknown length goes up as it comes, while the answer is awaited: an upstream
        may answer before it has read everything."""
        self.await_answer()
        try:
            connection = await self.upstream.take()
        except ConnectFailed as fault:
            raise unreachable(str(fault)) from None
        failure: CallFailed | ClientDisconnected | None = None
        try:
            # Outcomes are carried out of the nursery by hand: it would wrap them into a group.
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self.pump, connection)
                try:
                    await self.answer(connection)
                except ConnectionLost as lost:
                    failure = unanswered(str(lost))
                except (CallFailed, ClientDisconnected) as other:
                    failure = other
                # Before anybody else reads the request's body.
                nursery.cancel_scope.cancel()
        finally:
            self.upstream.give_back(connection)
        if failure is not None:
            raise failure

    async def pump(self, connection: Connection) -> None:
        """The request's body, one chunk at a time: the client is read no faster than the upstream takes."""
        try:
            await connection.send_head(*self.request())
            while chunk := await self.from_client():
                await connection.send_body(chunk)
            await connection.finish_request()
        except ConnectionLost:
            pass  # it may have answered before it closed; whoever waits for the answer is told
        except (ClientDisconnected, MalformedBody) as error:
            self.call.end(failure_of(error))

    async def from_client(self) -> bytes:
        """The next piece of the request's body. While it is awaited it is the client's turn."""
        call, since = self.call, trio.current_time()
        if not self.stream.started:
            call.expect(self.settings.read_timeout, ClientGone())
        chunk = await self.stream.chunk()
        if not self.stream.started:
            # What the client took to send is neither the gateway's time nor Google's.
            call.clients_turn += trio.current_time() - since
            self.await_answer()
        return chunk

    # An answer down

    async def answer(self, connection: Connection) -> None:
        head = await connection.head()
        source = partial(self.next, connection)
        # A success is passed on as it comes. Anything else is read first: it may be about our own key, or
        # repeat it.
        if head.status // 100 == 2:
            first = connection.at_hand()
        else:
            error = ErrorAnswer(self.mask, head.status, head.headers, source)
            await error.hold()
            if error.refuses_key():
                raise google_key_refused(self.call.row.upstream_key or "")
            head, source, first = Head(head.status, error.headers), error.next, error.at_hand()
        self.meter(head)
        await self.start(head, body_follows=first is not None)
        await self.send_on(first, source)
        self.call.relayed = True

    def meter(self, head: Head) -> None:
        """What the answer's head says of its body, and the meter for it: where nothing is charged by usage,
        only an error is worth reading, and a stream for where its events end."""
        form, encoding = (value_of(head.headers, name) for name in (b"content-type", b"content-encoding"))
        self.call.tier = value_of(head.headers, b"x-gemini-service-tier")
        charged = self.call.route.charge is Charge.METERED
        worth_reading = charged or head.status >= 400 or (form or b"").startswith(b"text/event-stream")
        self.call.meter = meter_for(form, encoding) if worth_reading else NOTHING

    async def start(self, head: Head, *, body_follows: bool) -> None:
        call = self.call
        call.row.status = head.status
        call.mark_first_byte()
        # Google repeats request headers in some of its answers.
        headers = self.mask.headers(downstream_headers(head.headers, call.row.id))
        await self.stream.start(head.status, headers, body_follows=body_follows)

    async def send_on(self, first: bytes | None, source: NextChunk) -> None:
        """The hot loop: each chunk is sent on before the meter sees it."""
        call, write, feed = self.call, self.stream.write, self.call.meter.feed
        patience = self.settings.read_timeout
        call.expect(patience, Cut(silent(patience, answered=True)))
        chunk = await source() if first is None else first
        while chunk is not None:
            call.deadline = trio.current_time() + patience
            # The client first; understanding what it was must never delay or break it.
            await write(chunk)
            feed(chunk)
            chunk = await source()

    async def next(self, connection: Connection) -> bytes | None:
        try:
            return await connection.chunk()
        except ConnectionLost:
            raise UpstreamBroken from None
