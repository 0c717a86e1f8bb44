"""Groups and end users: their records, made and changed by people.

A key names its group and a call its end user by any text; a record gives limits to that name. Spend is
counted from the creation of the record on.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from itertools import chain
from typing import NamedTuple

import trio
from msgspec.structs import replace

from gatekeeper.keys import spend
from gatekeeper.keys.account import NamedAccount, limits_document
from gatekeeper.keys.accounts import Accounts
from gatekeeper.keys.audit import Actor, Change, difference
from gatekeeper.keys.fields import KeyFields
from gatekeeper.keys.limits import NamedRecord
from gatekeeper.keys.store import ChangedMeanwhile, KeyStore
from gatekeeper.keys.windows import initial_window_end
from gatekeeper.times import iso

Edit = Callable[[NamedRecord], NamedRecord]

NOUNS = {"group": "group", "user": "end user"}
NAME_FIELDS = {"group": "group", "user": "user_id"}
"""What names one in the API."""
LISTED_AT_ONCE = 2000  # accounts, between two turns of calls: some milliseconds


class AccountNotFound(LookupError):
    """No group or end user of this name has a record."""

    def __init__(self, kind: str, name: str) -> None:
        makes = f"POST /{kind}/generate, or `{kind}s create`, makes one"
        super().__init__(f"no {NOUNS[kind]} {name!r} has a record: {makes}")
        self.field = NAME_FIELDS[kind]


class AccountExists(Exception):
    """A group or end user of this name has a record."""

    def __init__(self, kind: str, name: str) -> None:
        changes = f"POST /{kind}/update, or `{kind}s edit`, changes it"
        super().__init__(f"the {NOUNS[kind]} {name!r} has a record already: {changes}")
        self.field = NAME_FIELDS[kind]


class GroupInUse(Exception):
    """Keys name the group, so that its deletion would take away their limits."""

    field = "force"

    def __init__(self, name: str, keys: int) -> None:
        super().__init__(
            f"{keys} key{'s' * (keys > 1)} belong{'s' * (keys == 1)} to the group {name!r} and would lose "
            "its limits: delete or move them first, or add `force`: true, or `--force`"
        )


class AccountPage(NamedTuple):
    """Some accounts, and after which name the next page begins; None after the last."""

    accounts: list[NamedAccount]
    next_cursor: str | None


def _name(account: NamedAccount) -> str:
    return account.record.name


class AccountChanges:
    """`kind` is `group` or `user`. `by` is who requests a change, `now` when. Changes raise AccountNotFound
    and StoreFailed. `lock` is that of all changes of the key store."""

    def __init__(self, store: KeyStore, lock: trio.Lock, accounts: Accounts) -> None:
        self._store = store
        self._lock = lock
        self._accounts = accounts

    def find(self, kind: str, name: str, now: int) -> NamedAccount:
        """The account, in the budget window of `now`."""
        account = self._accounts.find(kind, name)
        if account is None:
            raise AccountNotFound(kind, name)
        spend.roll_window(account, now)
        return account

    async def list(self, kind: str, now: int, *, q: str = "", limit: int, after: str = "") -> AccountPage:
        """A page by name: those whose name contains `q`, case-insensitively, and comes behind `after`. Calls
        go on meanwhile."""
        text, accounts = q.casefold(), self._accounts.of_kind(kind)
        first: list[NamedAccount] = []
        for start in range(0, len(accounts), LISTED_AT_ONCE):
            if start:
                await trio.lowlevel.checkpoint()
            part = (
                account
                for account in accounts[start : start + LISTED_AT_ONCE]
                if text in account.record.name.casefold() and account.record.name > after
            )
            # One more than a page has, which shows whether there is a next one.
            first = heapq.nsmallest(limit + 1, chain(first, part), key=_name)
        shown = first[:limit]
        # Of the page only: the windows of 100,000 that end together would take a second to roll.
        for account in shown:
            spend.roll_window(account, now)
        return AccountPage(shown, shown[-1].record.name if len(first) > limit else None)

    async def create(
        self, kind: str, name: str, fields: KeyFields, *, now: int, by: Actor | str
    ) -> NamedAccount:
        """Raises AccountExists."""
        record = replace(NamedRecord(name=name, created_at=now, updated_at=now), **fields.changes)
        # What ended before does not count, also of those calls that the store does not have yet.
        account = NamedAccount(
            kind=kind,
            record=record,
            window_start=now,
            budget_reset_at=initial_window_end(record.budget_duration, now, self._accounts.zone),
        )
        plain = NamedAccount(kind=kind, record=NamedRecord(name=name, created_at=now, updated_at=now))
        detail = difference(account_document(plain), account_document(account))
        change = Change.of(f"{kind}.create", now, by, detail, target=name)
        async with self._lock:
            if self._accounts.find(kind, name):
                raise AccountExists(kind, name)
            await trio.to_thread.run_sync(self._store.put_account, account.id, record, account.window, change)
            self._accounts.add(account)
        return account

    async def update(
        self,
        kind: str,
        name: str,
        fields: KeyFields,
        *,
        now: int,
        by: Actor | str,
        expected: int | None = None,
    ) -> NamedAccount:
        """Sets the given fields. Raises ChangedMeanwhile unless its `updated_at` is the `expected` one."""

        def edit(record: NamedRecord) -> NamedRecord:
            if expected not in (None, record.updated_at):
                raise ChangedMeanwhile(f"The {NOUNS[kind]} {name!r}", record.updated_at)
            return replace(record, **fields.changes)

        return await self._edit("update", kind, name, edit, now, by)

    async def set_blocked(
        self, kind: str, name: str, blocked: bool, *, now: int, by: Actor | str
    ) -> NamedAccount:
        """Refuses the calls of all its keys, or of the end user, from now on; or accepts them again."""

        def edit(record: NamedRecord) -> NamedRecord:
            return replace(record, blocked_at=(record.blocked_at or now) if blocked else None)

        return await self._edit("block" if blocked else "unblock", kind, name, edit, now, by)

    async def delete(
        self, kind: str, name: str, count_keys: Callable[[], int], *, now: int, by: Actor | str
    ) -> None:
        """Removes the record with its spend. Raises GroupInUse if `count_keys` counts any."""
        async with self._lock:
            account = self.find(kind, name, now)
            # Only now: a key that names the group may have been made while this waited for the lock.
            if keys := count_keys():
                raise GroupInUse(name, keys)
            detail: dict[str, object] = {kind: account_document(account)}
            change = Change.of(f"{kind}.delete", now, by, detail, target=name)
            await trio.to_thread.run_sync(self._store.delete_account, account.id, change)
            self._accounts.remove(kind, name)

    async def _edit(
        self, action: str, kind: str, name: str, edit: Edit, now: int, by: Actor | str
    ) -> NamedAccount:
        async with self._lock:
            account = self.find(kind, name, now)
            before = account.record
            # Later than before, whatever the clock says: `updated_at` tells one change from another.
            record = replace(edit(before), updated_at=max(now, before.updated_at + 1))
            end = account.budget_reset_at
            if record.budget_duration != before.budget_duration:
                end = initial_window_end(record.budget_duration, now, account.zone)
            edited = replace(account, record=record, budget_reset_at=end)
            detail = difference(account_document(account), account_document(edited))
            change = Change.of(f"{kind}.{action}", now, by, detail, target=name)
            await trio.to_thread.run_sync(self._store.put_account, account.id, record, edited.window, change)
            # Only now: the window may have rolled while the store was writing.
            if record.budget_duration != before.budget_duration:
                account.budget_reset_at = end
            account.record = record
            self._accounts.update_parts(account, before)
        return account


def account_document(account: NamedAccount, on_disconnect: str | None = None) -> dict[str, object]:
    """A group or an end user as the API returns it, without its name, JSON-ready."""
    record = account.record
    return {
        **limits_document(account, on_disconnect),
        "metadata": record.metadata,
        "created_at": iso(record.created_at),
        "updated_at": iso(record.updated_at),
    }
