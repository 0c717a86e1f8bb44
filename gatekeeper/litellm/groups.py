"""LiteLLM's teams as groups, and its internal users with limits of their own as groups of their keys.

An internal user's budget holds there for all keys of that user that belong to no team, together: what a group
is here. So such keys come into a group of that user's.
"""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from gatekeeper.keys.litellm_fields import LITELLM_FIELDS
from gatekeeper.litellm.limits import Draft, draft_limits, has_limits
from gatekeeper.litellm.models import ModelNames
from gatekeeper.litellm.tables import DASHBOARD, PROXY_BUDGET, Row, Tables

TEAM_FIELDS = ("policies", "access_group_ids")
TITLE = 200  # characters


class Group(NamedTuple):
    """A group that comes: its name here, and what was it there."""

    name: str
    was: str
    draft: Draft


def team_groups(tables: Tables, names: ModelNames, now: datetime) -> dict[str, Group]:
    """By `team_id`. A team is called by its alias, or by its id if another one has that alias, too."""
    titles = [printable(row.text("team_alias") or "") for row in tables.teams.values()]
    found: dict[str, Group] = {}
    for team, row in tables.teams.items():
        if team == DASHBOARD:
            continue
        alias = printable(row.text("team_alias") or "")
        name = alias if alias and titles.count(alias) == 1 and alias not in tables.teams else team
        draft = draft_limits(row, None, names, now)
        for field in TEAM_FIELDS:
            draft.leave(field, row.names(field), LITELLM_FIELDS[field])
        draft.leave(
            "object_permission", row.text("object_permission_id"), LITELLM_FIELDS["object_permission"]
        )
        draft.lost += organization_limits(tables, row)
        if alias and name != alias:
            draft.notes.append(f"another team is called {alias}, too: it is called by its id")
        found[team] = Group(printable(name), f"team {team}", draft)
        _mark(found[team])
    return found


def user_groups(tables: Tables, names: ModelNames, now: datetime, taken: set[str]) -> dict[str, Group]:
    """By `user_id`, of internal users with limits; `taken` are the names of other groups."""
    found: dict[str, Group] = {}
    for user, row in tables.users.items():
        models = names.of(row.names("models"))
        # One whose models are none of Google's may use none with such a key.
        if user == PROXY_BUDGET or not (has_limits(row) or models.globs or not models.is_usable):
            continue
        name = _user_title(user, row, taken)
        taken.add(name)
        found[user] = Group(name, f"internal user {user}", draft_limits(row, None, names, now))
        found[user].draft.notes.append(
            "it is an internal user's limits, as a group of its keys without a team"
        )
        _mark(found[user])
    return found


def _user_title(user: str, row: Row, taken: set[str]) -> str:
    """The name of an internal user's group."""
    # As names are here before they are compared: blanks at their ends are all that some differ in.
    texts = (row.text("user_alias"), row.text("user_email"), user)
    title = next((title for text in texts if (title := printable(text or ""))), user)
    if title not in taken:
        return title
    # The id is what must not be cut off.
    end = f" ({user})"
    return printable(title[: max(0, TITLE - len(end))] + end)


def organization_limits(tables: Tables, row: Row) -> list[str]:
    """Which limits a row would be without that its organization has."""
    table = "LiteLLM_OrganizationTable"
    organization = tables.find(tables.organizations, row.text("organization_id"), table)
    if organization is None:
        return []
    budget = tables.budget(organization)
    if organization.names("models") or (budget and has_limits(budget)):
        return ["the limits of its organization (a key has one group here)"]
    return []


def printable(text: str) -> str:
    """The text as a name may be."""
    return "".join(character if character.isprintable() else " " for character in text)[:TITLE].strip()


def _mark(group: Group) -> None:
    """What it was there, by which an import that is repeated knows it; and what it had spent."""
    spend = group.draft.fields.get("spend")
    group.draft.fields["metadata"] = {"litellm": {"was": group.was, **({"spend": spend} if spend else {})}}
