"""All living keys, in memory; the store behind them.

Reading is a dict look-up and never waits. A change goes to the store first, in a worker thread and one at a
time, and into memory when it is on disk: what an answer has confirmed, a crash does not take back. Spend goes
the other way: memory knows it at once and is the truth, the store follows the journal.

A list goes page by page. Its cursor holds the place of the last key of a page, its sorted value and id, not a
number of rows: keys that come or go between two pages shift nothing.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterable
from typing import NamedTuple

import msgspec
import trio
from msgspec.structs import replace

from gatekeeper.keys import virtual_key
from gatekeeper.keys.fields import FieldError, KeyFields
from gatekeeper.keys.secrets import hash_secret, key_name, new_secret, new_token_id, shown
from gatekeeper.keys.store import AuditEntry, Change, KeyStore, difference
from gatekeeper.keys.virtual_key import KeyRecord, KeyState, Settlement, key_document
from gatekeeper.ledger.call import Position

Edit = Callable[[KeyRecord], KeyRecord]

SORTS: dict[str, Callable[[KeyState], int | str | None]] = {
    "created_at": lambda state: state.record.created_at,
    "expires": lambda state: state.record.expires_at,
    "key_alias": lambda state: state.record.key_alias and state.record.key_alias.casefold(),
    "last_used_at": lambda state: state.last_used_at,
    "spend": lambda state: state.spend_pico,
}
NEWEST_FIRST = "-created_at"

Place = tuple[bool, str, str]


class Page(NamedTuple):
    """Some keys, and the cursor of the next page; None after the last."""

    states: list[KeyState]
    next_cursor: str | None


class UnknownKey(LookupError):
    """No living key has this secret, id or alias."""

    def __init__(self, name: str) -> None:
        super().__init__(f"no key has the secret, the token_id or the alias {shown(name)}")


class Registry:
    """The living keys. `by` is who asks for a change, `now` when; all names of keys may be a secret, a
    `token_id` or an alias. Changes raise UnknownKey, FieldError for a name that is another key's, and the
    StoreErrors of the store."""

    def __init__(self, store: KeyStore) -> None:
        self._store = store
        self._changing = trio.Lock()
        self._by_hash: dict[str, KeyState] = {}
        self._by_id: dict[str, KeyState] = {}
        self._by_alias: dict[str, KeyState] = {}
        self._retired: set[str] = set()

    async def load(self) -> Position:
        """Reads all keys; to be called once, first. The spends are those of the journal up to the position
        returned: `replay` what ended after it."""
        states, watermark = await trio.to_thread.run_sync(self._store.load)
        for state in states:
            self._remember(state)
        self._retired = await trio.to_thread.run_sync(self._store.retired)
        return watermark

    # What a call needs. Nothing here waits.

    def by_hash(self, secret_hash: str) -> KeyState | None:
        """The key whose secret has this digest (`secrets.hash_secret`)."""
        return self._by_hash.get(secret_hash)

    def is_retired(self, secret_hash: str) -> bool:
        """Whether a key had this secret that was deleted or has another one now."""
        return secret_hash in self._retired

    def settle(self, token_id: str, cost_pico: int, ended_at: int, estimated: bool = False) -> None:
        """Counts a call that has ended just now. One of no living key is nobody's spend."""
        if state := self._by_id.get(token_id):
            virtual_key.settle(state, cost_pico, ended_at, estimated=estimated)

    def replay(self, settled: Iterable[Settlement]) -> None:
        """Counts calls of an earlier run that the stored spends lack."""
        for token_id, cost_pico, ended_at, estimated in settled:
            if state := self._by_id.get(token_id):
                virtual_key.replay(state, cost_pico, ended_at, estimated=estimated)

    async def charge(self, settled: Iterable[Settlement], segment: int, offset: int) -> None:
        """Stores what calls cost that memory has counted: those of the journal from the last watermark up
        to this one. Raises StoreFailed, and may then be repeated with the same or a longer stretch."""
        async with self._changing:
            # Under the lock, so that no change of a window falls between the sums and the store.
            charges = virtual_key.charges(self._by_id, settled)
            await trio.to_thread.run_sync(self._store.charge, charges, segment, offset)

    # What people ask.

    def find(self, name: str, now: int) -> KeyState | None:
        """The key of this name, in the budget window of `now`."""
        state = self._by_hash.get(hash_secret(name)) or self._by_id.get(name) or self._by_alias.get(name)
        if state:
            virtual_key.turn(state, now)
        return state

    def states(self, now: int) -> Iterable[KeyState]:
        """All living keys, in the budget window of `now`."""
        for state in self._by_id.values():
            virtual_key.turn(state, now)
        return self._by_id.values()

    def list(
        self,
        now: int,
        *,
        q: str = "",
        limit: int = 100,
        cursor: str | None = None,
        sort: str = NEWEST_FIRST,
    ) -> Page:
        """A page of keys; see `page`."""
        return page(self.states(now), q=q, limit=limit, cursor=cursor, sort=sort)

    async def trail(self, limit: int, before: int | None = None) -> Iterable[AuditEntry]:
        """The last changes, newest first, those with an id below `before`."""
        return await trio.to_thread.run_sync(self._store.trail, limit, before)

    # What people change.

    async def create(self, fields: KeyFields, *, now: int, by: str) -> tuple[str, KeyState]:
        """A new key with its secret, which is not to be had a second time."""
        secret = fields.secret or new_secret()
        record = KeyRecord(
            token_id=new_token_id(),
            secret_hash=hash_secret(secret),
            key_name=key_name(secret),
            created_at=now,
            updated_at=now,
        )
        record = replace(record, **fields.changes)
        state = KeyState(record=record, budget_reset_at=virtual_key.first_end(record.budget_duration, now))
        change = Change.of("create", record, now, by)
        async with self._changing:
            # Under the lock until memory has it, or two keys could take one name in between.
            self._refuse_names(record, fields.secret)
            await trio.to_thread.run_sync(self._store.insert, record, state.window, change)
            self._remember(state)
        return secret, state

    async def update(self, name: str, fields: KeyFields, *, now: int, by: str) -> KeyState:
        """Sets the given fields. A changed `budget_duration` ends the running window that long from now."""
        return await self._edit("update", name, lambda record: replace(record, **fields.changes), now, by)

    async def block(self, name: str, *, now: int, by: str) -> KeyState:
        """Refuses the key's calls from now on. A key that is blocked stays so since it was."""
        return await self._edit(
            "block", name, lambda record: replace(record, blocked_at=record.blocked_at or now), now, by
        )

    async def unblock(self, name: str, *, now: int, by: str) -> KeyState:
        return await self._edit("unblock", name, lambda record: replace(record, blocked_at=None), now, by)

    async def regenerate(self, name: str, *, now: int, by: str) -> tuple[str, KeyState]:
        """A new secret for the key; the old one is unknown from here on."""
        secret = new_secret()
        fresh = {"secret_hash": hash_secret(secret), "key_name": key_name(secret)}
        state = await self._edit("regenerate", name, lambda record: replace(record, **fresh), now, by)
        return secret, state

    async def delete(self, name: str, *, now: int, by: str) -> KeyState:
        """Forgets the key. Its calls keep its id and alias in the ledger."""
        async with self._changing:
            state = self._living(name, now)
            change = Change.of("delete", state.record, now, by, {"key": key_document(state)})
            await trio.to_thread.run_sync(self._store.delete, state.record.token_id, change)
            self._forget(state)
        return state

    async def _edit(self, action: str, name: str, edit: Edit, now: int, by: str) -> KeyState:
        async with self._changing:
            state = self._living(name, now)
            edited = _edited(state, edit, now)
            if edited.record.key_alias != state.record.key_alias:
                self._refuse_names(edited.record)
            detail = difference(key_document(state), key_document(edited))
            change = Change.of(action, edited.record, now, by, detail)
            await trio.to_thread.run_sync(self._store.update, edited.record, edited.window, change)
            self._forget(state)
            # Only then: the window may have turned while the store was writing.
            if edited.record.budget_duration != state.record.budget_duration:
                state.budget_reset_at = edited.budget_reset_at
            state.record = edited.record
            self._remember(state)
        return state

    def _refuse_names(self, record: KeyRecord, secret: str | None = None) -> None:
        """A name says which key is meant: an alias that is an id or a secret, or a secret that is a name,
        would be taken for the other key's. Raises FieldError."""
        alias = record.key_alias
        if alias is not None and (alias in self._by_id or hash_secret(alias) in self._by_hash):
            raise FieldError("key_alias", None, "choose another", "The alias is the id or secret of a key")
        if secret is not None and (secret in self._by_id or secret in self._by_alias):
            raise FieldError("key", None, "choose another", "This `key` is a name of another key")

    def _living(self, name: str, now: int) -> KeyState:
        state = self.find(name, now)
        if state is None:
            raise UnknownKey(name)
        return state

    def _remember(self, state: KeyState) -> None:
        record = state.record
        self._retired.discard(record.secret_hash)
        self._by_hash[record.secret_hash] = state
        self._by_id[record.token_id] = state
        if record.key_alias is not None:
            self._by_alias[record.key_alias] = state

    def _forget(self, state: KeyState) -> None:
        record = state.record
        self._retired.add(record.secret_hash)
        del self._by_hash[record.secret_hash], self._by_id[record.token_id]
        if record.key_alias is not None:
            del self._by_alias[record.key_alias]


def _edited(state: KeyState, edit: Edit, now: int) -> KeyState:
    """The state as it will be. It is a copy: until the store has it, nobody is to see it."""
    record = replace(edit(state.record), updated_at=now)
    end = state.budget_reset_at
    if record.budget_duration != state.record.budget_duration:
        end = virtual_key.first_end(record.budget_duration, now)
    return replace(state, record=record, budget_reset_at=end)


def page(states: Iterable[KeyState], *, q: str, limit: int, cursor: str | None, sort: str) -> Page:
    """The keys in whose alias, tags, user or group the text `q` is found, whatever its case.

    `sort` is a name of `SORTS`, with `-` before it from high to low; keys without a value come last. Raises
    FieldError for another sort and for a cursor that no page of this sort has given.
    """
    down = sort.startswith("-")
    if sort.removeprefix("-") not in SORTS:
        raise FieldError("sort", sort, f"sort by {', '.join(SORTS)}, with `-` before it from high to low")
    places = {_place(state, sort): state for state in states if _found(q.casefold(), state)}
    after = None if cursor is None else _read(cursor, sort)
    rest = [
        place
        for place in sorted(places, reverse=down)
        if after is None or (place < after if down else place > after)
    ]
    more = len(rest) > limit
    return Page([places[place] for place in rest[:limit]], _write(rest[limit - 1], sort) if more else None)


def _found(q: str, state: KeyState) -> bool:
    record = state.record
    texts = (record.key_alias, record.user_id, record.group, *record.tags)
    return not q or any(q in text.casefold() for text in texts if text)


def _place(state: KeyState, sort: str) -> Place:
    value = SORTS[sort.removeprefix("-")](state)
    # What has no value comes last in either direction
    last = (value is None) != sort.startswith("-")
    # With leading zeros numbers sort as text; 40 digits, because a spend may outgrow 64 bits.
    return last, f"{value:040d}" if isinstance(value, int) else value or "", state.record.token_id


def _write(place: Place, sort: str) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode((sort, place))).decode().rstrip("=")


def _read(cursor: str, sort: str) -> Place:
    try:
        # `_write` has left the padding out, which would be encoded in a query.
        padded = cursor + "=" * (-len(cursor) % 4)
        decoded = base64.urlsafe_b64decode(padded)
        given, place = msgspec.json.decode(decoded, type=tuple[str, Place])
    except (binascii.Error, ValueError):
        given, place = None, None
    if place is None or given != sort:
        raise FieldError("cursor", cursor, f"give the `next_cursor` of a page sorted by `{sort}`, or none")
    return place
