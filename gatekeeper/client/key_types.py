"""Virtual keys, and groups of keys and end users, which have the same limits, as types."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Literal

import msgspec

AccountKind = Literal["group", "user"]
NAME_FIELDS: dict[AccountKind, str] = {"group": "group", "user": "user_id"}


class Key(msgspec.Struct, frozen=True):
    """A virtual key, without its secret."""

    token_id: str = ""
    key_name: str | None = None
    previous_key_name: str | None = None
    previous_expires: datetime | None = None
    previous_used_at: datetime | None = None
    key_alias: str | None = None
    expires: datetime | None = None
    blocked: bool | None = None
    models: tuple[str, ...] | None = None
    max_budget: Decimal | None = None
    soft_budget: Decimal | None = None
    budget_duration: str | None = None
    budget_reset_at: datetime | None = None
    spend: Decimal | None = None
    spend_estimated: Decimal | None = None
    tpm_limit: int | None = None
    rpm_limit: int | None = None
    model_max_budget: dict[str, Decimal] | None = None
    model_rpm_limit: dict[str, int] | None = None
    model_tpm_limit: dict[str, int] | None = None
    max_parallel_requests: int | None = None
    tags: tuple[str, ...] | None = None
    metadata: dict[str, object] | None = None
    user_id: str | None = None
    group: str | None = None
    allowed_routes: tuple[str, ...] | None = None
    on_disconnect: str | None = None
    share: str | None = None
    allow_unpriced: bool | None = None
    searches: bool | int | None = None
    store: bool | None = None
    max_output_tokens: int | None = None
    service_tiers: tuple[str, ...] | None = None
    allowed_ips: tuple[str, ...] | None = None
    role: str | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None
    last_used_at: datetime | None = None

    @property
    def label(self) -> str:
        """The alias, else the id."""
        return self.key_alias or self.token_id


class NewKey(Key, frozen=True):
    """A key just created, or with a new secret: the only response that holds the secret, in `key`."""

    key: str = ""

    def __repr__(self) -> str:
        # A log or a traceback may show any value, so the secret is left out.
        return f"NewKey({self.label!r}, secret not shown)"


class Keys(msgspec.Struct, frozen=True):
    keys: tuple[Key, ...] = ()
    next_cursor: str | None = None


class MadeKeys(msgspec.Struct, frozen=True):
    """Keys that were created together, with their secrets; `valid` counts those without an error."""

    keys: tuple[NewKey, ...] = ()
    valid: int = 0


class KeyInfo(msgspec.Struct, frozen=True):
    """`key` is the token id."""

    key: str = ""
    info: Key = Key()


class LimitedAccount(Key, frozen=True):
    """A group or an end user: limits and spend as a key has them. `keys`: how many name the group."""

    keys: int | None = None

    @property
    def name(self) -> str:
        return self.group or self.user_id or ""

    @property
    def label(self) -> str:
        return self.name


class AccountPage(msgspec.Struct, frozen=True):
    """One of the two lists is there."""

    groups: tuple[LimitedAccount, ...] = ()
    users: tuple[LimitedAccount, ...] = ()
    next_cursor: str | None = None


class LimitLeft(msgspec.Struct, frozen=True):
    """What is left of one limit; amounts are USD as text, or counts."""

    whose: str = ""
    limit: str = ""
    value: str | int = 0
    used: str | int = 0
    left: str | int = 0
    resets_at: datetime | None = None


class RefusalError(msgspec.Struct, frozen=True):
    """The error that a refused call gets, in Google's form."""

    code: int = 0
    message: str = ""
    details: tuple[dict[str, object], ...] = ()

    @property
    def reason(self) -> str:
        """The gateway's reason."""
        return next((str(detail["reason"]) for detail in self.details if "reason" in detail), "")

    @property
    def retry_delay(self) -> str | None:
        """How long to wait, such as `17s`, if that helps."""
        return next((str(detail["retryDelay"]) for detail in self.details if "retryDelay" in detail), None)


class RefusalDocument(msgspec.Struct, frozen=True):
    error: RefusalError = RefusalError()


class Explanation(msgspec.Struct, frozen=True):
    """Whether a call would be admitted. `waits`: it would wait until other calls release their reservations;
    `reserves` is what it would reserve of its budgets; None: nothing."""

    admitted: bool = False
    action: str | None = None
    model: str | None = None
    refusal: RefusalDocument | None = None
    waits: bool = False
    reserves: Decimal | None = None
    left: tuple[LimitLeft, ...] = ()


class NotImported(msgspec.Struct, frozen=True):
    """An item that was not imported, by its index in a list of the request, from 0."""

    list: str
    index: int
    reason: str


class Imported(msgspec.Struct, frozen=True):
    """How many of each were imported, or with `dry_run` would be."""

    groups: int = 0
    users: int = 0
    keys: int = 0
    skipped: tuple[NotImported, ...] = ()
