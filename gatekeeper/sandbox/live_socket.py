"""Live sessions over a WebSocket: the URL, authentication, and JSON in binary frames, like Google's.

Every handshake on the right path is accepted; errors are reported in a Close frame, which clients show. A key
is sent in the header or as `?key=`; an ephemeral token as `?access_token=` or `Authorization: Token`, on
`BidiGenerateContentConstrained` only.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import trio

from gatekeeper.sandbox.auth_tokens import AuthTokens
from gatekeeper.sandbox.calls import Calls
from gatekeeper.sandbox.errors import GoogleError
from gatekeeper.sandbox.google_json import Json, indented
from gatekeeper.sandbox.http import Request, check_key
from gatekeeper.sandbox.live import LiveClose, LiveSession, SavedSession, SavedSessions, close_for
from gatekeeper.sandbox.store import Clock, ExpiringStore

if TYPE_CHECKING:
    from hypercorn.typing import ASGIReceiveCallable, ASGISendCallable

PATH = re.compile(
    # @google/genai asks for `//ws/…` where its base URL has no path
    # (findings/google-genai-js-live-path-and-cookie.sh).
    r"/+ws/google\.ai\.generativelanguage\.(?P<version>v1(?:(?:beta|alpha|main)\d*)?)\.GenerativeService"
    r"\.BidiGenerateContent(?P<constrained>Constrained)?"
)
MAX_SAVED = 1000


class LiveSockets:
    """All sessions; `clock` is used for the expiry of saved sessions."""

    def __init__(self, clock: Clock, calls: Calls, tokens: AuthTokens) -> None:
        self._clock = clock
        self._calls = calls
        self._tokens = tokens
        self._saved: SavedSessions = ExpiringStore[SavedSession](MAX_SAVED, clock)

    async def serve(
        self, request: Request, receive: ASGIReceiveCallable, send: ASGISendCallable, time_scale: float
    ) -> None:
        found = PATH.fullmatch(request.path)
        await receive()
        if found is None:
            await send({"type": "websocket.http.response.start", "status": 404, "headers": []})
            await send({"type": "websocket.http.response.body", "body": b"", "more_body": False})
            return
        await send({"type": "websocket.accept", "subprotocol": None, "headers": []})
        try:
            demanded = self.authorize(request, constrained=bool(found["constrained"]))
            session = LiveSession(self._calls, self._saved, found["version"], demanded, self._clock())
            await talk(session, receive, send, time_scale)
        except LiveClose as close:
            if close.code is not None:
                await send({"type": "websocket.close", "code": close.code, "reason": close.reason})

    def authorize(self, request: Request, *, constrained: bool) -> Json:
        """The setup that an ephemeral token requires. Raises LiveClose."""
        if constrained:
            demanded = self._tokens.use(request.query.get("access_token") or token_of(request))
            if demanded is None:
                raise LiveClose(1008, "Ephemeral token not found, used up or expired.")
            return demanded
        try:
            check_key(request)
        except GoogleError as error:
            raise close_for(error) from error
        return {}


def token_of(request: Request) -> str:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token if scheme.lower() == "token" else ""


async def talk(
    session: LiveSession, receive: ASGIReceiveCallable, send: ASGISendCallable, time_scale: float
) -> None:
    """Runs the session until the client closes it. Raises LiveClose."""
    while True:
        event = await receive()
        if event["type"] != "websocket.receive":
            return
        frame = event.get("bytes") or (event.get("text") or "").encode()
        for seconds, document in session.receive(frame):
            if seconds * time_scale:
                await trio.sleep(seconds * time_scale)
            await send({"type": "websocket.send", "bytes": indented(document) + b"\n", "text": None})
