"""Keys and the other accounts (groups, end users, the gateway, model accounts) in tables of one SQLite file:
their records and spend."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from gatekeeper.keys.account import AccountId
from gatekeeper.keys.audit import Change, insert_change
from gatekeeper.keys.cost_history import CostName, RecentMaximum, load_costs, put_costs
from gatekeeper.keys.limits import NamedRecord
from gatekeeper.keys.spend import SpendDelta
from gatekeeper.keys.sqlite_file import SqliteFile
from gatekeeper.keys.store import (
    AccountWrite,
    AliasConflict,
    KeyWrite,
    LoadedKeys,
    SecretConflict,
    StoredAccount,
)
from gatekeeper.keys.virtual_key import KeyRecord, KeyState, Sharing, intern_time, intern_values
from gatekeeper.keys.windows import Window
from gatekeeper.ledger.call import Position
from gatekeeper.runtime import collection_paused

_records = msgspec.json.Decoder(KeyRecord)


class SqliteKeyStore(SqliteFile):
    """Keys, their spend and the audit log in one SQLite file, which other stores may share."""

    def load(self) -> LoadedKeys:
        # Without garbage collection, which would traverse the growing number of keys again and again.
        with self.transaction() as db, collection_paused():
            rows = db.execute(
                "SELECT record, spend_pico, estimated_pico, window_start, budget_reset_at, last_used_at "
                "FROM keys"
            )
            states = [_state(*row) for row in rows]
            return LoadedKeys(states, _load_accounts(db), _watermark(db))

    def revoked_hashes(self) -> set[str]:
        with self.transaction() as db:
            return {digest for (digest,) in db.execute("SELECT secret_hash FROM retired")}

    def former_sharing(self) -> dict[str, Sharing]:
        with self.transaction() as db:
            rows = db.execute("SELECT token_id, share, key_group FROM former_keys").fetchall()
        return {token_id: Sharing(share, group) for token_id, share, group in rows}

    def insert_all(self, keys: Sequence[KeyWrite]) -> None:
        self.import_all(keys, [])

    def import_all(self, keys: Sequence[KeyWrite], accounts: Sequence[AccountWrite]) -> None:
        with self.write_transaction() as db:
            for record, window, change, spend_pico in keys:
                _check_duplicates(db, record)
                names = (record.token_id, record.secret_hash, record.key_alias)
                db.execute(
                    "INSERT INTO keys (token_id, secret_hash, key_alias, record, spend_pico, window_start, "
                    "budget_reset_at) VALUES (?, ?, ?, ?, ?, ?, ?)",
                    (*names, _json(record), str(spend_pico), *window),
                )
                _unrevoke_secret(db, record)
                insert_change(db, change)
            for account in accounts:
                _put_account(db, account.id, account.record, account.window, account.spend_pico)
                insert_change(db, account.change)

    def update_all(self, keys: Sequence[KeyWrite]) -> None:
        with self.write_transaction() as db:
            for record, window, change, _ in keys:
                _check_duplicates(db, record)
                # Before the row gets the new secret: revokes the old one; `_unrevoke_secret` reverts it if
                # the secret did not change.
                _revoke_secret(db, record.token_id, change.at)
                db.execute(
                    "UPDATE keys SET secret_hash = ?, key_alias = ?, record = ? WHERE token_id = ?",
                    (record.secret_hash, record.key_alias, _json(record), record.token_id),
                )
                _unrevoke_secret(db, record)
                _add_spend(db, record.token_id, SpendDelta(window, 0, None))
                insert_change(db, change)

    def delete_all(self, changes: Sequence[Change]) -> None:
        with self.write_transaction() as db:
            for change in changes:
                _delete(db, change)
                insert_change(db, change)

    def put_account(self, account: AccountId, record: NamedRecord, window: Window, change: Change) -> None:
        with self.write_transaction() as db:
            _put_account(db, account, record, window)
            insert_change(db, change)

    def delete_account(self, account: AccountId, change: Change) -> None:
        with self.write_transaction() as db:
            _delete_account(db, account)
            insert_change(db, change)

    def costs(self) -> list[tuple[CostName, RecentMaximum]]:
        with self.write_transaction() as db:
            return load_costs(db)

    def add_spend(
        self,
        spend_deltas: Mapping[AccountId, SpendDelta],
        segment: int,
        offset: int,
        costs: Iterable[tuple[CostName, RecentMaximum]] = (),
    ) -> None:
        with self.write_transaction() as db:
            # The caller repeats the call if it does not know whether the transaction was committed.
            if _watermark(db) == (segment, offset):
                return
            _add_all(db, spend_deltas)
            put_costs(db, costs)
            db.execute('UPDATE watermark SET segment = ?, "offset" = ?', (segment, offset))

    def adjust_spend(self, run_id: str, spend_deltas: Mapping[AccountId, SpendDelta], change: Change) -> bool:
        with self.write_transaction() as db:
            # In the transaction of the spend, so that a run that is offered again after a crash counts once.
            if not db.execute("INSERT OR IGNORE INTO repriced VALUES (?)", (run_id,)).rowcount:
                return False
            _add_all(db, spend_deltas)
            insert_change(db, change)
            return True


def _delete(db: sqlite3.Connection, change: Change) -> None:
    _revoke_secret(db, change.token_id, change.at)
    db.execute(
        "INSERT OR REPLACE INTO former_keys (token_id, share, key_group) "
        "SELECT token_id, record ->> '$.share', record ->> '$.group' FROM keys "
        "WHERE token_id = ? AND record ->> '$.share' IS NOT NULL",
        (change.token_id,),
    )
    db.execute("DELETE FROM keys WHERE token_id = ?", (change.token_id,))
    _delete_account(db, AccountId("key", change.token_id or ""))  # the spend of its model accounts


def _state(
    record: str,
    spend: str,
    estimated: str,
    start: int,
    reset_at: int | None,
    used_at: int | None,
) -> KeyState:
    return KeyState(
        record=intern_values(_records.decode(record)),
        spend_pico=int(spend),
        estimated_pico=int(estimated),
        window_start=intern_time(start),
        budget_reset_at=reset_at and intern_time(reset_at),
        last_used_at=used_at,
    )


def _json(value: msgspec.Struct) -> str:
    return msgspec.json.encode(value).decode()


def _watermark(db: sqlite3.Connection) -> Position:
    return Position(*db.execute('SELECT segment, "offset" FROM watermark').fetchone())


def _check_duplicates(db: sqlite3.Connection, record: KeyRecord) -> None:
    others = "SELECT 1 FROM keys WHERE token_id <> ? AND "
    if db.execute(others + "secret_hash = ?", (record.token_id, record.secret_hash)).fetchone():
        raise SecretConflict
    if record.key_alias is None:
        return
    if db.execute(others + "key_alias = ?", (record.token_id, record.key_alias)).fetchone():
        raise AliasConflict(record.key_alias)


def _revoke_secret(db: sqlite3.Connection, token_id: str | None, at: int) -> None:
    db.execute(
        "INSERT OR REPLACE INTO retired SELECT secret_hash, ? FROM keys WHERE token_id = ?", (at, token_id)
    )


def _unrevoke_secret(db: sqlite3.Connection, record: KeyRecord) -> None:
    """Removes the current secret of an existing key from the revoked ones."""
    db.execute("DELETE FROM retired WHERE secret_hash = ?", (record.secret_hash,))


def _add_all(db: sqlite3.Connection, spend_deltas: Mapping[AccountId, SpendDelta]) -> None:
    for account, delta in spend_deltas.items():
        if account.kind == "key" and not account.model:
            _add_spend(db, account.name, delta)
        else:
            _add_account_spend(db, account, delta)


def _add_spend(db: sqlite3.Connection, token_id: str, delta: SpendDelta) -> None:
    """Adds to a key's spend; spend from before the delta's window no longer counts."""
    row = db.execute(
        "SELECT spend_pico, estimated_pico, window_start, last_used_at FROM keys WHERE token_id = ?",
        (token_id,),
    ).fetchone()
    if row is None:
        return
    spend, estimated, start, used_at = row
    sums = delta.sums(start, int(spend), int(estimated))
    db.execute(
        "UPDATE keys SET spend_pico = ?, estimated_pico = ?, window_start = ?, budget_reset_at = ?, "
        "last_used_at = ? WHERE token_id = ?",
        (
            # As decimal strings: a sum may exceed SQLite's 64-bit integers.
            *map(str, sums),
            *delta.window,
            _latest(used_at, delta.last_used_at),
            token_id,
        ),
    )


def _latest(*times: int | None) -> int | None:
    return max((time for time in times if time is not None), default=None)


def _load_accounts(db: sqlite3.Connection) -> list[StoredAccount]:
    rows = db.execute(
        "SELECT kind, name, model, record, spend_pico, estimated_pico, window_start, budget_reset_at "
        "FROM accounts"
    )
    return [
        StoredAccount(
            AccountId(kind, name, model),
            None if record is None else msgspec.json.decode(record, type=NamedRecord),
            int(spend),
            int(estimated),
            Window(start, end),
        )
        for kind, name, model, record, spend, estimated, start, end in rows
    ]


def _add_account_spend(db: sqlite3.Connection, account: AccountId, delta: SpendDelta) -> None:
    """Adds to an account's spend; spend from before the delta's window no longer counts."""
    row = db.execute(
        "SELECT spend_pico, estimated_pico, window_start FROM accounts "
        "WHERE kind = ? AND name = ? AND model = ?",
        account,
    ).fetchone()
    spend, estimated, start = row or ("0", "0", delta.window.start)
    sums = delta.sums(start, int(spend), int(estimated))
    db.execute(
        "INSERT INTO accounts (kind, name, model, spend_pico, estimated_pico, window_start, budget_reset_at) "
        "VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (kind, name, model) DO UPDATE SET "
        "spend_pico = excluded.spend_pico, estimated_pico = excluded.estimated_pico, "
        "window_start = excluded.window_start, budget_reset_at = excluded.budget_reset_at",
        (
            *account,
            # As decimal strings: a sum may exceed SQLite's 64-bit integers.
            *map(str, sums),
            *delta.window,
        ),
    )


def _put_account(
    db: sqlite3.Connection, account: AccountId, record: NamedRecord, window: Window, spend_pico: int = 0
) -> None:
    """Sets the record and adds to its spend; spend from before the window no longer counts."""
    _add_account_spend(db, account, SpendDelta(window, spend_pico))
    db.execute(
        "UPDATE accounts SET record = ? WHERE kind = ? AND name = ? AND model = ?",
        (msgspec.json.encode(record).decode(), *account),
    )


def _delete_account(db: sqlite3.Connection, account: AccountId) -> None:
    """Deletes an account and its model accounts."""
    db.execute("DELETE FROM accounts WHERE kind = ? AND name = ?", (account.kind, account.name))
