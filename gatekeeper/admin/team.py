"""LiteLLM's `team_id` of a key: the group that stands for that team."""

from __future__ import annotations

from gatekeeper.admin.gateway import current_gateway
from gatekeeper.admin.requests import Document
from gatekeeper.keys.account import NamedAccount
from gatekeeper.keys.fields import FieldError
from gatekeeper.keys.key_import import origin

FIELD = "team_id"


def name_group(body: Document) -> None:
    """Replaces `team_id` of a body by the `group` that stands for the team: the one of that name, or the one
    that was imported from it. It must have a record, because a team carries limits, and a key with a mere
    name would have none. Raises FieldError."""
    if FIELD not in body:
        return
    team = body.pop(FIELD)
    # LiteLLM's clients send null and an empty text for no team.
    if team is None or team == "":
        return
    if not isinstance(team, str):
        raise FieldError(FIELD, team, "give the id of a team, or use `group`")
    if body.get("group") is not None:
        raise FieldError(FIELD, None, "leave one of them out", "`team_id` and `group` both name a group")
    group = group_of(team)
    if group is None:
        raise FieldError(
            FIELD,
            team,
            "no group of this name has limits, nor was one imported from this team: POST /group/generate "
            "makes one; `group` takes any name",
        )
    body["group"] = group.record.name


def group_of(team: str) -> NamedAccount | None:
    """The group that stands for this team."""
    accounts, was = current_gateway().registry.accounts, f"team {team}"
    if group := accounts.find("group", team):
        return group
    return next((each for each in accounts.of_kind("group") if origin(each.record.metadata) == was), None)
