"""Which calls count towards which budget. No I/O; the functions change only the given account.

The spend of an account is the sum of the calls that ended in its current window. There is no timer: a window
is rolled by the first read after its end. An account without a `budget_duration` has one window that never
ends.

The spend in memory and the stored spend are sums of the same calls, except that the store does not have the
most recent ones yet. Both use the same rule (a call counts unless it ended before the window started), so
they agree once the rest is added, even if a window has rolled or a duration was changed in between.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable
from typing import NamedTuple

from gatekeeper.keys.account import Account, AccountId, PreviousWindow
from gatekeeper.keys.windows import Window, clamped_window, next_window


class AccountCharge(NamedTuple):
    """The charge of one finished call to its accounts. `estimated`: the cost is unknown, and this is an upper
    bound. `is_use`: it counts as a use of the key. `group` is the key's at the time, `user` the end user."""

    token_id: str
    cost_pico: int
    ended_at: int
    estimated: bool = False
    is_use: bool = True
    group: str | None = None
    user: str | None = None
    model: str | None = None


class SpendDelta(NamedTuple):
    """The amount to add to the stored spend of an account, its estimated part, and the window that it belongs
    to. `restored` is added as well if the store has started a later window. `ahead_of_journal`: it takes back
    an amount that the store may only get later."""

    window: Window
    spend_pico: int = 0
    last_used_at: int | None = None
    estimated_pico: int = 0
    restored: PreviousWindow | None = None
    ahead_of_journal: bool = False

    def sums(self, start: int, spend_pico: int, estimated_pico: int) -> tuple[int, int]:
        """What is to be stored in place of the spend of a window that began at `start`."""
        if start < self.window.start:
            spend_pico = estimated_pico = 0
        elif self.restored and start > self.window.start:
            spend_pico += self.restored.spend_pico
            estimated_pico += self.restored.estimated_pico
        add = operator.add if self.ahead_of_journal else added
        return add(spend_pico, self.spend_pico), add(estimated_pico, self.estimated_pico)


def added(sum_pico: int, more: int) -> int:
    """The sum with more, or less, which takes it no further below 0: an amendment may take back what an
    account was never charged, of a call older than its budget, and would let calls pass beyond that."""
    return max(sum_pico + more, min(sum_pico, 0))


def current_spend(account: Account, now: int) -> tuple[int, int | None]:
    """The spend that counts towards the budget at `now`, and when the budget resets. Does not change the
    account."""
    end, duration = account.budget_reset_at, account.record.budget_duration
    if end is None or duration is None:
        return account.spend_pico, end
    previous_window = (
        account.previous_window if account.previous_window and account.previous_window.contains(now) else None
    )
    if now < end:
        clamped = clamped_window(end, duration, now, account.zone)
        if clamped and previous_window:
            return account.spend_pico + previous_window.spend_pico, previous_window.window.end
        return account.spend_pico, clamped.end if clamped else end
    if previous_window:
        return account.spend_pico, previous_window.window.end
    return 0, next_window(end, duration, now, account.zone).end


def roll_window(account: Account, now: int) -> None:
    """Moves the account to the window that contains `now`, if its window has ended, or would only start much
    later because the clock was wrong."""
    end, duration = account.budget_reset_at, account.record.budget_duration
    if end is None or duration is None:
        return
    if clamped := clamped_window(end, duration, now, account.zone):
        if account.previous_window and account.previous_window.contains(now):
            # The clock was ahead and was corrected: earlier spend counts again, in addition to that made
            # meanwhile.
            account.restored = account.previous_window
            clamped, spend_pico, estimated_pico = account.previous_window
            account.spend_pico += spend_pico
            account.estimated_pico += estimated_pico
            account.previous_window = None
        else:
            account.previous_window = PreviousWindow(account.window)
        account.budget_reset_at = clamped.end
        # Never later: the spend in this window stays in it.
        account.window_start = min(account.window_start, clamped.start)
    _advance(account, now)


def _advance(account: Account, now: int) -> None:
    end, duration = account.budget_reset_at, account.record.budget_duration
    if end is None or duration is None or now < end:
        return
    if account.previous_window and account.previous_window.contains(now):
        # The clock was behind and was corrected. The spend was kept.
        account.budget_reset_at, account.previous_window = account.previous_window.window.end, None
        return
    account.previous_window = PreviousWindow(account.window, account.spend_pico, account.estimated_pico)
    account.restored = None
    account.window_start, account.budget_reset_at = next_window(end, duration, now, account.zone)
    account.spend_pico = account.estimated_pico = 0


def settle(
    account: Account, cost_pico: int, at: int, *, estimated: bool = False, is_use: bool = True
) -> None:
    """Counts a call that ends now (`at`) in the window that contains `at`."""
    roll_window(account, at)
    # A running call cannot belong to a past window. If its time says so, the clock was set back, and the
    # window is extended backwards: otherwise spend would not be counted until the clock has caught up.
    account.window_start = min(account.window_start, at)
    _count(account, cost_pico, at, estimated, is_use)


def replay(
    account: Account, cost_pico: int, at: int, *, estimated: bool = False, is_use: bool = True
) -> None:
    """Counts a past call that the stored spend does not include, unless its window has ended."""
    # Never moved backwards: a replayed call may be far older than a correct window.
    _advance(account, at)
    _count(account, cost_pico, at, estimated, is_use)


def _count(account: Account, cost_pico: int, at: int, estimated: bool, is_use: bool) -> None:
    if at >= account.window_start:
        account.spend_pico = added(account.spend_pico, cost_pico)
        if estimated:
            account.estimated_pico = added(account.estimated_pico, cost_pico)
    if is_use:
        account.last_used_at = max(at, account.last_used_at or at)


def spend_deltas(
    find: Callable[[AccountCharge], Iterable[Account]], settled: Iterable[AccountCharge]
) -> dict[AccountId, SpendDelta]:
    """The amounts to add to the stored spends for calls that their accounts (`find`) have counted; deleted
    accounts are left out."""
    deltas: dict[AccountId, SpendDelta] = {}
    for alike in _by_accounts(settled):
        for account in find(alike[0]):
            before = deltas.get(account.id, SpendDelta(account.window))
            start = account.window_start
            # The same rule as in `replay`, or the sums on disk and in memory would diverge.
            counted = [charge for charge in alike if charge.ended_at >= start]
            deltas[account.id] = SpendDelta(
                account.window,
                before.spend_pico + sum([charge.cost_pico for charge in counted]),
                # The value in memory, which may be later than these calls: the store keeps the latest.
                account.last_used_at,
                before.estimated_pico + sum([each.cost_pico for each in counted if each.estimated]),
                account.restored,
            )
    return deltas


def refundable(account: Account, delta: SpendDelta) -> SpendDelta:
    """The delta, of which no more is taken back than the account was charged."""
    # A group that the key has joined since, or a part whose models got their budget since, was not charged
    # the calls: with a spend below 0 it would let calls pass beyond its budget.
    return delta._replace(
        spend_pico=max(delta.spend_pico, -account.spend_pico),
        estimated_pico=max(delta.estimated_pico, -account.estimated_pico),
        ahead_of_journal=True,
    )


def _by_accounts(settled: Iterable[AccountCharge]) -> Iterable[list[AccountCharge]]:
    """Groups charges by their accounts: there are thousands, of few keys."""
    found: dict[tuple[str | None, ...], list[AccountCharge]] = {}
    for charge in settled:
        accounts = (charge.token_id, charge.group, charge.user, charge.model)
        found.setdefault(accounts, []).append(charge)
    return found.values()
