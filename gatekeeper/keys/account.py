"""An account is anything that has limits and spend: a key, a group of keys, an end user, the whole gateway.
Times are integers of microseconds since 1970 (UTC), money is an integer of pico-dollars."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, tzinfo
from typing import NamedTuple

import msgspec

from gatekeeper.keys.limits import Limits, NamedRecord
from gatekeeper.keys.windows import Window
from gatekeeper.money import usd
from gatekeeper.refusals import Refusal
from gatekeeper.times import iso


class AccountId(NamedTuple):
    """`kind`: `key` (the name is its `token_id`), `group`, `user` (an end user) or `gateway`. With `model` it
    is the account's model account for the models that match this glob."""

    kind: str
    name: str
    model: str = ""


GATEWAY = AccountId("gateway", "")


AnyRule = Callable[..., Refusal | None]


class PreviousWindow(NamedTuple):
    """The previous window of an account, and the spend that was removed from the account with it."""

    window: Window
    spend_pico: int = 0
    estimated_pico: int = 0

    def contains(self, now: int) -> bool:
        start, end = self.window
        return end is not None and start <= now < end


# Compared by identity, because accounts are keys of the queues in `Budgets`. Not tracked by the garbage
# collector, which would traverse 100,000 of them each time: they are in no reference cycle, because a
# model account references its owner and not the reverse.
class Account(msgspec.Struct, kw_only=True, eq=False, gc=False):
    """One account: the same object from its creation to its deletion, whatever changes.

    `estimated_pico` is the part of its spend that is estimated: upper bounds for calls of unknown cost.
    `reserved_pico` is reserved for running calls, and not in the spend."""

    record: Limits
    spend_pico: int = 0
    estimated_pico: int = 0
    reserved_pico: int = 0
    window_start: int = 0
    budget_reset_at: int | None = None
    previous_window: PreviousWindow | None = None
    """The window before the current one. It becomes current again if the clock is set back."""
    restored: PreviousWindow | None = None
    """The previous window that became current again, until its spend is stored."""
    last_used_at: int | None = None
    zone: tzinfo = UTC
    """The time zone in which the days and months of its budget begin."""
    rules: tuple[Limits, tuple[Sequence[AnyRule], Sequence[AnyRule]]] | None = None
    """The cached rules of `admission` that apply to a record, for both steps; None until they are needed."""

    @property
    def id(self) -> AccountId:
        raise NotImplementedError

    @property
    def title(self) -> str:
        """The owner as the beginning of a sentence: `The key ci`."""
        raise NotImplementedError

    @property
    def metadata(self) -> dict[str, str]:
        """The owner in the details of a refusal."""
        return {self.id.kind: self.id.name}

    @property
    def window(self) -> Window:
        return Window(self.window_start, self.budget_reset_at)


_TITLES = {"group": "The group {}", "user": "The end user {}", "gateway": "This gateway"}


class NamedAccount(Account):
    """The account of a group, an end user or the gateway."""

    kind: str
    record: NamedRecord  # pyright: ignore[reportIncompatibleVariableOverride]  a record is only replaced by one of its kind

    @property
    def id(self) -> AccountId:
        return AccountId(self.kind, self.record.name)

    @property
    def title(self) -> str:
        return _TITLES[self.kind].format(self.record.name)


class ModelAccount(Account):
    """The model account for the models that match a glob in another account's `model_max_budget`."""

    owner: Account
    glob: str

    @property
    def id(self) -> AccountId:
        kind, name, _ = self.owner.id
        return AccountId(kind, name, self.glob)

    @property
    def title(self) -> str:
        return f"{self.owner.title}, for the models {self.glob},"

    @property
    def metadata(self) -> dict[str, str]:
        return {**self.owner.metadata, "models": self.glob}


def limits_document(account: Account, on_disconnect: str | None = None) -> dict[str, object]:
    """Limits and spend of a key, a group or an end user as the API returns them, JSON-ready. `on_disconnect`
    is the default for an account without a value of its own. `spend` is that of the account's window: roll
    the window first."""
    record = account.record
    return {
        "blocked": record.blocked,
        "models": list(record.models),
        "max_budget": _money(record.max_budget_pico),
        "model_max_budget": {glob: usd(pico) for glob, pico in record.model_max_budget_pico.items()},
        "soft_budget": _money(record.soft_budget_pico),
        "budget_duration": record.budget_duration,
        "budget_reset_at": None if account.budget_reset_at is None else iso(account.budget_reset_at),
        # Decimal strings with all their digits: clients may parse a JSON number into a float.
        "spend": usd(account.spend_pico),
        "spend_estimated": usd(account.estimated_pico),
        "tpm_limit": record.tpm_limit,
        "rpm_limit": record.rpm_limit,
        "model_rpm_limit": record.model_rpm_limit,
        "model_tpm_limit": record.model_tpm_limit,
        "max_parallel_requests": record.max_parallel_requests,
        "allowed_routes": list(record.allowed_routes),
        "on_disconnect": record.on_disconnect.value if record.on_disconnect else on_disconnect,
        "allow_unpriced": record.allow_unpriced,
        # In the format of the field: false for no searches, null for no limit.
        "searches": False if record.max_searches == 0 else record.max_searches,
        "store": False if record.only_unstored else None,
        "max_output_tokens": record.max_output_tokens,
        "service_tiers": list(record.service_tiers),
        "allowed_ips": list(record.allowed_ips),
    }


def _money(pico: int | None) -> str | None:
    return None if pico is None else usd(pico)
