"""Soft budgets: an account that has reached one is warned of: once in the log and as an event,
and in each response."""

from __future__ import annotations

from collections.abc import Iterable

from gatekeeper.keys.account import Account
from gatekeeper.keys.spend import current_spend
from gatekeeper.money import short_usd, usd


def soft_budget_document(account: Account) -> dict[str, str | None]:
    """That an account has reached its soft budget: its kind, its name, and amounts in USD."""
    kind, name, _ = account.id
    limits = account.record
    return {
        "of": kind,
        "name": name or None,
        "title": account.title,
        "spend": usd(account.spend_pico),
        "soft_budget": usd(limits.soft_budget_pico or 0),
        "max_budget": None if limits.max_budget_pico is None else usd(limits.max_budget_pico),
    }


def soft_budget_headers(accounts: Iterable[Account], now: int) -> list[tuple[bytes, bytes]]:
    """`x-gatekeeper-budget-warning` for each of the accounts that has spent its soft budget."""
    warnings: list[tuple[bytes, bytes]] = []
    for account in accounts:
        soft = account.record.soft_budget_pico
        if soft is not None and (spent := current_spend(account, now)[0]) >= soft:
            warning = f"{account.id.kind} has spent {short_usd(spent)} of {short_usd(soft)} USD"
            warnings.append((b"x-gatekeeper-budget-warning", warning.encode()))
    return warnings
