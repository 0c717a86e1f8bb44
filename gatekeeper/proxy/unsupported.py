"""What of Google's API is not relayed yet, and how a client is told: the WebSocket handshakes of the Live API
(`/ws/…BidiGenerateContent`) are refused and recorded."""

from __future__ import annotations

from gatekeeper.gemini.errors import error_body, error_headers
from gatekeeper.keys.sessions import Session
from gatekeeper.proxy.call import ProxyCall
from gatekeeper.refusals import Reason, Refusal
from gatekeeper.server.asgi_types import Receive, Scope, Send

LIVE_REFUSAL = Refusal(Reason.NOT_FOUND, "Live sessions over WebSocket are not relayed by this gateway.")


class LiveCarrier:
    """A carrier that refuses every call."""

    is_stream = True
    received_bytes = sent_bytes = 0
    write_blocked = response_started = False

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._extensions = scope.get("extensions", {})
        self._receive = receive
        self._send = send

    def unsupported_refusal(self, call: ProxyCall) -> Refusal | None:  # noqa: ARG002  whatever it is
        return LIVE_REFUSAL

    async def find_session(self, call: ProxyCall) -> Session | None:  # noqa: ARG002
        return None

    def request_length(self) -> int | None:
        return None

    async def relay(self, call: ProxyCall) -> None:
        raise NotImplementedError

    async def refuse(self, refusal: Refusal, call_id: str) -> None:
        """With Google's error body if the server supports it, otherwise by closing the handshake."""
        # ASGI: a response to the handshake is allowed only after `websocket.connect` has been received.
        await self._receive()
        if "websocket.http.response" not in self._extensions:
            await self._send({"type": "websocket.close", "code": 1008, "reason": refusal.message})
            return
        body = error_body(refusal)
        headers = [*error_headers(refusal, body), (b"x-gatekeeper-call-id", call_id.encode())]
        status = refusal.status
        await self._send({"type": "websocket.http.response.start", "status": status, "headers": headers})
        await self._send({"type": "websocket.http.response.body", "body": body, "more_body": False})

    async def final_error(self, refusal: Refusal, call: ProxyCall) -> None: ...

    def abort(self) -> None: ...

    def release(self) -> None: ...

    def is_disconnected(self) -> bool:
        return False
