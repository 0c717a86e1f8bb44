"""Dependencies shared by all calls to `/gemini`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from time import monotonic_ns

import trio

from gatekeeper.gemini.meter_layers import Meter
from gatekeeper.gemini.request_summary import Reference
from gatekeeper.gemini.resource_names import NO_RESOURCE, owned_resource_in_path
from gatekeeper.gemini.response_parser import ResponseSummary
from gatekeeper.google_key import SANDBOX_KEY
from gatekeeper.keys.budget_rules import soft_budget_document
from gatekeeper.keys.budgets import Budgets
from gatekeeper.keys.google_keys import GoogleKeys
from gatekeeper.keys.journal_consumer import charge_of, continuations
from gatekeeper.keys.long_decodes import LongDecodes
from gatekeeper.keys.owners import Owners
from gatekeeper.keys.pending_charges import PendingCharges
from gatekeeper.keys.rates import Rates
from gatekeeper.keys.registry import KeyRegistry
from gatekeeper.keys.sealing import PageTokens
from gatekeeper.keys.secrets import AuthFailures
from gatekeeper.keys.sessions import EphemeralToken, Sessions
from gatekeeper.keys.sqlite_file import StoreFailed
from gatekeeper.keys.virtual_key import KeyState
from gatekeeper.ledger.call import CallRecord, CreatedResources
from gatekeeper.ledger.ledger import Ledger
from gatekeeper.logs import RateLimitedLog, log
from gatekeeper.pricing.allowance import FreeSearches
from gatekeeper.pricing.catalogue import Catalogue
from gatekeeper.proxy.authenticate import Authenticator
from gatekeeper.proxy.call_price import UnpricedModels
from gatekeeper.proxy.cors import AllowedOrigins
from gatekeeper.proxy.created_resources import ResourceProjects, created_resources, with_earlier
from gatekeeper.proxy.deferred_charges import DeferredCharges
from gatekeeper.proxy.failures import Refused, draining_refusal, store_refused
from gatekeeper.proxy.upstream_response import KeyMasker
from gatekeeper.refusals import Refusal
from gatekeeper.runtime import now_micros
from gatekeeper.settings import Settings
from gatekeeper.upstream.pool import UpstreamPool


def monotonic_micros() -> int:
    return monotonic_ns() // 1000


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
        sessions: Sessions,
        long_decodes: LongDecodes,
        free_searches: FreeSearches,
        pending: PendingCharges,
        owners: Owners,
        google_keys: GoogleKeys,
    ) -> None:
        self.settings = settings
        self.upstream = upstream
        self._google_hosts: dict[str, UpstreamPool] = {}
        self.registry = registry
        self.sessions = sessions
        self.long_decodes = long_decodes
        self.free_searches = free_searches
        self.owners = owners
        self.page_tokens = PageTokens(
            settings.master_key or "".join(key.secret for key in settings.own_google_keys)
        )
        self.rates = Rates()
        self.current_time: Callable[[], float] = trio.lowlevel.current_clock().current_time
        """`trio.current_time`, without the two function calls in between, which would cost each event of a
        stream."""
        self.monotonic_micros: Callable[[], int] = monotonic_micros
        """The clock of rates. Not the time of day, which may be set back."""
        self.ledger = ledger
        self.catalogue = catalogue
        self.price_faults: tuple[str, ...] = ()
        """Why the file of the user's own prices is not in use as it is now, a line for each error in it."""
        self.authenticator = Authenticator(registry, settings.master_key)
        self.allowed_origins = AllowedOrigins(settings.allowed_origins or ())
        self.auth_failures = AuthFailures()
        self.budgets = Budgets()
        self.cost_history = registry.costs
        self.draining = False
        self.unpriced_models = UnpricedModels()
        self.accounting_errors = RateLimitedLog("call_accounting_failed")
        self.deferred = DeferredCharges(pending, ledger, registry, self.accounting_errors)
        self.poll_errors = RateLimitedLog("poll_failed")
        self.list_errors = RateLimitedLog("list_not_filtered")
        self.redirect_errors = RateLimitedLog("redirect_not_followed")
        self.session_errors = RateLimitedLog("session_store_failed")
        self.upload_errors = RateLimitedLog("upload_address_refused")
        self.google_keys = google_keys
        self.projects = ResourceProjects(google_keys, owners, pending)
        self.secrets: tuple[str, ...] = ()
        """Never written into a row, even if a response contains them."""
        self.mask = KeyMasker(())
        self.google_keys_changed()

    def unavailable_refusal(self) -> Refusal | None:
        """The refusal of new calls while none can be admitted."""
        return draining_refusal() if self.draining else self.ledger.unavailable_refusal()

    def created_by(
        self, row: CallRecord, path: bytes, status: int | None, response: ResponseSummary
    ) -> CreatedResources | None:
        """The resources that the response to a call names as created, and their owner."""
        if response.resource is None and not response.found:
            return row.made
        made = created_resources(row.action, owned_resource_in_path(path), status, response, self.owners)
        return with_earlier(row.made, made)

    def record_created(self, row: CallRecord, path: bytes, status: int | None, meter: Meter) -> None:
        """Records the resources that a running call has created, at once: also in the journal, for the case
        that the gateway is killed before the call's end."""
        row.made = self.created_by(row, path, status, meter.summary)
        if row.made is not None:
            self.ledger.update_begin(row)
            self.owners.apply(row)

    def charge_accounts(self, row: CallRecord) -> None:
        """Adds the cost of a call that has ended to the spend of its accounts, and warns of soft budgets."""
        charge = charge_of(row)
        for account in self.registry.settle(charge) if charge else ():
            warning = soft_budget_document(account)
            log.warning("soft_budget_reached", **warning)
            self.ledger.events.publish_warning(row, {"call": row.id, **warning})

    def apply_ended_call(self, row: CallRecord) -> None:
        """Keeps what later calls need of a call that has just ended: its long decode's continuations, and the
        owner of what it created."""
        if row.continuations:
            self.long_decodes.add(continuations(row))
        self.owners.apply(row)

    def google_keys_changed(self) -> None:
        """Rebuilds the mask for the secrets of all Google keys, including removed ones, with which calls may
        still run."""
        secrets = [secret for secret in self.google_keys.secrets if secret != SANDBOX_KEY.secret]
        self.secrets = tuple(filter(None, (*secrets, self.settings.master_key)))
        self.mask = KeyMasker(secrets)

    # Owners

    async def check_path(self, key: KeyState | None, path: bytes) -> None:
        """Checks that the key may see the resource that the path names. Raises Refused."""
        named = owned_resource_in_path(path)
        # Most calls name a model only.
        if named is NO_RESOURCE:
            return
        try:
            if refusal := await self.owners.refusal(key, named):
                raise Refused(refusal)
        except StoreFailed as error:
            raise self.store_failure(error) from None

    async def check_references(self, key: KeyState | None, references: Iterable[Reference]) -> None:
        """Checks that the key may see the resources that the body refers to. Raises Refused."""
        try:
            if refusal := await self.owners.body_refusal(key, references):
                raise Refused(refusal)
        except StoreFailed as error:
            raise self.store_failure(error) from None

    # Sessions

    async def find_token(self, secret: str) -> EphemeralToken | None:
        """The ephemeral token that a key of this gateway has created, unless it has expired. Raises
        Refused."""
        try:
            return await self.sessions.find_token(secret, now_micros())
        except StoreFailed as error:
            raise self.store_failure(error) from None

    def store_failure(self, error: StoreFailed) -> Refused:
        """Logs that the store of sessions could not be read or written; returns the refusal of the call."""
        self.session_errors.record_exception(error)
        return store_refused()

    # Upstreams

    def upstream_at(self, host: str | None) -> UpstreamPool:
        """The configured upstream (None), or the pool for another host of Google's, to which Google has sent
        the call."""
        if host is None:
            return self.upstream
        if host not in self._google_hosts:
            self._google_hosts[host] = self.upstream.for_other_host(host)
        return self._google_hosts[host]

    def upstreams(self) -> Iterable[UpstreamPool]:
        return self.upstream, *self._google_hosts.values()
