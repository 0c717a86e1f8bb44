"""Relays one HTTP request to the upstream and the response to the client, each chunk before it is metered."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from http import HTTPStatus

import trio

from gatekeeper.gemini.meter import NO_METER
from gatekeeper.http_fields import Headers
from gatekeeper.keys.budget_rules import soft_budget_headers
from gatekeeper.proxy.call import ProxyCall
from gatekeeper.proxy.call_budget import reserve
from gatekeeper.proxy.call_google_key import RetryWithAnotherKey
from gatekeeper.proxy.call_rates import reserve_rates_of
from gatekeeper.proxy.failures import (
    CallFailed,
    ClientGone,
    CutByGateway,
    first_byte_timeout,
    no_response,
    redirect_unauthorized,
    stalled_response,
    to_call_failed,
    unreachable,
)
from gatekeeper.proxy.headers import downstream_headers, downstream_trailers, upstream_trailers
from gatekeeper.proxy.metering import CreationRecorder, choose_meter, may_create
from gatekeeper.proxy.redirects import FOLLOWED_METHODS, follow_redirects, is_redirect, local_location
from gatekeeper.proxy.request_body import BodyGate, apply_body, attach_parser, check_buffered, look_ahead
from gatekeeper.proxy.stream_limits import with_limits
from gatekeeper.proxy.upstream_exchange import DetachableWriter
from gatekeeper.proxy.upstream_response import ErrorResponse, NextChunk, UpstreamBody
from gatekeeper.server.client_stream import ClientDisconnected, ClientStream, MalformedBody
from gatekeeper.upstream.connection import ConnectionLost, ResponseHead, UpstreamConnection, UpstreamRequest
from gatekeeper.upstream.pool import ConnectFailed

MAX_BUFFERED_BODY = 256 * 1024  # bytes of a body that is read before it is sent, and can be sent again


class Relay:
    """Relays one call's request and response. `stream` reads the client's request, `writer` writes
    the response to it. Raises CallFailed, ClientDisconnected and MalformedBody."""

    def __init__(self, call: ProxyCall, stream: ClientStream) -> None:
        self.call, self.stream = call, stream
        context = call.context
        self.upstream, self.settings, self.mask = context.upstream, context.settings, context.mask
        self.length, self.chunked = int(call.fields.get(b"content-length") or 0), stream.is_chunked
        self.trailers: Headers = []  # for the client
        self.read_ahead: list[bytes] = []  # of the request, received before its head goes upstream
        self.is_repeatable = False  # with another Google key: nothing has gone to the client
        self.exchange = exchange = call.exchange
        self.writer: ClientStream | DetachableWriter = stream
        if exchange.finishes_without_client:
            self.writer = DetachableWriter(stream, exchange, call.client_disconnected)

    async def run(self) -> None:
        # A timeout now is the client's failure: it has announced a body and not sent all of it.
        self.call.set_deadline(self.settings.read_timeout, ClientGone)
        self.exchange.request_sent = False
        if self.chunked or self.length > MAX_BUFFERED_BODY:
            attach_parser(self.call)
            reserve_rates_of(self.call, is_seen=False)
            self.call.record_begin()
            # `BodyGate` admits it, and reserves its cost, before its last chunk goes upstream.
            await self.send_streaming()
        else:
            await self.admit_buffered()
            await self.send_buffered()
        # A client that has the complete response may disconnect first.
        with suppress(ClientDisconnected):
            await self.writer.finish(self.trailers)

    async def admit_buffered(self) -> None:
        """Receives the body, and admits the call by it. Raises Refused."""
        call = self.call
        if self.stream.awaits_body:
            call.record_begin()
        self.exchange.body = body = await self.stream.receive_body()
        await check_buffered(call, body)
        await reserve(call, body)  # of its budgets; may wait until other calls release theirs
        reserve_rates_of(call, is_seen=True)
        call.google_key.choose_by_body(call.row, call.request_parser.summary)
        if not call.begin_recorded:
            call.record_begin()

    def target(self) -> bytes:
        return self.call.upstream_target(self.upstream)

    def request(self) -> UpstreamRequest:
        headers = self.call.upstream_headers(self.upstream, chunked=self.chunked)
        return UpstreamRequest(self.call.row.method, self.target(), headers)

    async def send_buffered(self) -> None:
        """Sends a buffered request, and sends it again with each other Google key that the call gets."""
        self.set_first_byte_deadline()
        self.is_repeatable = True
        while True:
            try:
                return await self.send_with_retry()
            except RetryWithAnotherKey:
                self.exchange.request_sent = False

    async def send_with_retry(self) -> None:
        """Sends the request in one write, with one retry if the idle connection had been closed before any
        byte reached the upstream. After any other failure Google may have run and charged the call."""
        try:
            connection = await self.upstream.acquire()
            try:
                await self.attempt(connection)
            except ConnectionLost as lost:
                if lost.maybe_delivered:
                    raise
                # On a new connection: the next idle one may have been closed by the same restart.
                await self.attempt(await self.upstream.connect())
        except ConnectFailed as error:
            raise unreachable(str(error)) from None
        except ConnectionLost as lost:
            raise no_response(str(lost)) from None

    def set_first_byte_deadline(self) -> None:
        if self.call.exchange.started_at is None:
            self.call.exchange.started_at = self.call.context.current_time()
        seconds = self.settings.first_byte_timeout
        self.call.set_deadline(seconds, partial(first_byte_timeout, seconds))

    async def attempt(self, connection: UpstreamConnection) -> None:
        try:
            await connection.send_request(*self.request(), self.exchange.body)
            self.exchange.request_sent = True
            await self.relay_response(connection)
        finally:
            self.upstream.release(connection)

    async def send_streaming(self) -> None:
        """Sends a large body, or one of unknown length, while it is received and the response is awaited: an
        upstream may respond before it has read everything."""
        self.set_first_byte_deadline()
        self.read_ahead = await look_ahead(self.call, self.receive_request_chunk)
        try:
            connection = await self.upstream.acquire()
        except ConnectFailed as error:
            raise unreachable(str(error)) from None
        failure: CallFailed | ClientDisconnected | None = None
        try:
            # Exceptions leave the nursery by a variable, or it would wrap them into an ExceptionGroup.
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self.send_request_body, connection)
                try:
                    await self.relay_response(connection)
                except ConnectionLost as lost:
                    failure = no_response(str(lost))
                except (CallFailed, ClientDisconnected) as other:
                    failure = other
                # Before `finish` reads the rest of the request's body.
                nursery.cancel_scope.cancel()
        finally:
            self.upstream.release(connection)
        if failure is not None:
            raise failure

    async def send_request_body(self, connection: UpstreamConnection) -> None:
        """Sends the request's body chunk by chunk: the client is read no faster than the upstream reads."""
        gate = BodyGate(self.call)
        try:
            await connection.send_head(*self.request())
            for chunk in self.read_ahead:
                await gate.send(connection, chunk)
            while chunk := await self.receive_request_chunk():
                await gate.send(connection, chunk)
            await gate.send_last(connection)
            await connection.finish_request(upstream_trailers(self.stream.trailers))
            self.exchange.request_sent = True
        except ConnectionLost:
            pass  # it may have responded before it closed; the task that reads the response raises the error
        except (ClientDisconnected, MalformedBody, CallFailed) as error:
            self.call.end(to_call_failed(error))
        finally:
            apply_body(self.call)

    async def receive_request_chunk(self) -> bytes:
        """The next piece of the request's body. A timeout while it is awaited is the client's failure."""
        call, since = self.call, self.call.context.current_time()
        if not self.stream.response_started:
            call.set_deadline(self.settings.read_timeout, ClientGone)
        chunk = await self.stream.receive_chunk()
        if not self.stream.response_started:
            # The time that the client took to send does not count as the upstream's.
            call.exchange.client_wait_seconds += call.context.current_time() - since
            self.set_first_byte_deadline()
        return chunk

    async def relay_response(self, connection: UpstreamConnection) -> None:
        head = await connection.read_head(self.relay_informational)
        if self.is_followed(head):
            redirected = follow_redirects(
                self.call.context, self.request(), head, self.set_first_byte_deadline
            )
            async with redirected as response:
                await self.relay_final_response(*response)
        else:
            await self.relay_final_response(connection, head)

    async def relay_informational(self, response: ResponseHead) -> None:
        """Relays a 1xx response, as a proxy must (RFC 9110 §15.2), except a 100: the gateway's server has
        sent its own when it began to read the body."""
        if response.status != HTTPStatus.CONTINUE:
            # The client has seen a part of this response: the request must not be repeated.
            self.is_repeatable = False
            headers = self.mask.headers(downstream_headers(response.headers, self.call.row.id))
            await self.writer.write_informational(response.status, headers, self.mask(response.reason))

    def is_followed(self, head: ResponseHead) -> bool:
        """Whether the response is a redirect that the gateway follows."""
        return self.call.row.method in FOLLOWED_METHODS and is_redirect(head)

    async def relay_final_response(
        self, connection: UpstreamConnection, head: ResponseHead, with_key: bool = True
    ) -> None:
        """Relays a response whose head has been read; `with_key`: its request had the Google key."""
        self.exchange.upstream_status = head.status
        source: NextChunk = UpstreamBody(connection)
        # An error is buffered first: it may be about the gateway's own key, or repeat it.
        if head.status // 100 == 2:
            self.call.google_key.succeeded()
            if self.call.row.stream:
                # It will not be sent again, and a stream may go on for long.
                self.exchange.release_body()
            first = connection.buffered_chunk()
        else:
            error = ErrorResponse(self.mask, head.status, head.headers, source)
            await error.buffer()
            if with_key:
                self.call.google_key.failed(self.call.row, error, repeatable=self.is_repeatable)
            elif head.status == 401:
                raise redirect_unauthorized()
            head = ResponseHead.of(head.status, error.headers, head.reason)
            first = error.first_chunk()
            source = error.read_chunk
        await self.forward(head, first, source)
        if connection.trailers:
            self.trailers = self.mask.headers(downstream_trailers(connection.trailers))

    async def forward(self, head: ResponseHead, first: bytes | None, source: NextChunk) -> None:
        """Sends the response to the client; `first` is the piece of its body that has arrived already."""
        self.attach_meter(head)
        await self.send_response_head(head, coalesce_with_body=first is not None)
        await self.relay_body(first, source)
        self.call.relay_complete = True
        if self.stream.client_had_closed():
            self.call.failure = self.call.failure or ClientGone()

    def attach_meter(self, head: ResponseHead) -> None:
        """Chooses the meter for the body. A stream that exceeds its reservation reserves more, or is cut."""
        self.call.meter = with_limits(self.call, choose_meter(self.call, head))

    async def send_response_head(self, head: ResponseHead, *, coalesce_with_body: bool) -> None:
        call = self.call
        # NULL if nothing was sent to the client.
        if self.exchange.disconnected_at is None:
            call.row.status = head.status
            call.mark_first_byte()
        headers = self.response_headers(head)
        reason = head.reason if head.reason == b"OK" else self.mask(head.reason)
        await self.writer.start(head.status, headers, reason=reason, coalesce_with_body=coalesce_with_body)

    def response_headers(self, head: ResponseHead) -> Headers:
        headers = downstream_headers(head.headers, self.call.row.id)
        if b"location" in head.fields and self.call.row.method not in FOLLOWED_METHODS:
            headers += self.local_location(head.fields[b"location"])
        headers += soft_budget_headers(self.call.accounts, self.call.row.started_at)
        # Google repeats request headers in some of its responses.
        return self.mask.headers(headers)

    def local_location(self, location: bytes) -> Headers:
        return local_location(self.call, location, self.request().target)

    async def relay_body(self, first: bytes | None, source: NextChunk) -> None:
        """The hot loop: each chunk is sent before it is metered, unless it may name a created resource."""
        call, write, feed = self.call, self.writer.write, self.call.meter.feed
        if may_create(call):
            write, feed = CreationRecorder(call, write).write, NO_METER.feed
        upstream = source if isinstance(source, UpstreamBody) else None
        timeout, now = self.settings.read_timeout, call.context.current_time
        call.set_deadline(timeout, partial(stalled_response, timeout))
        chunk = await source() if first is None else first
        while chunk is not None:
            call.deadline = now() + timeout
            # The client first: metering must never delay or break the response.
            if upstream is not None and upstream.has_ended:
                await write(chunk, is_last=True)
                with suppress(CutByGateway):  # the client has all of it already
                    feed(chunk)
                return
            await write(chunk)
            feed(chunk)
            chunk = await source()
