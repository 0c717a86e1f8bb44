"""The lease of a Google key for a call, and what Google's response means for the next calls."""

from __future__ import annotations

from collections.abc import Iterable

from gatekeeper.gemini.quota_errors import ExhaustedQuota
from gatekeeper.keys.cool_downs import RAMP_UP_LIMIT, CoolDown, CoolDowns, CoolingDown, KeyRequirement, Scope
from gatekeeper.keys.google_key_health import PooledKey, Refused

TIMEOUT_WAIT = 30_000_000  # microseconds; doubled each time in a row
MAX_TIMEOUT_WAIT = 600_000_000
TIMEOUT_CAUSE = "no response in time"


class Lease:
    """A key for one request of a call. Call `finish` in any case."""

    __slots__ = ("_cool_downs", "_tried", "key", "pooled", "want")

    def __init__(
        self, cool_downs: CoolDowns, pooled: PooledKey, want: KeyRequirement, tried: CoolingDown
    ) -> None:
        self._cool_downs = cool_downs
        self.pooled: PooledKey | None = pooled
        self.key = pooled.key
        self.want = want
        self._tried = tried
        pooled.in_flight += 1
        for _, cool_down in tried:
            cool_down.running += 1

    @property
    def is_watched(self) -> bool:
        """Whether it matters for the pool that Google accepts the key."""
        return bool(self._tried) or (self.pooled is not None and self.pooled.refused is not None)

    def finish(self, now: int, input_tokens: int = 0) -> None:
        """The request has ended. Idempotent."""
        if (pooled := self.pooled) is None:
            return
        self.pooled = None
        pooled.in_flight -= 1
        if input_tokens:
            pooled.tokens.add(now, input_tokens)
        for _, cool_down in self._tried:
            cool_down.running -= 1

    def succeeded(self, now: int) -> None:
        """Google has accepted the key and started a successful response."""
        if self.pooled is not None and self.pooled.refused is not None:
            self.pooled.refused = None
        for scope, cool_down in self._tried:
            # A call that was made despite the cool-down has succeeded: no need to wait any longer.
            cool_down.until = min(cool_down.until, now)
            cool_down.allowed *= 2
            if cool_down.allowed > RAMP_UP_LIMIT:
                self._cool_downs.end(scope, cool_down)

    def note_exhausted(self, quotas: Iterable[ExhaustedQuota], now: int) -> list[ExhaustedQuota]:
        """Records that Google reported exhausted quotas; returns those that are news."""
        return [quota for quota in quotas if self._cool_down(quota, now)]

    def timed_out(self, now: int) -> None:
        """Google did not respond in time: the next calls are made with other keys."""
        of = self.want.model if self.want.action is None else self.want.action
        scope = Scope(project=False, name=self.key.label, of=of)
        # A strike only if the call started after the previous cool-down: earlier calls are no news.
        strikes = max((each.strikes + 1 for tried, each in self._tried if tried == scope), default=0)
        # The shift is limited, or the number would grow with every strike.
        wait = min(TIMEOUT_WAIT << min(strikes, 10), MAX_TIMEOUT_WAIT)
        self._cool_downs.begin(scope, CoolDown(TIMEOUT_CAUSE, now, now + wait, strikes), now)

    def note_refusal(self, why: str, now: int) -> bool:
        """Records that Google rejected the key itself; returns whether that is news."""
        pooled = self.pooled
        if pooled is None or pooled.refused is not None:
            return False
        pooled.refused = Refused(why, now)
        return True

    def _cool_down(self, quota: ExhaustedQuota, now: int) -> bool:
        key, action = self.key, self.want.action
        name = key.project if quota.whole_project else key.label
        # A quota of file storage, for example, does not apply to models.
        of: tuple[str | None, ...] = quota.models or (action,)
        scopes = [Scope(quota.whole_project, name, each) for each in of]
        begin = self._cool_downs.begin
        # Not `any`, which would stop at the first: every cool-down must start.
        return sum(begin(scope, CoolDown(quota.cause, now, quota.until), now) for scope in scopes) > 0
