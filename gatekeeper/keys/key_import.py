"""Imports keys, groups and end users from another gateway, with their spend there.

A key is imported by the SHA-256 of its secret, so that its clients can keep using that. Its spend counts in
the current period of its budget, as if its calls had been made here; no rows are created for it.

Anything that was imported before is skipped, so an import may be repeated: a key is recognized by its secret,
a group or an end user by the member `litellm` of its metadata, whose `was` is its identity there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, cast

import trio
from msgspec.structs import replace

from gatekeeper.keys.account import Account, NamedAccount
from gatekeeper.keys.account_changes import AccountExists, account_document
from gatekeeper.keys.accounts import Accounts
from gatekeeper.keys.audit import Actor, Change, difference
from gatekeeper.keys.cooperative import PART_SIZE, map_in_parts
from gatekeeper.keys.key_changes import change_of, set_fields
from gatekeeper.keys.key_index import KeyIndex, TakenNames
from gatekeeper.keys.limits import NamedRecord
from gatekeeper.keys.secrets import new_token_id
from gatekeeper.keys.store import AccountWrite, KeyStore, KeyWrite, SecretConflict
from gatekeeper.keys.virtual_key import KeyRecord, KeyState, intern_values
from gatekeeper.keys.windows import Window, initial_window_end

ORIGIN = "litellm"


def origin(metadata: dict[str, object]) -> str | None:
    """The identity of a group or an end user at the gateway that it came from."""
    found = metadata.get(ORIGIN)
    was = cast("dict[str, object]", found).get("was") if isinstance(found, dict) else None
    return was if isinstance(was, str) else None


class Incoming(NamedTuple):
    """Something to import. `kind`: `key`, `group` or `user`; `name` is that of a group or an end user.
    `changes` are the given values by attribute of the record. `reset_at` is when the current period of its
    budget ends."""

    kind: str
    name: str
    changes: dict[str, object]
    spend_pico: int = 0
    reset_at: int | None = None


class Skipped(NamedTuple):
    """An item that was skipped, by its index in the input, and why."""

    number: int
    reason: str


class ImportRefused(Exception):
    """An item cannot be imported: the `cause`, and its index in the input."""

    def __init__(self, number: int, cause: Exception) -> None:
        super().__init__(str(cause))
        self.number = number
        self.cause = cause


class _Batch(NamedTuple):
    """What to write, the resulting states, and what is skipped."""

    keys: list[tuple[KeyWrite, KeyState]]
    accounts: list[tuple[AccountWrite, NamedAccount]]
    skipped: list[Skipped]


class KeyImport:
    """Imports into the key store; `lock` serializes all changes of it."""

    def __init__(self, store: KeyStore, lock: trio.Lock, index: KeyIndex, accounts: Accounts) -> None:
        self._store = store
        self._lock = lock
        self._index = index
        self._accounts = accounts

    async def add(
        self,
        incoming: Sequence[Incoming],
        *,
        now: int,
        by: Actor | str,
        dry_run: bool = False,
        master_hash: str | None = None,
    ) -> list[Skipped]:
        """Imports all items or none; returns the skipped ones, which include the key with the digest
        `master_hash`. With `dry_run` nothing is written, but every error is raised: ImportRefused, and the
        StoreErrors of the store."""
        async with self._lock:
            batch = await self._batch(incoming, now, by, master_hash)
            if not dry_run:
                keys, accounts = [key for key, _ in batch.keys], [account for account, _ in batch.accounts]
                await trio.to_thread.run_sync(self._store.import_all, keys, accounts)
                await map_in_parts(self._index.add, [state for _, state in batch.keys])
                await map_in_parts(self._accounts.add, [account for _, account in batch.accounts])
        return batch.skipped

    async def _batch(
        self, incoming: Sequence[Incoming], now: int, by: Actor | str, master_hash: str | None
    ) -> _Batch:
        batch, taken = _Batch([], [], []), TakenNames(set(), set())
        names: set[tuple[str, str]] = set()
        for number, each in enumerate(incoming):
            if number % PART_SIZE == 0:
                await trio.lowlevel.checkpoint()
            try:
                if each.kind == "key" and each.changes["secret_hash"] == master_hash:
                    batch.skipped.append(Skipped(number, "it is this gateway's master key"))
                elif reason := self._known(each):
                    batch.skipped.append(Skipped(number, reason))
                elif each.kind == "key":
                    batch.keys.append(self._key(each, taken, now, by))
                elif (each.kind, each.name) in names:
                    raise AccountExists(each.kind, each.name)  # noqa: TRY301  one error for each
                else:
                    names.add((each.kind, each.name))
                    batch.accounts.append(self._account(each, now, by))
            except Exception as error:
                raise ImportRefused(number, error) from error
        return batch

    def _known(self, incoming: Incoming) -> str | None:
        """Why this item is not new; None if it is. Raises AccountExists for a name that something else
        has."""
        if incoming.kind == "key":
            digest = incoming.changes["secret_hash"]
            if state := self._index.by_hash.get(str(digest)):
                return f"the key {state.record.display_name} has its secret already"
            # A repeated import must not restore it.
            return (
                "its key was deleted here, or has another secret now"
                if digest in self._index.revoked
                else None
            )
        account = self._accounts.find(incoming.kind, incoming.name)
        if account is None:
            return None
        was = origin(cast("dict[str, object]", incoming.changes.get("metadata", {})))
        if was is None or was != origin(account.record.metadata):
            raise AccountExists(incoming.kind, incoming.name)
        return "it was imported before"

    def _key(
        self, incoming: Incoming, taken: TakenNames, now: int, by: Actor | str
    ) -> tuple[KeyWrite, KeyState]:
        plain = KeyRecord(
            token_id=new_token_id(), secret_hash="", key_name="", created_at=now, updated_at=now
        )
        record = intern_values(replace(plain, **incoming.changes))
        previous = record.previous and record.previous.secret_hash
        if record.secret_hash in taken.secrets:
            raise SecretConflict("secret_hash", "give it once")
        if previous and self._is_taken(previous, record, taken):
            raise SecretConflict("previous_secret_hash", "leave it out")
        # Without the secret only its digest can be compared, which was done above and in `_known`.
        self._index.check_new(record, None, taken)
        if previous:
            taken.secrets.add(previous)
        state = KeyState(record=record, zone=self._accounts.zone)
        self._begin(state, incoming, Window(), now)
        change = change_of("import", state, now, by, set_fields(state))
        return KeyWrite(record, state.window, change, state.spend_pico), state

    def _is_taken(self, previous: str, record: KeyRecord, taken: TakenNames) -> bool:
        """Whether the previous secret is that of another key, or the same as the current one."""
        return previous == record.secret_hash or previous in taken.secrets or previous in self._index.by_hash

    def _account(self, incoming: Incoming, now: int, by: Actor | str) -> tuple[AccountWrite, NamedAccount]:
        kind, name = incoming.kind, incoming.name
        plain = NamedRecord(name=name, created_at=now, updated_at=now)
        account = NamedAccount(kind=kind, record=replace(plain, **incoming.changes), zone=self._accounts.zone)
        # Calls that ended before do not count, even if the store does not have them yet.
        self._begin(account, incoming, Window(now), now)
        before = account_document(NamedAccount(kind=kind, record=plain))
        detail = difference(before, account_document(account))
        change = Change.of(f"{kind}.import", now, by, detail, target=name)
        return AccountWrite(account.id, account.record, account.window, change, account.spend_pico), account

    def _begin(self, account: Account, incoming: Incoming, window: Window, now: int) -> None:
        """Starts its current window, which ends when it would have ended at the other gateway."""
        account.spend_pico, account.window_start = incoming.spend_pico, window.start
        account.budget_reset_at = incoming.reset_at or initial_window_end(
            account.record.budget_duration, now, self._accounts.zone
        )
