"""Ephemeral tokens for the Live API: a token is stored when it is created, so that its sessions count as
those of the key that created it."""

from __future__ import annotations

from gatekeeper.gemini.sessions import CreatedToken, created_token
from gatekeeper.keys.sessions import EphemeralToken, TooManySessions
from gatekeeper.keys.sqlite_file import StoreFailed
from gatekeeper.proxy.call import ProxyCall
from gatekeeper.proxy.failures import Refused
from gatekeeper.proxy.relay import Relay, UpstreamRequest
from gatekeeper.proxy.upstream_response import NextChunk
from gatekeeper.refusals import Reason, Refusal
from gatekeeper.server.client_stream import ClientStream
from gatekeeper.upstream.connection import ResponseHead

TOKEN_ACTION = "auth_tokens.create"  # noqa: S105  the name of a method
MAX_BODY = 64 * 1024  # bytes of the request or the response that are read


class TokenRelay(Relay):
    """The relay of a call that creates an ephemeral token."""

    def __init__(self, call: ProxyCall, stream: ClientStream) -> None:
        super().__init__(call, stream)
        self.received = b""  # of the request's body

    def request(self) -> UpstreamRequest:
        """Asks for an uncompressed response, because the gateway reads it."""
        return super().request().uncompressed()

    async def send_buffered(self) -> None:
        self.received = self.exchange.body
        await super().send_buffered()

    async def receive_request_chunk(self) -> bytes:
        chunk = await super().receive_request_chunk()
        # A longer body is truncated; its times then count as Google's defaults.
        self.received = (self.received + chunk)[:MAX_BODY]
        return chunk

    async def forward(self, head: ResponseHead, first: bytes | None, source: NextChunk) -> None:
        """Stores the token before the client has a byte of it."""
        if head.status // 100 != 2:
            await super().forward(head, first, source)
            return
        body, ended = first or b"", False
        while len(body) < MAX_BODY and not ended:
            chunk = await source()
            ended = chunk is None
            body += chunk or b""
        # Google's response has less than a thousandth of the limit.
        token = created_token(self.received, body, self.call.row.started_at) if ended else None
        if token is not None:
            await self.store(token)
        await super().forward(head, body, no_more if ended else source)

    async def store(self, token: CreatedToken) -> None:
        """Raises Refused."""
        context, row = self.call.context, self.call.row
        session = EphemeralToken(
            key_id=row.key_id or "",
            google_key=row.upstream_key or "",
            user_id=row.user_id,
            tags=tuple(row.tags),
            user_agent=row.user_agent,
            expires_at=token.expires_at,
            new_sessions_until=token.new_sessions_until,
            uses=token.uses,
        )
        try:
            await context.sessions.add(token.name, session, row.started_at)
        except TooManySessions:
            raise Refused(too_many_tokens(context.sessions.limit)) from None
        except StoreFailed as error:
            raise context.store_failure(error) from None


async def no_more() -> bytes | None:
    return None


def too_many_tokens(limit: int) -> Refusal:
    return Refusal(
        Reason.TOO_MANY_PARALLEL,
        f"This key has {limit:,} ephemeral tokens that have not expired, and may have no more: create them "
        "with an earlier expireTime, or wait until some have expired.",
    )
