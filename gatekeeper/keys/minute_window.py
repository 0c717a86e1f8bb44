"""A sliding window of one minute for a rate limit of requests or tokens. Pure: no clock, integers only.

It is not GCRA (a leaky bucket): with a burst of the whole limit GCRA admits twice the limit within a minute,
and with a small burst it refuses a client that sends its whole limit at once. The rules:

- An amount counts for 60 seconds. So within any 60 seconds no more than the limit is taken, and the whole
  limit may be taken at once.
- Up to 60 amounts a minute are counted separately, and so exactly. Further ones within a second share a
  bucket with the latest of their times, so they never expire too early.
- A call takes its expected use in advance. When it ends, the unused part is given back; or the excess is
  charged, and counts from the end of the call.
- An excess beyond the limit is carried forward at the limit's rate: it counts from the time at which the
  limit would have allowed it. So at any reservation, T microseconds after the start, the total reserved and
  charged is at most `limit * (1 + T / MINUTE)`.

Times are integers of microseconds of one clock; one that is set back makes amounts count longer, never
shorter.
"""

from __future__ import annotations

import msgspec

MINUTE = 60_000_000
EXACT = 60  # buckets that are not shared; a window has at most 2 * EXACT + 1 buckets
SECOND = 1_000_000


class Bucket(msgspec.Struct, eq=False, gc=False):
    """An amount that counts until a minute after `at`; `opened_at` is when its first part was taken."""

    opened_at: int
    at: int
    amount: int


class MinuteWindow:
    """The window of one limit. The limit is a parameter of the methods, because it may change."""

    __slots__ = ("_buckets", "_used")

    def __init__(self) -> None:
        self._buckets: list[Bucket] = []
        self._used = 0

    def used(self, now: int) -> int:
        """The amount that counts at `now`."""
        buckets = self._buckets
        while buckets and buckets[0].at + MINUTE <= now:
            self._used -= buckets[0].amount
            # A call may still reference the bucket, but has nothing left to give back.
            buckets.pop(0).amount = 0
        return self._used

    def wait(self, limit: int, amount: int, now: int) -> int:
        """Microseconds until `amount`, which must not exceed the limit, can be taken if nothing else is taken
        until then; 0 if it can be taken now."""
        excess = self.used(now) + amount - limit
        if excess <= 0:
            return 0
        oldest, until = iter(self._buckets), now
        while excess > 0:
            bucket = next(oldest)
            until, excess = bucket.at + MINUTE, excess - bucket.amount
        return until - now

    def take(self, amount: int, now: int) -> Bucket:
        """Takes an amount for which `wait` is 0; the returned bucket is for `give_back`."""
        self._used += amount
        buckets = self._buckets
        if buckets:
            last = buckets[-1]
            # An excess was carried forward, or the clock was set back: keep the buckets in order of expiry.
            if last.at > now:
                last.amount += amount
                return last
            if len(buckets) >= EXACT and now - last.opened_at < SECOND:
                last.at = now
                last.amount += amount
                return last
        bucket = Bucket(now, now, amount)
        buckets.append(bucket)
        return bucket

    def give_back(self, bucket: Bucket, amount: int) -> None:
        """Returns the unused part of what was taken."""
        given = min(amount, bucket.amount)
        bucket.amount -= given
        self._used -= given

    def charge(self, limit: int, amount: int, now: int) -> None:
        """Adds an excess beyond what was taken, even above the limit."""
        beyond = self.used(now) + amount - limit
        bucket = self.take(amount, now)
        # Rounded up: otherwise the excess would expire faster than the limit allows.
        bucket.at = max(bucket.at, now + -(-max(beyond, 0) * MINUTE // limit))
