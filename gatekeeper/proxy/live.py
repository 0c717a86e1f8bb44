"""Live sessions (`/ws/…BidiGenerateContent`) are not relayed: the handshake is refused, and recorded."""

from __future__ import annotations

from gatekeeper.gemini.errors import error_body, error_headers
from gatekeeper.proxy.call import ProxyCall
from gatekeeper.refusals import Reason, Refusal
from gatekeeper.server.application import Receive, Scope, Send

REFUSAL = Refusal(Reason.NOT_FOUND, "Live sessions over WebSocket are not relayed by this gateway.")


class LiveCarrier:
    """A carrier that objects to every call."""

    streams = True
    received = sent = 0
    blocked = started = False

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._extensions = scope.get("extensions", {})
        self._receive = receive
        self._send = send

    def objection(self, call: ProxyCall) -> Refusal | None:  # noqa: ARG002  whatever it is
        return REFUSAL

    def request_length(self) -> int | None:
        return None

    async def relay(self, call: ProxyCall) -> None:
        raise NotImplementedError

    async def refuse(self, refusal: Refusal, call_id: str) -> None:
        """With Google's error shape where the server can, else by closing the handshake."""
        # ASGI: the handshake is answered only after `websocket.connect` has been received.
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

    def break_off(self) -> None: ...

    def release(self) -> None: ...

    def has_gone(self) -> bool:
        return False
