"""The owners of resources (files, caches, batches, stores, operations and so on), by Google's resource name.

All keys share Google's projects, so Google would show each client the resources of all others. The owners are
a projection of the journal: memory has an owner as soon as the call ends, the store before the watermark of
the spend advances. Storing is idempotent, so a killed process neither loses nor duplicates anything.

Memory has the owners that are not stored yet, plus the latest `MAX_IN_MEMORY` names. If the store has more,
`prepare` must first load a name in a worker thread; a name that was not prepared counts as owned by somebody
else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from time import monotonic_ns, time_ns

import msgspec
import trio

from gatekeeper.gemini.request_summary import Reference
from gatekeeper.gemini.resource_names import OwnedResource, is_canonical, owned_resource
from gatekeeper.keys.sqlite_file import SqliteFile
from gatekeeper.keys.virtual_key import KeyState, Sharing
from gatekeeper.keys.windows import MICROS_PER_SECOND
from gatekeeper.ledger.call import CallRecord, Outcome
from gatekeeper.refusals import Reason, Refusal
from gatekeeper.times import ClockWatch

MAX_IN_MEMORY = 100_000  # names, about 300 bytes of memory each
# Google deletes a file after 48 hours, so by then nothing is left to protect.
FILES_KEPT_MICROS = 30 * 24 * 60 * 60 * MICROS_PER_SECOND


class Owner(msgspec.Struct, frozen=True):
    """The owner of a resource. `key_id` is a `token_id`, `open` or `master`; `user_id` the end user of the
    call that created the resource; `google_key` the label of the Google key that was used, whose project has
    the resource; `made_at` is in microseconds since 1970."""

    key_id: str
    user_id: str | None
    google_key: str | None
    made_at: int


Changes = Mapping[str, Owner | None]
"""Owners by resource name; None for a deleted resource."""


class SqliteOwnerStore:
    """A table of the keys' SQLite file, which the caller closes. Methods block, may be called from any
    thread, and raise StoreFailed."""

    def __init__(self, file: SqliteFile) -> None:
        self._file = file

    def latest(self, limit: int) -> dict[str, Owner]:
        """The latest names, the oldest of them first."""
        with self._file.transaction() as db:
            rows = db.execute(
                "SELECT name, key_id, user_id, google_key, made_at FROM owners "
                "ORDER BY made_at DESC, name DESC LIMIT ?",
                (limit,),
            ).fetchall()
        return {name: Owner(*others) for name, *others in reversed(rows)}

    def find(self, names: Sequence[str]) -> dict[str, Owner]:
        """The owners of these names, if they have one."""
        with self._file.transaction() as db:
            rows = db.execute(
                "SELECT name, key_id, user_id, google_key, made_at FROM owners "
                # A single parameter for all names, because SQLite allows at most 32,766.
                "WHERE name IN (SELECT value FROM json_each(?))",
                (msgspec.json.encode(names).decode(),),
            ).fetchall()
        return {name: Owner(*others) for name, *others in rows}

    def put(self, changes: Changes, files_before: int) -> None:
        """Sets and removes owners, and removes those of files that were created before `files_before`."""
        gone = [(name,) for name, owner in changes.items() if owner is None]
        made = [
            (name, owner.key_id, owner.user_id, owner.google_key, owner.made_at)
            for name, owner in changes.items()
            if owner is not None
        ]
        with self._file.transaction() as db:
            db.executemany("DELETE FROM owners WHERE name = ?", gone)
            db.executemany(
                "INSERT OR REPLACE INTO owners (name, key_id, user_id, google_key, made_at) "
                "VALUES (?, ?, ?, ?, ?)",
                made,
            )
            # "0" follows "/".
            db.execute(
                # INDEXED BY raises an error if the index cannot be used, instead of reading all names each
                # time.
                "DELETE FROM owners INDEXED BY owners_of_files "
                "WHERE name >= 'files/' AND name < 'files0' AND made_at < ?",
                (files_before,),
            )


class Owners:
    """The owners of one gateway's resources. A resource without an owner was created outside of the gateway,
    or before it recorded owners: keys may access it if `shows_unowned`. `sharing` returns how the key with an
    id shares its resources."""

    def __init__(
        self,
        store: SqliteOwnerStore,
        sharing: Callable[[str], Sharing],
        *,
        shows_unowned: bool,
        limit: int = MAX_IN_MEMORY,
    ) -> None:
        self._store = store
        self._sharing = sharing
        self._shows_unowned = shows_unowned
        self._limit = limit
        # Never evicted: until they are stored they exist only here.
        self._unstored: dict[str, Owner | None] = {}
        self._known: dict[str, Owner | None] = {}  # cache of the store, in order of last use (LRU)
        self._clock = ClockWatch()
        self._clock.is_steady(*_clocks())
        self._is_complete = True  # whether all names in the store are in memory

    async def load(self) -> None:
        """Call it once, before the journal is replayed."""
        # One more than fits, to know whether there are more.
        latest = await trio.to_thread.run_sync(self._store.latest, self._limit + 1)
        self._known.update(latest)
        self._trim()

    def apply(self, call: CallRecord) -> None:
        """Applies what a call that has just ended, or is replayed, has created or deleted."""
        if _may_change(call):
            self._unstored.update(changes_of(call))

    async def store(self, calls: Iterable[CallRecord]) -> None:
        """Stores the changes by calls, in their order, durably. Raises StoreFailed, and may then be repeated
        with the same calls, or more after them."""
        changes: dict[str, Owner | None] = {}
        now, steady = _clocks()
        latest = now
        for call in calls:
            # The time of calls, or what is replayed long after would be too old at once; but none of a clock
            # that was ahead, or keys would see the files of others.
            latest = min(call.started_at, now)
            if _may_change(call):
                changes.update(changes_of(call))
        if not changes:
            return
        files_before = latest - FILES_KEPT_MICROS if self._clock.is_steady(now, steady) else 0
        await trio.to_thread.run_sync(self._store.put, changes, files_before)
        for name, owner in changes.items():
            # Unless a later change of it is not stored yet.
            if name in self._unstored and self._unstored[name] == owner:
                del self._unstored[name]
            self._know(name, owner)
        self._trim()

    async def prepare(self, resources: Iterable[str]) -> None:
        """Loads the owners of these resources into memory. Blocks only if the store has more names than
        memory. Raises StoreFailed."""
        if self._is_complete:
            return
        names = {owned for resource in resources if (owned := owned_resource(resource))}
        missing = [name for name in names if name not in self._unstored and name not in self._known]
        if missing:
            found = await trio.to_thread.run_sync(self._store.find, missing)
            for name in missing:
                # Changes by calls in the meantime are newer than the result, and may be stored by now.
                if name not in self._unstored and name not in self._known:
                    self._know(name, found.get(name))
            self._trim()

    def owner_of(self, resource: str) -> Owner | None:
        """The owner of a resource, or of its parent."""
        owned = owned_resource(resource)
        if owned is None:
            return None
        if owned in self._unstored:
            return self._unstored[owned]
        owner = self._known.get(owned)
        # The order only matters if names are evicted.
        if not self._is_complete and owned in self._known:
            self._know(owned, owner)  # it was used last
        return owner

    def may_see(self, key: KeyState | None, resource: str) -> bool:
        """Whether the caller may know that the resource exists. `key` is None for the master key and in open
        mode, which may access everything."""
        if key is None or (owned := owned_resource(resource)) is None:
            return True
        owner = self.owner_of(owned)
        if owner is None:
            return self._shows_unowned and self._is_settled(owned)
        return owner.key_id == key.record.token_id or self._sharing(owner.key_id).reaches(key.record)

    async def refusal(self, key: KeyState | None, named: OwnedResource) -> Refusal | None:
        """The refusal if the key may not access the resource in its request's path: a 404, as if it did not
        exist. Also loads the owner into memory, even for the master key. Raises StoreFailed."""
        if named.is_ambiguous:
            return not_found(None) if key else None
        if named.name is None:
            return None
        await self.prepare([named.name])
        return None if self.may_see(key, named.name) else not_found(named.name)

    async def body_refusal(self, key: KeyState | None, references: Iterable[Reference]) -> Refusal | None:
        """The refusal if the key may not access a resource that its request's body references."""
        named = list(references)
        await self.prepare(name for name, _ in named)
        if key is None:
            return None
        return next((not_found(name) for name, shared in named if not self._may_use(key, name, shared)), None)

    def _may_use(self, key: KeyState, name: str, may_be_prebuilt: bool) -> bool:
        owned = owned_resource(name)
        if owned is None or not is_canonical(owned):
            return False
        return self.may_see(key, owned) or (
            may_be_prebuilt and self._is_settled(owned) and self.owner_of(owned) is None
        )

    def _is_settled(self, owned: str) -> bool:
        return self._is_complete or owned in self._unstored or owned in self._known

    def _know(self, name: str, owner: Owner | None) -> None:
        self._known.pop(name, None)
        # That a name has no owner is only worth caching if memory is not complete.
        if owner is not None or not self._is_complete:
            self._known[name] = owner

    def _trim(self) -> None:
        while len(self._known) > self._limit:
            self._is_complete = False
            del self._known[next(iter(self._known))]


def _clocks() -> tuple[int, int]:
    """Microseconds since 1970, and of a clock that nobody sets."""
    return time_ns() // 1000, monotonic_ns() // 1000


def not_found(name: str | None) -> Refusal:
    """The refusal for a resource that does not exist or belongs to another key; both look the same."""
    return Refusal(
        Reason.NOT_FOUND,
        f"{name or 'What this path names'} was not found. A key can use what it has made through this "
        "gateway, and what other keys share with it.",
    )


def _may_change(call: CallRecord) -> bool:
    """A fast test whether a row may change owners: few do."""
    return call.made is not None or call.method == "DELETE"


def changes_of(call: CallRecord) -> dict[str, Owner | None]:
    """The changes of owners by a row: new ones, and None for a deleted resource."""
    changes: dict[str, Owner | None] = {}
    gone = call.method == "DELETE" and call.outcome is Outcome.OK and call.resource
    if gone and owned_resource(gone) == gone:
        changes[gone] = None
    if (made := call.made) is not None and (key_id := made.key_id or call.key_id):
        user = None if made.key_id else call.user_id
        owner = Owner(key_id, user, call.upstream_key, call.started_at)
        changes.update(dict.fromkeys(made.names, owner))
    return changes
