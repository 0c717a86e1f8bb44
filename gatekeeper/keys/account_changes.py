"""Creating, changing and deleting the records of groups and end users.

A key names its group and a call its end user with any string; a record sets limits for that name. Spend is
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
"""The field with the name in the API."""
LISTED_AT_ONCE = 2000  # accounts between two checkpoints, which takes some milliseconds


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
    """The group has keys, which would lose its limits if it were deleted."""

    field = "force"

    def __init__(self, name: str, keys: int) -> None:
        super().__init__(
            f"{keys} key{'s' * (keys > 1)} belong{'s' * (keys == 1)} to the group {name!r} and would lose "
            "its limits: delete or move them first, or add `force`: true, or `--force`"
        )


class AccountPage(NamedTuple):
    """A page of accounts; `next_cursor` is the name after which the next page begins, None on the last
    page."""

    accounts: list[NamedAccount]
    next_cursor: str | None


def _name(account: NamedAccount) -> str:
    return account.record.name


class AccountChanges:
    """Changes groups and end users. `kind` is `group` or `user`; `by` is who requests a change at `now`.
    Changes raise AccountNotFound and StoreFailed. `lock` serializes all changes of the key store."""

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
        """A page sorted by name: accounts whose name contains `q`, case-insensitively, and sorts after
        `after`. Yields to other tasks."""
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
            # One more than the page size, to know whether there is a next page.
            first = heapq.nsmallest(limit + 1, chain(first, part), key=_name)
        shown = first[:limit]
        # Only the accounts of the page: rolling 100,000 windows that end together would take a second.
        for account in shown:
            spend.roll_window(account, now)
        return AccountPage(shown, shown[-1].record.name if len(first) > limit else None)

    async def create(
        self, kind: str, name: str, fields: KeyFields, *, now: int, by: Actor | str
    ) -> NamedAccount:
        """Raises AccountExists."""
        record = replace(NamedRecord(name=name, created_at=now, updated_at=now), **fields.changes)
        # Calls that ended before do not count, even if the store does not have them yet.
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
        """Blocks or unblocks the calls of all its keys, or of the end user."""

        def edit(record: NamedRecord) -> NamedRecord:
            return replace(record, blocked_at=(record.blocked_at or now) if blocked else None)

        return await self._edit("block" if blocked else "unblock", kind, name, edit, now, by)

    async def delete(
        self, kind: str, name: str, count_keys: Callable[[], int], *, now: int, by: Actor | str
    ) -> None:
        """Removes the record with its spend. Raises GroupInUse if `count_keys` counts any."""
        async with self._lock:
            account = self.find(kind, name, now)
            # Under the lock: a key in the group may have been created while this waited for it.
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
            # Strictly increasing, whatever the clock says: `updated_at` serves as the version of the record.
            record = replace(edit(before), updated_at=max(now, before.updated_at + 1))
            end = account.budget_reset_at
            if record.budget_duration != before.budget_duration:
                end = initial_window_end(record.budget_duration, now, account.zone)
            edited = replace(account, record=record, budget_reset_at=end)
            detail = difference(account_document(account), account_document(edited))
            change = Change.of(f"{kind}.{action}", now, by, detail, target=name)
            await trio.to_thread.run_sync(self._store.put_account, account.id, record, edited.window, change)
            # After the write: the window may have rolled meanwhile.
            if record.budget_duration != before.budget_duration:
                account.budget_reset_at = end
            account.record = record
            self._accounts.update_model_accounts(account, before)
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
