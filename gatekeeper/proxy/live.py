"""The WebSocket transport, of the Live API's sessions (`/ws/…BidiGenerateContent`).

The gateway refuses by accepting the handshake and sending a Close frame: clients show its reason, but drop
the body of an HTTP response. Google's own refusal of a handshake is relayed as it is.
"""

from __future__ import annotations

import math
import re
from functools import partial
from typing import Any

from gatekeeper.gemini.meter import meter_for
from gatekeeper.http_fields import Headers
from gatekeeper.keys.admission import may_go_on
from gatekeeper.keys.rate_rules import limits_of_accounts
from gatekeeper.keys.rates import UNBOUNDED
from gatekeeper.keys.secrets import hash_secret
from gatekeeper.keys.sessions import Session
from gatekeeper.proxy.authenticate import ephemeral_token, key_revoked
from gatekeeper.proxy.call import ProxyCall
from gatekeeper.proxy.call_google_key import RetryWithAnotherKey
from gatekeeper.proxy.call_rates import reserve_rates
from gatekeeper.proxy.failures import (
    ClientGone,
    Refused,
    first_byte_timeout,
    no_response,
    unreachable,
)
from gatekeeper.proxy.headers import CALL_ID_HEADER, downstream_headers
from gatekeeper.proxy.live_session import LiveSession
from gatekeeper.proxy.upstream_response import ErrorResponse, UpstreamBody
from gatekeeper.refusals import Reason, Refusal
from gatekeeper.runtime import now_micros
from gatekeeper.server.asgi_types import Receive, Scope, Send
from gatekeeper.server.client_socket import ClientSocket
from gatekeeper.server.client_stream import ClientDisconnected
from gatekeeper.server.websocket import WebSocket
from gatekeeper.server.websocket_stream import MAX_REASON_BYTES, WebSocketLost
from gatekeeper.upstream.connection import (
    BODYLESS,
    SWITCHING_PROTOCOLS,
    ConnectionLost,
    ResponseHead,
    UpstreamConnection,
)
from gatekeeper.upstream.pool import ConnectFailed
from gatekeeper.upstream.websocket import UpstreamHandshake, open_upstream

# Close codes (RFC 6455 §7.4.1, and IANA's registry of WebSocket close codes)
GOING_AWAY, POLICY_VIOLATION, INTERNAL_ERROR, TRY_AGAIN_LATER = 1001, 1008, 1011, 1013
# Fields of the handshake, which are made anew for each of the two connections.
HANDSHAKE_HEADERS = (b"sec-websocket-key", b"sec-websocket-extensions", b"sec-websocket-accept")
MAX_REFUSAL_BODY = 1024 * 1024  # bytes of Google's refusal of a handshake
TOKEN = re.compile(r"[!-~]+")  # visible ASCII
TOKEN_UNKNOWN = Refusal(
    Reason.KEY_UNKNOWN,
    "This gateway does not know this ephemeral token, or it has expired: create one through this gateway.",
)
NOT_LIVE = Refusal(
    Reason.NOT_FOUND,
    "No WebSocket here. Live sessions are at /ws/google.ai.generativelanguage.{version}.GenerativeService."
    "BidiGenerateContent.",
)


class LiveTransport:
    """A client's WebSocket, relayed to one to the upstream."""

    is_stream = True
    client_socket: ClientSocket | None = None  # its WebSocket must be asked, too

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002  it has a better one
        self.websocket: WebSocket = scope["state"]["websocket"]
        self._connection: Any = scope["state"]["connection"]
        self._session: LiveSession | None = None
        self._token: str | None = None  # the client's credential, for the upstream too

    @property
    def received_bytes(self) -> int:
        return self._session.received_bytes if self._session else 0

    @property
    def sent_bytes(self) -> int:
        return self._session.sent_bytes if self._session else 0

    @property
    def model_pending(self) -> bool:
        return self._session is None or self._session.model_pending

    @property
    def write_blocked(self) -> bool:
        return self.websocket.is_open and self.websocket.stream.write_blocked

    @property
    def response_started(self) -> bool:
        return self.websocket.is_responded

    def unsupported_refusal(self, call: ProxyCall) -> Refusal | None:
        return None if (call.route.action or "").startswith("Bidi") else NOT_LIVE

    async def find_session(self, call: ProxyCall) -> Session | None:
        """The session of the client's ephemeral token. An unknown token is refused; in open mode it is passed
        on to Google, if it is valid in a header."""
        credential, token = call.credential, ephemeral_token(call.headers, call.head.query)
        if token is None:
            return None
        session = await call.context.find_token(token)
        # Python's SDK sends the token as a key, too.
        other_key = credential.secret not in (None, token)
        if session is None and other_key:
            return None
        # In a query it was percent-decoded: a line break in it would inject headers upstream.
        if session is None and not (call.context.settings.open_mode and TOKEN.fullmatch(token)):
            raise Refused(TOKEN_UNKNOWN)
        self._token = token
        call.credential = credential if other_key else credential._replace(secret=None)
        return session

    def request_length(self) -> int | None:
        return None

    async def relay(self, call: ProxyCall) -> None:
        # The rates of its model are reserved once that is known.
        applied = limits_of_accounts(call.accounts, counts_tokens=True)
        if applied:
            reserve_rates(call, applied, UNBOUNDED)
        call.record_begin()
        seconds = call.context.settings.first_byte_timeout
        call.set_deadline(seconds, partial(first_byte_timeout, seconds))
        pool = call.context.upstream
        try:
            while True:
                # A new connection: a WebSocket never returns to the pool, and an idle one might have been
                # closed by the upstream.
                connection = await pool.connect()
                try:
                    return await self._open_session(call, connection)
                except RetryWithAnotherKey:
                    pass
                finally:
                    pool.release(connection)
        except ConnectFailed as error:
            raise unreachable(str(error)) from None
        except ConnectionLost as lost:
            raise no_response(str(lost)) from None
        except WebSocketLost:
            raise ClientGone from None

    async def _open_session(self, call: ProxyCall, connection: UpstreamConnection) -> None:
        handshake = UpstreamHandshake(call.headers)
        headers = [*request_headers(call, self._token), *handshake.headers]
        await connection.send_request("GET", call.upstream_target(call.context.upstream), headers, b"")
        head = await connection.read_head()
        if head.status != SWITCHING_PROTOCOLS:
            await self._relay_refusal(call, connection, head)
            return
        subprotocol = handshake.check(head)
        call.row.status = SWITCHING_PROTOCOLS
        call.deadline = math.inf  # a session may be silent for as long as it likes
        call.mark_first_byte()
        await self.websocket.accept(response_headers(call, head.headers), subprotocol)
        upstream = open_upstream(connection)
        self._session = LiveSession(call, self._token, self.websocket.stream, upstream)
        await self._session.run()

    async def _relay_refusal(
        self, call: ProxyCall, connection: UpstreamConnection, head: ResponseHead
    ) -> None:
        """Google's response to a handshake that it does not accept."""
        mask = call.context.mask
        error = ErrorResponse(mask, head.status, head.headers, UpstreamBody(connection))
        await error.buffer()
        # With a client's token the refusal is about that token, and no other key can be tried.
        if self._token is None:
            call.google_key.failed(call.row, error, repeatable=True)
        body = error.first_chunk() or b""
        while len(body) < MAX_REFUSAL_BODY and (chunk := await error.read_chunk()) is not None:
            body += chunk
        call.row.status = head.status
        call.mark_first_byte()
        headers = [field for field in response_headers(call, error.headers) if field[0] != b"content-length"]
        if head.status not in BODYLESS:
            headers.append((b"content-length", b"%d" % len(body)))
        await self.websocket.respond(head.status, headers, body, mask(head.reason))
        fields = dict(error.headers)
        formats = fields.get(b"content-type"), fields.get(b"content-encoding")
        call.meter = meter_for(*formats, status=head.status)
        call.meter.feed(body)
        call.relay_complete = True

    def refusal_status(self, refusal: Refusal) -> int:  # noqa: ARG002  it is told by a Close frame
        return SWITCHING_PROTOCOLS

    async def refuse(self, refusal: Refusal, call_id: str) -> None:
        # A browser fails a handshake in which none of the subprotocols that it offers is chosen.
        subprotocol = next(iter(self.websocket.subprotocols), None)
        try:
            await self.websocket.accept([(CALL_ID_HEADER, call_id.encode())], subprotocol)
            await self.websocket.close(close_code(refusal), close_reason(refusal))
        except WebSocketLost:
            raise ClientDisconnected from None

    async def final_error(self, refusal: Refusal, call: ProxyCall) -> None:  # noqa: ARG002  as the interface
        if self.websocket.is_open:
            code = GOING_AWAY if refusal.reason is Reason.DRAINING else close_code(refusal)
            await self.websocket.close(code, close_reason(refusal))

    def abort(self) -> None:
        self.websocket.abort()

    def release(self) -> None: ...

    def revocation(self, call: ProxyCall) -> Refusal | None:
        """A session may last for hours: its key must still be valid."""
        if call.key is None or self._session is None:
            return None
        registry = call.context.registry
        # Rotating a key ends the sessions opened with the old secret, but not those of tokens.
        if call.session or not call.credential.secret:
            found = registry.by_id(call.key.record.token_id)
        else:
            found = registry.by_hash(hash_secret(call.credential.secret))
        return (
            key_revoked() if found is None else may_go_on(call.accounts, call.access_request(), now_micros())
        )

    def is_disconnected(self) -> bool:
        # A client that has half-closed its connection cannot use a WebSocket. Once that is open, the messages
        # sent before are read first.
        connection = self._connection
        return connection.is_disconnected() or (
            connection.cleanly_half_closed and not self.websocket.is_responded
        )


def close_code(refusal: Refusal) -> int:
    """The Close code for a refusal: of policy, or of a condition that may pass."""
    if refusal.status < 500 and refusal.retry_after is None:
        return POLICY_VIOLATION
    return INTERNAL_ERROR if refusal.status in (502, 504) else TRY_AGAIN_LATER


def close_reason(refusal: Refusal) -> str:
    """The reason's name, and as much of the message as a Close frame takes."""
    text = f"{refusal.reason.value}: {refusal.message}"
    if len(encoded := text.encode()) <= MAX_REASON_BYTES:
        return text
    ellipsis = "…"
    return encoded[: MAX_REASON_BYTES - len(ellipsis.encode())].decode(errors="ignore") + ellipsis


def request_headers(call: ProxyCall, token: str | None) -> Headers:
    """The client's headers for the upstream, without those of its own handshake. The only credential is the
    token, if there is one, else the Google key."""
    fields = call.upstream_headers(call.context.upstream, chunked=False)
    kept = [field for field in fields if not field[0].replace(b"_", b"-").startswith(HANDSHAKE_HEADERS)]
    if token is None:
        return kept
    without_key = [field for field in kept if field[0] != b"x-goog-api-key"]
    return [*without_key, (b"authorization", b"Token " + token.encode("latin-1"))]


def response_headers(call: ProxyCall, headers: Headers) -> Headers:
    """The upstream's headers for the client, without those of its own handshake."""
    kept = call.context.mask.headers(downstream_headers(headers, call.row.id))
    return [field for field in kept if not field[0].startswith(b"sec-websocket-")]
