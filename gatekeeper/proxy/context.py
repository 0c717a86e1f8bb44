"""Dependencies shared by all calls to `/gemini`."""

from __future__ import annotations

from itertools import cycle

from gatekeeper.keys.registry import KeyRegistry
from gatekeeper.keys.secrets import AuthFailures
from gatekeeper.ledger.ledger import Ledger
from gatekeeper.logs import RateLimitedLog
from gatekeeper.pricing.catalogue import Catalogue
from gatekeeper.proxy.authenticate import Authenticator
from gatekeeper.proxy.error_response import KeyMasker
from gatekeeper.proxy.outcomes import draining_refusal
from gatekeeper.proxy.upstream import UpstreamPool
from gatekeeper.refusals import Refusal
from gatekeeper.settings import Settings


class ProxyContext:
    """For one gateway in front of one upstream. `catalogue` and `upstream` may be replaced while calls run; a
    call uses the one that is set when it needs it."""

    def __init__(
        self,
        settings: Settings,
        upstream: UpstreamPool,
        registry: KeyRegistry,
        ledger: Ledger,
        catalogue: Catalogue,
    ) -> None:
        self.settings = settings
        self.upstream = upstream
        self.registry = registry
        self.ledger = ledger
        self.catalogue = catalogue
        self.authenticator = Authenticator(registry, settings.master_key)
        self.auth_failures = AuthFailures()
        self.draining = False
        self.accounting_errors = RateLimitedLog("call_accounting_failed")
        self.redirect_errors = RateLimitedLog("redirect_not_followed")
        self.secrets = tuple(filter(None, (*(settings.gemini_api_key or ()), settings.master_key)))
        """Never written into a row, even if a response contains them."""
        self.mask = KeyMasker(settings.gemini_api_key or ())
        # Without a Google key the upstream is the sandbox, which accepts any.
        keys = settings.gemini_api_key or ("sandbox",)
        self._google_keys = cycle([(key, f"#{number}") for number, key in enumerate(keys, 1)])

    def unavailable_refusal(self) -> Refusal | None:
        """The refusal of new calls while none can be admitted."""
        return draining_refusal() if self.draining else self.ledger.unavailable_refusal()

    def next_google_key(self) -> tuple[str, str]:
        """The Google key for the next call and its label; several keys are used round-robin."""
        return next(self._google_keys)
