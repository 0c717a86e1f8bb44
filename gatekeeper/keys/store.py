"""The interface of a key store.

Methods block (call them from a worker thread) and may be called from any thread. Each is one transaction:
either it is committed durably as a whole, or it raises and nothing has changed.

The stored spend of a key includes the journal up to the watermark. Both are updated in the same transaction,
so that counting the journal from the watermark on counts each call exactly once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, Protocol

from gatekeeper.keys.account import AccountId
from gatekeeper.keys.audit import Change
from gatekeeper.keys.cost_history import CostName, RecentMaximum
from gatekeeper.keys.limits import NamedRecord
from gatekeeper.keys.spend import SpendDelta
from gatekeeper.keys.sqlite_file import StoreError
from gatekeeper.keys.virtual_key import KeyRecord, KeyState, Sharing
from gatekeeper.keys.windows import Window
from gatekeeper.ledger.call import Position
from gatekeeper.times import iso


class AliasConflict(StoreError):
    """Another existing key has this alias."""

    field = "key_alias"

    def __init__(self, alias: str) -> None:
        super().__init__(f"the alias {alias!r} belongs to another key: choose another, or rename that key")
        self.alias = alias


class SecretConflict(StoreError):
    """Another existing key has this secret. `field` is the one that gave it."""

    def __init__(
        self, field: str = "key", remedy: str = "choose another, or leave `key` out to get one"
    ) -> None:
        super().__init__(f"this secret belongs to another key: {remedy}")
        self.field = field


class KeyWrite(NamedTuple):
    """A key's record with its budget window, and the audit entry for the same transaction. `spend_pico` is
    the imported spend of a new key in that window."""

    record: KeyRecord
    window: Window
    change: Change
    spend_pico: int = 0


class AccountWrite(NamedTuple):
    """As `KeyWrite`, for a new group or end user."""

    id: AccountId
    record: NamedRecord
    window: Window
    change: Change
    spend_pico: int = 0


class StoredAccount(NamedTuple):
    """The stored spend of an account other than a key. `record` is None for the gateway and for model
    accounts, whose limits are set elsewhere."""

    id: AccountId
    record: NamedRecord | None
    spend_pico: int
    estimated_pico: int
    window: Window


class ChangedMeanwhile(Exception):
    """The record has changed since the caller read it (optimistic locking by `updated_at`)."""

    field = "updated_at"

    def __init__(self, what: str, updated_at: int) -> None:
        super().__init__(
            f"{what} was changed meanwhile, at {iso(updated_at)}: read it again, and repeat the change if it "
            "is still right"
        )


class LoadedKeys(NamedTuple):
    """All existing keys and other accounts, with their spend up to the journal's `watermark`."""

    states: list[KeyState]
    accounts: list[StoredAccount]
    watermark: Position


class KeyStore(Protocol):
    """A key store. Methods that write raise StoreFailed if they fail."""

    def load(self) -> LoadedKeys:
        """All existing keys and the watermark, which is `Position(0, 0)` if no spend has been stored yet."""
        ...

    def revoked_hashes(self) -> set[str]:
        """The digests of secrets that a key once had and no existing key has."""
        ...

    def former_sharing(self) -> dict[str, Sharing]:
        """By `token_id`, how deleted keys shared their resources; without those that did not share."""
        ...

    def insert_all(self, keys: Sequence[KeyWrite]) -> None:
        """Inserts keys. Raises AliasConflict or SecretConflict."""
        ...

    def import_all(self, keys: Sequence[KeyWrite], accounts: Sequence[AccountWrite]) -> None:
        """Inserts keys, groups and end users. Raises AliasConflict or SecretConflict."""
        ...

    def update_all(self, keys: Sequence[KeyWrite]) -> None:
        """Replaces the keys' records. What they spent before the `window` began no longer counts.
        Raises AliasConflict or SecretConflict."""
        ...

    def delete_all(self, changes: Sequence[Change]) -> None:
        """Deletes the keys of these changes; the changes are added to the audit log."""
        ...

    def costs(self) -> list[tuple[CostName, RecentMaximum]]:
        """The recent costs of calls that were stored with the spend, the latest last."""
        ...

    def add_spend(
        self,
        spend_deltas: Mapping[AccountId, SpendDelta],
        segment: int,
        offset: int,
        costs: Iterable[tuple[CostName, RecentMaximum]] = (),
    ) -> None:
        """Adds the deltas, which are those of the journal between the stored watermark and this position, and
        sets `costs`. Does nothing if the positions are equal; an earlier position means that the journal was
        recreated. Deleted keys are ignored."""
        ...

    def adjust_spend(self, run_id: str, spend_deltas: Mapping[AccountId, SpendDelta], change: Change) -> bool:
        """Adds the differences of repriced calls; returns False, and adds nothing, if those of this run were
        already added."""
        ...

    def put_account(self, account: AccountId, record: NamedRecord, window: Window, change: Change) -> None:
        """Inserts a group or end user, without spend, or replaces its record. Spend from before `window` no
        longer counts."""
        ...

    def delete_account(self, account: AccountId, change: Change) -> None:
        """Deletes the record of a group or an end user, and all its spend."""
        ...

    def close(self) -> None: ...
