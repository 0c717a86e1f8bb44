"""Rate limits: requests and tokens per minute, and parallel calls. In memory. Pure: no clock.

A call reserves one request and its expected tokens in each limit that applies to it, all or nothing, and
counts as one parallel call until it is settled. The rules of the minute are those of `minute_window`; in
addition:

- Tokens are reserved in advance: those of the prompt, plus the longest output that the request allows. If it
  sets no maximum, or one above the limit, that is `FIRST_OUTPUT` or its maximum at first, and later the
  longest recent output of such calls (`_learn`). At most the limit is reserved: a longer call is admitted if
  nothing was used for a minute.
- They are settled by the tokens that the call has used. What it used beyond them is carried forward.
- A refused call reserves nothing. The refusal names the limit that takes longest to have capacity again, and
  how long that is at least; for parallel calls that is unknown.

Nothing is stored: after a restart nothing counts as used. Idle counters are removed.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple

import msgspec

from gatekeeper.keys.account import AccountId
from gatekeeper.keys.minute_window import MINUTE, Bucket, MinuteWindow

FIRST_OUTPUT = 8192  # tokens; the default limit of several models, and more than most responses have
IDLE_EXPIRY = 10 * MINUTE


class RateLimits(NamedTuple):
    """Limits of requests and tokens per minute, and of parallel calls; None: no limit."""

    requests: int | None = None
    tokens: int | None = None
    parallel: int | None = None


class Rate(StrEnum):
    """The limited quantity."""

    REQUESTS = "requests"
    TOKENS = "tokens"
    PARALLEL = "parallel"


class AppliedLimits(NamedTuple):
    """Limits that apply to a call, and the account or model account that they belong to."""

    account: AccountId
    limits: RateLimits


class ExpectedTokens(msgspec.Struct, frozen=True, gc=False):
    """The tokens that a call is expected to use; `output` None: unbounded."""

    prompt: int = 0
    output: int | None = 0

    def is_open(self, limit: int | None) -> bool:
        """Whether the request does not bound its output, or not below the limit."""
        return self.output is None or (limit is not None and self.prompt + self.output > limit)


UNBOUNDED = ExpectedTokens(0, None)
"""For a session, whose messages are not known yet."""


class Exceeded(NamedTuple):
    """The limit that a call exceeds: its account, kind and value, and the microseconds until there is
    capacity; None if unknown."""

    account: AccountId
    rate: Rate
    limit: int
    wait: int | None


class Counter(msgspec.Struct, eq=False):
    """The counters of one account; `used_at` is when a call was last admitted."""

    used_at: int
    requests: MinuteWindow = msgspec.field(default_factory=MinuteWindow)
    tokens: MinuteWindow = msgspec.field(default_factory=MinuteWindow)
    running: int = 0
    usual_output: int | None = None  # None: no call has ended yet

    def wait(self, limits: RateLimits, expected: ExpectedTokens, now: int) -> tuple[Rate, int, int] | None:
        """The exceeded rate with the longest wait, its limit, and the wait in microseconds; None if the call
        fits."""
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
        """Counts a call that fits."""
        # Counted even without a limit: a limit of parallel calls that is set later includes running ones.
        self.used_at, self.running = now, self.running + 1
        taken = CounterReservation(account, self, limits)
        if limits.requests is not None:
            taken.request = self.requests.take(1, now)
        taken.take_tokens(expected, now)
        return taken

    def is_idle(self, now: int) -> bool:
        return not (self.running or self.requests.used(now) or self.tokens.used(now))

    def amount(self, limit: int, expected: ExpectedTokens) -> int:
        """The tokens that a call reserves."""
        output = FIRST_OUTPUT if expected.output is None else expected.output
        if self.usual_output is not None and expected.is_open(limit):
            output = self.usual_output if expected.output is None else min(output, self.usual_output)
        return min(expected.prompt + output, limit)


class CounterReservation(msgspec.Struct, eq=False):
    """The reservation of one call in one counter: a request, the tokens `in_advance`, and those used so far
    (`amount`)."""

    account: AccountId
    counter: Counter
    limits: RateLimits
    request: Bucket | None = None
    tokens: Bucket | None = None
    in_advance: int = 0
    amount: int = 0
    is_open: bool = False  # its output tells how long others may be

    def settle(self, used: int, now: int) -> None:
        """Settles the reservation: the call has used this many tokens."""
        self.note(used, now)
        if self.tokens is not None:
            # An excess over the advance was charged to other buckets: this one gets back at most the advance.
            self.counter.tokens.give_back(self.tokens, min(self.amount - used, self.in_advance))

    def note(self, used: int, now: int) -> None:
        """Records the tokens that the call has used so far."""
        limit, beyond = self.limits.tokens, used - self.amount
        if limit is not None and beyond > 0:
            self.counter.tokens.charge(limit, beyond, now)
            self.amount = used

    def undo(self) -> None:
        if self.request is not None:
            self.counter.requests.give_back(self.request, 1)
        self.give_back_tokens()

    def take_tokens(self, expected: ExpectedTokens, now: int) -> None:
        """Reserves the expected tokens, which must fit."""
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
        """The limit that does not have capacity for these tokens; None if they fit."""
        if (limit := self.limits.tokens) is None:
            return None
        wait = self.counter.tokens.wait(limit, self.counter.amount(limit, expected), now)
        return Exceeded(self.account, Rate.TOKENS, limit, wait) if wait else None


class RateReservation:
    """The reservations of an admitted call. It ends with `settle` or `undo`; further calls of these have no
    effect."""

    __slots__ = ("_taken",)

    def __init__(self, taken: Sequence[CounterReservation]) -> None:
        self._taken = taken

    def settle(self, tokens: int | None, output: int | None, now: int) -> None:
        """The call has ended and used this many tokens in total, of which `output` are output. None: unknown,
        so the expected tokens count."""
        for taken in self._end():
            if tokens is not None:
                taken.settle(tokens, now)
            if taken.is_open and output:
                taken.counter.usual_output = _learn(taken.counter.usual_output, output)

    def note(self, tokens: int, now: int) -> None:
        """The call continues, and has used this many tokens so far."""
        for taken in self._taken:
            taken.note(tokens, now)

    def retake(self, expected: ExpectedTokens, now: int) -> Exceeded | None:
        """Replaces the reserved tokens by a new expectation. If that does not fit, nothing is reserved, and
        the call must be refused."""
        for taken in self._taken:
            taken.give_back_tokens()
        waits = [found for taken in self._taken if (found := taken.token_wait(expected, now))]
        if waits:
            return max(waits, key=lambda exceeded: exceeded.wait or 0)
        for taken in self._taken:
            taken.take_tokens(expected, now)
        return None

    def undo(self) -> None:
        """The call was refused after all: releases everything."""
        for taken in self._end():
            taken.undo()

    def _end(self) -> Sequence[CounterReservation]:
        ended, self._taken = self._taken, ()
        for taken in ended:
            taken.counter.running -= 1
        return ended


NO_RESERVATION = RateReservation(())
"""For a call without rate limits."""


class Rates:
    """All counters. `now` is in microseconds, of a clock that is never set back."""

    def __init__(self) -> None:
        # In the order of last use. OrderedDict, because a plain dict finds its first key ever more slowly
        # after deletions at its front.
        self._counters: OrderedDict[AccountId, Counter] = OrderedDict()

    def __len__(self) -> int:
        return len(self._counters)

    def admit(
        self, applied: Sequence[AppliedLimits], expected: ExpectedTokens, now: int
    ) -> RateReservation | Exceeded:
        """Reserves what the call needs in all limits, or nothing in any. Each item must have another account,
        and at least one limit."""
        if not applied:
            return NO_RESERVATION
        # A new counter is kept only if the call is admitted: a refusal reserves nothing, not even memory.
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
        """The current use of an account's limits."""
        counter = self._counters.get(account) or Counter(now)
        return {
            Rate.REQUESTS: counter.requests.used(now),
            Rate.TOKENS: counter.tokens.used(now),
            Rate.PARALLEL: counter.running,
        }

    def _forget_idle(self, most: int, now: int) -> None:
        """Removes up to `most` of the least recently used counters, if they are idle for long enough."""
        for _ in range(most):
            name, counter = next(iter(self._counters.items()))
            if now - counter.used_at < IDLE_EXPIRY:
                return
            if counter.is_idle(now):
                del self._counters[name]
            else:
                # Calls are running, or an excess was carried forward: checked again after IDLE_EXPIRY.
                counter.used_at = now
                self._counters.move_to_end(name)


def _learn(usual: int | None, output: int) -> int:
    """The maximum of outputs, which decays by a quarter with each shorter one."""
    return output if usual is None else max(output, usual - usual // 4)


def _exceeded(
    applied: Sequence[AppliedLimits], counters: Sequence[Counter], expected: ExpectedTokens, now: int
) -> Exceeded | None:
    """The exceeded limit with the longest wait; one of parallel calls only if no other is exceeded."""
    longest, full = None, None
    for (account, limits), counter in zip(applied, counters, strict=True):
        found = counter.wait(limits, expected, now)
        if found and (longest is None or found[2] > (longest.wait or 0)):
            longest = Exceeded(account, *found)
        parallel = limits.parallel
        if full is None and parallel is not None and counter.running >= parallel:
            full = Exceeded(account, Rate.PARALLEL, parallel, None)
    return longest or full
