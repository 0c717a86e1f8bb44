"""Virtual keys: `/key/…`, in LiteLLM's format where there is one.

Routes that change keys take `key` or `keys`, each a secret, a `token_id` or an alias; all of them must exist
before anything is changed. The response to `key` is the key's document, in which `key` is its `token_id` or,
if a secret is new, that secret. The response to `keys` is `{"keys": [document, …]}`.

Only an admin may create, change or delete a key with a role; otherwise an operator could become an admin by
rotating the secret of an admin's key.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict

from quart import Blueprint, Response

from gatekeeper.admin import key_schemas
from gatekeeper.admin.access import current_caller, current_gateway
from gatekeeper.admin.key_requests import (
    NAME,
    KeySelection,
    check_may_change,
    check_may_set_role,
    find_key,
    parse_key,
    pop_key_names,
    read_key_names,
)
from gatekeeper.admin.parameters import DEFAULT_LIMIT
from gatekeeper.admin.problems import invalid
from gatekeeper.admin.requests import (
    Document,
    json_response,
    pop_expected,
    read_fields,
    read_object,
    read_query,
)
from gatekeeper.keys import field_values as values
from gatekeeper.keys.audit import Actor
from gatekeeper.keys.cooperative import map_in_parts
from gatekeeper.keys.key_changes import Edit, blocking, unblocked, updating, without_previous
from gatekeeper.keys.key_index import KeyNotFound, has_secret
from gatekeeper.keys.key_writer import Check
from gatekeeper.keys.listing import NEWEST_FIRST
from gatekeeper.keys.secrets import hash_secret
from gatekeeper.keys.store import ChangedMeanwhile
from gatekeeper.keys.virtual_key import KeyRecord, KeyState, key_document
from gatekeeper.keys.windows import MICROS_PER_SECOND
from gatekeeper.openapi.document import describe

blueprint = Blueprint("keys", __name__)

MAX_GRACE = 90 * 86_400  # seconds that a replaced secret may stay valid


class ChangeContext(TypedDict):
    """The time and the actor of a change."""

    now: int
    by: Actor


@blueprint.post("/key/generate")
@describe(key_schemas.GENERATE)
async def generate() -> Response:
    """Creates a key with the given fields, all optional. Only this response and that of `regenerate` have a
    secret."""
    body = await read_object()
    check_may_set_role(body)
    fields = parse_key(body, current_gateway().now_micros())
    secret, state = await current_gateway().registry.create(fields, **change_context())
    return json_response(key_response(state, secret))


@blueprint.post("/key/update")
@describe(key_schemas.UPDATE)
async def update() -> Response:
    """Sets the given fields and no others; null resets a field."""
    body = await read_object()
    check_may_set_role(body)
    # First, because the names of keys in the body are not fields of a key.
    selection, expected = await pop_key_names(body), pop_expected(body)
    if len(selection.token_ids) > 1 and body.get("key_alias") is not None:
        raise invalid("key_alias", "Several keys cannot have one alias", "rename them one by one")
    if len(selection.token_ids) > 1 and expected is not None:
        raise invalid("updated_at", "Several keys have no common `updated_at`", "change them one by one")
    fields = parse_key(body, current_gateway().now_micros(), update=True)

    def check(record: KeyRecord) -> None:
        check_may_change(record)
        if expected not in (None, record.updated_at):
            raise ChangedMeanwhile(f"The key {record.display_name}", record.updated_at)

    return await change_all("update", selection, updating(fields), check)


@blueprint.post("/key/block")
@describe(key_schemas.BLOCK)
async def block() -> Response:
    """Blocks keys: their calls are refused from now on, running ones are ended."""
    return await change_all("block", await read_key_names(), blocking(current_gateway().now_micros()))


@blueprint.post("/key/unblock")
@describe(key_schemas.UNBLOCK)
async def unblock() -> Response:
    """Unblocks keys: their calls are accepted again."""
    return await change_all("unblock", await read_key_names(), unblocked)


@blueprint.post("/key/regenerate")
@describe(key_schemas.REGENERATE)
async def regenerate() -> Response:
    """Rotates secrets; the new ones are only in this response. The old ones become invalid at once, or after
    `grace`, during which both are valid. A secret from an earlier rotation that is still valid becomes
    invalid at once. `token_id`, alias, spend and limits do not change."""
    body = await read_fields()
    selection, grace_until = await pop_key_names(body), parse_grace(body.get("grace"))
    rotated = await current_gateway().registry.rotate(
        selection.token_ids, grace_until=grace_until, check=check_may_change, **change_context()
    )
    return await key_responses(selection, rotated)


@blueprint.post("/key/end_grace")
@describe(key_schemas.END_GRACE)
async def end_grace() -> Response:
    """Makes the previous secrets invalid at once."""
    return await change_all("end_grace", await read_key_names(), without_previous)


def parse_grace(value: object) -> int | None:
    """Parses `grace`: until when the replaced secret is valid, microseconds since 1970. Raises Problem."""
    if value is None:
        return None
    try:
        length = values.seconds(value)
    except ValueError:
        length = 0
    if not 0 < length <= MAX_GRACE:
        allowed = "give a duration of at most 90d, as 24h, or null to make the old secret invalid at once"
        raise invalid("grace", f"`grace` is no such duration: {allowed}", allowed)
    return current_gateway().now_micros() + length * MICROS_PER_SECOND


@blueprint.post("/key/delete")
@describe(key_schemas.DELETE)
async def delete() -> Response:
    """Deletes keys; returns `{"deleted_keys": [token_id, …]}`, also for one key. Their calls stay in the
    ledger."""
    selection = await read_key_names()
    await current_gateway().registry.delete(selection.token_ids, check=check_may_change, **change_context())
    return json_response({"deleted_keys": selection.token_ids})


@blueprint.get("/key/info")
@describe(key_schemas.INFO)
async def info() -> Response:
    """A key with its spend, by its secret, `token_id` or alias. A key without a role may only read itself,
    and may omit `key`."""
    name, own = read_query().key, current_caller().key
    if current_caller().own_id is not None and own:
        state = own
        if name is not None and not is_name_of(name, own.record):
            raise KeyNotFound(name)
    elif name is None:
        raise invalid("key", f"`key` is missing: {NAME}", "give it once")
    else:
        state = find_key("key", name)
    return json_response({"key": state.record.token_id, "info": document_of(state)})


def is_name_of(name: str, record: KeyRecord) -> bool:
    """Whether the key has this name."""
    digest, now = hash_secret(name), current_gateway().now_micros()
    return name in (record.token_id, record.key_alias) or has_secret(record, digest, now)


@blueprint.get("/key/list")
@describe(key_schemas.LIST)
async def list_keys() -> Response:
    """A page of keys. `q` is a text to find in alias, tags, user or group."""
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


async def change_all(
    action: str, selection: KeySelection, edit: Edit, check: Check = check_may_change
) -> Response:
    """Makes the same change of all these keys, or of none."""
    states = await current_gateway().registry.edit(
        action, selection.token_ids, edit, check=check, **change_context()
    )
    return await key_responses(selection, [(None, state) for state in states])


async def key_responses(selection: KeySelection, keys: Sequence[tuple[str | None, KeyState]]) -> Response:
    """The response with the documents of keys, each with its secret if that is new."""
    documents = await map_in_parts(lambda key: key_response(key[1], key[0]), keys)
    return json_response(documents[0] if selection.single else {"keys": documents})
