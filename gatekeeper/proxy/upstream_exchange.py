"""The state of one call's upstream request and response, and what happens if the client disconnects before
the response is complete. The setting `on_disconnect`, of the key or of the gateway, decides:

`cancel`: the connection to the upstream is closed at once. The row has the last usage that was reported, or
an expected cost (`pricing.expected`).

`finish`: once the whole request has gone upstream, the response is read to its end without the client, for
the exact usage: for at most `MAX_SECONDS` and `MAX_BYTES`, and no longer than a drain lasts. Google charges
what it generates either way. Only for what is charged: a download is never finished.

Either way the outcome is `client_disconnected`. A client that reads nothing for `read_timeout` seconds counts
as disconnected.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import trio

from gatekeeper.gemini.routes import Route
from gatekeeper.http_fields import Headers
from gatekeeper.keys.limits import OnDisconnect
from gatekeeper.keys.virtual_key import KeyState
from gatekeeper.pricing.expected import RequestSize
from gatekeeper.server.client_stream import ClientDisconnected, ClientStream
from gatekeeper.settings import Settings

MAX_SECONDS = 300.0  # after the client has left
MAX_BYTES = 64 * 2**20  # of the response's body, after that


class UpstreamExchange:
    """The state of one call's upstream request and response, and when its client disconnected, if it did.
    Times are on trio's clock.

    `started_at`: when the upstream request started; `client_wait_seconds`: seconds since then that were spent
    waiting for the client. `request_sent`: whether all of the request went upstream; None where that is not
    known. `upstream_status`: the status of the response, once its head has arrived.
    `finishes_without_client`: whether the response is read to its end if the client disconnects, which it did
    at `disconnected_at`.
    """

    __slots__ = (
        "_size",
        "body",
        "bytes_after_disconnect",
        "client_wait_seconds",
        "disconnected_at",
        "finishes_without_client",
        "request_sent",
        "response_bytes",
        "started_at",
        "upstream_status",
        "write_scope",
    )  # fmt: skip

    def __init__(self) -> None:
        self.started_at: float | None = None
        self.client_wait_seconds = 0.0
        self.finishes_without_client = False
        self.request_sent: bool | None = None
        self.upstream_status: int | None = None
        self.disconnected_at: float | None = None
        self.bytes_after_disconnect = 0
        self.response_bytes = 0  # of the body, as the meter counts them
        self.write_scope: trio.CancelScope | None = None  # around a write to a client that may not read
        self.body = b""  # of the request: all of it, if it was received before any of it was sent
        self._size: RequestSize | None = None

    @property
    def size(self) -> RequestSize:
        """Of the request's body, as far as it was received."""
        if self._size is None:
            self._size = RequestSize()
        return self._size

    def release_body(self) -> None:
        """Frees the body, which will not be sent again, and keeps its size only: a stream may last for
        long."""
        self.size.feed(self.body)
        self.body = b""

    def continues(self, now: float) -> bool:
        """Whether the response is still read, now that the client has disconnected."""
        if not (self.finishes_without_client and self.request_sent):
            return False
        if self.disconnected_at is None:
            self.disconnected_at = now
        return now < self.disconnected_at + MAX_SECONDS and self.bytes_after_disconnect <= MAX_BYTES

    def stop_writing(self) -> None:
        """Cancels the write that waits for a client that does not read."""
        if self.write_scope is not None:
            self.write_scope.cancel()

    def buffered_size(self) -> RequestSize:
        """The size of a buffered body."""
        size = RequestSize()
        size.feed(self.body)
        return size

    def request_size(self) -> RequestSize:
        """The size of the request's body; to be called once, at the end."""
        self.size.feed(self.body)
        return self.size


def finishes_without_client(route: Route, key: KeyState | None, settings: Settings) -> bool:
    """Whether a call is finished if its client disconnects."""
    own = key.record.on_disconnect if key else None
    return route.billable and (own or settings.on_disconnect) == OnDisconnect.FINISH


NO_EXCHANGE = UpstreamExchange()
"""For a row that is completed later, after its call; not to be changed."""


class DetachableWriter:
    """Writes a response to a client that may disconnect; what is written after that is dropped.
    `client_disconnected` is called then, and returns whether the call continues."""

    def __init__(
        self, stream: ClientStream, exchange: UpstreamExchange, client_disconnected: Callable[[], bool]
    ) -> None:
        self._stream = stream
        self._exchange = exchange
        self._client_disconnected = client_disconnected

    async def start(
        self, status: int, headers: Headers, *, reason: bytes | None, coalesce_with_body: bool
    ) -> None:
        if self._exchange.disconnected_at is None:
            try:
                await self._stream.start(
                    status, headers, reason=reason, coalesce_with_body=coalesce_with_body
                )
            except ClientDisconnected:
                self._continue_or_raise()

    async def write(self, chunk: bytes, *, is_last: bool = False) -> None:
        if self._exchange.disconnected_at is None:
            # `stop_writing` cancels this scope, not the call, which continues without the client.
            with trio.CancelScope() as self._exchange.write_scope:
                try:
                    await self._stream.write(chunk, is_last=is_last)
                except ClientDisconnected:
                    self._continue_or_raise()
            return
        # Dropped bytes count, too: `MAX_BYTES` limits them.
        self._exchange.bytes_after_disconnect += len(chunk)
        self._continue_or_raise()

    async def write_informational(self, status: int, headers: Headers, reason: bytes) -> None:
        if self._exchange.disconnected_at is None:
            try:
                await self._stream.write_informational(status, headers, reason)
            except ClientDisconnected:
                self._continue_or_raise()

    async def finish(self, trailers: Sequence[tuple[bytes, bytes]] = ()) -> None:
        if self._exchange.disconnected_at is None:
            await self._stream.finish(trailers)

    def _continue_or_raise(self) -> None:
        """Raises ClientDisconnected if the call ends."""
        if not self._client_disconnected():
            raise ClientDisconnected
