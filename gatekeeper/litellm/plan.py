"""What comes of LiteLLM's tables, and what is left out and why. No I/O."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from gatekeeper.keys.fields import FieldError
from gatekeeper.keys.import_fields import parse_incoming
from gatekeeper.keys.litellm_fields import UnsupportedField
from gatekeeper.litellm.groups import Group, printable, team_groups, user_groups
from gatekeeper.litellm.keys import Context, draft_key
from gatekeeper.litellm.limits import Draft, draft_limits, has_limits
from gatekeeper.litellm.models import ModelNames
from gatekeeper.litellm.tables import DASHBOARD, PROXY_BUDGET, Row, Tables

REGION = UnsupportedField("calls go to the one address of the Gemini API")


class Item(NamedTuple):
    """One key, group or end user. `document` is what is sent of it; `reasons` say why it is left out, if it
    is; `notes` what is otherwise here, or what it is without."""

    kind: str
    name: str
    document: dict[str, object]
    notes: list[str]
    reasons: list[str]


@dataclass
class Plan:
    """`remarks` are about what is no key's, group's or end user's own."""

    groups: list[Item] = field(default_factory=list[Item])
    users: list[Item] = field(default_factory=list[Item])
    keys: list[Item] = field(default_factory=list[Item])
    remarks: list[str] = field(default_factory=list[str])

    def items(self) -> Iterable[Item]:
        return (*self.groups, *self.users, *self.keys)

    def coming(self, kind: str) -> list[Item]:
        """Those that are sent."""
        return [item for item in self.items() if item.kind == kind and not item.reasons]


def make_plan(tables: Tables, names: ModelNames, now: datetime, *, allow_wider: bool = False) -> Plan:
    """What would have fewer limits here than it has there is left out, unless `allow_wider`. Raises
    TableError."""
    plan = Plan()
    teams = team_groups(tables, names, now)
    users = user_groups(tables, names, now, {group.name for group in teams.values()})
    context = Context(tables, names, now, teams, users)
    # By age, because a database gives them in any order.
    rows = sorted(
        (row for row in tables.keys if row.text("team_id") != DASHBOARD),
        key=lambda row: (row.text("created_at") or "", row.text("token") or ""),
    )
    if sessions := len(tables.keys) - len(rows):
        plan.remarks.append(f"keys of LiteLLM's dashboard, one for each session, are left out: {sessions}")
    drafts = [(row, draft_key(row, context)) for row in rows]
    rename_twins([draft for _, draft in drafts if not draft.unusable and (allow_wider or not draft.lost)])
    plan.keys = by_name(item("key", key_title(row, draft), draft, allow_wider) for row, draft in drafts)
    # Those of internal users only where a key is in one.
    used = {each.document.get("group") for each in plan.keys}
    groups = [*teams.values(), *(group for group in users.values() if group.name in used)]
    plan.groups = by_name(group_item(group, allow_wider) for group in groups)
    plan.keys = [without_group(key, plan.groups) for key in plan.keys]
    plan.users = by_name(end_users(tables, names, now))
    plan.remarks += remarks(tables)
    if any(draft.lost and not draft.unusable for _, draft in drafts) and not allow_wider:
        plan.remarks.append("what is left out because of a limit that is not here comes with --allow-wider")
    if any(draft.respelled for draft in (*(each.draft for each in groups), *(draft for _, draft in drafts))):
        plan.remarks.append("30d and 7d end with the month and the week in LiteLLM: here they are 1mo and 1w")
    return plan


def by_name(items: Iterable[Item]) -> list[Item]:
    return sorted(items, key=lambda each: each.name.casefold())


def item(kind: str, name: str, draft: Draft, allow_wider: bool) -> Item:
    notes = [*draft.notes, *(f"without {lost}" for lost in draft.lost if allow_wider)]
    wider = [] if allow_wider else [f"it would be without {lost}" for lost in draft.lost]
    return checked(Item(kind, name, draft.fields, notes, [*draft.unusable, *wider]))


def checked(item: Item) -> Item:
    """With the reason if the gateway would not take it: one of them must not keep out all others."""
    try:
        if not item.reasons:
            parse_incoming(item.kind, item.document, 0)
    except FieldError as error:
        return item._replace(reasons=[str(error)])
    return item


def group_item(group: Group, allow_wider: bool) -> Item:
    group.draft.fields["group"] = group.name
    return item("group", group.name, group.draft, allow_wider)


def without_group(key: Item, groups: list[Item]) -> Item:
    """The key, left out if its group is: it would have none of its limits."""
    left = {group.name for group in groups if group.reasons}
    group = key.document.get("group")
    return (
        key._replace(reasons=[f"its group {group} is left out"]) if not key.reasons and group in left else key
    )


def key_title(row: Row, draft: Draft) -> str:
    """What people know a key by: its alias, else the masked secret with the beginning of its digest."""
    named = draft.fields.get("key_alias")
    return str(named) if named else f"{draft.fields['key_name']} ({(row.text('token') or '')[:8]})"


def rename_twins(drafts: list[Draft]) -> None:
    """Aliases are unique here, and LiteLLM's database does not have them so: the oldest key keeps it."""
    taken = {draft.fields.get("key_alias") for draft in drafts}
    seen: set[object] = set()
    for draft in drafts:
        alias = draft.fields.get("key_alias")
        if alias is not None and alias in seen:
            number = 2
            while f"{alias}-{number}" in taken:
                number += 1
            draft.fields["key_alias"] = f"{alias}-{number}"
            taken.add(f"{alias}-{number}")
            draft.notes.append(f"another key is called {alias}, too")
        seen.add(alias)


def end_users(tables: Tables, names: ModelNames, now: datetime) -> Iterable[Item]:
    """Those with limits: an end user without any needs no record. None is left out, because without a record
    it would have no limit at all."""
    for user, row in tables.end_users.items():
        draft = draft_limits(row, tables.budget(row), names, now)
        draft.leave("allowed_model_region", row.text("allowed_model_region"), REGION)
        draft.notes += [f"without {lost}" for lost in draft.lost]
        if draft.unusable:
            draft.notes += [f"blocked, because {reason}" for reason in draft.unusable]
            draft.fields["blocked"] = True
        if not draft.fields.keys() - {"spend", "budget_duration", "budget_reset_at"}:
            continue
        spend = draft.fields.get("spend")
        draft.fields["user_id"] = printable(user)
        draft.fields["metadata"] = {
            "litellm": {"was": f"end user {user}", **({"spend": spend} if spend else {})}
        }
        yield checked(Item("user", printable(user), draft.fields, draft.notes, []))


def remarks(tables: Tables) -> Iterable[str]:
    """Limits of LiteLLM's that are neither a key's nor a group's."""
    if (proxy := tables.users.get(PROXY_BUDGET)) and (budget := proxy.amount("max_budget")):
        spent = proxy.amount("spend") or "0"
        yield (
            f"the budget of the whole proxy, ${budget} of which ${spent} are spent, is not brought: the "
            "settings `max_budget` and `budget_duration` are for that"
        )
    budgets = ((name, tables.budget(row)) for name, row in tables.tags.items())
    limited = [name for name, budget in budgets if budget and has_limits(budget)]
    if limited:
        yield f"tags have no budgets here: {', '.join(limited[:10])}{' …' if len(limited) > 10 else ''}"
