"""Parses the bodies of requests about keys: the named keys, whether the caller may change them, and the
fields of a key.

`key` is a secret, a `token_id` or an alias, and so is each of `keys`. If that matches two keys, which is only
possible in a store of an older gatekeeper, the request is refused (409); `token_id`, `token_ids`, `alias` and
`key_aliases` are unambiguous.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import NamedTuple, TypeGuard, cast

from gatekeeper.admin.access import current_caller, current_gateway
from gatekeeper.admin.problems import Problem, invalid
from gatekeeper.admin.requests import Document, described, read_fields
from gatekeeper.keys.account import NamedAccount
from gatekeeper.keys.cooperative import map_in_parts
from gatekeeper.keys.fields import FieldError, KeyFields, parse_fields
from gatekeeper.keys.key_import import origin
from gatekeeper.keys.key_index import KeyNotFound
from gatekeeper.keys.secrets import matches_master
from gatekeeper.keys.virtual_key import KeyRecord, KeyState
from gatekeeper.openapi.schema import property_names

SINGLE = ("key", "token_id", "alias")
NAMING_FIELDS = (*SINGLE, "keys", "token_ids", "key_aliases")
TEAM = "team_id"
NAME = "a key is named by its secret, its token_id or its alias"


class KeySelection(NamedTuple):
    """The `token_id`s of the keys that a request names, without duplicates; `single` if it named just one."""

    token_ids: list[str]
    single: bool


async def read_key_names() -> KeySelection:
    """The keys named by a body that has no other fields. Raises Problem, KeyNotFound, KeyAmbiguous."""
    return await pop_key_names(await read_fields())


async def pop_key_names(body: Document) -> KeySelection:
    """Removes the names of keys from a body and returns the keys. Raises Problem, KeyNotFound,
    KeyAmbiguous."""
    fields = [field for field in NAMING_FIELDS if field in property_names(described().body or {})]
    # LiteLLM's client sends null for the field that it does not use.
    given = {field: value for field in fields if (value := body.pop(field, None)) is not None}
    if len(given) != 1:
        raise invalid("key", f"Name one key by `key`, or several by `keys`; {NAME}", fields)
    ((field, value),) = given.items()
    names = [value] if field in SINGLE else value
    if not _are_names(names):
        raise invalid(field, f"`{field}` names no key: {NAME}", "a text, or for several a list of texts")
    # All keys are looked up before anything is changed; a key that is named twice is changed once.
    states = await map_in_parts(lambda name: changeable_key(field, name), names)
    token_ids = list(dict.fromkeys(state.record.token_id for state in states))
    return KeySelection(token_ids, single=field in SINGLE)


def changeable_key(field: str, name: str) -> KeyState:
    """As `find_key`, but also raises Problem if the caller must not change the key."""
    state = find_key(field, name)
    check_may_change(state.record)
    return state


def find_key(field: str, name: str) -> KeyState:
    """The existing key with this name; `field` says what kind of name it is. Raises KeyNotFound,
    KeyAmbiguous."""
    registry = current_gateway().registry
    match field:
        case "token_id" | "token_ids":
            state = registry.by_id(name)
        case "alias" | "key_aliases":
            state = registry.by_alias(name)
        case _:
            state = registry.find(name, current_gateway().now_micros())
    if state is None:
        raise KeyNotFound(name)
    return state


def check_may_change(record: KeyRecord) -> None:
    """Raises Problem unless the key has no role or the caller is an admin."""
    if record.role and not current_caller().is_admin:
        raise Problem(
            HTTPStatus.FORBIDDEN,
            f"The key {record.display_name} has the role `{record.role}`: only the role `admin` changes it",
            needs="admin",
        )


def check_may_set_role(body: Document, field: str = "role") -> None:
    """Raises Problem if the body sets a role and the caller is not an admin."""
    if "role" in body and not current_caller().is_admin:
        raise Problem(HTTPStatus.FORBIDDEN, "Only the role `admin` sets a key's `role`", field=field)


def _are_names(value: object) -> TypeGuard[list[str]]:
    return (
        bool(value)
        and isinstance(value, list)
        and all(isinstance(name, str) and name for name in cast("list[object]", value))
    )


def parse_key(body: Document, now: int, *, update: bool = False) -> KeyFields:
    """Parses the fields of a new key, or for an `update` the changed ones. Raises FieldError."""
    name_group(body)
    fields = parse_fields(body, now=now, update=update)
    master = current_gateway().settings.master_key
    for field, text in (("key", fields.secret), ("key_alias", fields.changes.get("key_alias"))):
        # A call with this secret would be one of the master key, whatever the key's limits; and an alias is
        # visible.
        if master and isinstance(text, str) and matches_master(text, master):
            raise FieldError(field, None, "choose another", f"This `{field}` is the gateway's master key")
    return fields


def name_group(body: Document) -> None:
    """Replaces LiteLLM's `team_id` in a body by the corresponding `group`: the one of that name, or the one
    that was imported from the team. The group must have a record, because without one the key would not have
    the limits of the team. Raises FieldError."""
    if TEAM not in body:
        return
    team = body.pop(TEAM)
    # LiteLLM's clients send null or an empty string for no team.
    if team is None or team == "":
        return
    if not isinstance(team, str):
        raise FieldError(TEAM, team, "give the id of a team, or use `group`")
    if body.get("group") is not None:
        raise FieldError(TEAM, None, "leave one of them out", "`team_id` and `group` both name a group")
    group = group_of(team)
    if group is None:
        raise FieldError(
            TEAM,
            team,
            "no group of this name has limits, nor was one imported from this team: POST /group/generate "
            "makes one; `group` takes any name",
        )
    body["group"] = group.record.name


def group_of(team: str) -> NamedAccount | None:
    """The group that corresponds to this team."""
    accounts, was = current_gateway().registry.accounts, f"team {team}"
    if group := accounts.find("group", team):
        return group
    return next((each for each in accounts.of_kind("group") if origin(each.record.metadata) == was), None)
