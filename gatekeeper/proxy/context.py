"""What all calls to `/gemini` share; it knows nothing of a single call."""

from __future__ import annotations

from itertools import cycle

from gatekeeper.keys.registry import Registry
from gatekeeper.keys.secrets import Failures
from gatekeeper.ledger.ledger import Ledger
from gatekeeper.logs import Seldom
from gatekeeper.pricing.catalogue import Catalogue
from gatekeeper.proxy.authenticate import Authenticator
from gatekeeper.proxy.error_answer import Mask
from gatekeeper.proxy.outcomes import draining
from gatekeeper.proxy.upstream import Upstream
from gatekeeper.refusals import Refusal
from gatekeeper.settings import Settings


class ProxyContext:
    """Of one gateway in front of one upstream. `catalogue` and `upstream` may be replaced while calls run; a
    call takes what is there when it asks."""

    def __init__(
        self, settings: Settings, upstream: Upstream, registry: Registry, ledger: Ledger, catalogue: Catalogue
    ) -> None:
        self.settings = settings
        self.upstream = upstream
        self.registry = registry
        self.ledger = ledger
        self.catalogue = catalogue
        self.authenticator = Authenticator(registry, settings.master_key)
        self.failures = Failures()
        self.draining = False
        self.faults = Seldom("call_not_settled_as_it_should_be")
        self.secrets = tuple(filter(None, (*(settings.gemini_api_key or ()), settings.master_key)))
        """What must not get into a row, whoever has written it into an answer."""
        self.mask = Mask(settings.gemini_api_key or ())
        # Without a Google key the upstream is the sandbox, which takes any.
        keys = settings.gemini_api_key or ("sandbox",)
        self._google_keys = cycle([(key, f"#{number}") for number, key in enumerate(keys, 1)])

    def closed(self) -> Refusal | None:
        """Why no new call is taken on, if so."""
        return draining() if self.draining else self.ledger.closed()

    def choose_google_key(self) -> tuple[str, str]:
        """The key for the next call and its label; several take turns."""
        return next(self._google_keys)
