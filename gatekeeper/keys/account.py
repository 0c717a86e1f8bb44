"""The account of whatever has limits: a key, a group of keys, an end user, the whole gateway. Times are
integers of microseconds since 1970 (UTC), money is an integer of pico-dollars."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, tzinfo
from typing import NamedTuple

import msgspec

from gatekeeper.keys.limits import Limits, NamedRecord
from gatekeeper.keys.windows import Window
from gatekeeper.refusals import Refusal


class AccountId(NamedTuple):
    """`kind`: `key` (the name is its `token_id`), `group`, `user` (an end user) or `gateway`. With `model` it
    is the part of that account that the models matching this glob have."""

    kind: str
    name: str
    model: str = ""


GATEWAY = AccountId("gateway", "")


AnyRule = Callable[..., Refusal | None]


# Equal by identity, as what waits is found by it (`Budgets`). The garbage collector does not look at 100,000
# of them each time: none is in a circle, as a part of an account knows its owner and not the reverse.
class Account(msgspec.Struct, kw_only=True, eq=False, gc=False):
    """One account: one object from its creation to its deletion, whatever changes.

    `estimated_pico` is the part of its spend that is upper bounds for calls of unknown cost; `reserved_pico`
    what calls under way may still cost, which is not in the spend."""

    record: Limits
    spend_pico: int = 0
    estimated_pico: int = 0
    reserved_pico: int = 0
    window_start: int = 0
    budget_reset_at: int | None = None
    last_used_at: int | None = None
    zone: tzinfo = UTC
    """In which the days and months of its budget begin."""
    rules: tuple[Limits, tuple[Sequence[AnyRule], Sequence[AnyRule]]] | None = None
    """The rules of `admission` that are asked for a record, for both of its steps; None until they are
    needed."""

    @property
    def id(self) -> AccountId:
        raise NotImplementedError

    @property
    def title(self) -> str:
        """Whose it is, as a sentence begins: `The key ci`."""
        raise NotImplementedError

    @property
    def metadata(self) -> dict[str, str]:
        """Whose it is, in the details of a refusal."""
        return {self.id.kind: self.id.name}

    @property
    def window(self) -> Window:
        return Window(self.window_start, self.budget_reset_at)


_TITLES = {"group": "The group {}", "user": "The end user {}", "gateway": "This gateway"}


class NamedAccount(Account):
    """Of a group, an end user or the gateway."""

    kind: str
    record: NamedRecord  # pyright: ignore[reportIncompatibleVariableOverride]  a record is only replaced by one of its kind

    @property
    def id(self) -> AccountId:
        return AccountId(self.kind, self.record.name)

    @property
    def title(self) -> str:
        return _TITLES[self.kind].format(self.record.name)


class ModelAccount(Account):
    """What the models that match a glob may cost within another account: its `model_max_budget`."""

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
