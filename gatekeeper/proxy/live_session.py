"""An open Live session: the messages of both sides, each relayed before it is metered, until either ends.

If a side ends with a Close frame, its code and reason are relayed, and the other side's Close frame is
relayed back. If a connection breaks, the other one is aborted at once.
"""

from __future__ import annotations

import re
from contextlib import suppress

import msgspec
import trio

from gatekeeper.gemini.live import LiveMeter
from gatekeeper.gemini.request_parser import request_parser
from gatekeeper.gemini.request_summary import RequestSummary, names_a_file, references
from gatekeeper.gemini.response_parser import ResponseSummary
from gatekeeper.gemini.upstream_error import UpstreamError
from gatekeeper.proxy.admission import UNCHECKED_BODY, check_live_message, check_setup
from gatekeeper.proxy.call import ProxyCall
from gatekeeper.proxy.call_rates import note_rates
from gatekeeper.proxy.failures import (
    CallFailed,
    ClientGone,
    CutByGateway,
    Refused,
    UpstreamBroken,
    google_key_error,
)
from gatekeeper.proxy.request_body import parse_cooperatively
from gatekeeper.proxy.stream_limits import SpendWatch, limits_searches, search_refusal
from gatekeeper.proxy.upstream_response import is_key_error_message
from gatekeeper.refusals import Reason, Refusal
from gatekeeper.server.websocket_stream import (
    ABNORMAL_CLOSURE,
    NO_STATUS_RECEIVED,
    Close,
    Message,
    WebSocketLost,
    WebSocketStream,
)

# As long as clients wait: with five seconds the last messages of an upstream that was still sending were
# lost.
CLOSING_TIMEOUT = 10.0  # seconds for one side's Close frame after the other's
MESSAGE_TOO_BIG = 1009
USAGE = b"usageMetadata"
QUOTA_WORDS = re.compile(r"exceeded your current quota|RESOURCE_EXHAUSTED", re.IGNORECASE)
PROPER_CODES = (1000, 1001, NO_STATUS_RECEIVED)  # any other code reports an error


class SessionMeter:
    """The meter of a session. `closed` is the error in Google's Close frame, if there is one."""

    delimiters = None
    body_bytes = 0

    def __init__(self) -> None:
        self._messages = LiveMeter()
        self.closed: UpstreamError | None = None

    @property
    def summary(self) -> ResponseSummary:
        return self._messages.summary

    def feed(self, chunk: bytes) -> None:
        self._messages.feed(chunk)

    def finish(self) -> ResponseSummary:
        summary = self._messages.finish()
        return msgspec.structs.replace(summary, error=self.closed) if self.closed else summary


class LiveSession:
    """The open session of a call. `token` is the client's ephemeral token, if it was opened with that instead
    of the Google key; `received_bytes` and `sent_bytes` count payload bytes from and to the client."""

    def __init__(
        self, call: ProxyCall, token: str | None, client: WebSocketStream, upstream: WebSocketStream
    ) -> None:
        self.call = call
        self.token = token
        self.client = client
        self.upstream = upstream
        self.received_bytes = self.sent_bytes = 0
        self.model_pending = True  # the first message, which names the model, has not arrived
        self._meter = call.meter = SessionMeter()
        self._request_summary = RequestSummary()  # by the first message
        self._limits_searches = limits_searches(call)
        self._spend_watch: SpendWatch | None = None
        self._scope = trio.CancelScope()
        self._client_answered = trio.Event()  # the upstream's Close frame
        self._failure: CallFailed | None = None

    async def run(self) -> None:
        """Raises CallFailed."""
        # Exceptions leave the nursery by an attribute, or it would wrap them into an ExceptionGroup.
        with self._scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._relay_client)
                await self._relay_upstream()
                self._scope.cancel()
        if self._failure is not None:
            raise self._failure
        self.call.relay_complete = True

    def _end(self, failure: CallFailed) -> None:
        self._failure = self._failure or failure
        self._scope.cancel()

    async def _relay_client(self) -> None:
        while isinstance(received := await self.client.receive(), Message):
            self.received_bytes += len(received.payload)
            is_first = self.model_pending
            try:
                await (self._check_setup if is_first else self._check_later)(received)
                await self._check_references(received, is_first=is_first)
            except Refused as refused:
                # Google charges for what came before a later message.
                self._end(Refused(refused.refusal) if is_first else CutByGateway(refused.refusal))
                return
            # If the upstream is lost the other task still reads what it sent before, perhaps a Close frame.
            # The client may not have seen that yet, and continues sending until it has.
            with suppress(WebSocketLost):
                await self.upstream.send(received)
        await self._client_ended(received)

    async def _check_setup(self, first: Message) -> None:
        """Checks the model against the key's limits, before the first message goes upstream. Raises
        Refused."""
        self.model_pending = False
        self._request_summary = await _read(first)
        await check_setup(self.call, self._request_summary, first.payload)
        if reservation := self.call.reservation:
            self._spend_watch = SpendWatch(self.call, reservation)

    async def _check_later(self, later: Message) -> None:
        """Checks the tools of a later message, which replace the first one's, against the key's limits.
        Raises Refused."""
        # `tools` in any spelling; letters may be escaped.
        if self._limits_searches and (b"ools" in later.payload or b"\\u00" in later.payload):
            named = await _read(later)
            check_live_message(
                self.call,
                msgspec.structs.replace(
                    self._request_summary, tools=named.tools, understood=named.understood
                ),
            )

    async def _check_references(self, message: Message, *, is_first: bool) -> None:
        """Checks that the key may see the resources that a message refers to. Raises Refused."""
        # A later message can refer to files only, and most are audio.
        if self.call.key is None or not (is_first or names_a_file(message.payload)):
            return
        named = await _read(message)
        await self.call.context.check_references(self.call.key, references(named))
        if not named.understood:
            raise Refused(UNCHECKED_BODY)

    async def _client_ended(self, end: Close) -> None:
        proper = end.code != ABNORMAL_CLOSURE and not end.violation
        if self.upstream.peer_close is not None:
            if proper:
                await self.upstream.close(end.code, end.reason)
            self._client_answered.set()
        elif end.violation:
            reason = Reason.TOO_LARGE if end.code == MESSAGE_TOO_BIG else Reason.BAD_REQUEST
            self._end(CutByGateway(Refusal(reason, f"Not valid in a WebSocket ({end.code}): {end.reason}.")))
        elif not proper:
            self._end(ClientGone())
        else:
            await self.upstream.close(end.code, end.reason)
            # The other task ends the session once the upstream has sent its Close frame.
            await trio.sleep(CLOSING_TIMEOUT)
            self._scope.cancel()

    async def _relay_upstream(self) -> None:
        while isinstance(received := await self.upstream.receive(), Message):
            self.sent_bytes += len(received.payload)
            try:
                await self.client.send(received)
            except WebSocketLost:
                self._end(ClientGone())
                return
            finally:
                # Also if the client did not get it: Google bills it.
                self._meter.feed(received.payload)
            if self.call.rate_reservations and USAGE in received.payload:
                note_rates(self.call, self._meter.summary)
            if self._spend_watch and USAGE in received.payload:
                try:
                    self._spend_watch.check(self._meter.summary)
                except CutByGateway as cut:
                    self._end(cut)
            if self._limits_searches and (refusal := search_refusal(self.call, self._meter.summary)):
                self._end(CutByGateway(refusal))
                return
        await self._upstream_ended(received)

    async def _upstream_ended(self, end: Close) -> None:
        call, abrupt = self.call, end.violation or end.code == ABNORMAL_CLOSURE
        # NUL if there is no token: an empty string would match everywhere.
        reason = call.context.mask.text(end.reason.replace(self.token or "\0", "[token]")) or ""
        if (closed := self.client.peer_close) is not None:
            if closed.code != ABNORMAL_CLOSURE and not closed.violation:
                await self.client.close(closed.code if abrupt else end.code, "" if abrupt else reason)
        elif end.violation:
            what = f"The Gemini API sent what is not valid in a WebSocket ({end.code}): {reason}."
            self._end(UpstreamBroken(Refusal(Reason.UPSTREAM_UNREACHABLE, what)))
        elif abrupt:
            self._end(UpstreamBroken())
        # Google accepts a handshake before it checks the key.
        elif self.token is None and is_key_error_message(end.reason):
            # Too late for another key: the client has seen an open session.
            call.google_key.note_refusal(close_error(end.code, reason))
            self._end(google_key_error(call.row.upstream_key or ""))
        else:
            if end.code not in PROPER_CODES:
                self._meter.closed = close_error(end.code, reason)
                if QUOTA_WORDS.search(end.reason):
                    call.google_key.note_quota(self._meter.closed)
            await self.client.close(end.code, reason)
            self.call.relay_complete = True
            with trio.move_on_after(CLOSING_TIMEOUT):
                await self._client_answered.wait()
            await self.upstream.close(end.code)


def close_error(code: int, reason: str) -> UpstreamError:
    """Google's Close frame as an error of its API."""
    message = f"The session was closed with {code}{': ' if reason else ''}{reason}"
    return UpstreamError(code=code, status=None, message=message, reason=None, retry_delay=None)


async def _read(message: Message) -> RequestSummary:
    """The summary of a message; the first one has `setup.model`."""
    parser = request_parser(None, None)
    await parse_cooperatively(parser, message.payload)
    return parser.summary
