"""Requests and tokens a minute, and parallel calls: what runs and what was used, in memory. Pure: no clock.

A call takes a request and the tokens that it is expected to use from each limit that applies to it, all or
nothing, and counts as one parallel call until it is settled. The rules of the minute are those of
`minute_window`; beside them:

- Tokens are taken in advance: those of the prompt, and the longest output that the request allows. Where it
  allows any, or more than the limit, that is `FIRST_OUTPUT` or what it allows, and then the longest of the
  latest such outputs (`_learn`). No more than the limit: a call that is longer is admitted when nothing was
  used for a minute.
- They are settled by the tokens that the call has used. So within any minute admitted calls use at most the
  limit, plus what some use in excess of their reservation; that excess is charged to the following time.
- A refusal takes nothing. It names the limit that takes longest to have room again, and how long that is:
  true, if nothing else is admitted or charged until then. When a parallel call ends is not known.

Nothing is stored: a restart begins with nothing used. What is unused for `IDLE_EXPIRY` is forgotten.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple

import msgspec

from gatekeeper.keys.account import AccountId
from gatekeeper.keys.minute_window import MINUTE, Bucket, MinuteWindow

FIRST_OUTPUT = 8192  # tokens: the default limit of several models, and more than most answers have
IDLE_EXPIRY = 10 * MINUTE


class RateLimits(NamedTuple):
    """A minute's requests and tokens, and parallel calls; None: no limit."""

    requests: int | None = None
    tokens: int | None = None
    parallel: int | None = None


class Rate(StrEnum):
    """What is limited."""

    REQUESTS = "requests"
    TOKENS = "tokens"
    PARALLEL = "parallel"


class AppliedLimits(NamedTuple):
    """Limits that apply to a call, and the account, or the part of one for some models, that has them."""

    account: AccountId
    limits: RateLimits


class ExpectedTokens(msgspec.Struct, frozen=True, gc=False):
    """What a call is expected to use; `output` is None where nothing bounds it."""

    prompt: int = 0
    output: int | None = 0

    def is_open(self, limit: int | None) -> bool:
        """Whether the request does not bound its output, or not below the limit."""
        return self.output is None or (limit is not None and self.prompt + self.output > limit)


UNBOUNDED = ExpectedTokens(0, None)
"""Of a session, whose messages are still to come."""


class Exceeded(NamedTuple):
    """The limit by which a call is refused: whose and which it is, its value, and the microseconds until
    there is room; None if not known."""

    account: AccountId
    rate: Rate
    limit: int
    wait: int | None


class Counter(msgspec.Struct, eq=False):
    """What the limits of one account count; `used_at` is when a call was last admitted."""

    used_at: int
    requests: MinuteWindow = msgspec.field(default_factory=MinuteWindow)
    tokens: MinuteWindow = msgspec.field(default_factory=MinuteWindow)
    running: int = 0
    usual_output: int | None = None  # None: none has ended yet

    def wait(self, limits: RateLimits, expected: ExpectedTokens, now: int) -> tuple[Rate, int, int] | None:
        """The rate that has no room for the call for longest, its limit, and the microseconds until it has;
        None if there is room."""
        longest = None
        if (limit := limits.requests) is not None and (wait := self.requests.wait(limit, 1, now)):
            longest = Rate.REQUESTS, limit, wait
        if (limit := limits.tokens) is not None and (
            wait := self.tokens.wait(limit, self.amount(limit, expected), now)
        ):
            longest = longest if longest and longest[2] >= wait else (Rate.TOKENS, limit, wait)
        return longest

    def take(
        self, account: AccountId, limits: RateLimits, expected: ExpectedTokens, now: int
    ) -> CounterReservation:
        """Counts a call for which there is room."""
        # Whatever is limited: a limit of parallel calls that is set later holds for those that run already.
        self.used_at, self.running = now, self.running + 1
        taken = CounterReservation(account, self, limits)
        if limits.requests is not None:
            taken.request = self.requests.take(1, now)
        taken.take_tokens(expected, now)
        return taken

    def is_idle(self, now: int) -> bool:
        return not (self.running or self.requests.used(now) or self.tokens.used(now))

    def amount(self, limit: int, expected: ExpectedTokens) -> int:
        """The tokens that a call takes in advance."""
        output = FIRST_OUTPUT if expected.output is None else expected.output
        if self.usual_output is not None and expected.is_open(limit):
            output = self.usual_output if expected.output is None else min(output, self.usual_output)
        return min(expected.prompt + output, limit)


class CounterReservation(msgspec.Struct, eq=False):
    """What one call has taken of one counter: a request, and of the tokens `in_advance`, by now `amount`."""

    account: AccountId
    counter: Counter
    limits: RateLimits
    request: Bucket | None = None
    tokens: Bucket | None = None
    in_advance: int = 0
    amount: int = 0
    is_open: bool = False  # its output tells how long others may be

    def settle(self, used: int, now: int) -> None:
        """The call has used so many tokens."""
        self.note(used, now)
        if self.tokens is not None:
            # What was noted beyond the advance stands in other buckets (`charge`): this one gets back no more
            # than it had.
            self.counter.tokens.give_back(self.tokens, min(self.amount - used, self.in_advance))

    def note(self, used: int, now: int) -> None:
        """The call has used so many tokens until now."""
        limit, beyond = self.limits.tokens, used - self.amount
        if limit is not None and beyond > 0:
            self.counter.tokens.charge(limit, beyond, now)
            self.amount = used

    def undo(self) -> None:
        if self.request is not None:
            self.counter.requests.give_back(self.request, 1)
        self.give_back_tokens()

    def take_tokens(self, expected: ExpectedTokens, now: int) -> None:
        """In advance, where there is room for them."""
        limit = self.limits.tokens
        self.is_open = expected.is_open(limit)
        if limit is not None:
            self.in_advance = self.amount = self.counter.amount(limit, expected)
            self.tokens = self.counter.tokens.take(self.amount, now)

    def give_back_tokens(self) -> None:
        if self.tokens is not None:
            self.counter.tokens.give_back(self.tokens, self.in_advance)
            self.in_advance = self.amount = 0

    def token_wait(self, expected: ExpectedTokens, now: int) -> Exceeded | None:
        """Why they cannot be taken now."""
        if (limit := self.limits.tokens) is None:
            return None
        wait = self.counter.tokens.wait(limit, self.counter.amount(limit, expected), now)
        return Exceeded(self.account, Rate.TOKENS, limit, wait) if wait else None


class RateReservation:
    """What an admitted call has taken. Its end is told once, by `settle` or `undo`; more do nothing."""

    __slots__ = ("_taken",)

    def __init__(self, taken: Sequence[CounterReservation]) -> None:
        self._taken = taken

    def settle(self, tokens: int | None, output: int | None, now: int) -> None:
        """The call has used so many tokens in all, of which `output` are its output; None: not known, and it
        counts as expected."""
        for taken in self._end():
            if tokens is not None:
                taken.settle(tokens, now)
            if taken.is_open and output:
                taken.counter.usual_output = _learn(taken.counter.usual_output, output)

    def note(self, tokens: int, now: int) -> None:
        """The call goes on, and has used so many tokens until now."""
        for taken in self._taken:
            taken.note(tokens, now)

    def retake(self, expected: ExpectedTokens, now: int) -> Exceeded | None:
        """Takes the tokens that the call is expected to use by what is known of it now, in place of those
        that it had taken; or none of them, and then the call is to be refused."""
        for taken in self._taken:
            taken.give_back_tokens()
        waits = [found for taken in self._taken if (found := taken.token_wait(expected, now))]
        if waits:
            return max(waits, key=lambda exceeded: exceeded.wait or 0)
        for taken in self._taken:
            taken.take_tokens(expected, now)
        return None

    def undo(self) -> None:
        """The call was refused after all, and takes nothing."""
        for taken in self._end():
            taken.undo()

    def _end(self) -> Sequence[CounterReservation]:
        ended, self._taken = self._taken, ()
        for taken in ended:
            taken.counter.running -= 1
        return ended


NO_RESERVATION = RateReservation(())
"""Of a call without such limits."""


class Rates:
    """All counters. `now` is in microseconds, of a clock that is never set back."""

    def __init__(self) -> None:
        # In the order of their last use. A dict that is kept in it finds its first one ever more slowly.
        self._counters: OrderedDict[AccountId, Counter] = OrderedDict()

    def __len__(self) -> int:
        return len(self._counters)

    def admit(
        self, applied: Sequence[AppliedLimits], expected: ExpectedTokens, now: int
    ) -> RateReservation | Exceeded:
        """Takes what the call needs of all limits, or nothing of any. Each of them is of another
        account, and has at least one limit."""
        if not applied:
            return NO_RESERVATION
        # A new one is kept only where the call is admitted: a refusal takes nothing, no memory either.
        counters = [self._counters.get(limits.account) or Counter(now) for limits in applied]
        if exceeded := _exceeded(applied, counters, expected, now):
            return exceeded
        taken: list[CounterReservation] = []
        for (account, limits), counter in zip(applied, counters, strict=True):
            self._counters[account] = counter
            self._counters.move_to_end(account)
            taken.append(counter.take(account, limits, expected, now))
        self._forget_idle(len(applied) + 1, now)  # more than the call has added
        return RateReservation(taken)

    def used(self, account: AccountId, now: int) -> dict[Rate, int]:
        """What counts of an account's limits now."""
        counter = self._counters.get(account) or Counter(now)
        return {
            Rate.REQUESTS: counter.requests.used(now),
            Rate.TOKENS: counter.tokens.used(now),
            Rate.PARALLEL: counter.running,
        }

    def _forget_idle(self, most: int, now: int) -> None:
        """Forgets so many of the counters that have not been used for longest, if that is long enough."""
        for _ in range(most):
            name, counter = next(iter(self._counters.items()))
            if now - counter.used_at < IDLE_EXPIRY:
                return
            if counter.is_idle(now):
                del self._counters[name]
            else:
                # Calls run, or tokens were charged to a time to come: it is looked at again after as long.
                counter.used_at = now
                self._counters.move_to_end(name)


def _learn(usual: int | None, output: int) -> int:
    """The longest of the latest outputs: the first counts as it is, a longer one at once, and is forgotten by
    a quarter with each shorter one."""
    return output if usual is None else max(output, usual - usual // 4)


def _exceeded(
    applied: Sequence[AppliedLimits], counters: Sequence[Counter], expected: ExpectedTokens, now: int
) -> Exceeded | None:
    """The limit that takes longest to have room; one of parallel calls only if all others have some."""
    longest, full = None, None
    for (account, limits), counter in zip(applied, counters, strict=True):
        found = counter.wait(limits, expected, now)
        if found and (longest is None or found[2] > (longest.wait or 0)):
            longest = Exceeded(account, *found)
        parallel = limits.parallel
        if full is None and parallel is not None and counter.running >= parallel:
            full = Exceeded(account, Rate.PARALLEL, parallel, None)
    return longest or full
