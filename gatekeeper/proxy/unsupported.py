"""What of Google's API is not relayed yet, and how a client is told.

Sessions of the Live API (`/ws/…BidiGenerateContent`): their WebSocket handshake is refused and recorded.
Resumable uploads: the upload URL that Google returns would bypass the gateway.
"""

from __future__ import annotations

from gatekeeper.gemini.errors import error_body, error_headers
from gatekeeper.gemini.evasion import normalized_path
from gatekeeper.proxy.authenticate import query_parameters
from gatekeeper.proxy.call import ProxyCall
from gatekeeper.proxy.headers import Headers
from gatekeeper.refusals import Reason, Refusal
from gatekeeper.server.asgi_types import Receive, Scope, Send

LIVE_REFUSAL = Refusal(Reason.NOT_FOUND, "Live sessions over WebSocket are not relayed by this gateway.")
UPLOAD_PROTOCOL_HEADER, UPLOAD_COMMAND_HEADER = b"x-goog-upload-protocol", b"x-goog-upload-command"
RESUMABLE_REFUSAL = Refusal(
    Reason.BAD_REQUEST,
    "Resumable uploads are not relayed by this gateway yet. Send the file in one request "
    "(uploadType=multipart, or X-Goog-Upload-Protocol: raw), or put it into the call itself as inlineData.",
)


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


def starts_resumable(action: str | None, path: bytes, headers: Headers, query: bytes) -> bool:
    """Whether a request begins a resumable upload: by its command, or by its protocol (in the path too) if it
    has no `upload_id`, which the later requests have."""
    if "upload" not in (action or "").lower():
        return False
    # Some servers read `_` in a header's name as `-`.
    fields = {name.replace(b"_", b"-"): value.strip().lower() for name, value in headers}
    parameters = dict(query_parameters(query))
    protocols = (
        fields.get(UPLOAD_PROTOCOL_HEADER),
        parameters.get("uploadType"),
        parameters.get("upload_protocol"),
    )
    resumable = any(protocol in (b"resumable", "resumable") for protocol in protocols)
    resumable = resumable or (normalized_path(path) or "").startswith("/resumable/")
    return b"start" in fields.get(UPLOAD_COMMAND_HEADER, b"") or (resumable and "upload_id" not in parameters)
