"""Whether a call would be admitted, why not, and what is left of the limits that it counts for: as values,
and as the API returns them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import msgspec

from gatekeeper.gemini.errors import error_document
from gatekeeper.keys.account import Account
from gatekeeper.keys.spend import current_spend
from gatekeeper.money import usd
from gatekeeper.refusals import Refusal
from gatekeeper.times import iso


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """A call that nobody has made. `path` is that after `/gemini`, `address` the client's (empty: unknown);
    `request_bytes` is the length of its body, which may be longer than the `body` that is given."""

    method: str
    path: str
    body: bytes
    request_bytes: int
    tags: tuple[str, ...] = ()
    user_id: str | None = None
    address: str = ""


class LimitLeft(NamedTuple):
    """What is left of one limit: `whose` as a sentence begins; amounts are USD as text, or counts."""

    whose: str
    limit: str
    value: str | int
    used: str | int
    left: str | int
    resets_at: str | None = None


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """The answer. `reserves_pico` is what the call would reserve of budgets; None without any, or if it is
    refused."""

    action: str | None
    model: str | None
    refusal: Refusal | None
    reserves_pico: int | None
    left: tuple[LimitLeft, ...]


def budgets_left(accounts: Iterable[Account], now: int) -> tuple[LimitLeft, ...]:
    """What is left of each budget of these accounts."""
    return tuple(
        _budget_left(account, name, budget, now)
        for account in accounts
        for name, budget in (
            ("max_budget", account.record.max_budget_pico),
            ("soft_budget", account.record.soft_budget_pico),
        )
        if budget is not None
    )


def _budget_left(account: Account, name: str, budget: int, now: int) -> LimitLeft:
    spend, reset_at = current_spend(account, now)
    used = spend + account.reserved_pico
    return LimitLeft(
        account.title,
        name,
        usd(budget),
        usd(used),
        usd(max(0, budget - used)),
        None if reset_at is None else iso(reset_at),
    )


def explanation_document(explained: Explanation) -> dict[str, Any]:
    """The explanation as the API returns it, JSON-ready."""
    refusal, reserves = explained.refusal, explained.reserves_pico
    return {
        "admitted": refusal is None,
        "action": explained.action,
        "model": explained.model,
        "refusal": None if refusal is None else error_document(refusal),
        "reserves": None if reserves is None else usd(reserves),
        "left": [left._asdict() for left in explained.left],
    }
