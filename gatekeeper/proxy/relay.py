"""The plain carrier of a call: an HTTP request up, its answer down, each chunk sent on before it is read."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import trio

from gatekeeper.gemini.actions import Charge
from gatekeeper.gemini.meter import NOTHING, meter_for
from gatekeeper.proxy.connection import Connection, Died, Head
from gatekeeper.proxy.endings import (
    Broken,
    ClientGone,
    Cut,
    Ending,
    GivenUp,
    key_invalid,
    silent,
    unanswered,
    unreachable,
)
from gatekeeper.proxy.error_answer import ErrorAnswer, NextChunk
from gatekeeper.proxy.headers import Headers, downstream_headers, upstream_headers, value_of
from gatekeeper.proxy.upstream import ConnectFailed

if TYPE_CHECKING:
    from gatekeeper.proxy.exchange import Exchange

WHOLE_BODY = (
    256 * 1024
)  # bytes; a body up to here is read before a connection is taken, and can be sent again


class Question(NamedTuple):
    """A request as it goes upstream, without its body."""

    method: str
    target: bytes
    headers: Headers


class Relay:
    """One call's request and answer. Raises Ending for every way in which that can fail."""

    def __init__(self, exchange: Exchange) -> None:
        self.exchange = exchange
        self.downstream = exchange.downstream
        self.upstream = exchange.proxy.upstream
        self.settings = exchange.proxy.settings
        self.mask = exchange.proxy.mask
        self.length = int(value_of(exchange.headers, b"content-length") or 0)
        self.chunked = exchange.downstream.length_is_open

    async def run(self) -> None:
        self.exchange.expect(self.settings.read_timeout, ClientGone())
        if self.chunked or self.length > WHOLE_BODY:
            await self.ask_streaming()
        else:
            await self.ask_whole(await self.downstream.body())
        with suppress(ClientGone):  # who has it all may go before the server has tidied up
            await self.downstream.finish()

    def question(self) -> Question:
        query = self.exchange.credential.query
        target = self.upstream.prefix + self.exchange.path + (b"?" + query if query else b"")
        exchange = self.exchange
        # Nothing is added for Google; any other upstream may lead back here, and then the call is known.
        trail = b", ".join([*exchange.trail, exchange.call.id.encode()])
        headers = upstream_headers(
            exchange.headers,
            self.upstream.authority,
            exchange.google_key,
            chunked=self.chunked,
            trail=trail if self.upstream.may_be_gateway else None,
        )
        return Question(self.exchange.call.method, target, headers)

    # A request up

    async def ask_whole(self, body: bytes) -> None:
        """A body that is held whole: one write, and one more try where the connection had been closed before
        anything reached the other side. Else nobody knows whether Google ran the call, and charged it."""
        self.await_answer()
        try:
            connection = await self.upstream.take()
            try:
                await self.attempt(connection, body)
            except Died as death:
                if death.delivered:
                    raise
                await self.attempt(await self.upstream.connect(), body)
        except ConnectFailed as failure:
            raise unreachable(str(failure)) from None
        except Died as death:
            raise unanswered(str(death)) from None

    def await_answer(self) -> None:
        if self.exchange.asked is None:
            self.exchange.asked = trio.current_time()
        seconds = self.settings.first_byte_timeout
        self.exchange.expect(seconds, GivenUp(silent(seconds, answered=False)))

    async def attempt(self, connection: Connection, body: bytes) -> None:
        try:
            await connection.send_whole(*self.question(), body)
            await self.answer(connection)
        finally:
            self.upstream.give_back(connection)

    async def ask_streaming(self) -> None:
        """A large body or one of unknown length goes up as it comes, while the answer is awaited: an upstream
        may answer before it has read everything."""
        self.await_answer()
        try:
            connection = await self.upstream.take()
        except ConnectFailed as failure:
            raise unreachable(str(failure)) from None
        ending: Ending | None = None
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self.pump, connection)
                try:
                    await self.answer(connection)
                except Died as death:
                    ending = unanswered(str(death))
                except Ending as other:
                    ending = other
                nursery.cancel_scope.cancel()  # before anybody else reads the request's body
        finally:
            self.upstream.give_back(connection)
        if ending is not None:
            raise ending

    async def pump(self, connection: Connection) -> None:
        """The request's body, one chunk at a time: the client is read no faster than the upstream takes."""
        try:
            await connection.send_head(*self.question())
            while chunk := await self.from_client():
                await connection.send_body(chunk)
            await connection.finish_request()
        except Died:
            pass  # it may have answered before it closed; whoever waits for the answer is told
        except Ending as ending:  # the client's: it has gone, or what it sends is malformed
            self.exchange.end(ending)

    async def from_client(self) -> bytes:
        """The next piece of the request's body. While it is awaited it is the client's turn."""
        exchange, since = self.exchange, trio.current_time()
        if not self.downstream.started:
            exchange.expect(self.settings.read_timeout, ClientGone())
        chunk = await self.downstream.chunk()
        if not self.downstream.started:
            exchange.clients_turn += trio.current_time() - since
            self.await_answer()
        return chunk

    # An answer down

    async def answer(self, connection: Connection) -> None:
        head = await connection.head()
        source = partial(self.next, connection)
        if head.status // 100 == 2:
            first = connection.at_hand()
        else:
            error = ErrorAnswer(self.mask, head.status, head.headers, source)
            await error.hold()
            if error.refuses_key():
                raise key_invalid(self.exchange.call.upstream_key or "")
            head, source, first = Head(head.status, error.headers), error.next, error.at_hand()
        self.meter(head)
        await self.start(head, body_follows=first is not None)
        await self.stream(first, source)
        self.exchange.relayed = True

    def meter(self, head: Head) -> None:
        """What the answer's head says of its body, and the meter for it: where nothing is charged by usage,
        only an error is worth reading, and a stream for where its events end."""
        form, encoding = (value_of(head.headers, name) for name in (b"content-type", b"content-encoding"))
        self.exchange.tier = value_of(head.headers, b"x-gemini-service-tier")
        charged = self.exchange.route.charge is Charge.METERED
        worth_reading = charged or head.status >= 400 or (form or b"").startswith(b"text/event-stream")
        self.exchange.meter = meter_for(form, encoding) if worth_reading else NOTHING

    async def start(self, head: Head, *, body_follows: bool) -> None:
        exchange = self.exchange
        exchange.call.status = head.status
        exchange.mark_first_byte()
        headers = self.mask.headers(downstream_headers(head.headers, exchange.call.id))
        await self.downstream.start(head.status, headers, body_follows=body_follows)

    async def stream(self, first: bytes | None, source: NextChunk) -> None:
        """The hot loop: each chunk is sent on before the meter sees it."""
        exchange, write, feed = self.exchange, self.downstream.write, self.exchange.meter.feed
        patience = self.settings.read_timeout
        exchange.expect(patience, Cut(silent(patience, answered=True)))
        chunk = await source() if first is None else first
        while chunk is not None:
            exchange.deadline = trio.current_time() + patience
            await write(chunk)
            feed(chunk)
            chunk = await source()

    async def next(self, connection: Connection) -> bytes | None:
        try:
            return await connection.chunk()
        except Died:
            raise Broken from None
