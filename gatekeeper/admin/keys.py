"""Virtual keys: `/key/…`, in LiteLLM's shapes where it has them.

Routes that change keys take `key` or `keys`, each a secret, a `token_id` or an alias; all of them must exist
before anything is changed. The response to `key` is the key's document, in which `key` is its `token_id` or,
if a secret is new, that secret. The response to `keys` is `{"keys": [document, …]}`.

`/audit` is the log of changes of keys.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import NamedTuple, TypedDict, TypeGuard, cast

from quart import Blueprint, Response

from gatekeeper.admin import key_documents
from gatekeeper.admin.gateway import current_gateway
from gatekeeper.admin.parameters import DEFAULT_LIMIT
from gatekeeper.admin.problems import invalid, invalid_cursor
from gatekeeper.admin.requests import (
    Document,
    json_response,
    read_fields,
    read_object,
    read_query,
)
from gatekeeper.keys.fields import parse_fields
from gatekeeper.keys.listing import NEWEST_FIRST
from gatekeeper.keys.registry import KeyNotFound
from gatekeeper.keys.store import audit_document
from gatekeeper.keys.virtual_key import KeyState, key_document
from gatekeeper.openapi.operation import describe

blueprint = Blueprint("keys", __name__)

_NAME = "a key is named by its secret, its token_id or its alias"


class ChangeContext(TypedDict):
    """The time and the actor of a change."""

    now: int
    by: str


class KeySelection(NamedTuple):
    """The `token_id`s of the keys that a request names, without duplicates; `single` if it used `key`."""

    token_ids: list[str]
    single: bool


@blueprint.post("/key/generate")
@describe(key_documents.GENERATE)
async def generate() -> Response:
    """Takes the fields of a key, all optional. Only this response and that of `regenerate` have a secret."""
    fields = parse_fields(await read_object(), now=current_gateway().now_micros())
    secret, state = await current_gateway().registry.create(fields, **change_context())
    return json_response(key_response(state, secret))


@blueprint.post("/key/update")
@describe(key_documents.UPDATE)
async def update() -> Response:
    """Sets the given fields and no others; null resets a field."""
    body = await read_object()
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
    """A key with its spend, by its secret, `token_id` or alias."""
    name = read_query().key
    if name is None:
        raise invalid("key", f"`key` is missing: {_NAME}", "give it once")
    state = require_key(name)
    return json_response({"key": state.record.token_id, "info": document_of(state)})


@blueprint.get("/key/list")
@describe(key_documents.LIST)
async def list_keys() -> Response:
    """`q` is a text to find in alias, tags, user or group."""
    query = read_query()
    page = current_gateway().registry.list(
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
    return {"now": current_gateway().now_micros(), "by": current_gateway().actor}


def key_response(state: KeyState, secret: str | None = None) -> Document:
    return {"key": secret or state.record.token_id, **document_of(state)}


def document_of(state: KeyState) -> Document:
    return key_document(state, current_gateway().settings.on_disconnect)


def require_key(name: str) -> KeyState:
    """The existing key of this name. Raises KeyNotFound."""
    if state := current_gateway().registry.find(name, current_gateway().now_micros()):
        return state
    raise KeyNotFound(name)


async def read_key_names() -> KeySelection:
    """The keys named by a body that has no other fields. Raises Problem, KeyNotFound."""
    return pop_key_names(await read_fields())


def pop_key_names(body: Document) -> KeySelection:
    """Removes the names of keys from a body and returns the keys. Raises Problem, KeyNotFound."""
    given = {field: body.pop(field) for field in ("key", "keys") if field in body}
    if len(given) != 1:
        raise invalid("key", f"Name one key by `key`, or several by `keys`; {_NAME}", ["key", "keys"])
    ((field, value),) = given.items()
    names = [value] if field == "key" else value
    if not _are_names(names):
        raise invalid(field, f"`{field}` names no key: {_NAME}", "a text, or for `keys` a list of texts")
    # All are looked up before anything is changed; a key named twice is changed once.
    ids = dict.fromkeys(require_key(name).record.token_id for name in names)
    return KeySelection(list(ids), single=field == "key")


def _are_names(value: object) -> TypeGuard[list[str]]:
    return (
        bool(value)
        and isinstance(value, list)
        and all(isinstance(name, str) and name for name in cast("list[object]", value))
    )


async def change_all(selection: KeySelection, change: Callable[[str], Awaitable[Document]]) -> Response:
    documents = [await change(token_id) for token_id in selection.token_ids]
    return json_response(documents[0] if selection.single else {"keys": documents})


@blueprint.get("/audit")
@describe(key_documents.AUDIT)
async def audit_log() -> Response:
    """`{"changes": […], "next_cursor": …}`, the newest first; `by` is `master`, or `open` in open mode."""
    query = read_query()
    limit = query.limit or DEFAULT_LIMIT
    # One more than a page has, which shows whether there is a next page.
    entries = list(await current_gateway().registry.audit_log(limit + 1, audit_cursor(query.cursor)))
    changes = [audit_document(entry) for entry in entries[:limit]]
    more = len(entries) > limit
    return json_response({"changes": changes, "next_cursor": str(changes[-1]["id"]) if more else None})


def audit_cursor(cursor: str | None) -> int | None:
    """The id of the last change of the previous page. Raises Problem."""
    if cursor is None:
        return None
    if not (cursor.isascii() and cursor.isdecimal() and len(cursor) < 19):
        raise invalid_cursor("changes")
    return int(cursor)
