"""ASGI application of `/gemini`: creates a transport per call, and sweeps all open calls for timeouts."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from time import monotonic_ns

import trio

from gatekeeper.gemini.meter import NO_METER
from gatekeeper.keys.explanation import Explanation, HypotheticalCall
from gatekeeper.keys.virtual_key import KeyState
from gatekeeper.ledger.call import CallRecord
from gatekeeper.proxy.call import ProxyCall
from gatekeeper.proxy.context import ProxyContext
from gatekeeper.proxy.cors import allow_reading, is_preflight
from gatekeeper.proxy.explain import explain
from gatekeeper.proxy.failures import CutByGateway, draining_refusal
from gatekeeper.proxy.http import HttpTransport, PreflightCall, PreflightTransport
from gatekeeper.proxy.lifecycle import CallLifecycle
from gatekeeper.proxy.live import LiveTransport
from gatekeeper.proxy.transport import RequestHead, Transport
from gatekeeper.runtime import now_micros
from gatekeeper.server.asgi_types import Receive, Scope, Send
from gatekeeper.server.client_socket import hung_up
from gatekeeper.times import ClockWatch

SWEEP_SECONDS = 0.25  # seconds between two checks of all open calls
CHARGE_SECONDS = 5.0  # seconds between two checks for charges that are due: some microseconds each

TransportFactory = Callable[[Scope, Receive, Send], Transport[ProxyCall]]
TRANSPORTS: dict[str, TransportFactory] = {
    "http": HttpTransport,
    "websocket": LiveTransport,
}
"""By the type of the ASGI scope."""


class Proxy:
    """The proxy in front of one upstream. `open_calls` are the running calls."""

    def __init__(self, context: ProxyContext) -> None:
        self.context = context
        self.open_calls: set[ProxyCall] = set()
        # A copy, so that a test can replace one for this proxy only.
        self.transports = dict(TRANSPORTS)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        call = self.new_call(scope, receive, send)
        self.open_calls.add(call)
        try:
            await call.run()
        finally:
            self.open_calls.discard(call)
            # Both may refer to the call: such a cycle would stay until the garbage collector runs, which is
            # seldom.
            call.failure, call.meter = None, NO_METER

    def new_call(self, scope: Scope, receive: Receive, send: Send) -> CallLifecycle:
        if scope["type"] == "http" and is_preflight(scope["method"], scope["headers"]):
            transport, kind = PreflightTransport(scope, receive, send), PreflightCall
        else:
            transport, kind = self.transports[scope["type"]](scope, receive, send), CallLifecycle
        if self.context.allowed_origins and isinstance(transport, HttpTransport):
            allow_reading(transport.stream, self.context.allowed_origins, scope["headers"])
        return kind(self.context, RequestHead.of(scope), transport)

    # For the admin API and the shutdown

    def snapshot(self, call_id: str) -> CallRecord | None:
        """The current state of a running call; None if there is none with this id. It searches all open
        calls, so that no call has to maintain an index."""
        return next((call.snapshot() for call in self.open_calls if call.row.id == call_id), None)

    def snapshots(self) -> dict[str, Callable[[], CallRecord]]:
        """By id, a function that returns the current state of each running call."""
        return {call.row.id: call.snapshot for call in self.open_calls}

    async def explain(self, key: KeyState, question: HypotheticalCall) -> Explanation:
        """Whether this key's call would be admitted now; nothing is written or reserved."""
        return await explain(self.context, key, question)

    @property
    def has_admitted_calls(self) -> bool:
        """Whether an admitted call still runs. Calls that are being refused do not count: a client that
        retries or reads slowly would delay the shutdown."""
        return any(call.google_key.secret for call in self.open_calls)

    # The sweep over all open calls

    async def sweep(self) -> None:
        """One task for all calls: ends those whose client has disconnected, whose deadline has passed, and
        sessions whose key is no longer valid. It costs next to nothing; a task or a timer for each call would
        cost as much as half of its relay."""
        while True:
            await trio.sleep(SWEEP_SECONDS)
            now = trio.current_time()
            calls = tuple(self.open_calls)
            asked = possibly_disconnected(calls)
            for call in calls:
                # A call that continues without its client is checked each time: it has limits of its own
                # (`UpstreamExchange.continues`).
                if call.exchange.disconnected_at is not None or (
                    call in asked and call.transport.is_disconnected()
                ):
                    call.client_disconnected()
                if now > call.deadline and call.timeout_failure is not None:
                    # While a write to the client is blocked the timeout is the client's.
                    if not call.transport.write_blocked:
                        call.end(call.timeout_failure())
                    # The call continues without this client: the write to it would wait for ever.
                    elif call.client_disconnected():
                        call.exchange.stop_writing()
                elif refusal := call.transport.revocation(call):
                    call.end(CutByGateway(refusal))
            for upstream in self.context.upstreams():
                upstream.close_expired()

    async def charge_deferred(self) -> None:
        """Charges, periodically, what no request triggers: the storage of cached contents."""
        clock = ClockWatch()
        while True:
            # Before the first sleep: what fell due while no gateway ran is charged at the start.
            now = now_micros()
            # Else months of storage would be charged, and results given up that are still to come.
            if clock.is_steady(now, monotonic_ns() // 1000):
                self.context.deferred.sweep(now, self.context.catalogue)
            await trio.sleep(CHARGE_SECONDS)

    def cut_all(self) -> None:
        """Ends every open call; streams get an error event."""
        for call in tuple(self.open_calls):
            call.end(CutByGateway(draining_refusal()))


def possibly_disconnected(calls: Iterable[ProxyCall]) -> set[ProxyCall]:
    """The calls whose client may have disconnected. All sockets are polled by one system call; only the calls
    returned have to be asked one by one."""
    polled: dict[int, ProxyCall] = {}
    asked: set[ProxyCall] = set()
    for call in calls:
        socket = call.transport.client_socket
        # Two calls with the same descriptor: one of the connections is closed, and the other has got its
        # number.
        if socket is None or socket.disconnected or socket.descriptor in polled:
            asked.add(call)
        else:
            polled[socket.descriptor] = call
    asked.update([polled[descriptor] for descriptor in hung_up(polled)])
    return asked
