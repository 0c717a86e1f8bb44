"""One call's exchange with the API, and what becomes of it when the client leaves before the response is
complete: `on_disconnect`, of its key or of the gateway.

`cancel`: the connection to the upstream is closed at once. The row has the last usage that was reported, or
an expected cost (`pricing.expected`).

`finish`: once the whole request has gone upstream, the response is read to its end without the client, for
the exact usage: for at most `MAX_SECONDS` and `MAX_BYTES`, and no longer than a drain lasts. Google charges
what it generates either way. Only for what is charged: a download is never finished.

Either way the outcome is `client_disconnected`. A client that reads nothing for `read_timeout` seconds counts
as one that has left.
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
    """What has passed between the gateway and the API for one call, and how far that was when its client
    left, if it did. Times are on trio's clock.

    `started_at`: when the upstream request started; `client_wait_seconds`: seconds since then that were spent
    waiting for the client. `request_sent`: whether all of the request went upstream; None where that is not
    known. `upstream_status`: of the response whose head has arrived. `finishes_without_client`: whether it
    goes on once the client has left, which it did at `disconnected_at`.
    """

    __slots__ = (
        "_size",
        "body",
        "client_wait_seconds",
        "disconnected_at",
        "finishes_without_client",
        "received_bytes",
        "request_sent",
        "response_bytes",
        "started_at",
        "upstream_status",
        "writing",
    )  # fmt: skip

    def __init__(self) -> None:
        self.started_at: float | None = None
        self.client_wait_seconds = 0.0
        self.finishes_without_client = False
        self.request_sent: bool | None = None
        self.upstream_status: int | None = None
        self.disconnected_at: float | None = None
        self.received_bytes = 0  # since then
        self.response_bytes = 0  # of the body, as the meter counts them
        self.writing: trio.CancelScope | None = None  # around a write to a client that may be left behind
        self.body = b""  # of the request: all of it, if it was received before any of it was sent
        self._size: RequestSize | None = None

    @property
    def size(self) -> RequestSize:
        """Of the request's body, as far as it was received."""
        if self._size is None:
            self._size = RequestSize()
        return self._size

    def release_body(self) -> None:
        """Keeps the size only of a body that will not be sent again: a stream may go on for long."""
        self.size.feed(self.body)
        self.body = b""

    def continues(self, now: float) -> bool:
        """Whether the response is read on, now that the client has left."""
        if not (self.finishes_without_client and self.request_sent):
            return False
        if self.disconnected_at is None:
            self.disconnected_at = now
        return now < self.disconnected_at + MAX_SECONDS and self.received_bytes <= MAX_BYTES

    def stop_writing(self) -> None:
        """Has the write end for which a client that does not read is awaited."""
        if self.writing is not None:
            self.writing.cancel()

    def buffered_size(self) -> RequestSize:
        """That of a buffered body."""
        size = RequestSize()
        size.feed(self.body)
        return size

    def request_size(self) -> RequestSize:
        """To be called once, at the end."""
        self.size.feed(self.body)
        return self.size


def finishes_without_client(route: Route, key: KeyState | None, settings: Settings) -> bool:
    """Whether a call that its client leaves is finished without it."""
    own = key.record.on_disconnect if key else None
    return route.billable and (own or settings.on_disconnect) == OnDisconnect.FINISH


NO_EXCHANGE = UpstreamExchange()
"""Of a row that is completed later, by no call; not to be changed."""


class DetachableWriter:
    """The client's side of a response that may be finished without it: what is sent then goes nowhere.
    `client_disconnected` is told that the client has gone, and says whether the call goes on."""

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
            # `stop_writing` leaves it, not the call: that goes on without the client.
            with trio.CancelScope() as self._exchange.writing:
                try:
                    await self._stream.write(chunk, is_last=is_last)
                except ClientDisconnected:
                    self._continue_or_raise()
            return
        # What goes nowhere counts, too: it is what `MAX_BYTES` bounds.
        self._exchange.received_bytes += len(chunk)
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
