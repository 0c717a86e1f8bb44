"""The entry of `/gemini`, an ASGI application: it gives each call its carrier, and watches over them all."""

from __future__ import annotations

from collections.abc import Callable

import trio

from gatekeeper.ledger.call import Call
from gatekeeper.proxy.call import ProxyCall
from gatekeeper.proxy.carrier import Carrier, RequestHead
from gatekeeper.proxy.context import ProxyContext
from gatekeeper.proxy.http import HttpCarrier
from gatekeeper.proxy.live import LiveCarrier
from gatekeeper.proxy.outcomes import ClientGone, Cut, draining
from gatekeeper.server.application import Receive, Scope, Send

SWEEP = 0.25  # seconds between two looks at all open calls

NewCarrier = Callable[[Scope, Receive, Send], Carrier[ProxyCall]]
CARRIERS: dict[str, NewCarrier] = {"http": HttpCarrier, "websocket": LiveCarrier}  # by the scope's type


class Proxy:
    """The proxy in front of one upstream. `open_calls` are those that run."""

    def __init__(self, context: ProxyContext) -> None:
        self.context = context
        self.open_calls: set[ProxyCall] = set()
        self.carriers = dict(CARRIERS)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        carrier = self.carriers[scope["type"]](scope, receive, send)
        call = ProxyCall(self.context, RequestHead.of(scope), carrier)
        self.open_calls.add(call)
        try:
            await call.run()
        finally:
            self.open_calls.discard(call)

    # What the admin API and a stop ask

    def peek(self, call_id: str) -> Call | None:
        """A call as it stands while it runs; None where none of this id does. Who looks pays with a search
        of all open calls; these pay nothing for being found."""
        return next((call.peek() for call in self.open_calls if call.row.id == call_id), None)

    @property
    def at_work(self) -> bool:
        """Whether a call that was let in still runs. One that is being refused is of no account: whoever goes
        on asking, or is slow to hear it, would hold up a stop."""
        return any(call.google_key for call in self.open_calls)

    # The sweep over all open calls

    async def sweep(self) -> None:
        """One task for all calls: ends those whose client has gone or whose next sign of life is overdue.
        It costs next to nothing; a task or a timer for each call would cost as much as half of its relay."""
        while True:
            await trio.sleep(SWEEP)
            now = trio.current_time()
            for call in tuple(self.open_calls):
                if call.carrier.has_gone():
                    call.end(ClientGone())
                # Silence is the client's fault while a write to it waits.
                elif now > call.deadline and call.overdue is not None:
                    call.end(ClientGone() if call.carrier.blocked else call.overdue)
            self.context.upstream.sweep()

    def cut_all(self) -> None:
        """Ends every open call; streams are told why."""
        for call in tuple(self.open_calls):
            call.end(Cut(draining()))
