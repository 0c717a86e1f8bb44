"""How long a call takes, and how much of that is the gateway's."""

from __future__ import annotations

from time import perf_counter


class CallClock:
    """From the call's start on. `upstream_started_at`: on trio's clock, when the upstream request started;
    `client_wait_seconds`: seconds since then that were spent waiting for the client."""

    __slots__ = ("_started", "client_wait_seconds", "upstream_started_at")

    def __init__(self) -> None:
        # Besides the row's `started_at`: durations must not follow a wall clock that is set meanwhile.
        self._started = perf_counter()
        self.upstream_started_at: float | None = None
        self.client_wait_seconds = 0.0

    def elapsed_ms(self) -> float:
        return round((perf_counter() - self._started) * 1000, 3)

    def first_byte(self, now: float) -> tuple[float, float]:
        """Milliseconds from the call's start to its first byte to the client, which goes at `now` (on trio's
        clock), and those of them that are the gateway's. The time since the upstream request started counts
        as the upstream's, except while the next piece of an upload was awaited from the client: that counts
        as the gateway's, as it does for a body that is read before."""
        upstream_seconds = 0.0
        if self.upstream_started_at is not None:
            upstream_seconds = now - self.upstream_started_at - self.client_wait_seconds
        elapsed = self.elapsed_ms()
        return elapsed, round(max(0.0, elapsed - upstream_seconds * 1000), 3)
