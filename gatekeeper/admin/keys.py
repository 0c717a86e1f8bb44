"""Virtual keys: `/key/…`, in LiteLLM's shapes where it has them.

Routes that change keys take `key` or `keys`, each a secret, a `token_id` or an alias; all of them must exist
before anything is changed. The response to `key` is the key's document, in which `key` is its `token_id` or,
if a secret is new, that secret. The response to `keys` is `{"keys": [document, …]}`.

Who has a role gets more by it than a key's limits allow: only an admin gives, changes or takes away keys with
a role, or an operator could make itself an admin by a new secret of one.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import NamedTuple, TypedDict, TypeGuard, cast

from quart import Blueprint, Response

from gatekeeper.admin import key_documents
from gatekeeper.admin.access import current_caller
from gatekeeper.admin.gateway import current_gateway
from gatekeeper.admin.parameters import DEFAULT_LIMIT
from gatekeeper.admin.problems import Problem, invalid
from gatekeeper.admin.requests import (
    Document,
    described,
    json_response,
    read_fields,
    read_object,
    read_query,
)
from gatekeeper.keys.audit import Actor
from gatekeeper.keys.fields import parse_fields
from gatekeeper.keys.key_index import KeyNotFound
from gatekeeper.keys.listing import NEWEST_FIRST
from gatekeeper.keys.virtual_key import KeyState, key_document
from gatekeeper.openapi.operation import describe
from gatekeeper.openapi.schema import property_names

blueprint = Blueprint("keys", __name__)

NAMING_FIELDS = ("key", "keys", "key_aliases")
_NAME = "a key is named by its secret, its token_id or its alias"


class ChangeContext(TypedDict):
    """The time and the actor of a change."""

    now: int
    by: Actor


class KeySelection(NamedTuple):
    """The `token_id`s of the keys that a request names, without duplicates; `single` if it used `key`."""

    token_ids: list[str]
    single: bool


@blueprint.post("/key/generate")
@describe(key_documents.GENERATE)
async def generate() -> Response:
    """Takes the fields of a key, all optional. Only this response and that of `regenerate` have a secret."""
    body = await read_object()
    require_admin_for_role(body)
    fields = parse_fields(body, now=current_gateway().now_micros())
    secret, state = await current_gateway().registry.create(fields, **change_context())
    return json_response(key_response(state, secret))


@blueprint.post("/key/update")
@describe(key_documents.UPDATE)
async def update() -> Response:
    """Sets the given fields and no others; null resets a field."""
    body = await read_object()
    require_admin_for_role(body)
    # Before the fields are parsed: the names of keys are not fields of a key.
    selection = pop_key_names(body)
    if len(selection.token_ids) > 1 and body.get("key_alias") is not None:
        raise invalid("key_alias", "Several keys cannot have one alias", "rename them one by one")
    fields = parse_fields(body, now=current_gateway().now_micros(), update=True)

    async def change(token_id: str) -> Document:
        return key_response(await current_gateway().registry.update(token_id, fields, **change_context()))

    return await change_all(selection, change)


@blueprint.post("/key/block")
@describe(key_documents.BLOCK)
async def block() -> Response:
    """Their calls are refused from now on, running ones are ended."""

    async def change(token_id: str) -> Document:
        return key_response(await current_gateway().registry.block(token_id, **change_context()))

    return await change_all(await read_key_names(), change)


@blueprint.post("/key/unblock")
@describe(key_documents.UNBLOCK)
async def unblock() -> Response:
    """Their calls are accepted again."""

    async def change(token_id: str) -> Document:
        return key_response(await current_gateway().registry.unblock(token_id, **change_context()))

    return await change_all(await read_key_names(), change)


@blueprint.post("/key/regenerate")
@describe(key_documents.REGENERATE)
async def regenerate() -> Response:
    """New secrets, returned once; the old ones become invalid. `token_id`, alias, spend and limits stay."""

    async def change(token_id: str) -> Document:
        secret, state = await current_gateway().registry.regenerate(token_id, **change_context())
        return key_response(state, secret)

    return await change_all(await read_key_names(), change)


@blueprint.post("/key/delete")
@describe(key_documents.DELETE)
async def delete() -> Response:
    """`{"deleted_keys": [token_id, …]}`, also for one key. Calls made with them stay in the ledger."""
    selection = await read_key_names()
    for token_id in selection.token_ids:
        await current_gateway().registry.delete(token_id, **change_context())
    return json_response({"deleted_keys": selection.token_ids})


@blueprint.get("/key/info")
@describe(key_documents.INFO)
async def info() -> Response:
    """A key with its spend, by its secret, `token_id` or alias. A key without a role sees itself only, and
    need not name itself."""
    name, own_id = read_query().key, current_caller().own_id
    if name is None and own_id is None:
        raise invalid("key", f"`key` is missing: {_NAME}", "give it once")
    state = require_key(name or own_id or "")
    if own_id not in (None, state.record.token_id):
        raise KeyNotFound(name or "")
    return json_response({"key": state.record.token_id, "info": document_of(state)})


@blueprint.get("/key/list")
@describe(key_documents.LIST)
async def list_keys() -> Response:
    """`q` is a text to find in alias, tags, user or group."""
    query = read_query()
    page = await current_gateway().registry.list(
        current_gateway().now_micros(),
        q=query.q,
        limit=query.limit or DEFAULT_LIMIT,
        cursor=query.cursor,
        sort=query.sort or NEWEST_FIRST,
    )
    return json_response(
        {"keys": [document_of(state) for state in page.states], "next_cursor": page.next_cursor}
    )


def change_context() -> ChangeContext:
    return {"now": current_gateway().now_micros(), "by": current_caller().actor}


def key_response(state: KeyState, secret: str | None = None) -> Document:
    return {"key": secret or state.record.token_id, **document_of(state)}


def document_of(state: KeyState) -> Document:
    return key_document(state, current_gateway().settings.on_disconnect)


def require_key(name: str) -> KeyState:
    """The existing key of this name. Raises KeyNotFound."""
    if state := current_gateway().registry.find(name, current_gateway().now_micros()):
        return state
    raise KeyNotFound(name)


def require_alias(alias: str) -> KeyState:
    """The existing key of this alias. Raises KeyNotFound."""
    state = require_key(alias)
    if state.record.key_alias != alias:
        raise KeyNotFound(alias)
    return state


async def read_key_names() -> KeySelection:
    """The keys named by a body that has no other fields. Raises Problem, KeyNotFound."""
    return pop_key_names(await read_fields())


def pop_key_names(body: Document) -> KeySelection:
    """Removes the names of keys from a body and returns the keys. Raises Problem, KeyNotFound."""
    fields = [field for field in NAMING_FIELDS if field in property_names(described().body or {})]
    # LiteLLM's client sends null for the field that it does not use.
    given = {field: value for field in fields if (value := body.pop(field, None)) is not None}
    if len(given) != 1:
        raise invalid("key", f"Name one key by `key`, or several by `keys`; {_NAME}", fields)
    ((field, value),) = given.items()
    names = [value] if field == "key" else value
    if not _are_names(names):
        raise invalid(field, f"`{field}` names no key: {_NAME}", "a text, or for several a list of texts")
    # All are looked up before anything is changed; a key named twice is changed once.
    find = require_alias if field == "key_aliases" else require_key
    states = {state.record.token_id: state for state in map(find, names)}
    for state in states.values():
        require_admin_for(state)
    return KeySelection(list(states), single=field == "key")


def require_admin_for_role(body: Document) -> None:
    """Raises Problem if somebody else than an admin sets a key's role."""
    if "role" in body and not current_caller().is_admin:
        raise Problem(HTTPStatus.FORBIDDEN, "Only the role `admin` sets a key's `role`", field="role")


def require_admin_for(state: KeyState) -> None:
    """Raises Problem if somebody else than an admin changes a key with a role."""
    if state.record.role and not current_caller().is_admin:
        raise Problem(
            HTTPStatus.FORBIDDEN,
            f"The key {state.record.display_name} has the role `{state.record.role}`: only the role `admin` "
            "changes it",
            needs="admin",
        )


def _are_names(value: object) -> TypeGuard[list[str]]:
    return (
        bool(value)
        and isinstance(value, list)
        and all(isinstance(name, str) and name for name in cast("list[object]", value))
    )


async def change_all(selection: KeySelection, change: Callable[[str], Awaitable[Document]]) -> Response:
    documents = [await change(token_id) for token_id in selection.token_ids]
    return json_response(documents[0] if selection.single else {"keys": documents})
