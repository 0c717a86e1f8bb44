"""The limits that a key, a group of keys, an end user or the whole gateway can have.

Times are integers of microseconds since 1970 (UTC), money is an integer of pico-dollars. An empty tuple or
mapping and a limit of None set no limit.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec


class OnDisconnect(StrEnum):
    """What happens to a call whose client disconnects."""

    CANCEL = "cancel"
    FINISH = "finish"


class Share(StrEnum):
    """Which other keys may access the resources that a key has created."""

    GROUP = "group"
    ALL = "all"


class Limits(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """The limits of one account. A call must be within the limits of all of its accounts."""

    models: tuple[str, ...] = ()
    """Globs of the allowed models."""
    allowed_routes: tuple[str, ...] = ()
    max_budget_pico: int | None = None
    soft_budget_pico: int | None = None
    """Reaching it causes a warning; no call is refused."""
    budget_duration: str | None = None
    model_max_budget_pico: dict[str, int] = {}
    """By glob: the budget of the matching models together, in the budget's period."""
    tpm_limit: int | None = None
    rpm_limit: int | None = None
    model_tpm_limit: dict[str, int] = {}
    """By glob, like `model_rpm_limit`."""
    model_rpm_limit: dict[str, int] = {}
    max_parallel_requests: int | None = None
    max_searches: int | None = None
    """Searches per call; 0: none are allowed."""
    only_unstored: bool = False
    """Whether each request must have `store: false`."""
    max_output_tokens: int | None = None
    service_tiers: tuple[str, ...] = ()
    allowed_ips: tuple[str, ...] = ()
    """Networks in CIDR notation."""
    share: str | None = None
    """Which other keys may access the resources that this key has created: `group` or `all`; None: none."""
    on_disconnect: OnDisconnect | None = None
    """None: the gateway's setting applies."""
    allow_unpriced: bool = False
    blocked_at: int | None = None

    @property
    def blocked(self) -> bool:
        return self.blocked_at is not None

    @property
    def limits_models(self) -> bool:
        """Whether it restricts the models."""
        return bool(self.models) and "*" not in self.models

    @property
    def needs_settings(self) -> bool:
        """Whether a limit depends on the settings in a request's body."""
        return (
            self.max_budget_pico is not None
            or self.tpm_limit is not None
            or bool(self.model_max_budget_pico or self.model_tpm_limit or self.model_rpm_limit)
            or self.has_policies
        )

    @property
    def has_policies(self) -> bool:
        """Whether a request may be refused for the settings in its body."""
        return (
            self.max_searches is not None
            or self.only_unstored
            or self.max_output_tokens is not None
            or bool(self.service_tiers)
        )

    @property
    def needs_body(self) -> bool:
        """Whether a limit depends on the body of a request."""
        return self.needs_settings or self.limits_models


class NamedRecord(Limits, frozen=True, kw_only=True, omit_defaults=True):
    """The stored record of a group of keys or an end user, which are identified by name."""

    name: str
    metadata: dict[str, object] = {}
    created_at: int
    updated_at: int
