"""Live sessions (`/ws/…BidiGenerateContent`) are not relayed: the handshake is refused, and recorded."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gatekeeper.gemini.errors import Reason, Refusal, error_body, error_headers
from gatekeeper.ledger.entry import Outcome
from gatekeeper.proxy.downstream import Receive, Scope, Send
from gatekeeper.proxy.endings import Refused
from gatekeeper.proxy.exchange import Exchange

if TYPE_CHECKING:
    from gatekeeper.proxy.door import Proxy

REFUSAL = Refusal(Reason.NOT_FOUND, "Live sessions over WebSocket are not relayed by this gateway.")


async def refuse_live(proxy: Proxy, scope: Scope, receive: Receive, send: Send) -> None:
    """Answers the handshake with Google's error shape where the server can, else by closing it. The row says
    whose it was, as any call's."""
    exchange = Exchange(proxy, {**scope, "method": "GET"}, receive, send)
    call, refusal = exchange.call, REFUSAL
    try:
        exchange.understand()
        exchange.identify()
    except Refused as refused:
        refusal = refused.refusal or REFUSAL
    call.stream, call.status, call.outcome, call.cost_pico = True, refusal.status, Outcome.REFUSED, 0
    call.reason, call.error_message = refusal.reason.value, refusal.message
    try:
        await receive()
        await _answer(scope, send, call.id, refusal)
    finally:
        call.duration_ms = exchange.elapsed_ms()
        proxy.ledger.end(call)


async def _answer(scope: Scope, send: Send, call_id: str, refusal: Refusal) -> None:
    if "websocket.http.response" not in scope.get("extensions", {}):
        await send({"type": "websocket.close", "code": 1008, "reason": refusal.message})
        return
    body = error_body(refusal)
    headers = [*error_headers(refusal, body), (b"x-gatekeeper-call-id", call_id.encode())]
    await send({"type": "websocket.http.response.start", "status": refusal.status, "headers": headers})
    await send({"type": "websocket.http.response.body", "body": body, "more_body": False})
