"""What all calls to `/gemini` share, and the ASGI door that they come through."""

from __future__ import annotations

import hmac
from itertools import cycle
from typing import NamedTuple

import structlog
import trio

from gatekeeper.gemini.errors import Reason, Refusal
from gatekeeper.gemini.price import Catalogue
from gatekeeper.keys.failures import Failures
from gatekeeper.keys.record import KeyState
from gatekeeper.keys.registry import Registry
from gatekeeper.keys.secrets import hash_secret
from gatekeeper.ledger.book import Ledger
from gatekeeper.ledger.entry import Call
from gatekeeper.logs import Seldom
from gatekeeper.proxy.downstream import Receive, Scope, Send
from gatekeeper.proxy.endings import ClientGone, Cut, KeyInvalid, Refused, draining
from gatekeeper.proxy.exchange import Exchange
from gatekeeper.proxy.live import refuse_live
from gatekeeper.proxy.masking import Mask
from gatekeeper.proxy.spend import settlement
from gatekeeper.proxy.upstream import Upstream
from gatekeeper.settings import Settings

log = structlog.get_logger()

SWEEP = 0.25  # seconds between two looks at all open calls


class Identity(NamedTuple):
    """Whose call it is, as the ledger's columns say it; `state` for a virtual key."""

    key_id: str
    alias: str | None
    state: KeyState | None


MASTER = Identity("master", None, None)
OPEN = Identity("open", None, None)


class Proxy:
    """The proxy in front of one upstream. `open_calls` are the exchanges that run."""

    def __init__(
        self, settings: Settings, upstream: Upstream, registry: Registry, ledger: Ledger, catalogue: Catalogue
    ) -> None:
        self.settings = settings
        self.upstream = upstream
        self.registry = registry
        self.ledger = ledger
        self.catalogue = catalogue
        self.open_calls: set[Exchange] = set()
        self.draining = False
        self.faults = Seldom("call_not_settled_as_it_should_be")
        self.failures = Failures()
        self._master_digest = hash_secret(settings.master_key) if settings.master_key else None
        self.secrets = tuple(filter(None, (*(settings.gemini_api_key or ()), settings.master_key)))
        """What must not get into a row, whoever has written it into an answer."""
        keys = settings.gemini_api_key or ("sandbox",)
        self.mask = Mask(settings.gemini_api_key or ())
        self._google_keys = cycle([(key, f"#{number}") for number, key in enumerate(keys, 1)])

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await refuse_live(self, scope, receive, send)
            return
        exchange = Exchange(self, scope, receive, send)
        self.open_calls.add(exchange)
        await exchange.run()

    # What an exchange asks

    def identify(self, secret: str | None) -> Identity:
        """Raises Refused where nobody is found and a key is needed. In open mode any key will do, and none;
        a virtual key counts as itself there too, so that its spend and limits can be tried out, and one that
        was deleted or given another secret is as gone there as anywhere."""
        digest = hash_secret(secret) if secret else ""
        if self._master_digest and hmac.compare_digest(digest, self._master_digest):
            return MASTER
        if state := self.registry.by_hash(digest):
            return Identity(state.record.token_id, state.record.key_alias, state)
        if self.registry.is_retired(digest):
            raise Refused(_key_retired())
        if self._master_digest is None:
            return OPEN
        raise Refused(_key_unknown() if secret else _key_missing())

    def closed(self) -> Refusal | None:
        """Why no new call is taken on, if so."""
        return draining() if self.draining else self.ledger.closed()

    def is_open(self, call_ids: list[bytes]) -> bool:
        """Whether one of the ids (in header fields) is of a call that runs here."""
        named = b",".join(call_ids).decode("latin-1")
        return any(exchange.call.id in named for exchange in self.open_calls)

    def choose_google_key(self) -> tuple[str, str]:
        """The key for the next call and its label; several take turns."""
        return next(self._google_keys)

    def settle(self, exchange: Exchange) -> None:
        """The end of a call: the journal's line, the key's spend, the alarm if Google refused our key."""
        call = exchange.call
        self.open_calls.discard(exchange)
        try:
            self.ledger.end(call)
        except Exception as fault:  # noqa: BLE001  the key's spend counts whatever becomes of the row
            self.faults.note_fault(fault)
        if exchange.key is not None and (counted := settlement(call)):
            self.registry.settle(*counted)
        if isinstance(exchange.ending, KeyInvalid):
            log.error(
                "google_key_refused", key=call.upstream_key, remedy="set a valid GEMINI_API_KEY and restart"
            )

    def so_far(self, call_id: str) -> Call | None:
        """A call as it stands while it runs; None where none of this id does. Who looks pays with a search
        of all open calls; these pay nothing for being found."""
        running = (exchange for exchange in self.open_calls if exchange.call.id == call_id)
        return next((exchange.so_far() for exchange in running), None)

    @property
    def at_work(self) -> bool:
        """Whether a call that was let in still runs. One that is being refused is of no account: whoever goes
        on asking, or is slow to hear it, would hold up a stop."""
        return any(exchange.google_key for exchange in self.open_calls)

    # The watch over all open calls

    async def watch(self) -> None:
        """One task for all calls: ends those whose client has gone or whose next sign of life is overdue.
        It costs next to nothing; a task or a timer for each call would cost as much as half of its relay."""
        while True:
            await trio.sleep(SWEEP)
            now = trio.current_time()
            for exchange in tuple(self.open_calls):
                if exchange.downstream.has_gone():
                    exchange.end(ClientGone())
                elif now > exchange.deadline and exchange.overdue is not None:
                    exchange.end(ClientGone() if exchange.downstream.blocked else exchange.overdue)
            self.upstream.sweep()

    def cut_all(self) -> None:
        """Ends every open call; streams are told why."""
        for exchange in tuple(self.open_calls):
            exchange.end(Cut(draining()))


def _key_missing() -> Refusal:
    return Refusal(
        Reason.KEY_MISSING,
        "No API key. Send a key of this gateway as the header x-goog-api-key, as ?key=… or as "
        "Authorization: Bearer …",
    )


def _key_unknown() -> Refusal:
    return Refusal(
        Reason.KEY_UNKNOWN,
        "This gateway does not know this API key. Keys are made with `gatekeeper keys create` or in the "
        "terminal application; a Google key is not one of them.",
    )


def _key_retired() -> Refusal:
    return Refusal(
        Reason.KEY_UNKNOWN,
        "This API key is no longer valid: it was deleted, or given a new secret. Ask the gateway's "
        "administrator for the new one.",
    )
