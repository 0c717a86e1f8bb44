"""Budgets through any history: calls that are admitted, grow, end as they like, limits that change, periods
that pass, keys that are rotated, and gateways that are killed and started again."""

from __future__ import annotations

import shutil
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, NamedTuple

import trio
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from rig.registry import key_store, regenerate_key, update_key

from gatekeeper.keys.account import Account, AccountId
from gatekeeper.keys.budgets import Budgets, CostForecast, Reservation, accounts_with_budget
from gatekeeper.keys.fields import GROUP_TABLE, parse_fields
from gatekeeper.keys.limits import Limits
from gatekeeper.keys.registry import KeyRegistry
from gatekeeper.keys.secrets import hash_secret
from gatekeeper.keys.spend import AccountCharge, current_spend
from gatekeeper.money import usd

START = 1_789_999_200_000_000  # a full hour
SECOND = 1_000_000
KEYS, USERS, MODELS = ("grouped", "alone"), (None, "ann"), ("gemini-2.5-flash", "gemini-2.5-pro")
GATEWAY_BUDGET = 400  # pico-dollars, as all amounts here

amounts = st.integers(0, 120)
budgets_ = st.none() | st.sampled_from([0, 50, 100, 250])
globs = st.dictionaries(st.sampled_from(["*-pro", "gemini-*"]), st.sampled_from([20, 60, 150]), min_size=1)
OPTIONAL = {
    "max_budget": budgets_.map(lambda pico: None if pico is None else usd(pico)),
    "model_max_budget": st.none()
    | globs.map(lambda by_glob: {glob: usd(pico) for glob, pico in by_glob.items()}),
}
# A duration stays: the stored period of a part that had no call since its change is that of before.
changes = st.fixed_dictionaries({}, optional=OPTIONAL)
limits = st.fixed_dictionaries({"budget_duration": st.sampled_from(["1m", "1h", None])}, optional=OPTIONAL)


class Running(NamedTuple):
    """A call under way, of which the journal has the begin."""

    charge: AccountCharge
    reservation: Reservation

    def ends(self, cost: int, at: int, *, estimated: bool = False) -> AccountCharge:
        return self.charge._replace(cost_pico=cost, ended_at=at, estimated=estimated)


class BudgetMachine(RuleBasedStateMachine):
    @initialize(key=limits, group=limits, user=limits)
    def start(self, key: dict[str, Any], group: dict[str, Any], user: dict[str, Any]) -> None:
        self.folder = Path(mkdtemp())
        self.now = START
        self.journal: list[AccountCharge] = []
        self.running: list[Running] = []
        # Accounts that may be over their budgets, because those were changed or a call cost too much.
        self.excused: set[AccountId] = set()
        self.open()
        self.secrets: dict[str, str] = {}
        trio.run(self.make, key, group, user)

    async def make(self, key: dict[str, Any], group: dict[str, Any], user: dict[str, Any]) -> None:
        changes = self.registry.account_changes
        named = {"now": self.now, "by": "test"}
        for kind, name, given in (("group", "team", group), ("user", "ann", user)):
            await changes.create(kind, name, parse_fields(given, now=0, table=GROUP_TABLE), **named)
        for alias in KEYS:
            given = {**key, "key_alias": alias, **({"group": "team"} if alias == "grouped" else {})}
            self.secrets[alias], _ = await self.registry.create(parse_fields(given, now=0), **named)

    def open(self) -> None:
        """A gateway starts: from the store, and what the journal has beyond that."""
        self.store = key_store(self.folder / "keys.db")
        self.registry = KeyRegistry(
            self.store, clock=lambda: self.now, gateway=Limits(max_budget_pico=GATEWAY_BUDGET)
        )
        self.budgets = Budgets()
        _, stored = trio.run(self.registry.load)
        self.stored = stored
        self.registry.replay(self.journal[stored:])

    # What is there

    def key(self, alias: str) -> Account:
        state = self.registry.by_hash(hash_secret(self.secrets[alias]))
        assert state is not None
        return state

    def all_accounts(self) -> dict[AccountId, Account]:
        owners = [*self.registry.accounts, *map(self.key, KEYS)]
        parts = [part for model in MODELS for part in self.registry.accounts.of_model(owners, model)]
        return {each.id: each for each in (*owners, *parts)}

    def spends(self) -> dict[AccountId, int]:
        return {id_: current_spend(each, self.now)[0] for id_, each in self.all_accounts().items()}

    # What calls do

    @rule(
        alias=st.sampled_from(KEYS),
        user=st.sampled_from(USERS),
        model=st.sampled_from(MODELS),
        forecast=st.builds(
            CostForecast,
            amounts,
            st.booleans(),
            st.none() | amounts,
            st.none() | amounts,
            st.none() | st.integers(0, 20),
        ),
    )
    def admit(self, alias: str, user: str | None, model: str, forecast: CostForecast) -> None:
        key = self.key(alias)
        accounts = self.registry.accounts.of(key, user)
        accounts = (*accounts, *self.registry.accounts.of_model(accounts, model))
        found = self.budgets.try_reserve(accounts_with_budget(accounts), forecast, self.now)
        if isinstance(found, Reservation):
            charge = AccountCharge(key.id.name, 0, self.now, group=key.record.group, user=user, model=model)
            self.running.append(Running(charge, found))

    @precondition(lambda self: self.running)
    @rule(data=st.data(), part=st.floats(0, 1), seconds=st.sampled_from([0, 1, 60]))
    def settle(self, data: st.DataObject, part: float, seconds: int) -> None:
        call = self.take(data)
        self.pass_time(seconds)
        self.end(call, int(call.reservation.pico * part))

    @precondition(lambda self: self.running)
    @rule(data=st.data(), more=amounts)
    def settle_above_what_was_reserved(self, data: st.DataObject, more: int) -> None:
        call = self.take(data)
        self.excused |= {each.id for each in call.reservation.accounts}
        self.end(call, call.reservation.pico + more)

    @precondition(lambda self: self.running)
    @rule(data=st.data(), most=st.integers(0, 1000))
    def settle_without_a_known_cost(self, data: st.DataObject, most: int) -> None:
        call = self.take(data)
        self.end(call, min(most, self.budgets.available(call.reservation, self.now)), estimated=True)

    @precondition(lambda self: self.running)
    @rule(data=st.data(), more=amounts)
    def extend_or_cut(self, data: st.DataObject, more: int) -> None:
        call = data.draw(st.sampled_from(self.running))
        before = call.reservation.pico
        if not self.budgets.extend(call.reservation, before + more, self.now):
            assert call.reservation.pico == before
            self.running.remove(call)
            self.end(call, before)

    def take(self, data: st.DataObject) -> Running:
        call = data.draw(st.sampled_from(self.running))
        self.running.remove(call)
        return call

    def end(self, call: Running, cost: int, *, estimated: bool = False) -> None:
        """As a call settles: the journal first, then the spend, then what was reserved."""
        charge = call.ends(cost, self.now, estimated=estimated)
        self.journal.append(charge)
        self.registry.settle(charge)
        self.excuse_others(call)
        self.budgets.release(call.reservation)

    def excuse_others(self, call: Running) -> None:
        """Of which nothing is reserved: they have got a budget while the call ran."""
        reserved = {each.id for each in call.reservation.accounts}
        self.excused |= {each.id for each in self.registry.accounts_of(call.charge)} - reserved

    # What time and people do

    @rule(seconds=st.sampled_from([1, 20, 60, 3600, 90_000]))
    def pass_time(self, seconds: int) -> None:
        self.now += seconds * SECOND

    @rule(alias=st.sampled_from(KEYS))
    def rotate(self, alias: str) -> None:
        async def regenerate() -> None:
            self.secrets[alias], _ = await regenerate_key(self.registry, alias, now=self.now, by="test")

        trio.run(regenerate)

    @rule(alias=st.sampled_from(KEYS), given=changes)
    def update_key(self, alias: str, given: dict[str, Any]) -> None:
        self.consume()

        async def update() -> None:
            fields = parse_fields(given, now=0, update=True)
            await update_key(self.registry, alias, fields, now=self.now, by="test")

        trio.run(update)
        self.excuse(self.key(alias).id)

    @rule(account=st.sampled_from([("group", "team"), ("user", "ann")]), given=changes)
    def update_account(self, account: tuple[str, str], given: dict[str, Any]) -> None:
        self.consume()

        async def update() -> None:
            fields = parse_fields(given, now=0, update=True, table=GROUP_TABLE)
            await self.registry.account_changes.update(*account, fields, now=self.now, by="test")

        trio.run(update)
        self.excuse(AccountId(*account))

    def excuse(self, changed: AccountId) -> None:
        """One whose limits were changed, with its parts."""
        self.excused |= {id_ for id_ in self.all_accounts() if id_[:2] == changed[:2]}

    # What the gateway does

    @rule()
    def consume(self) -> None:
        """The store gets what the journal has."""

        async def consume() -> None:
            await self.registry.store_spend(self.journal[self.stored :], 0, len(self.journal))

        trio.run(consume)
        self.stored = len(self.journal)

    @rule(is_consumed=st.booleans())
    def restart(self, is_consumed: bool) -> None:
        """After a kill: calls under way are charged what was reserved for them when they began or grew."""
        if is_consumed:
            self.consume()
        before, killed = self.spends(), self.running
        self.running = []
        self.store.close()
        self.open()
        assert self.spends() == before
        for call in killed:
            charge = call.ends(call.reservation.pico, call.charge.ended_at, estimated=True)
            self.journal.append(charge)
            self.registry.replay([charge])
            self.excuse_others(call)

    # What must hold at each step

    @invariant()
    def what_is_reserved_is_that_of_the_calls_under_way(self) -> None:
        for account in self.all_accounts().values():
            held = [
                call.reservation.pico
                for call in self.running
                if account in call.reservation.accounts  # the same object: accounts have no equality
            ]
            assert account.reserved_pico == sum(held) >= 0

    @invariant()
    def no_budget_is_exceeded(self) -> None:
        for id_, account in self.all_accounts().items():
            budget, spent = account.record.max_budget_pico, current_spend(account, self.now)[0]
            assert 0 <= account.estimated_pico <= account.spend_pico
            if budget is not None and spent + account.reserved_pico > budget:
                assert id_ in self.excused, account.title
            else:
                self.excused.discard(id_)

    def teardown(self) -> None:
        if not hasattr(self, "folder"):
            return
        for call in self.running:
            self.end(call, 0)
        assert {each.reserved_pico for each in self.all_accounts().values()} == {0}
        self.running = []
        self.store.close()
        shutil.rmtree(self.folder)


BudgetMachine.TestCase.settings = settings(max_examples=15, stateful_step_count=40)
TestBudgets = BudgetMachine.TestCase
