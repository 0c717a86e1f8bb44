"""The HTTP transports: of a call that is one request and one response, and of a CORS preflight.

The gateway responds to preflights itself, without authentication, because browsers send no key with them.
"""

from __future__ import annotations

from gatekeeper.gemini.actions import Billing
from gatekeeper.gemini.errors import error_body, error_event, error_headers
from gatekeeper.gemini.routes import Route
from gatekeeper.keys.sessions import Session
from gatekeeper.proxy.admission import override_refusal
from gatekeeper.proxy.call import ProxyCall
from gatekeeper.proxy.cors import preflight_headers
from gatekeeper.proxy.ephemeral_tokens import TOKEN_ACTION, TokenRelay
from gatekeeper.proxy.failures import CutByGateway, Refused
from gatekeeper.proxy.filtered_list import FilteredListRelay, filtered_kind
from gatekeeper.proxy.headers import CALL_ID_HEADER, decode_value, first_value
from gatekeeper.proxy.lifecycle import CallLifecycle
from gatekeeper.proxy.relay import Relay
from gatekeeper.proxy.uploads import UPLOAD_ENDED, UploadRelay, find_upload, has_upload_id
from gatekeeper.refusals import Reason, Refusal
from gatekeeper.server.asgi_types import Receive, Scope, Send
from gatekeeper.server.client_socket import ClientSocket
from gatekeeper.server.client_stream import ClientStream

NO_CONTENT = 204


class HttpTransport:
    """The client's side of unary calls, streams, uploads and downloads."""

    __slots__ = ("_continues_upload", "_headers", "client_socket", "stream")
    is_stream = False
    model_pending = True  # its body may name it

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.stream = ClientStream(scope, receive, send)
        self.client_socket: ClientSocket | None = scope.get("state", {}).get("connection")
        self._continues_upload = False
        self._headers = scope["headers"]

    @property
    def received_bytes(self) -> int:
        return self.stream.received_bytes

    @property
    def sent_bytes(self) -> int:
        return self.stream.sent_bytes

    @property
    def write_blocked(self) -> bool:
        return self.stream.write_blocked

    @property
    def response_started(self) -> bool:
        return self.stream.response_started

    def unsupported_refusal(self, call: ProxyCall) -> Refusal | None:
        return override_refusal(call)

    async def find_session(self, call: ProxyCall) -> Session | None:
        # First: the next line may refuse the request, and `refuse` has to know.
        self._continues_upload = has_upload_id(call)
        return await find_upload(call)

    def request_length(self) -> int | None:
        return None if self.stream.is_chunked else int(first_value(self._headers, b"content-length") or 0)

    async def relay(self, call: ProxyCall) -> None:
        route = call.route
        # First: a list must not be relayed unfiltered by another relay.
        if kind := filtered_kind(call):
            await FilteredListRelay(call, self.stream, kind).run()
        elif route.upload:
            await UploadRelay(call, self.stream).run()
        elif route.action == TOKEN_ACTION:
            await TokenRelay(call, self.stream).run()
        else:
            await Relay(call, self.stream).run()

    def refusal_status(self, refusal: Refusal) -> int:
        return refusal.status

    async def refuse(self, refusal: Refusal, call_id: str) -> None:
        body = error_body(refusal)
        headers = [*error_headers(refusal, body), (b"x-gatekeeper-call-id", call_id.encode())]
        if self._continues_upload and refusal.is_final:
            headers.append(UPLOAD_ENDED)
        await self.stream.start(refusal.status, headers, coalesce_with_body=True)
        await self.stream.write(body)
        await self.stream.finish()

    async def final_error(self, refusal: Refusal, call: ProxyCall) -> None:
        if isinstance(call.failure, CutByGateway) and (delimiters := call.meter.delimiters):
            await self.stream.write(error_event(refusal, delimiters))

    def abort(self) -> None:
        self.stream.abort()

    def release(self) -> None:
        self.stream.discard_queued_messages()

    def revocation(self, call: ProxyCall) -> Refusal | None:  # noqa: ARG002  a response comes to its own end
        return None

    def is_disconnected(self) -> bool:
        return self.stream.is_disconnected()


class PreflightTransport(HttpTransport):
    """Sends no request to the upstream."""

    async def relay(self, call: ProxyCall) -> None:
        call.row.status = NO_CONTENT
        call.mark_first_byte()
        headers = [*preflight_headers(call.headers), (CALL_ID_HEADER, call.row.id.encode())]
        await self.stream.start(NO_CONTENT, headers)
        await self.stream.finish()
        call.relay_complete = True


class PreflightCall(CallLifecycle):
    """A call without a key, a `begin` record and a cost, whatever its path."""

    def parse(self) -> None:
        super().parse()
        self.route = Route(action="preflight", billing=Billing.FREE)
        self.row.action, self.row.model, self.row.resource = self.route.action, None, None
        self.row.stream = False

    def authenticate(self) -> None: ...

    def admit(self) -> None:
        if self.context.allowed_origins.allowed(self.headers) is None:
            raise Refused(_origin_refusal(decode_value(first_value(self.headers, b"origin") or b"")))

    def begin(self) -> None: ...


def _origin_refusal(origin: str) -> Refusal:
    return Refusal(
        Reason.POLICY,
        f"Pages of the Origin {origin[:200]!r} may not use this gateway. The operator can allow it by the "
        "setting allowed_origins (GATEKEEPER_ALLOWED_ORIGINS).",
    )
