"""One key of LiteLLM's as the fields of an imported key."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import NamedTuple, cast

from gatekeeper.keys.field_values import RESERVED_ALIAS
from gatekeeper.keys.globs import check_route_globs
from gatekeeper.keys.litellm_fields import ALL_ROUTES, LITELLM_FIELDS, google_paths
from gatekeeper.litellm.groups import Group, organization_limits, printable
from gatekeeper.litellm.limits import METADATA_FIELDS, Draft, draft_limits, has_limits
from gatekeeper.litellm.models import ModelNames
from gatekeeper.litellm.tables import Row, Tables

ADMINISTRATOR = "default_user_id"
"""The internal user to whom keys belong that the administrator has made."""
DOCUMENTS = ("aliases", "config", "router_settings", "permissions", "budget_fallbacks")
LISTS = ("allowed_cache_controls", "policies", "access_group_ids")
TEXTS = ("agent_id", "key_type", "rotation_interval")
OWN_METADATA = ("tags", "model_rpm_limit", "model_tpm_limit", "litellm")
"""Members of metadata that become fields, or are this import's own."""


class Context(NamedTuple):
    """What a key may refer to: groups by `team_id` and by internal user."""

    tables: Tables
    names: ModelNames
    now: datetime
    teams: dict[str, Group]
    users: dict[str, Group]


def draft_key(row: Row, context: Context) -> Draft:
    """Raises TableError."""
    draft = draft_limits(row, context.tables.budget(row), context.names, context.now)
    digest, masked = row.text("token") or "", row.text("key_name") or ""
    draft.fields["secret_hash"] = digest
    # LiteLLM can be told not to store it.
    draft.fields["key_name"] = masked if masked.startswith("sk-...") else "sk-...????"
    if len(digest) != 64 or digest.strip("0123456789abcdef"):
        draft.unusable.append("its token is no SHA-256: LiteLLM has stored something else")
    _put_previous(draft, digest, context)
    _put_names(draft, row)
    _put_routes(draft, row)
    _put_group(draft, row, context)
    if expires := row.time("expires"):
        draft.fields["expires"] = expires.astimezone(UTC).isoformat()
        if expires <= context.now:
            draft.unusable.append(f"it has expired, on {expires:%Y-%m-%d}")
    _leave_foreign(draft, row)
    draft.lost += [each for each in organization_limits(context.tables, row) if each not in draft.lost]
    draft.lost += _project_limits(row, context.tables)
    _put_metadata(draft, row, context)
    return draft


def _put_previous(draft: Draft, digest: str, context: Context) -> None:
    """The secret before the last rotation, which is valid for some time more; a key has one such here."""
    found = [
        (until, row.text("token"))
        for row in context.tables.rotated
        if row.text("active_token_id") == digest and (until := row.time("revoke_at")) and until > context.now
    ]
    if found:
        until, secret = max(found, key=lambda each: each[0])
        draft.fields["previous_secret_hash"] = secret
        draft.fields["previous_expires"] = until.astimezone(UTC).isoformat()
        draft.notes.append(f"its secret before the last rotation is valid until {until:%Y-%m-%d %H:%M} UTC")
    if len(found) > 1:
        draft.notes.append(f"of its older secrets only the last one comes; there are {len(found)}")


def _put_names(draft: Draft, row: Row) -> None:
    alias = row.text("key_alias")
    if alias is not None:
        name = printable(alias)
        if RESERVED_ALIAS.fullmatch(name):
            draft.notes.append("its alias looks like an id or a secret: it has none here")
        else:
            draft.put("key_alias", name or None)
            if name != alias:
                draft.notes.append("its alias is shortened, or has other characters")
    user = row.text("user_id")
    if user is not None and user != ADMINISTRATOR:
        draft.put("user_id", printable(user) or None)


def _put_routes(draft: Draft, row: Row) -> None:
    given = row.names("allowed_routes")
    if not given or ALL_ROUTES in given:
        return
    found: list[str] = []
    for route in google_paths(tuple(given)):
        try:
            found += check_route_globs((route,))
        except ValueError:
            draft.notes.append(f"allowed_routes: {route} is no path behind /gemini, and left out")
    draft.put("allowed_routes", found)
    if not found:
        draft.unusable.append(f"none of its allowed_routes is behind /gemini: {', '.join(given)}")


def _put_group(draft: Draft, row: Row, context: Context) -> None:
    team, user = row.text("team_id"), row.text("user_id")
    # For its TableError alone: without that table the limits of users would be left out unseen.
    context.tables.find(context.tables.users, user, "LiteLLM_UserTable")
    if team is not None:
        # For its TableError alone, as above.
        context.tables.find(context.tables.teams, team, "LiteLLM_TeamTable")
        group = context.teams.get(team)
        if group is None:
            draft.unusable.append(f"its team {team} does not exist")
            return
        _take_over(draft, group)
        draft.lost += _member_limits(context, team, user)
    elif user is not None and (group := context.users.get(user)):
        _take_over(draft, group)


def _take_over(draft: Draft, group: Group) -> None:
    draft.fields["group"] = group.name
    draft.lost += [f"{lost} of its group {group.name}" for lost in group.draft.lost]
    draft.unusable += [f"its group {group.name} is left out: {reason}" for reason in group.draft.unusable]


def _member_limits(context: Context, team: str, user: str | None) -> list[str]:
    """Which limits a key of a team would be without that its internal user has."""
    tables, lost = context.tables, list[str]()
    member = tables.membership(user, team)
    budget = tables.budget(member) if member else None
    if budget and has_limits(budget):
        lost.append("its user's budget within the team (members of a group have none here)")
    owner = tables.users.get(user or "")
    if owner and any(owner.whole(name) is not None for name in ("tpm_limit", "rpm_limit")):
        lost.append("its user's rates, beside those of the team (a key has one group here)")
    return lost


def _leave_foreign(draft: Draft, row: Row) -> None:
    for name in DOCUMENTS:
        draft.leave(name, row.document(name), LITELLM_FIELDS[name])
    for name in LISTS:
        draft.leave(name, row.names(name), LITELLM_FIELDS[name])
    for name in TEXTS:
        draft.leave(name, row.text(name), LITELLM_FIELDS[name])
    permission = LITELLM_FIELDS["object_permission"]
    draft.leave("object_permission", row.text("object_permission_id"), permission)


def _project_limits(row: Row, tables: Tables) -> list[str]:
    project = tables.find(tables.projects, row.text("project_id"), "LiteLLM_ProjectTable")
    if project is None:
        return []
    budget = tables.budget(project)
    limited = bool(project.names("models") or project.document("model_rpm_limit"))
    limited = limited or project.flag("blocked") or bool(project.document("model_tpm_limit"))
    if limited or (budget and has_limits(budget)):
        return ["the limits of its project (a key has one group here)"]
    return []


def _put_metadata(draft: Draft, row: Row, context: Context) -> None:
    """Its own metadata and tags; those of its team hold for its calls, too."""
    metadata = row.document("metadata")
    team = context.tables.teams.get(row.text("team_id") or "")
    tags = [*_tags(metadata), *(_tags(team.document("metadata")) if team else ())]
    draft.put("tags", list(dict.fromkeys(tag.strip() for tag in tags if tag.strip())))
    known = {*OWN_METADATA, *LITELLM_FIELDS, *METADATA_FIELDS}
    own = {name: value for name, value in metadata.items() if name not in known}
    if spend := draft.fields.get("spend"):
        own["litellm"] = {"spend": spend}
    draft.put("metadata", own)


def _tags(metadata: dict[str, object]) -> list[str]:
    tags = metadata.get("tags")
    items = cast("list[object]", tags) if isinstance(tags, list) else []
    return [tag for tag in items if isinstance(tag, str)]
