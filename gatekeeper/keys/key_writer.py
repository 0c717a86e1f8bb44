"""Creates, changes and deletes keys. Each change is written to the store first, in a worker thread and one at
a time, and applied to memory when it is on disk. A change of several keys is atomic."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import tzinfo
from typing import NamedTuple

import trio
from msgspec.structs import replace

from gatekeeper.keys import spend
from gatekeeper.keys.audit import Actor, difference
from gatekeeper.keys.cooperative import map_in_parts
from gatekeeper.keys.fields import KeyFields
from gatekeeper.keys.key_changes import Edit, change_of, edited_state, rotated, set_fields
from gatekeeper.keys.key_index import KeyIndex, KeyNotFound, TakenNames
from gatekeeper.keys.secrets import hash_secret, key_name, new_secret, new_token_id
from gatekeeper.keys.store import KeyStore, KeyWrite
from gatekeeper.keys.virtual_key import KeyRecord, KeyState, Sharing, intern_values, key_document, sharing_of
from gatekeeper.keys.windows import initial_window_end

Check = Callable[[KeyRecord], None]
"""A function that raises for a key that must not be changed; it is called under the lock of all changes."""


def _allow(_record: KeyRecord) -> None:
    """The check that allows every change."""


class KeyWriter:
    """`by` is who requests a change at `now` (a string: the gateway itself). The name of a key is its secret,
    `token_id` or alias. Methods raise KeyNotFound, KeyAmbiguous, FieldError for a name that another key has,
    and the StoreErrors of the store."""

    def __init__(self, store: KeyStore, zone: tzinfo) -> None:
        self._store = store
        self._zone = zone
        self._write_lock = trio.Lock()
        self._index = KeyIndex()
        self._former: dict[str, Sharing] = {}  # of deleted keys
        self._waiting: list[_Creation] = []

    async def create(self, fields: KeyFields, *, now: int, by: Actor | str) -> tuple[str, KeyState]:
        """Creates a key; returns its secret, which cannot be retrieved later, and its state. Keys that are
        created concurrently are committed in one transaction (group commit)."""
        creation = _Creation(*_new_key(fields, now, by, self._zone), [])
        self._waiting.append(creation)
        try:
            async with self._write_lock:
                # The previous holder of the lock may have created this one, too.
                if not creation.outcome:
                    await self._create_waiting()
        finally:
            # Cancelled while it waited for the lock.
            if creation in self._waiting:
                self._waiting.remove(creation)
        if error := creation.outcome[0]:
            raise error
        return creation.secret, creation.state

    async def create_all(
        self, given: Iterable[KeyFields], *, now: int, by: Actor | str, dry_run: bool = False
    ) -> list[tuple[str, KeyState]]:
        """Creates all keys or none; with `dry_run` none, but every error is raised. The error for one of them
        has its index in the list, from 0, as `index`."""
        made = await map_in_parts(lambda fields: _new_key(fields, now, by, self._zone), [*given])
        taken = TakenNames(set(), set())
        async with self._write_lock:
            for number, (secret, state, _, chosen) in enumerate(made):
                try:
                    self._index.check_new(state.record, secret if chosen else None, taken)
                except Exception as error:
                    raise CreationRefused(number, error) from error
            if not dry_run:
                writes = [write for _, _, write, _ in made]
                await trio.to_thread.run_sync(self._store.insert_all, writes)
                await map_in_parts(self._index.add, [state for _, state, _, _ in made])
        return [(secret, state) for secret, state, *_ in made]

    async def _create_waiting(self) -> None:
        """Creates all waiting keys in one transaction. A taken name is an error of that key only."""
        # A copy: keys that arrive during the write are in the next transaction.
        waiting, taken = list(self._waiting), TakenNames(set(), set())
        accepted: list[_Creation] = []
        refused: list[tuple[_Creation, Exception]] = []
        for creation in waiting:
            try:
                self._index.check_new(
                    creation.state.record, creation.secret if creation.chosen else None, taken
                )
            except Exception as error:  # noqa: BLE001  raised where that key is created
                refused.append((creation, error))
            else:
                accepted.append(creation)
        try:
            await trio.to_thread.run_sync(self._store.insert_all, [each.write for each in accepted])
        except Exception as error:  # noqa: BLE001  raised by each of them
            refused += [(creation, error) for creation in accepted]
        else:
            for creation in accepted:
                self._index.add(creation.state)
                creation.outcome.append(None)
        # After the write: if this was cancelled before it, nothing is decided, and the next holder starts
        # again.
        for creation, error in refused:
            creation.outcome.append(error)
        self._waiting = [creation for creation in self._waiting if not creation.outcome]

    async def rotate(
        self,
        names: Sequence[str],
        *,
        now: int,
        by: Actor | str,
        grace_until: int | None = None,
        check: Check = _allow,
    ) -> list[tuple[str, KeyState]]:
        """Rotates secrets. The old one is valid until `grace_until`, or revoked immediately; one from an
        earlier rotation is always revoked: a key has at most two secrets."""
        secrets: dict[str, str] = {}

        def edit(record: KeyRecord) -> KeyRecord:
            secrets[record.token_id] = new_secret()
            return rotated(record, secrets[record.token_id], grace_until)

        states = await self.edit("regenerate", names, edit, now=now, by=by, check=check)
        return [(secrets[state.record.token_id], state) for state in states]

    async def edit(
        self,
        action: str,
        names: Sequence[str],
        edit: Edit,
        *,
        now: int,
        by: Actor | str,
        check: Check = _allow,
    ) -> list[KeyState]:
        """Makes the same change of several keys in one transaction. If `budget_duration` changes, the current
        window ends with the period that contains `now`."""
        async with self._write_lock:
            states = await self._require(names, now, check)
            edited = await map_in_parts(lambda state: (state, edited_state(state, edit, now)), states)
            for before, after in edited:
                if after.record.key_alias != before.record.key_alias:
                    self._index.check_alias(after.record)
            writes = await map_in_parts(lambda pair: _edit_write(action, *pair, now, by), edited)
            await trio.to_thread.run_sync(self._store.update_all, writes)
            await map_in_parts(lambda pair: self._replace(*pair), edited)
        return states

    def _replace(self, state: KeyState, edited: KeyState) -> None:
        self._index.remove(state)
        # After the write: the window may have rolled meanwhile.
        if edited.record.budget_duration != state.record.budget_duration:
            state.budget_reset_at = edited.budget_reset_at
        state.record = intern_values(edited.record)
        self._index.add(state)

    async def delete(
        self, names: Sequence[str], *, now: int, by: Actor | str, check: Check = _allow
    ) -> list[KeyState]:
        """Deletes keys in one transaction. Their rows in the ledger keep their ids and aliases."""
        async with self._write_lock:
            states = await self._require(names, now, check)
            changes = await map_in_parts(
                lambda state: change_of("delete", state, now, by, {"key": key_document(state)}), states
            )
            await trio.to_thread.run_sync(self._store.delete_all, changes)
            await map_in_parts(self._remove, states)
        return states

    def _remove(self, state: KeyState) -> None:
        self._index.remove(state)
        if (sharing := sharing_of(state.record)).share:
            self._former[state.record.token_id] = sharing

    async def _require(self, names: Sequence[str], now: int, check: Check) -> list[KeyState]:
        """The keys with these names, without duplicates, in the budget window of `now`."""

        def found(name: str) -> KeyState:
            # An id takes precedence, because a caller that has looked up a key uses its id.
            state = self._index.by_id.get(name) or self._index.named(name, now)
            if state is None:
                raise KeyNotFound(name)
            check(state.record)
            spend.roll_window(state, now)
            return state

        return list({state.record.token_id: state for state in await map_in_parts(found, names)}.values())


class CreationRefused(Exception):
    """One of several keys cannot be created: the `cause`, and the key's index in the list."""

    def __init__(self, index: int, cause: Exception) -> None:
        super().__init__(str(cause))
        self.index = index
        self.cause = cause


class _Creation(NamedTuple):
    """A key that is waiting to be created. `outcome` is empty until then; then it has the error, or None."""

    secret: str
    state: KeyState
    write: KeyWrite
    chosen: bool
    outcome: list[Exception | None]


def _new_key(
    fields: KeyFields, now: int, by: Actor | str, zone: tzinfo
) -> tuple[str, KeyState, KeyWrite, bool]:
    """The secret, the state, what to write, and whether the caller has chosen the secret."""
    secret = fields.secret or new_secret()
    record = KeyRecord(
        token_id=new_token_id(),
        secret_hash=hash_secret(secret),
        key_name=key_name(secret),
        created_at=now,
        updated_at=now,
    )
    record = intern_values(replace(record, **fields.changes))
    window_end = initial_window_end(record.budget_duration, now, zone)
    state = KeyState(record=record, budget_reset_at=window_end, zone=zone)
    change = change_of("create", state, now, by, set_fields(state))
    return secret, state, KeyWrite(record, state.window, change), fields.secret is not None


def _edit_write(action: str, before: KeyState, after: KeyState, now: int, by: Actor | str) -> KeyWrite:
    detail = difference(key_document(before), key_document(after))
    return KeyWrite(after.record, after.window, change_of(action, after, now, by, detail))
