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
    """A key's record with its budget window, and the change that is logged in the same transaction.
    `spend_pico` is what a new key has spent elsewhere in that window."""

    record: KeyRecord
    window: Window
    change: Change
    spend_pico: int = 0


class AccountWrite(NamedTuple):
    """As `KeyWrite`, of a new group or end user."""

    id: AccountId
    record: NamedRecord
    window: Window
    change: Change
    spend_pico: int = 0


class StoredAccount(NamedTuple):
    """The spend of an account that is no key's own. `record` is None for the gateway and for models, whose
    limits are set elsewhere."""

    id: AccountId
    record: NamedRecord | None
    spend_pico: int
    estimated_pico: int
    window: Window


class ChangedMeanwhile(Exception):
    """Somebody else has changed it since the caller has read it."""

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
    """Any key store. Methods that write raise StoreFailed if they fail."""

    def load(self) -> LoadedKeys:
        """Every existing key and the watermark; `Position(0, 0)` if no spend has been stored yet."""
        ...

    def revoked_hashes(self) -> set[str]:
        """The hashes of secrets that a key had once and that no existing key has."""
        ...

    def former_sharing(self) -> dict[str, Sharing]:
        """By `token_id`, who else sees what deleted keys have made; without those of which nobody does."""
        ...

    def insert_all(self, keys: Sequence[KeyWrite]) -> None:
        """New keys. Raises AliasConflict or SecretConflict."""
        ...

    def import_all(self, keys: Sequence[KeyWrite], accounts: Sequence[AccountWrite]) -> None:
        """New keys, groups and end users. Raises AliasConflict or SecretConflict."""
        ...

    def update_all(self, keys: Sequence[KeyWrite]) -> None:
        """Replaces the keys' records. What they spent before the `window` began no longer counts.
        Raises AliasConflict or SecretConflict."""
        ...

    def delete_all(self, changes: Sequence[Change]) -> None:
        """Deletes the keys that these changes are of; the changes stay in the audit log."""
        ...

    def costs(self) -> list[tuple[CostName, RecentMaximum]]:
        """What calls have cost of late, as it was stored with the spend, the latest last."""
        ...

    def add_spend(
        self,
        spend_deltas: Mapping[AccountId, SpendDelta],
        segment: int,
        offset: int,
        costs: Iterable[tuple[CostName, RecentMaximum]] = (),
    ) -> None:
        """Sets `costs`, and adds what the journal contains between the stored watermark and this one; nothing
        if they are equal. An earlier position means that the journal was recreated. Deleted keys are
        ignored."""
        ...

    def adjust_spend(self, run_id: str, spend_deltas: Mapping[AccountId, SpendDelta], change: Change) -> bool:
        """Adds the differences of calls that were priced again; returns False, and adds nothing, if those of
        this run have been added before."""
        ...

    def put_account(self, account: AccountId, record: NamedRecord, window: Window, change: Change) -> None:
        """A new group or end user, which has spent nothing, or another record of one. What it spent before
        `window` began no longer counts."""
        ...

    def delete_account(self, account: AccountId, change: Change) -> None:
        """Deletes the record of a group or an end user, and all its spend."""
        ...

    def close(self) -> None: ...
