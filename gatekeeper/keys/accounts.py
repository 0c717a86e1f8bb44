"""All accounts except those of keys: groups, end users, the gateway, and model accounts, for the models of
any account with a budget of their own. In memory; `KeyRegistry` loads them and stores their spend."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, tzinfo
from itertools import chain

from gatekeeper.keys.account import GATEWAY, Account, AccountId, ModelAccount, NamedAccount
from gatekeeper.keys.globs import matches_model
from gatekeeper.keys.limits import Limits
from gatekeeper.keys.virtual_key import KeyState
from gatekeeper.keys.windows import Window


class Accounts:
    """The accounts of one gateway. A group or an end user has an account once it has a record."""

    def __init__(self, zone: tzinfo = UTC) -> None:
        self.zone = zone
        self.gateway: NamedAccount | None = None
        """None if no limits are set for the whole gateway."""
        self.groups: dict[str, NamedAccount] = {}
        self.users: dict[str, NamedAccount] = {}
        self._model_accounts: dict[
            AccountId, dict[str, ModelAccount]
        ] = {}  # model accounts by owner and glob

    def of(self, key: KeyState | None, user: str | None) -> tuple[Account, ...]:
        """The accounts of a call, from the widest to the narrowest. `user` is its end user."""
        group = self.groups.get(key.record.group) if key and key.record.group else None
        # The order also decides whose limit a refusal names: the first.
        found = (self.gateway, group, key, self.users.get(user) if user else None)
        return tuple(filter(None, found))

    def of_model(self, accounts: Iterable[Account], model: str | None) -> tuple[ModelAccount, ...]:
        """The model accounts of these accounts whose glob matches this model."""
        found: list[ModelAccount] = []
        for account in accounts:
            # Most accounts have none.
            if globs := account.record.model_max_budget_pico:
                found += [
                    self._model_account(account, glob)
                    for glob in globs
                    if model and matches_model(glob, model)
                ]
        return tuple(found)

    def _model_account(self, owner: Account, glob: str) -> ModelAccount:
        record = owner.record
        model_accounts = self._model_accounts.setdefault(owner.id, {})
        found = model_accounts.get(glob)
        if found is None:
            limits = model_limits(record, glob)
            found = ModelAccount(record=limits, owner=owner, glob=glob, zone=owner.zone)
            # It gets the owner's current window, because it is created when a call first needs it, not when
            # the budget is set.
            found.window_start, found.budget_reset_at = owner.window
            model_accounts[glob] = found
        # None for a removed glob: running calls may still have reservations in the model account.
        elif found.record.max_budget_pico != record.model_max_budget_pico.get(glob):
            found.record = model_limits(record, glob)
        if found.record.budget_duration != record.budget_duration:
            found.record = model_limits(record, glob)
            _align_window(found, owner)
        return found

    def update_model_accounts(self, owner: Account, before: Limits) -> None:
        """Updates the model accounts of an account whose record has changed, which running calls may be
        using."""
        for glob in {**before.model_max_budget_pico, **owner.record.model_max_budget_pico}:
            if glob in self._model_accounts.get(owner.id, {}):
                self._model_account(owner, glob)

    def add(self, account: NamedAccount) -> None:
        """Adds an account, or replaces the one with the same id."""
        account.zone = self.zone
        if account.id == GATEWAY:
            self.gateway = account
        else:
            self._named(account.kind)[account.record.name] = account

    def find(self, kind: str, name: str) -> NamedAccount | None:
        """The account of a group or an end user."""
        return self._named(kind).get(name)

    def by_id(self, id_: AccountId) -> NamedAccount | None:
        """The account of the gateway, a group or an end user; for a model account that of its owner."""
        return self.gateway if id_.kind == GATEWAY.kind else self.find(id_.kind, id_.name)

    def model_account(self, owner: Account, glob: str) -> ModelAccount | None:
        """The model account of an owner for a glob, if a call has needed it."""
        return self._model_accounts.get(owner.id, {}).get(glob)

    def of_kind(self, kind: str) -> list[NamedAccount]:
        """All groups, or all end users."""
        return list(self._named(kind).values())

    def remove(self, kind: str, name: str) -> None:
        """Removes a group or an end user with its model accounts: a new one of that name starts without
        spend."""
        if account := self._named(kind).pop(name, None):
            self.remove_model_accounts(account)

    def remove_model_accounts(self, owner: Account) -> None:
        """Removes the model accounts of a deleted account."""
        # Each references its owner: a deleted key would stay in memory.
        self._model_accounts.pop(owner.id, None)

    def restore(
        self, id_: AccountId, owner: Account, spend_pico: int, estimated_pico: int, window: Window
    ) -> None:
        """Restores the stored spend of a model account, even if its glob no longer has a budget: it continues
        with that spend if it gets one again."""
        account = self._model_account(owner, id_.model)
        account.spend_pico, account.estimated_pico = spend_pico, estimated_pico
        account.window_start, account.budget_reset_at = window
        _align_window(account, owner)

    def __iter__(self) -> Iterator[NamedAccount]:
        if self.gateway:
            yield self.gateway
        yield from self.groups.values()
        yield from self.users.values()

    @property
    def model_accounts(self) -> Iterable[ModelAccount]:
        """All model accounts, including those whose glob no longer has a budget."""
        return chain.from_iterable(
            model_accounts.values() for model_accounts in self._model_accounts.values()
        )

    def _named(self, kind: str) -> dict[str, NamedAccount]:
        return self.groups if kind == "group" else self.users


def _align_window(model_account: ModelAccount, owner: Account) -> None:
    """Makes the window of a model account end with that of its owner, as if its duration had been changed at
    the same time; the spend of a window that has ended no longer counts."""
    if model_account.budget_reset_at is not None and model_account.budget_reset_at <= owner.window_start:
        model_account.spend_pico = model_account.estimated_pico = 0
        model_account.window_start = owner.window_start
    model_account.budget_reset_at = owner.budget_reset_at


def model_limits(record: Limits, glob: str) -> Limits:
    """The limits of the model account for this glob."""
    budget = record.model_max_budget_pico.get(glob)
    return Limits(max_budget_pico=budget, budget_duration=record.budget_duration)
