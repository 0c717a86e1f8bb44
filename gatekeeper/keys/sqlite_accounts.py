"""Accounts that are no key's own, in a table of the key store's file: records and spend."""

from __future__ import annotations

import sqlite3

import msgspec

from gatekeeper.keys.account import AccountId
from gatekeeper.keys.limits import NamedRecord
from gatekeeper.keys.spend import SpendDelta
from gatekeeper.keys.store import StoredAccount
from gatekeeper.keys.windows import Window


def load_accounts(db: sqlite3.Connection) -> list[StoredAccount]:
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


def add_account_spend(db: sqlite3.Connection, account: AccountId, delta: SpendDelta) -> None:
    """Adds to an account's spend; what it spent before the delta's window no longer counts."""
    row = db.execute(
        "SELECT spend_pico, estimated_pico, window_start FROM accounts "
        "WHERE kind = ? AND name = ? AND model = ?",
        account,
    ).fetchone()
    spend, estimated, start = row or ("0", "0", delta.window.start)
    kept = start >= delta.window.start
    db.execute(
        "INSERT INTO accounts (kind, name, model, spend_pico, estimated_pico, window_start, budget_reset_at) "
        "VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (kind, name, model) DO UPDATE SET "
        "spend_pico = excluded.spend_pico, estimated_pico = excluded.estimated_pico, "
        "window_start = excluded.window_start, budget_reset_at = excluded.budget_reset_at",
        (
            *account,
            str((int(spend) if kept else 0) + delta.spend_pico),
            str((int(estimated) if kept else 0) + delta.estimated_pico),
            *delta.window,
        ),
    )


def put_account(
    db: sqlite3.Connection, account: AccountId, record: NamedRecord, window: Window, spend_pico: int = 0
) -> None:
    """Sets the record, and adds to its spend; what was spent before the window no longer counts."""
    add_account_spend(db, account, SpendDelta(window, spend_pico))
    db.execute(
        "UPDATE accounts SET record = ? WHERE kind = ? AND name = ? AND model = ?",
        (msgspec.json.encode(record).decode(), *account),
    )


def delete_account(db: sqlite3.Connection, account: AccountId) -> None:
    """With the spend of single models in it."""
    db.execute("DELETE FROM accounts WHERE kind = ? AND name = ?", (account.kind, account.name))
