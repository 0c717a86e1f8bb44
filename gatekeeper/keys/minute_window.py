"""What was used of a limit within the last minute: requests, or tokens. Pure: no clock, integers only.

A sliding window, and not GCRA: with a burst of the whole limit GCRA admits twice the limit within a minute,
and with a small one it refuses a client that sends what it may send at once. The rules:

- What is taken counts for 60 seconds. So within any 60 seconds no more than the limit is taken, and the
  whole limit may be taken at once.
- Up to 60 amounts a minute are counted one by one, and so exactly. Further ones that are taken within a
  second count as one, taken at the latest of their times: never too early.
- Taken in advance is what a call is expected to use. At its end the rest is given back, and counts no more;
  or what it has used beyond that is charged, and counts from its end.
- What is charged beyond the limit is worked off at the limit's rate: it counts from the time when the limit
  would have allowed it. So at any reservation, T microseconds after the start, the total reserved and charged
  is at most `limit * (1 + T / MINUTE)`.

Times are integers of microseconds of one clock; one that is set back makes amounts count longer, never
shorter.
"""

from __future__ import annotations

import msgspec

MINUTE = 60_000_000
EXACT = 60  # buckets that are not shared; a window has at most two times so many, and one
SECOND = 1_000_000


class Bucket(msgspec.Struct, eq=False, gc=False):
    """An amount that counts until a minute after `at`; `opened_at` is when its first part was taken."""

    opened_at: int
    at: int
    amount: int


class MinuteWindow:
    """The window of one limit. The limit is given with each call: it may have been changed in between."""

    __slots__ = ("_buckets", "_used")

    def __init__(self) -> None:
        self._buckets: list[Bucket] = []
        self._used = 0

    def used(self, now: int) -> int:
        """What counts now."""
        buckets = self._buckets
        while buckets and buckets[0].at + MINUTE <= now:
            self._used -= buckets[0].amount
            # A call may still refer to it, and has nothing to give back any more.
            buckets.pop(0).amount = 0
        return self._used

    def wait(self, limit: int, amount: int, now: int) -> int:
        """Microseconds until `amount`, which is at most the limit, can be taken, if nothing else is until
        then; 0 if it can be now."""
        excess = self.used(now) + amount - limit
        if excess <= 0:
            return 0
        oldest, until = iter(self._buckets), now
        while excess > 0:
            bucket = next(oldest)
            until, excess = bucket.at + MINUTE, excess - bucket.amount
        return until - now

    def take(self, amount: int, now: int) -> Bucket:
        """Counts an amount for which there is no `wait`; the bucket is for `give_back`."""
        self._used += amount
        buckets = self._buckets
        if buckets:
            last = buckets[-1]
            # Something is being worked off, or the clock was set back: in the order of their ends.
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
        """Counts no longer what was taken and not used."""
        given = min(amount, bucket.amount)
        bucket.amount -= given
        self._used -= given

    def charge(self, limit: int, amount: int, now: int) -> None:
        """Counts what was used beyond what had been taken, also if that is more than the limit."""
        beyond = self.used(now) + amount - limit
        bucket = self.take(amount, now)
        # Rounded up: rounded down the amount would be worked off faster than the limit allows.
        bucket.at = max(bucket.at, now + -(-max(beyond, 0) * MINUTE // limit))
