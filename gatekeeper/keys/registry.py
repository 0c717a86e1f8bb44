"""All existing keys, in memory, backed by a store.

Reading is a dict look-up and never waits. A change goes to the store first, in a worker thread and one at a
time, and into memory when it is on disk: a confirmed change survives a crash. Spend goes the other way:
memory is updated at once and is authoritative, the store follows the journal.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, tzinfo

import trio
from msgspec.structs import replace

from gatekeeper.keys import spend
from gatekeeper.keys.account import Account, GroupAccount
from gatekeeper.keys.account_changes import AccountChanges
from gatekeeper.keys.accounts import Accounts
from gatekeeper.keys.audit import Actor, difference
from gatekeeper.keys.fields import KeyFields
from gatekeeper.keys.key_changes import Edit, change_of, edited_state, set_fields
from gatekeeper.keys.key_index import KeyIndex, KeyNotFound
from gatekeeper.keys.listing import NEWEST_FIRST, Page, PageSearch
from gatekeeper.keys.secrets import hash_secret, key_name, new_secret, new_token_id
from gatekeeper.keys.shared_values import share_values
from gatekeeper.keys.sharing import Sharing, sharing_of
from gatekeeper.keys.spend import Settlement, SpendDelta
from gatekeeper.keys.store import KeyStore, StoredAccount
from gatekeeper.keys.virtual_key import KeyRecord, KeyState, key_document
from gatekeeper.keys.windows import initial_window_end
from gatekeeper.ledger.call import Position

LISTED_AT_ONCE = 2000  # keys, between two turns of calls: some milliseconds


class KeyRegistry:
    """The existing keys. `by` is who requests a change (a text: a part of the gateway), `now` when; the name
    of a key may be its secret, `token_id` or alias. Changes raise KeyNotFound, FieldError for a name that is
    another key's, and the StoreErrors of the store."""

    def __init__(self, store: KeyStore, zone: tzinfo = UTC) -> None:
        """The periods of budgets begin by the calendar of `zone`."""
        self._store = store
        self._write_lock = trio.Lock()
        self._index = KeyIndex()
        self._former: dict[str, Sharing] = {}  # of deleted keys
        self.accounts = Accounts(zone)
        """Those beside the keys' own."""
        self.account_changes = AccountChanges(store, self._write_lock, self.accounts)

    async def load(self) -> Position:
        """Reads all keys; to be called once, first. Their spend includes the journal up to the returned
        position: `replay` the calls after it."""
        states, stored, watermark = await trio.to_thread.run_sync(self._store.load)
        for state in states:
            state.zone = self.accounts.zone
            self._index.add(state)
        for account in sorted(stored, key=lambda each: each.id.model):  # owners first
            self._restore(account)
        self._index.revoked = await trio.to_thread.run_sync(self._store.revoked_hashes)
        self._former = await trio.to_thread.run_sync(self._store.former_sharing)
        return watermark

    def _restore(self, stored: StoredAccount) -> None:
        kind, name, model = stored.id
        if model:
            owner = self._index.by_id.get(name) if kind == "key" else self.accounts.find(kind, name)
            if owner:
                self.accounts.restore(
                    stored.id, owner, stored.spend_pico, stored.estimated_pico, stored.window
                )
        elif stored.record is not None:
            start, end = stored.window
            self.accounts.add(
                GroupAccount(
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
        """The key whose secret has this digest (`secrets.hash_secret`)."""
        return self._index.by_hash.get(secret_hash)

    def by_id(self, token_id: str) -> KeyState | None:
        """The key with this id; None once it was deleted."""
        return self._index.by_id.get(token_id)

    def is_revoked(self, secret_hash: str) -> bool:
        """Whether this was the secret of a key that was deleted or has another one now."""
        return secret_hash in self._index.revoked

    def sharing(self, token_id: str) -> Sharing:
        """Who else sees what this key has made; for one that was deleted what held until then."""
        if state := self._index.by_id.get(token_id):
            return sharing_of(state.record)
        return self._former.get(token_id, Sharing())

    def settle(self, settlement: Settlement) -> None:
        """Counts a call that has just ended. Accounts that were deleted are left out."""
        _, cost_pico, ended_at, estimated, is_use, *_ = settlement
        for account in self.accounts_of(settlement):
            spend.settle(account, cost_pico, ended_at, estimated=estimated, is_use=is_use)

    def replay(self, settled: Iterable[Settlement]) -> None:
        """Counts calls of an earlier run that the stored spend lacks."""
        for settlement in settled:
            _, cost_pico, ended_at, estimated, is_use, *_ = settlement
            for account in self.accounts_of(settlement):
                spend.replay(account, cost_pico, ended_at, estimated=estimated, is_use=is_use)

    def accounts_of(self, settlement: Settlement) -> Iterable[Account]:
        """The accounts in whose spend a call counts."""
        accounts = self.accounts
        key = self._index.by_id.get(settlement.token_id)
        group = accounts.groups.get(settlement.group) if settlement.group else None
        user = accounts.users.get(settlement.user) if settlement.user else None
        found = [account for account in (accounts.gateway, group, key, user) if account is not None]
        return (*found, *accounts.of_model(found, settlement.model))

    async def store_spend(self, settled: Iterable[Settlement], segment: int, offset: int) -> None:
        """Stores the cost of calls that memory has counted: those of the journal from the last watermark up
        to this one. Raises StoreFailed, and may then be repeated with the same or a longer part of the
        journal."""
        async with self._write_lock:
            # Under the lock, so that no window changes between the computation and the store.
            deltas = spend.spend_deltas(self.accounts_of, settled)
            await trio.to_thread.run_sync(self._store.add_spend, deltas, segment, offset)

    async def adjust(self, run_id: str, deltas: Mapping[str, SpendDelta]) -> bool:
        """Adds the differences of calls that were priced again, each for the window of its delta, once for
        each run: returns False if it was counted before. Raises StoreFailed, and may then be repeated."""
        async with self._write_lock:
            # Of a window that is over nothing counts, and no call has ended in the next one at that time.
            current = {
                token_id: delta
                for token_id, delta in deltas.items()
                if (state := self._index.by_id.get(token_id)) and state.window_start <= delta.window.start
            }
            added = await trio.to_thread.run_sync(self._store.adjust_spend, run_id, current)
            for token_id, delta in current.items() if added else ():
                state = self._index.by_id[token_id]
                # Again, because it may have rolled while the store was writing.
                if state.window_start <= delta.window.start:
                    state.spend_pico += delta.spend_pico
                    state.estimated_pico += delta.estimated_pico
        return added

    # For people who read.

    def find(self, name: str, now: int) -> KeyState | None:
        """The key of this name, in the budget window of `now`."""
        state = self._index.named(name)
        if state:
            spend.roll_window(state, now)
        return state

    def states(self, now: int) -> Iterable[KeyState]:
        """All existing keys, in the budget window of `now`."""
        for state in self._index.by_id.values():
            spend.roll_window(state, now)
        return self._index.by_id.values()

    async def list(
        self,
        now: int,
        *,
        q: str = "",
        limit: int = 100,
        cursor: str | None = None,
        sort: str = NEWEST_FIRST,
    ) -> Page:
        """A page of keys; see `PageSearch`. Calls go on meanwhile."""
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

    # For people who make changes.

    async def create(self, fields: KeyFields, *, now: int, by: Actor | str) -> tuple[str, KeyState]:
        """A new key and its secret, which cannot be retrieved again."""
        secret = fields.secret or new_secret()
        record = KeyRecord(
            token_id=new_token_id(),
            secret_hash=hash_secret(secret),
            key_name=key_name(secret),
            created_at=now,
            updated_at=now,
        )
        record = share_values(replace(record, **fields.changes))
        zone = self.accounts.zone
        window_end = initial_window_end(record.budget_duration, now, zone)
        state = KeyState(record=record, budget_reset_at=window_end, zone=zone)
        change = change_of("create", state, now, by, set_fields(state))
        async with self._write_lock:
            # Under the lock until memory has it, or two keys could take the same name meanwhile.
            self._index.check_names(record, fields.secret)
            await trio.to_thread.run_sync(self._store.insert, record, state.window, change)
            self._index.add(state)
        return secret, state

    async def update(self, name: str, fields: KeyFields, *, now: int, by: Actor | str) -> KeyState:
        """Sets the given fields. With a changed `budget_duration` the window ends with the period that
        contains now."""
        return await self._edit("update", name, lambda record: replace(record, **fields.changes), now, by)

    async def block(self, name: str, *, now: int, by: Actor | str) -> KeyState:
        """Refuses the key's calls from now on. A blocked key keeps its `blocked_at`."""
        return await self._edit(
            "block", name, lambda record: replace(record, blocked_at=record.blocked_at or now), now, by
        )

    async def unblock(self, name: str, *, now: int, by: Actor | str) -> KeyState:
        return await self._edit("unblock", name, lambda record: replace(record, blocked_at=None), now, by)

    async def regenerate(self, name: str, *, now: int, by: Actor | str) -> tuple[str, KeyState]:
        """A new secret for the key; the old one is revoked."""
        secret = new_secret()
        fresh = {"secret_hash": hash_secret(secret), "key_name": key_name(secret)}
        state = await self._edit("regenerate", name, lambda record: replace(record, **fresh), now, by)
        return secret, state

    async def delete(self, name: str, *, now: int, by: Actor | str) -> KeyState:
        """Deletes the key. Its calls keep its id and alias in the ledger."""
        async with self._write_lock:
            state = self._require(name, now)
            change = change_of("delete", state, now, by, {"key": key_document(state)})
            await trio.to_thread.run_sync(self._store.delete, state.record.token_id, change)
            self._index.remove(state)
            if (sharing := sharing_of(state.record)).share:
                self._former[state.record.token_id] = sharing
        return state

    async def _edit(self, action: str, name: str, edit: Edit, now: int, by: Actor | str) -> KeyState:
        async with self._write_lock:
            state = self._require(name, now)
            edited = edited_state(state, edit, now)
            if edited.record.key_alias != state.record.key_alias:
                self._index.check_names(edited.record)
            detail = difference(key_document(state), key_document(edited))
            change = change_of(action, edited, now, by, detail)
            await trio.to_thread.run_sync(self._store.update, edited.record, edited.window, change)
            self._index.remove(state)
            # Only now: the window may have rolled while the store was writing.
            if edited.record.budget_duration != state.record.budget_duration:
                state.budget_reset_at = edited.budget_reset_at
            state.record = share_values(edited.record)
            self._index.add(state)
        return state

    def _require(self, name: str, now: int) -> KeyState:
        state = self.find(name, now)
        if state is None:
            raise KeyNotFound(name)
        return state
