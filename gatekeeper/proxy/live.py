"""Live sessions (`/ws/…BidiGenerateContent`) are not relayed: the handshake is refused, and recorded."""

from __future__ import annotations

from time import time_ns
from typing import TYPE_CHECKING

import uuid_utils

from gatekeeper.gemini.errors import Reason, Refusal, error_body, error_headers
from gatekeeper.gemini.route import route
from gatekeeper.ledger.entry import Call, Outcome
from gatekeeper.proxy.downstream import Receive, Scope, Send

if TYPE_CHECKING:
    from gatekeeper.proxy.door import Proxy

PREFIX = len(b"/gemini")
REFUSAL = Refusal(Reason.NOT_FOUND, "Live sessions over WebSocket are not relayed by this gateway.")


async def refuse_live(proxy: Proxy, scope: Scope, receive: Receive, send: Send) -> None:
    """Answers the handshake with Google's error shape where the server can, else by closing it."""
    path: bytes = scope["raw_path"][PREFIX:]
    call = Call(
        id=str(uuid_utils.uuid7()),
        started_at=time_ns() // 1000,
        method="GET",
        path=path.decode("latin-1"),
        action=route("GET", path, b"").action,
        stream=True,
        status=REFUSAL.status,
        outcome=Outcome.REFUSED,
        reason=REFUSAL.reason.value,
        error_message=REFUSAL.message,
        cost_pico=0,
    )
    try:
        await receive()
        await _answer(scope, send, call.id)
    finally:
        call.duration_ms = (time_ns() // 1000 - call.started_at) / 1000
        proxy.ledger.end(call)


async def _answer(scope: Scope, send: Send, call_id: str) -> None:
    if "websocket.http.response" not in scope.get("extensions", {}):
        await send({"type": "websocket.close", "code": 1008, "reason": REFUSAL.message})
        return
    body = error_body(REFUSAL)
    headers = [*error_headers(REFUSAL, body), (b"x-gatekeeper-call-id", call_id.encode())]
    await send({"type": "websocket.http.response.start", "status": REFUSAL.status, "headers": headers})
    await send({"type": "websocket.http.response.body", "body": body, "more_body": False})
