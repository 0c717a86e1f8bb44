"""The accounts of a call beside its key's: of groups, end users, the gateway, and their parts for models."""

from __future__ import annotations

from typing import Any
from zoneinfo import ZoneInfo

from msgspec.structs import replace
from rig.cases import cases

from gatekeeper.keys.account import GATEWAY, Account, AccountId, NamedAccount
from gatekeeper.keys.accounts import Accounts
from gatekeeper.keys.limits import NamedRecord
from gatekeeper.keys.spend import current_spend, settle
from gatekeeper.keys.virtual_key import KeyRecord, KeyState
from gatekeeper.keys.windows import Window

ZONE = ZoneInfo("Europe/Berlin")


def group(kind: str = "group", name: str = "team", **fields: Any) -> NamedAccount:
    return NamedAccount(kind=kind, record=NamedRecord(name=name, created_at=0, updated_at=0, **fields))


def key(**fields: Any) -> KeyState:
    record = KeyRecord(
        token_id="key_1", secret_hash="00", key_name="sk-...wxyz", created_at=0, updated_at=0, **fields
    )
    return KeyState(record=record)


def accounts(*added: NamedAccount) -> Accounts:
    found = Accounts(ZONE)
    for each in added:
        found.add(each)
    return found


GATE, TEAM, USER = group("gateway", ""), group(), group("user", "team")


@cases(
    ("state", "user", "found"),
    [
        (None, None, ["gateway"]),
        (None, "team", ["gateway", "user"]),
        (None, "nobody", ["gateway"]),
        (key(), None, ["gateway", "key"]),
        (key(group="team"), "team", ["gateway", "group", "key", "user"]),
        (key(group="none"), "none", ["gateway", "key"]),
    ],
)
def test_a_call_belongs_to_those_that_have_a_record(
    state: KeyState | None, user: str | None, found: list[str]
) -> None:
    assert [each.id.kind for each in accounts(GATE, TEAM, USER).of(state, user)] == found


def test_without_records_a_call_belongs_to_its_key_only() -> None:
    nobody, state = accounts(), key(group="team")
    assert nobody.of(None, "team") == ()
    assert nobody.of(state, "team") == (state,)
    assert list(nobody) == []


def test_each_kind_has_names_of_its_own() -> None:
    all_of_them = accounts(GATE, TEAM, USER)
    assert all_of_them.find("group", "team") is TEAM
    assert all_of_them.find("user", "team") is USER
    assert all_of_them.of_kind("group") == [TEAM]
    assert list(all_of_them) == [GATE, TEAM, USER]
    assert {each.zone for each in all_of_them} == {ZONE}
    all_of_them.remove("user", "team")
    all_of_them.remove("user", "nobody")
    assert all_of_them.find("user", "team") is None
    assert all_of_them.find("group", "team") is TEAM


LIMITS: dict[str, Any] = {
    "model_max_budget_pico": {"gemini-2.5-*": 50, "*-pro": 5},
    "budget_duration": "1d",
}


def test_models_have_a_part_of_the_budget_of_their_own() -> None:
    owner = group(**LIMITS)
    owner.window_start, owner.budget_reset_at = 10, 20
    all_of_them = accounts(owner)
    whole, part = all_of_them.of_model([owner, key()], "gemini-2.5-pro")
    assert [whole.id, part.id] == [
        AccountId("group", "team", "gemini-2.5-*"),
        AccountId("group", "team", "*-pro"),
    ]
    assert (part.record.max_budget_pico, part.record.budget_duration) == (5, "1d")
    assert part.window == Window(10, 20)
    assert part.title == "The group team, for the models *-pro,"
    assert part.metadata == {"group": "team", "models": "*-pro"}
    # One object, as long as it exists.
    assert all_of_them.of_model([owner], "models/gemini-2.5-pro") == (whole, part)
    assert all_of_them.of_model([owner], "gemma-4") == ()
    assert all_of_them.of_model([owner], None) == ()


def test_a_part_follows_the_limits_of_its_owner_and_keeps_what_was_spent() -> None:
    owner = key(**LIMITS)
    all_of_them = accounts()
    (part,) = all_of_them.of_model([owner], "gemini-3-pro")
    assert part.title == "The key sk-...wxyz, for the models *-pro,"
    part.spend_pico = 4
    owner.record = replace(owner.record, model_max_budget_pico={"*-pro": 7})
    assert all_of_them.of_model([owner], "gemini-3-pro") == (part,)
    assert (part.record.max_budget_pico, part.spend_pico) == (7, 4)


def test_the_period_of_a_part_is_that_of_its_owner_also_once_it_was_changed() -> None:
    """Or what is now a budget of an hour would be spent for the month in which it was used first."""
    owner = key(**LIMITS)
    owner.window_start, owner.budget_reset_at = 10, 20
    all_of_them = accounts()
    (part,) = all_of_them.of_model([owner], "gemini-3-pro")
    owner.record = replace(owner.record, budget_duration=None)
    owner.budget_reset_at = None
    (part,) = all_of_them.of_model([owner], "gemini-3-pro")
    settle(part, 3, 10**15)
    assert (part.record.budget_duration, part.budget_reset_at, part.spend_pico) == (None, None, 3)
    owner.record = replace(owner.record, budget_duration="1h")
    owner.budget_reset_at = 10**15 + 1
    (part,) = all_of_them.of_model([owner], "gemini-3-pro")
    assert current_spend(part, 10**15) == (3, 10**15 + 1)
    assert current_spend(part, 10**15 + 1)[0] == 0


def test_a_period_that_was_over_before_the_duration_was_changed_counts_no_more() -> None:
    owner = key(**LIMITS)
    owner.window_start, owner.budget_reset_at = 10, 20
    all_of_them = accounts()
    (part,) = all_of_them.of_model([owner], "gemini-3-pro")
    part.spend_pico = part.estimated_pico = 5
    owner.record = replace(owner.record, budget_duration="1h")
    owner.window_start, owner.budget_reset_at = 20, 25
    (part,) = all_of_them.of_model([owner], "gemini-3-pro")
    assert (part.spend_pico, part.estimated_pico, part.window) == (0, 0, Window(20, 25))


def test_with_its_account_a_part_is_removed() -> None:
    owner, other = group(**LIMITS), group("user", "team", **LIMITS)
    all_of_them = accounts(owner, other)
    (gone,) = all_of_them.of_model([owner], "gemini-3-pro")
    (kept,) = all_of_them.of_model([other], "gemini-3-pro")
    gone.spend_pico = kept.spend_pico = 5
    all_of_them.remove("group", "team")
    assert all_of_them.of_model([owner], "gemini-3-pro")[0].spend_pico == 0
    assert all_of_them.of_model([other], "gemini-3-pro") == (kept,)


def test_with_its_key_a_part_is_removed_also_of_models_that_have_a_budget_no_more() -> None:
    owner, other = key(**LIMITS), group(**LIMITS)
    all_of_them = accounts(other)
    all_of_them.restore(AccountId("key", "key_1", "gone*"), owner, 4, 1, Window(5, 6))
    all_of_them.of_model([owner], "gemini-3-pro")
    (kept,) = all_of_them.of_model([other], "gemini-3-pro")
    assert len([*all_of_them.model_accounts]) == 3
    all_of_them.remove_model_accounts(owner)
    assert [*all_of_them.model_accounts] == [kept]


def test_the_stored_spend_of_a_part_counts_also_once_it_has_a_budget_again() -> None:
    """Its spend on disk goes on too."""
    owner = group(**LIMITS)
    owner.window_start, owner.budget_reset_at = 5, 6
    all_of_them = accounts(owner)
    for glob in ("*-pro", "gone*"):
        all_of_them.restore(AccountId("group", "team", glob), owner, 4, 1, Window(5, 6))
    (part,) = all_of_them.of_model([owner], "gemini-3-pro")
    assert (part.spend_pico, part.estimated_pico, part.window) == (4, 1, Window(5, 6))
    assert all_of_them.of_model([owner], "gone-model") == ()
    owner.record = replace(owner.record, model_max_budget_pico={"gone*": 9})
    (again,) = all_of_them.of_model([owner], "gone-model")
    assert (again.record.max_budget_pico, again.spend_pico) == (9, 4)


@cases(
    ("account", "id_", "title", "metadata"),
    [
        (GATE, GATEWAY, "This gateway", {"gateway": ""}),
        (TEAM, AccountId("group", "team"), "The group team", {"group": "team"}),
        (USER, AccountId("user", "team"), "The end user team", {"user": "team"}),
        (key(key_alias="ci"), AccountId("key", "key_1"), "The key ci", {"token_id": "key_1"}),
    ],
)
def test_an_account_says_whose_it_is(
    account: Account, id_: AccountId, title: str, metadata: dict[str, str]
) -> None:
    assert (account.id, account.title, account.metadata) == (id_, title, metadata)
