"""Explains whether a call would be admitted, why not, and how much is left of the limits that apply to it; as
objects, and as JSON for the API."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import msgspec

from gatekeeper.gemini.errors import error_document
from gatekeeper.keys.account import Account, AccountId
from gatekeeper.keys.rate_rules import RATE_NAMES, limits_of_accounts, limits_of_models
from gatekeeper.keys.rates import AppliedLimits, Rate, Rates
from gatekeeper.keys.spend import current_spend
from gatekeeper.money import usd
from gatekeeper.refusals import Refusal
from gatekeeper.times import iso


class HypotheticalCall(msgspec.Struct, frozen=True, kw_only=True):
    """A call to explain. `path` is that after `/gemini`; `address` is the client's, empty if unknown."""

    method: str
    path: str
    body: bytes
    tags: tuple[str, ...] = ()
    user_id: str | None = None
    address: str = ""


class LimitLeft(NamedTuple):
    """How much is left of one limit. `whose` is the beginning of a sentence; amounts are USD as strings, or
    counts."""

    whose: str
    limit: str
    value: str | int
    used: str | int
    left: str | int
    resets_at: str | None = None


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """`waits`: the call would wait for a budget that other calls have reserved. `reserves_pico` is what it
    would reserve in budgets; None without a budget, or if it would wait or be refused."""

    action: str | None
    model: str | None
    refusal: Refusal | None
    waits: bool
    reserves_pico: int | None
    left: tuple[LimitLeft, ...]


def budgets_left(accounts: Iterable[Account], now: int) -> tuple[LimitLeft, ...]:
    """How much is left of each budget of these accounts."""
    return tuple(
        _left_of_budget(account, name, budget, now)
        for account in accounts
        for name, budget in (
            ("max_budget", account.record.max_budget_pico),
            ("soft_budget", account.record.soft_budget_pico),
        )
        if budget is not None
    )


def _left_of_budget(account: Account, name: str, budget: int, now: int) -> LimitLeft:
    spend, reset_at = current_spend(account, now)
    used = spend + account.reserved_pico
    return LimitLeft(
        account.title.removesuffix(","),  # the comma is for sentences
        name,
        usd(budget),
        usd(used),
        usd(max(0, budget - used)),
        None if reset_at is None else iso(reset_at),
    )


def rates_left(
    accounts: Sequence[Account], model: str | None, rates: Rates, now: int
) -> tuple[LimitLeft, ...]:
    """How much is left of each rate limit of these accounts, including those for this model. `now` is a time
    of the clock of rates."""
    models = [] if model is None else [model]
    applied = limits_of_accounts(accounts, counts_tokens=True)
    applied += limits_of_models(accounts, models, counts_tokens=True)
    titles = {account.id: account.title for account in accounts}
    return tuple(
        _left_of_rate(titles, limits, rate, limit, rates.used(limits.account, now)[rate])
        for limits in applied
        for rate, limit in zip(Rate, limits.limits, strict=True)
        if limit is not None
    )


def _left_of_rate(
    titles: Mapping[AccountId, str], limits: AppliedLimits, rate: Rate, limit: int, used: int
) -> LimitLeft:
    id_ = limits.account
    title = titles[id_._replace(model="")]
    name = RATE_NAMES[rate]
    if id_.model:
        title, name = f"{title}, for the models {id_.model}", f"model_{name}"
    return LimitLeft(title, name, limit, used, max(0, limit - used))


def explanation_document(explained: Explanation) -> dict[str, object]:
    """The explanation as the API returns it, JSON-ready."""
    refusal, reserves = explained.refusal, explained.reserves_pico
    return {
        "admitted": refusal is None,
        "action": explained.action,
        "model": explained.model,
        "refusal": None if refusal is None else error_document(refusal),
        "waits": explained.waits,
        "reserves": None if reserves is None else usd(reserves),
        "left": [left._asdict() for left in explained.left],
    }
