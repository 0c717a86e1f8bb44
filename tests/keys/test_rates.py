"""Rates: what a minute admits, how true the waits are, and that nothing leaks, by examples and by a state
machine that is compared with a plain log of all calls."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from gatekeeper.keys.account import AccountId
from gatekeeper.keys.minute_window import EXACT, MINUTE, SECOND
from gatekeeper.keys.rates import (
    FIRST_OUTPUT,
    IDLE_EXPIRY,
    AppliedLimits,
    Exceeded,
    ExpectedTokens,
    Rate,
    RateLimits,
    RateReservation,
    Rates,
)

KEY, GROUP = AccountId("key", "key_1"), AccountId("group", "g")
MODEL = AccountId("key", "key_1", "*-flash")


def applied(who: AccountId = KEY, **limits: int) -> AppliedLimits:
    return AppliedLimits(who, RateLimits(**limits))


def admit(
    rates: Rates, now: int, *applied_limits: AppliedLimits, prompt: int = 0, output: int | None = 0
) -> Any:
    return rates.admit(applied_limits, ExpectedTokens(prompt, output), now)


def admitted(rates: Rates, now: int, *applied_limits: AppliedLimits, **tokens: Any) -> RateReservation:
    answer = admit(rates, now, *applied_limits, **tokens)
    assert isinstance(answer, RateReservation)
    return answer


@pytest.mark.parametrize("limit", [1, 5, 60])
def test_the_whole_limit_may_be_used_at_once_and_then_by_the_same_rhythm_again(limit):
    rates, requests = Rates(), applied(requests=limit)
    for number in range(limit):
        admitted(rates, number, requests)

    for number in range(limit):
        refused = admit(rates, MINUTE + number - 1, requests)
        assert refused == Exceeded(KEY, Rate.REQUESTS, limit, 1)
        admitted(rates, MINUTE + number, requests)


def test_a_high_limit_is_counted_by_the_second():
    rates, requests = Rates(), applied(requests=1000)
    for number in range(1000):
        admitted(rates, number * SECOND // 1000, requests)

    refused = admit(rates, SECOND, requests)
    assert refused.wait == MINUTE - SECOND  # the first ones, one by one
    for _ in range(EXACT - 1):
        admitted(rates, MINUTE + EXACT * SECOND // 1000, requests)
    refused = admit(rates, MINUTE + EXACT * SECOND // 1000, requests)
    assert 0 < refused.wait <= SECOND


def test_a_steady_client_has_its_old_requests_forgotten():
    rates, requests = Rates(), applied(requests=200)
    for number in range(1000):
        admitted(rates, number * SECOND // 3, requests)
    assert rates.used(KEY, 1000 * SECOND // 3)[Rate.REQUESTS] <= 3 * 61


def test_a_refusal_takes_nothing_from_any_and_names_the_longest_wait():
    rates = Rates()
    key, group = applied(KEY, requests=2), applied(GROUP, requests=1, parallel=9)
    admitted(rates, 0, key)
    admitted(rates, 10, group)

    assert admit(rates, 20, key, group) == Exceeded(GROUP, Rate.REQUESTS, 1, MINUTE - 10)
    admitted(rates, 30, key)
    assert admit(rates, 40, key, group) == Exceeded(GROUP, Rate.REQUESTS, 1, MINUTE - 30)
    both = applied(KEY, requests=2, tokens=9)
    assert admit(rates, 50, both, group).rate is Rate.REQUESTS


def test_parallel_calls_end_by_their_settlement_once():
    rates, parallel = Rates(), applied(parallel=2)
    first, _ = admitted(rates, 0, parallel), admitted(rates, 0, parallel)

    assert admit(rates, 0, parallel) == Exceeded(KEY, Rate.PARALLEL, 2, None)
    first.settle(None, None, 1)
    first.settle(None, None, 1)
    first.undo()
    admitted(rates, 1, parallel)
    assert admit(rates, 10 * MINUTE, parallel) == Exceeded(KEY, Rate.PARALLEL, 2, None)


def test_a_full_minute_is_told_before_parallel_calls():
    rates, both = Rates(), applied(parallel=1, requests=1)
    admitted(rates, 0, both)
    assert admit(rates, 1, both) == Exceeded(KEY, Rate.REQUESTS, 1, MINUTE - 1)


def test_tokens_are_taken_in_advance_and_settled():
    rates, tokens = Rates(), applied(tokens=100)
    first = admitted(rates, 0, tokens, prompt=20, output=70)

    assert admit(rates, 1, tokens, prompt=11) == Exceeded(KEY, Rate.TOKENS, 100, MINUTE - 1)
    first.settle(30, 10, 2)
    admitted(rates, 3, tokens, prompt=70)
    assert admit(rates, 4, tokens, prompt=1).wait == MINUTE - 4


def test_what_was_used_beyond_counts_from_the_end():
    rates, tokens = Rates(), applied(tokens=100)
    admitted(rates, 0, tokens, prompt=10).settle(60, 50, 30 * SECOND)

    assert admit(rates, 30 * SECOND, tokens, prompt=45).wait == 30 * SECOND
    assert admit(rates, MINUTE, tokens, prompt=60).wait == 30 * SECOND


def test_what_a_session_uses_counts_while_it_runs():
    rates, tokens = Rates(), applied(tokens=100)
    runs = admitted(rates, 0, tokens, prompt=10)
    runs.note(5, 1)
    admitted(rates, 2, tokens, prompt=90).settle(0, 0, 2)
    runs.note(60, 3)
    runs.note(80, 4)
    assert admit(rates, 5, tokens, prompt=21).wait == MINUTE - 5
    admitted(rates, 5, tokens, prompt=20).settle(0, 0, 5)
    runs.settle(90, 0, 6)
    assert admit(rates, MINUTE, tokens, prompt=21).wait == 3
    admitted(rates, MINUTE + 6, tokens, prompt=100)


def test_what_is_given_back_late_counts_no_more_already():
    rates, tokens = Rates(), applied(tokens=100)
    long = admitted(rates, 0, tokens, prompt=90)
    admitted(rates, MINUTE, tokens, prompt=60)
    long.settle(10, 0, MINUTE + 1)
    assert rates.used(KEY, MINUTE + 1)[Rate.TOKENS] == 60


def test_what_a_session_is_said_to_have_used_less_in_the_end_was_used():
    rates, tokens = Rates(), applied(tokens=100)
    admitted(rates, 0, tokens, prompt=30)
    runs = admitted(rates, 0, tokens, prompt=10)
    runs.note(60, 1)
    runs.settle(0, 0, 2)
    assert rates.used(KEY, 2)[Rate.TOKENS] == 30 + 50


def test_what_is_worked_off_takes_a_whole_time_more_and_not_less():
    rates, tokens = Rates(), applied(tokens=7)
    admitted(rates, 0, tokens, prompt=7).settle(8, 0, 0)
    assert admit(rates, 0, tokens, prompt=7).wait == MINUTE + -(-MINUTE // 7)


def test_a_call_of_unknown_tokens_counts_as_expected():
    rates, tokens = Rates(), applied(tokens=100)
    admitted(rates, 0, tokens, prompt=90).settle(None, None, 1)
    assert admit(rates, 2, tokens, prompt=20).wait == MINUTE - 2


def test_a_call_above_the_limit_is_admitted_alone_and_worked_off():
    rates, tokens = Rates(), applied(tokens=100)
    alone = admitted(rates, 0, tokens, prompt=1000)
    assert admit(rates, 1, tokens, prompt=1).wait == MINUTE - 1

    alone.settle(1000, 0, SECOND)
    refused = admit(rates, SECOND, tokens, prompt=1)
    assert refused.wait == 10 * MINUTE
    admitted(rates, SECOND + 10 * MINUTE, tokens, prompt=1000)


def test_an_output_without_a_bound_is_expected_as_long_as_the_latest_ones():
    rates, tokens = Rates(), applied(tokens=10_000)
    first = admitted(rates, 0, tokens, output=None)
    assert admit(rates, 0, tokens, output=None).rate is Rate.TOKENS
    first.settle(100, 100, 1)

    assert admit(rates, 2, tokens, prompt=10_000 - 100 - 100 + 1, output=None).rate is Rate.TOKENS
    admitted(rates, 2, tokens, prompt=10_000 - 100 - 100, output=None).settle(0, 40, 3)
    usual = 100 - 100 // 4
    assert admit(rates, 3, tokens, prompt=10_000 - 100 - usual + 1, output=None).rate is Rate.TOKENS
    admitted(rates, 3, tokens, prompt=10_000 - 100 - usual, output=None).settle(0, 9_000, 3)
    assert admit(rates, 4, tokens, prompt=901, output=None).rate is Rate.TOKENS
    admitted(rates, 4, tokens, prompt=900, output=None)


def test_a_bound_above_the_limit_is_none():
    rates, tokens = Rates(), applied(tokens=1_000)
    first = admitted(rates, 0, tokens, prompt=10, output=65_536)
    assert admit(rates, 0, tokens, prompt=10, output=65_536).rate is Rate.TOKENS
    first.settle(30, 20, 1)
    for now in range(2, 34):  # 30 tokens each
        admitted(rates, now, tokens, prompt=10, output=65_536).settle(30, 20, now)
    assert admit(rates, 34, tokens, prompt=10, output=65_536).rate is Rate.TOKENS
    assert admit(rates, 34, tokens, prompt=10, output=900).rate is Rate.TOKENS
    admitted(rates, 34, tokens, prompt=1, output=9)


def test_only_outputs_without_a_bound_tell_of_others():
    rates, tokens = Rates(), applied(tokens=100_000)
    admitted(rates, 0, tokens, output=50_000).settle(50_000, 50_000, 0)
    admitted(rates, 1, tokens, prompt=50_000 - FIRST_OUTPUT, output=None)


def test_what_was_learned_is_known_while_it_is_used():
    rates, tokens = Rates(), applied(tokens=100_000)
    for now in range(0, 3 * IDLE_EXPIRY, IDLE_EXPIRY // 2):
        admitted(rates, now, tokens, output=None).settle(90_000, 90_000, now)
        admitted(rates, now + 2 * MINUTE, applied(GROUP, tokens=10**9)).settle(0, 0, now)
    admitted(rates, now + 3 * MINUTE, tokens, prompt=20_000)
    assert admit(rates, now + 3 * MINUTE, tokens, output=None).rate is Rate.TOKENS


def test_a_call_that_is_refused_later_has_taken_nothing():
    rates, limits = Rates(), applied(requests=1, tokens=10, parallel=1)
    admitted(rates, 0, limits, prompt=10).undo()
    admitted(rates, 1, limits, prompt=10)
    for some in (applied(GROUP, tokens=10), applied(GROUP, requests=1)):
        admitted(rates, 0, some, prompt=10).undo()
        admitted(rates, 0, some, prompt=10).undo()


def test_what_is_known_later_is_taken_in_place_of_what_was_expected():
    rates, tokens = Rates(), applied(tokens=100)
    call = admitted(rates, 0, tokens, prompt=10)
    assert call.retake(ExpectedTokens(90, 0), 5) is None
    assert admit(rates, 6, tokens, prompt=20) == Exceeded(KEY, Rate.TOKENS, 100, MINUTE - 1)
    assert call.retake(ExpectedTokens(30, 0), 7) is None
    other = admitted(rates, 8, tokens, prompt=20)
    assert other.retake(ExpectedTokens(71, 0), 9) == Exceeded(KEY, Rate.TOKENS, 100, MINUTE - 2)
    other.undo()
    admitted(rates, 10, tokens, prompt=70)


def test_a_call_without_limits_takes_nothing():
    rates = Rates()
    admitted(rates, 0).settle(10, 10, 1)
    assert len(rates) == 0


def test_a_changed_limit_holds_from_the_next_call():
    rates = Rates()
    for now in range(5):
        admitted(rates, now, applied(requests=5))
    assert admit(rates, 5, applied(requests=2)).wait == MINUTE - 5 + 3
    admitted(rates, 5, applied(requests=6))


def test_what_is_idle_is_forgotten_and_what_runs_is_not():
    rates = Rates()
    runs = admitted(rates, 0, applied(GROUP, parallel=1))
    for number in range(100):
        admitted(rates, number, applied(AccountId("key", str(number)), requests=5)).settle(0, 0, number)
    assert len(rates) == 101

    late = 100 + IDLE_EXPIRY
    for number in range(100):
        admitted(rates, late + number, applied(KEY, requests=500))
    assert len(rates) == 2
    assert admit(rates, late + 100, applied(GROUP, parallel=1)).rate is Rate.PARALLEL
    runs.settle(0, 0, late + 100)
    for number in range(2):
        admitted(rates, 2 * late + number, applied(KEY, requests=500))
    assert len(rates) == 1


LIMITS = {
    KEY: RateLimits(requests=3, tokens=50, parallel=2),
    GROUP: RateLimits(requests=4, tokens=70),
    MODEL: RateLimits(requests=130),
}


class Logged:
    """One call in the log: what it took of each limit's tokens, and what it has used."""

    def __init__(
        self, now: int, names: tuple[AccountId, ...], amounts: dict[AccountId, int], grant: Any
    ) -> None:
        self.at, self.names, self.amounts, self.grant = now, names, amounts, grant
        self.tokens_at, self.goes_on = now, False
        self.used: int | None = None
        self.in_advance = amounts

    def tokens(self, name: AccountId) -> int:
        return self.amounts[name] if self.used is None else self.used


class RatesMachine(RuleBasedStateMachine):
    """Calls come and end in any order and at any time."""

    running = Bundle("running")

    def __init__(self) -> None:
        super().__init__()
        self.rates, self.now, self.log = Rates(), 0, list[Logged]()

    @rule(micros=st.one_of(st.integers(0, SECOND), st.integers(0, 3 * MINUTE)))
    def wait(self, micros):
        self.now += micros

    @rule(
        target=running,
        names=st.sampled_from([(KEY,), (GROUP,), (KEY, GROUP), (MODEL,), (KEY, GROUP, MODEL)]),
        prompt=st.integers(0, 40),
        output=st.one_of(st.none(), st.integers(0, 40)),
    )
    def call(self, names, prompt, output):
        applied_limits, expected = (
            [AppliedLimits(name, LIMITS[name]) for name in names],
            ExpectedTokens(prompt, output),
        )
        before = {name: self.used(name) for name in LIMITS}
        answer = self.rates.admit(applied_limits, expected, self.now)
        if isinstance(answer, Exceeded):
            assert {name: self.used(name) for name in LIMITS} == before
            self.check_wait(answer, applied_limits, expected)
            return None
        amounts = {name: taken.amount for name, taken in zip(names, answer._taken, strict=True)}
        call = Logged(self.now, names, amounts, answer)
        self.log.append(call)
        self.check_limits(names)
        return call

    def check_wait(self, refused, applied_limits, expected):
        """Whoever waits that long is admitted, and one microsecond before is not."""
        if refused.wait is None:
            assert LIMITS[refused.account].parallel == refused.limit
            return
        later = deepcopy(self.rates).admit(applied_limits, expected, self.now + refused.wait)
        assert isinstance(later, RateReservation) or later.rate is Rate.PARALLEL
        early = deepcopy(self.rates).admit(applied_limits, expected, self.now + refused.wait - 1)
        assert early == refused._replace(wait=1)

    def check_limits(self, names):
        for name in names:
            limits, calls = LIMITS[name], [call for call in self.log if name in call.names]
            latest = [call for call in calls if call.at > self.now - MINUTE]
            assert len(latest) <= limits.requests
            if limits.parallel is not None:
                assert sum(call.grant is not None for call in calls) <= limits.parallel
            if limits.tokens is not None:
                latest = [call for call in calls if call.tokens_at > self.now - MINUTE]
                in_advance = [min(call.tokens(name), call.in_advance[name]) for call in latest]
                assert sum(in_advance) <= limits.tokens
                ever = sum(call.tokens(name) for call in calls)
                assert ever * MINUTE <= limits.tokens * (MINUTE + self.now)

    @rule(count=st.integers(1, 70))
    def burst(self, count):
        """Short calls of one model."""
        for _ in range(count):
            self.now += 7
            answer = admit(self.rates, self.now, AppliedLimits(MODEL, LIMITS[MODEL]))
            if isinstance(answer, RateReservation):
                answer.settle(0, 0, self.now)
                self.log.append(Logged(self.now, (MODEL,), {MODEL: 0}, None))
        self.check_limits((MODEL,))

    @rule(call=consumes(running), used=st.one_of(st.none(), st.integers(0, 300)))
    def end(self, call, used):
        if call is not None and call.grant is not None:
            call.grant.settle(used, used, self.now)
            call.used, call.grant = used, None

    @rule(call=running, used=st.integers(0, 300))
    def goes_on(self, call, used):
        if call is not None and call.grant is not None:
            call.grant.note(used, self.now)
            call.goes_on = True
            call.amounts = {name: max(used, amount) for name, amount in call.amounts.items()}

    @rule(call=running, prompt=st.integers(0, 90), output=st.integers(0, 40))
    def is_received(self, call, prompt, output):
        if call is None or call.grant is None or call.goes_on:
            return
        if call.grant.retake(ExpectedTokens(prompt, output), self.now):
            call.grant.undo()
            self.log.remove(call)
            call.grant = None
            return
        amounts = [taken.amount for taken in call.grant._taken]
        call.amounts = call.in_advance = dict(zip(call.names, amounts, strict=True))
        call.tokens_at = self.now
        self.check_limits(call.names)

    @rule(call=consumes(running))
    def refuse_after_all(self, call):
        if call is not None and call.grant is not None:
            call.grant.undo()
            self.log.remove(call)

    def used(self, name):
        counter = self.rates._counters.get(name)
        return counter and (counter.requests.used(self.now), counter.tokens.used(self.now), counter.running)

    @invariant()
    def counts_what_runs(self):
        for name, counter in self.rates._counters.items():
            assert counter.running == sum(call.grant is not None for call in self.log if name in call.names)
            for window in (counter.requests, counter.tokens):
                assert window.used(self.now) == sum(bucket.amount for bucket in window._buckets) >= 0
                assert len(window._buckets) <= 2 * EXACT + 1

    def teardown(self):
        for call in self.log:
            if call.grant is not None:
                call.grant.settle(0, 0, self.now)
        later = self.now + 10**6 * MINUTE
        for counter in self.rates._counters.values():
            assert counter.is_idle(later)


RatesMachine.TestCase.settings = settings(max_examples=40, stateful_step_count=30)
test_any_calls_at_any_time = RatesMachine.TestCase
