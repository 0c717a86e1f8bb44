"""All existing keys, in memory and backed by a store.

Reading is a dict look-up and never waits. A change is written to the store first, in a worker thread and one
at a time, and applied to memory when it is on disk: a confirmed change survives a crash. Spend is the
reverse: memory is updated at once and is authoritative, the store follows the journal.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, tzinfo
from itertools import chain
from time import time_ns
from typing import TypeVar

import msgspec
import trio

from gatekeeper.keys import spend
from gatekeeper.keys.account import GATEWAY, Account, AccountId, NamedAccount
from gatekeeper.keys.account_changes import AccountChanges
from gatekeeper.keys.accounts import Accounts
from gatekeeper.keys.cooperative import PART_SIZE
from gatekeeper.keys.cost_history import CostHistory, CostName, RecentMaximum
from gatekeeper.keys.key_changes import repricing
from gatekeeper.keys.key_import import KeyImport
from gatekeeper.keys.key_index import has_secret
from gatekeeper.keys.key_writer import KeyWriter
from gatekeeper.keys.limits import Limits, NamedRecord
from gatekeeper.keys.listing import NEWEST_FIRST, Page, PageSearch
from gatekeeper.keys.spend import AccountCharge
from gatekeeper.keys.store import KeyStore, LoadedKeys, StoredAccount
from gatekeeper.keys.virtual_key import KeyState, Sharing, sharing_of
from gatekeeper.keys.windows import initial_window_end
from gatekeeper.ledger.call import Position

A = TypeVar("A", bound=Account)

NO_LIMITS = Limits()
LISTED_AT_ONCE = 2000  # keys between two checkpoints, which takes some milliseconds


class KeyRegistry(KeyWriter):
    """The existing keys. `clock` returns the time in microseconds since 1970."""

    def __init__(
        self,
        store: KeyStore,
        zone: tzinfo = UTC,
        clock: Callable[[], int] = lambda: time_ns() // 1000,
        *,
        gateway: Limits = NO_LIMITS,
    ) -> None:
        """`zone` is the time zone of budget periods; `gateway` are the limits of the whole gateway."""
        super().__init__(store, zone)
        self._clock = clock
        self._gateway = gateway
        self.costs = CostHistory()
        """The recent costs of calls."""
        self.accounts = Accounts(zone)
        """All other accounts."""
        self.account_changes = AccountChanges(store, self._write_lock, self.accounts)
        self.imports = KeyImport(store, self._write_lock, self._index, self.accounts)

    async def load(self) -> Position:
        """Loads all keys. Call it once, before anything else. The spend includes the journal up to the
        returned position: `replay` the calls after it."""
        loaded, costs, revoked, self._former = await trio.to_thread.run_sync(self._read)
        states, stored, watermark = loaded
        for state in states:
            state.zone = self.accounts.zone
            self._index.add(state)
        if self._gateway != NO_LIMITS:
            self._add_gateway()
        for account in sorted(stored, key=lambda each: each.id.model):  # owners first
            self._restore(account)
        self.costs.load(costs)
        self._index.revoked = revoked
        return watermark

    def _read(self) -> tuple[LoadedKeys, list[tuple[CostName, RecentMaximum]], set[str], dict[str, Sharing]]:
        """Reads everything from the store. Blocks."""
        store = self._store
        return store.load(), store.costs(), store.revoked_hashes(), store.former_sharing()

    def _add_gateway(self) -> None:
        limits = msgspec.structs.asdict(self._gateway)
        record = NamedRecord(**limits, name="", created_at=0, updated_at=0)
        now, zone = self._clock(), self.accounts.zone
        end = initial_window_end(record.budget_duration, now, zone)
        account = NamedAccount(kind=GATEWAY.kind, record=record, budget_reset_at=end)
        self.accounts.add(account)

    def _restore(self, stored: StoredAccount) -> None:
        kind, name, model = stored.id
        if stored.id == GATEWAY:
            if account := self.accounts.gateway:
                account.spend_pico, account.estimated_pico = stored.spend_pico, stored.estimated_pico
                account.window_start = stored.window.start
                if account.budget_reset_at is not None:  # by the current settings
                    account.budget_reset_at = stored.window.end or account.budget_reset_at
        elif model:
            owner = self._index.by_id.get(name) if kind == "key" else self.accounts.find(kind, name)
            if owner:
                self.accounts.restore(
                    stored.id, owner, stored.spend_pico, stored.estimated_pico, stored.window
                )
        elif stored.record is not None:
            start, end = stored.window
            self.accounts.add(
                NamedAccount(
                    kind=kind,
                    record=stored.record,
                    spend_pico=stored.spend_pico,
                    estimated_pico=stored.estimated_pico,
                    window_start=start,
                    budget_reset_at=end,
                )
            )

    # For calls: nothing here waits.

    def by_hash(self, secret_hash: str) -> KeyState | None:
        """The key whose secret, or previous secret within its grace period, has this digest
        (`secrets.hash_secret`)."""
        state = self._index.by_hash.get(secret_hash)
        if state is None or state.record.secret_hash == secret_hash:
            return state
        now = self._clock()
        if not has_secret(state.record, secret_hash, now):
            return None
        state.previous_used_at = now
        return state

    def by_id(self, token_id: str) -> KeyState | None:
        """The key with this id; None if there is none, or it was deleted."""
        return self._index.by_id.get(token_id)

    def by_alias(self, alias: str) -> KeyState | None:
        """The key with this alias."""
        return self._index.by_alias.get(alias)

    def is_revoked(self, secret_hash: str) -> bool:
        """Whether a key had this secret that was deleted or has been rotated."""
        return secret_hash in self._index.revoked

    def keys_in(self, group: str) -> int:
        """The number of keys in this group."""
        return self._index.in_groups[group]

    def sharing(self, token_id: str) -> Sharing:
        """How this key shares its resources; for a deleted key, how it did."""
        if state := self._index.by_id.get(token_id):
            return sharing_of(state.record)
        return self._former.get(token_id, Sharing())

    def settle(self, charge: AccountCharge) -> list[Account]:
        """Counts a call that has just ended, except in deleted accounts. Returns the accounts that reached
        their soft budget with it."""
        reached: list[Account] = []
        _, cost_pico, ended_at, estimated, is_use, *_ = charge
        for account in self.accounts_of(charge):
            # The spend in the window that the call ends in: that of the previous window would hide that the
            # soft budget is reached.
            before = spend.current_spend(account, ended_at)[0]
            spend.settle(account, cost_pico, ended_at, estimated=estimated, is_use=is_use)
            if before < (account.record.soft_budget_pico or 0) <= account.spend_pico:
                reached.append(account)
        return reached

    def replay(self, settled: Iterable[AccountCharge]) -> None:
        """Counts calls of an earlier run that the stored spend does not include."""
        for charge in settled:
            _, cost_pico, ended_at, estimated, is_use, *_ = charge
            for account in self.accounts_of(charge):
                spend.replay(account, cost_pico, ended_at, estimated=estimated, is_use=is_use)

    def _replace(self, state: KeyState, edited: KeyState) -> None:
        before = state.record
        super()._replace(state, edited)
        self.accounts.update_model_accounts(state, before)

    def _remove(self, state: KeyState) -> None:
        super()._remove(state)
        self.accounts.remove_model_accounts(state)

    def accounts_of(self, charge: AccountCharge) -> Iterable[Account]:
        """The accounts whose spend a call counts towards."""
        accounts = self.accounts
        key = self._index.by_id.get(charge.token_id)
        group = accounts.groups.get(charge.group) if charge.group else None
        user = accounts.users.get(charge.user) if charge.user else None
        found = tuple(filter(None, (accounts.gateway, group, key, user)))
        return found + accounts.of_model(found, charge.model)

    async def store_spend(self, settled: Iterable[AccountCharge], segment: int, offset: int) -> None:
        """Stores the charges that memory has counted: those in the journal from the last watermark up to this
        position. Raises StoreFailed, and may then be repeated with the same or a longer part of the
        journal."""
        async with self._write_lock:
            # Under the lock, so that no window changes between the calculation and the write.
            deltas = spend.spend_deltas(self.accounts_of, settled)
            costs = self.costs.take_changed()
            stored = False
            try:
                await trio.to_thread.run_sync(self._store.add_spend, deltas, segment, offset, costs)
                stored = True
                self._forget_restored(deltas)
            finally:
                # Also if this was cancelled before the thread started: the changes are recorded nowhere else.
                if not stored:
                    self.costs.mark_changed(costs)

    async def adjust(self, run_id: str, settled: Sequence[AccountCharge]) -> bool:
        """Adds the differences of repriced calls, once per run: returns False if this run was already added.
        Raises StoreFailed, and may then be repeated."""
        async with self._write_lock:
            # Under the lock, with the current windows: if the store got a window that was changed since by an
            # edit or by a clock that was set back, it would drop the spend.
            accounts = {account.id: account for each in settled for account in self.accounts_of(each)}
            deltas = {
                id_: spend.refundable(accounts[id_], delta)
                for id_, delta in spend.spend_deltas(self.accounts_of, settled).items()
                if delta.spend_pico or delta.estimated_pico
            }
            spends = {id_: accounts[id_].spend_pico for id_ in deltas}
            change = repricing(run_id, spends, deltas, self._clock())
            added = await trio.to_thread.run_sync(self._store.adjust_spend, run_id, deltas, change)
            self._forget_restored(deltas if added else {})
            for id_, delta in deltas.items() if added else ():
                account = accounts[id_]
                # The window may have rolled during the write: the spend of a window that has ended no longer
                # counts.
                if account.window_start <= delta.window.start:
                    account.spend_pico += delta.spend_pico
                    account.estimated_pico += delta.estimated_pico
        return added

    def _forget_restored(self, deltas: Mapping[AccountId, spend.SpendDelta]) -> None:
        """After a store that had it."""
        for id_, delta in deltas.items():
            if delta.restored is None:
                continue
            owner = self._index.by_id.get(id_.name) if id_.kind == "key" else self.accounts.by_id(id_)
            account = self.accounts.model_account(owner, id_.model) if owner and id_.model else owner
            if account and account.restored is delta.restored:
                account.restored = None

    # For people who read.

    def find(self, name: str, now: int) -> KeyState | None:
        """The key with this name, in the budget window of `now`. Raises KeyAmbiguous."""
        state = self._index.named(name, now)
        if state:
            spend.roll_window(state, now)
        return state

    def states(self, now: int) -> Iterable[KeyState]:
        """All existing keys, in the budget window of `now`."""
        return _rolled(self._index.by_id.values(), now)

    async def window_starts(self, now: int) -> set[int]:
        """The starts of all accounts' windows at `now`. Yields to other tasks."""
        starts: set[int] = set()
        of_others = _rolled(self.accounts, now), _rolled(self.accounts.model_accounts, now)
        for number, account in enumerate(chain(self.states(now), *of_others), start=1):
            starts.add(account.window_start)
            if number % PART_SIZE == 0:
                await trio.lowlevel.checkpoint()
        return starts

    async def list(
        self,
        now: int,
        *,
        q: str = "",
        limit: int = 100,
        cursor: str | None = None,
        sort: str = NEWEST_FIRST,
    ) -> Page:
        """A page of keys; see `PageSearch`. Yields to other tasks."""
        search = PageSearch(now, q=q, limit=limit, cursor=cursor, sort=sort)
        states = [*self._index.by_id.values()]
        for start in range(0, len(states), LISTED_AT_ONCE):
            if start:
                await trio.lowlevel.checkpoint()
            search.look_at(states[start : start + LISTED_AT_ONCE])
        found = search.page()
        for state in found.states:
            spend.roll_window(state, now)
        return found


def _rolled(accounts: Iterable[A], now: int) -> Iterable[A]:
    # A copy, because the collection may change between two iterations.
    for account in [*accounts]:
        spend.roll_window(account, now)
        yield account
