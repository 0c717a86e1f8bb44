"""Ephemeral tokens for the Live API (https://ai.google.dev/gemini-api/docs/ephemeral-tokens): the name is the
token itself. It opens as many sessions as it has uses (by default one), in its first minute."""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from gatekeeper.sandbox.errors import invalid
from gatekeeper.sandbox.google_json import Json, field, message, parse_int, text
from gatekeeper.sandbox.http import HttpResponse, Request, json_response
from gatekeeper.sandbox.routing import Parameters, Route
from gatekeeper.sandbox.store import Clock, ExpiringStore, parse_timestamp

TTL, NEW_SESSION_TTL = 30 * 60.0, 60.0
MAX_TOKENS = 1000


@dataclass(slots=True)
class AuthToken:
    """`setup` is the setup that a session must use; `uses` None: any number of sessions."""

    name: str
    setup: Json
    uses: int | None
    expires: float
    size: int = 1


class AuthTokens:
    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._tokens = ExpiringStore[AuthToken](MAX_TOKENS, clock)

    def routes(self) -> tuple[Route, ...]:
        return (Route("POST", "/{v}/auth_tokens", self.create),)

    def create(self, request: Request, _at: Parameters) -> HttpResponse:
        body = request.json()
        body = message(field(body, "authToken")) or body
        given, now = field(body, "uses"), self._clock()
        uses = 1 if given is None else parse_int(given)
        if uses is None or uses < 0:
            raise invalid("uses must be a number of sessions; 0 for any number.")
        limits = [
            parse_timestamp(written) if written else now + seconds
            for written, seconds in (
                (text(field(body, "expireTime")), TTL),
                (text(field(body, "newSessionExpireTime")), NEW_SESSION_TTL),
            )
        ]
        if min(limits) <= now:
            raise invalid("The expiration time must be in the future.")
        setup = message(field(body, "bidiGenerateContentSetup"))
        # A token only opens sessions, so it expires at the earlier of its two times.
        token = AuthToken(f"auth_tokens/{secrets.token_hex(32)}", setup, uses or None, min(limits))
        self._tokens.put(token)
        return json_response({"name": token.name})

    def use(self, name: str) -> Json | None:
        """Uses the token for one session; returns the setup that it requires, or None if the token is not
        valid."""
        token = self._tokens.get(name)
        if token is None:
            return None
        if token.uses is not None:
            token.uses -= 1
            if not token.uses:
                self._tokens.drop(name)
        return token.setup
