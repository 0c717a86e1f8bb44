"""Which keys a request names, and whether its caller may change them.

`key` is a secret, a `token_id` or an alias, and so is each of `keys`. Where a text names two keys, which only
a store of an older gatekeeper can have, the request is refused (409); `token_id`, `token_ids`, `alias` and
`key_aliases` say what the text is.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import NamedTuple, TypeGuard, cast

from gatekeeper.admin.access import current_caller
from gatekeeper.admin.gateway import current_gateway
from gatekeeper.admin.problems import Problem, invalid
from gatekeeper.admin.requests import Document, described, read_fields
from gatekeeper.keys.key_index import KeyNotFound
from gatekeeper.keys.turns import mapped
from gatekeeper.keys.virtual_key import KeyRecord, KeyState
from gatekeeper.openapi.schema import property_names

SINGLE = ("key", "token_id", "alias")
NAMING_FIELDS = (*SINGLE, "keys", "token_ids", "key_aliases")
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
    # All are looked up before anything is changed; a key named twice is changed once.
    states = await mapped(lambda name: changeable_key(field, name), names)
    token_ids = list(dict.fromkeys(state.record.token_id for state in states))
    return KeySelection(token_ids, single=field in SINGLE)


def changeable_key(field: str, name: str) -> KeyState:
    """As `find_key`. Raises Problem, too, if the caller must not change it."""
    state = find_key(field, name)
    check_may_change(state.record)
    return state


def find_key(field: str, name: str) -> KeyState:
    """The existing key of this name, which is what the field says. Raises KeyNotFound, KeyAmbiguous."""
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
    """Raises Problem if somebody else than an admin changes a key with a role."""
    if record.role and not current_caller().is_admin:
        raise Problem(
            HTTPStatus.FORBIDDEN,
            f"The key {record.display_name} has the role `{record.role}`: only the role `admin` changes it",
            needs="admin",
        )


def check_may_set_role(body: Document, field: str = "role") -> None:
    """Raises Problem if somebody else than an admin sets a key's role."""
    if "role" in body and not current_caller().is_admin:
        raise Problem(HTTPStatus.FORBIDDEN, "Only the role `admin` sets a key's `role`", field=field)


def _are_names(value: object) -> TypeGuard[list[str]]:
    return (
        bool(value)
        and isinstance(value, list)
        and all(isinstance(name, str) and name for name in cast("list[object]", value))
    )
