"""Soft budgets: an account that has spent one is warned of, in the log once and in each response."""

from __future__ import annotations

from collections.abc import Iterable

import structlog

from gatekeeper.keys.account import Account
from gatekeeper.keys.spend import current_spend
from gatekeeper.money import short_usd

log = structlog.get_logger()


def warn_of_soft_budget(account: Account) -> None:
    """Logs that an account has just reached its soft budget."""
    soft, most = account.record.soft_budget_pico or 0, account.record.max_budget_pico
    log.warning(
        "soft_budget_reached",
        of=account.title,
        spend=short_usd(account.spend_pico),
        soft_budget=short_usd(soft),
        max_budget=None if most is None else short_usd(most),
    )


def soft_budget_headers(accounts: Iterable[Account], now: int) -> list[tuple[bytes, bytes]]:
    """`x-gatekeeper-budget-warning` for each of the accounts that has spent its soft budget."""
    warnings: list[tuple[bytes, bytes]] = []
    for account in accounts:
        soft = account.record.soft_budget_pico
        if soft is not None and (spent := current_spend(account, now)[0]) >= soft:
            warning = f"{account.id.kind} has spent {short_usd(spent)} of {short_usd(soft)} USD"
            warnings.append((b"x-gatekeeper-budget-warning", warning.encode()))
    return warnings
