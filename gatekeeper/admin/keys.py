"""Virtual keys: `/key/…`, in LiteLLM's shapes where it has them.

What changes keys takes `key` or `keys`, each a secret, a `token_id` or an alias; all of them have to exist
before anything is changed. A key named by `key` is answered with its document, in which `key` is its
`token_id` or, where a secret is new, that secret. Keys named by `keys` are answered with
`{"keys": [document, …]}`.

`/audit` says who changed which key when.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import NamedTuple, TypedDict, TypeGuard, cast

from quart import Blueprint, Response

from gatekeeper.admin.gateway import gateway
from gatekeeper.admin.problems import invalid, wrong_cursor
from gatekeeper.admin.requests import DEFAULT_LIMIT, Document, answer, read_fields, read_object, read_query
from gatekeeper.keys.fields import parse_fields
from gatekeeper.keys.registry import NEWEST_FIRST, KeyNotFound
from gatekeeper.keys.store import audit_document
from gatekeeper.keys.virtual_key import KeyState, key_document

blueprint = Blueprint("keys", __name__)

_NAME = "a key is named by its secret, its token_id or its alias"


class Asked(TypedDict):
    """When a change is asked for, and by whom."""

    now: int
    by: str


class Named(NamedTuple):
    """The keys that a request names, each once, by `token_id`; `single` where it did so by `key`."""

    token_ids: list[str]
    single: bool


@blueprint.post("/key/generate")
async def generate() -> Response:
    """Takes the fields of a key, all optional. Besides `regenerate` the only answer that has a secret."""
    fields = parse_fields(await read_object(), now=gateway().micros())
    secret, state = await gateway().registry.create(fields, **asked())
    return answer(shown(state, secret))


@blueprint.post("/key/update")
async def update() -> Response:
    """Sets the fields that are given and no other; null, and nothing else, sets one back."""
    body = await read_object()
    # Before the fields are parsed: what names the keys is no field of theirs.
    named = take_named(body)
    if len(named.token_ids) > 1 and body.get("key_alias") is not None:
        raise invalid("key_alias", "Several keys cannot have one alias", "rename them one by one")
    fields = parse_fields(body, now=gateway().micros(), update=True)

    async def change(token_id: str) -> Document:
        return shown(await gateway().registry.update(token_id, fields, **asked()))

    return await change_all(named, change)


@blueprint.post("/key/block")
async def block() -> Response:
    async def change(token_id: str) -> Document:
        return shown(await gateway().registry.block(token_id, **asked()))

    return await change_all(await read_named(), change)


@blueprint.post("/key/unblock")
async def unblock() -> Response:
    async def change(token_id: str) -> Document:
        return shown(await gateway().registry.unblock(token_id, **asked()))

    return await change_all(await read_named(), change)


@blueprint.post("/key/regenerate")
async def regenerate() -> Response:
    """New secrets, shown once; the old ones end. `token_id`, alias, spend and limits stay."""

    async def change(token_id: str) -> Document:
        secret, state = await gateway().registry.regenerate(token_id, **asked())
        return shown(state, secret)

    return await change_all(await read_named(), change)


@blueprint.post("/key/delete")
async def delete() -> Response:
    """`{"deleted_keys": [token_id, …]}`, for one key too. The calls made with them stay."""
    named = await read_named()
    for token_id in named.token_ids:
        await gateway().registry.delete(token_id, **asked())
    return answer({"deleted_keys": named.token_ids})


@blueprint.get("/key/info")
async def info() -> Response:
    name = read_query("key").key
    if name is None:
        raise invalid("key", f"`key` is missing: {_NAME}", "give it once")
    state = living(name)
    return answer({"key": state.record.token_id, "info": key_document(state)})


@blueprint.get("/key/list")
async def list_keys() -> Response:
    """`q` is text found in alias, tags, user or group."""
    query = read_query("q", "limit", "cursor", "sort")
    page = gateway().registry.list(
        gateway().micros(),
        q=query.q,
        limit=query.limit or DEFAULT_LIMIT,
        cursor=query.cursor,
        sort=query.sort or NEWEST_FIRST,
    )
    return answer({"keys": [key_document(state) for state in page.states], "next_cursor": page.next_cursor})


def asked() -> Asked:
    return {"now": gateway().micros(), "by": gateway().admin}


def shown(state: KeyState, secret: str | None = None) -> Document:
    return {"key": secret or state.record.token_id, **key_document(state)}


def living(name: str) -> KeyState:
    """The key of this name. Raises KeyNotFound."""
    if state := gateway().registry.find(name, gateway().micros()):
        return state
    raise KeyNotFound(name)


async def read_named() -> Named:
    """The keys named by a body that holds nothing else. Raises Problem, KeyNotFound."""
    return take_named(await read_fields("key", "keys"))


def take_named(body: Document) -> Named:
    """Takes the names of keys out of a body. Raises Problem, KeyNotFound."""
    given = {field: body.pop(field) for field in ("key", "keys") if field in body}
    if len(given) != 1:
        raise invalid("key", f"Name one key by `key`, or several by `keys`; {_NAME}", ["key", "keys"])
    ((field, value),) = given.items()
    names = [value] if field == "key" else value
    if not _are_names(names):
        raise invalid(field, f"`{field}` names no key: {_NAME}", "a text, or for `keys` a list of texts")
    # All are looked up before anything is changed; one that is named twice is changed once.
    ids = dict.fromkeys(living(name).record.token_id for name in names)
    return Named(list(ids), single=field == "key")


def _are_names(value: object) -> TypeGuard[list[str]]:
    return (
        bool(value)
        and isinstance(value, list)
        and all(isinstance(name, str) and name for name in cast("list[object]", value))
    )


async def change_all(named: Named, change: Callable[[str], Awaitable[Document]]) -> Response:
    documents = [await change(token_id) for token_id in named.token_ids]
    return answer(documents[0] if named.single else {"keys": documents})


@blueprint.get("/audit")
async def trail() -> Response:
    """`{"changes": […], "next_cursor": …}`, the newest first; `by` is `master`, or `open` in open mode."""
    query = read_query("limit", "cursor")
    limit = query.limit or DEFAULT_LIMIT
    # One more than a page holds, which says whether there is a next one.
    entries = list(await gateway().registry.audit_log(limit + 1, audit_cursor(query.cursor)))
    changes = [audit_document(entry) for entry in entries[:limit]]
    more = len(entries) > limit
    return answer({"changes": changes, "next_cursor": str(changes[-1]["id"]) if more else None})


def audit_cursor(cursor: str | None) -> int | None:
    """The id of the last change of the page before. Raises Problem."""
    if cursor is None:
        return None
    if not (cursor.isascii() and cursor.isdecimal() and len(cursor) < 19):
        raise wrong_cursor("changes")
    return int(cursor)
