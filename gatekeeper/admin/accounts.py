"""`/group/…` and `/user/…`: limits and budgets of groups and end users, which are identified by name. Both
have the same routes (`routes_of`)."""

from __future__ import annotations

from typing import NamedTuple

from quart import Blueprint, Response

from gatekeeper.admin.access import current_caller, current_gateway
from gatekeeper.admin.field_schemas import FIELD_SCHEMAS, KEY_PROPERTIES
from gatekeeper.admin.key_schemas import NEXT_CURSOR
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
from gatekeeper.keys.account import NamedAccount
from gatekeeper.keys.account_changes import AccountChanges, account_document
from gatekeeper.keys.audit import Actor
from gatekeeper.keys.field_values import ALIAS_LENGTH
from gatekeeper.keys.fields import GROUP_FIELDS, GROUP_TABLE, USER_TABLE, FieldTable, parse_fields, parse_name
from gatekeeper.keys.limits import NamedRecord
from gatekeeper.openapi.document import Operation, describe
from gatekeeper.openapi.schema import (
    Schema,
    array,
    boolean,
    component,
    integer,
    members,
    nullable,
    text,
    time,
)


class Kind(NamedTuple):
    """`group` or `user`, the field with its name, and its other fields."""

    name: str
    field: str
    table: FieldTable


GROUP = Kind("group", "group", GROUP_TABLE)
USER = Kind("user", "user_id", USER_TABLE)


class Operations(NamedTuple):
    """The OpenAPI operation of each route."""

    generate: Operation
    update: Operation
    block: Operation
    unblock: Operation
    delete: Operation
    info: Operation
    list: Operation


_EMPTY = NamedAccount(kind="group", record=NamedRecord(name="", created_at=0, updated_at=0))
_PROPERTIES = {name: KEY_PROPERTIES[name] for name in account_document(_EMPTY)}
_FIELDS = {name: FIELD_SCHEMAS[name] for name in GROUP_FIELDS}
_EXPECTED = nullable(time("The change is made only if this is still its `updated_at`."))


def _request(name: str, meaning: str, field: str, naming: Schema, fields: dict[str, Schema]) -> Schema:
    example = {"max_budget": "500", "budget_duration": "1mo"} if "max_budget" in fields else {}
    body = members(
        meaning,
        {field: naming} | fields,
        optional=fields,
        additionalProperties=False,
        examples=[{field: naming["examples"][0], **example}],
    )
    return component(name, body)


def _operations(
    kind: str, what: str, field: str, naming: Schema, extra: dict[str, Schema], more: dict[str, Schema]
) -> Operations:
    title = kind.capitalize()
    document = component(title, members(f"The {what}.", {field: naming} | extra | _PROPERTIES))
    new = _request(f"New{title}", "Its name, and its limits.", field, naming, _FIELDS)
    changes = {**_FIELDS, "updated_at": _EXPECTED}
    changed = _request(f"{title}Changes", "Its name, and what to set.", field, naming, changes)
    named = _request(f"Named{title}", "Its name.", field, naming, {})
    deleted = _request(f"Deleted{title}Request", "Its name.", field, naming, more)
    gone = component(f"Deleted{title}", members("What was deleted.", {"deleted": naming}))
    listed = array("In the order of their names.", document)
    page = component(f"{title}Page", members("A page.", {f"{kind}s": listed, "next_cursor": NEXT_CURSOR}))
    return Operations(
        Operation(f"Give limits to the {what}", document, new, problems=(409, 503)),
        Operation(f"Change the {what}", document, changed, headers=("If-Match",), problems=(404, 409, 503)),
        Operation(f"Block the {what}", document, named, problems=(404, 503)),
        Operation(f"Unblock the {what}", document, named, problems=(404, 503)),
        Operation(f"Delete the {what}", gone, deleted, problems=(404, 409, 503)),
        Operation(f"Show the {what}", document, query=(field,), required=(field,), problems=(404,)),
        Operation(f"List each {what}", page, query=("q", "limit", "cursor")),
    )


def _naming(meaning: str, example: str) -> Schema:
    return text(meaning, example, minLength=1, maxLength=ALIAS_LENGTH)


GROUP_OPERATIONS = _operations(
    "group",
    "group",
    "group",
    _naming("The name of the group.", "shop"),
    {"keys": integer("How many keys name it.", 3)},
    {"force": boolean("Whether to delete it although keys name it.", example=True)},
)
USER_OPERATIONS = _operations("user", "end user", "user_id", _naming("The end user.", "user-17"), {}, {})


def routes_of(kind: Kind, operations: Operations) -> Blueprint:
    """The routes of one kind of account; `operations` describe them."""
    blueprint, root = Blueprint(f"{kind.name}s", __name__), f"/{kind.name}"

    @blueprint.post(f"{root}/generate")
    @describe(operations.generate)
    async def generate() -> Response:
        """Creates a record with limits for a name. Its spend is counted from now on."""
        return await create_account(kind)

    @blueprint.post(f"{root}/update")
    @describe(operations.update)
    async def update() -> Response:
        """Sets the given fields and no others; null resets a field. With `updated_at` (or the header
        `If-Match`) the change is refused if the record has changed since then."""
        return await update_account(kind)

    @blueprint.post(f"{root}/block")
    @describe(operations.block)
    async def block() -> Response:
        """Blocks its calls from now on."""
        return await set_blocked(kind, blocked=True)

    @blueprint.post(f"{root}/unblock")
    @describe(operations.unblock)
    async def unblock() -> Response:
        """Unblocks its calls."""
        return await set_blocked(kind, blocked=False)

    @blueprint.post(f"{root}/delete")
    @describe(operations.delete)
    async def delete() -> Response:
        """Deletes its limits and its spend. A group that has keys is not deleted, unless `force` is true."""
        return await delete_account(kind)

    @blueprint.get(f"{root}/info")
    @describe(operations.info)
    async def info() -> Response:
        """Returns its limits and its spend."""
        return await show_account(kind)

    @blueprint.get(f"{root}/list")
    @describe(operations.list)
    async def list_all() -> Response:
        """A page sorted by name."""
        return await list_accounts(kind)

    return blueprint


async def create_account(kind: Kind) -> Response:
    body = await read_object()
    name = parse_name(kind.field, body.pop(kind.field, None))
    fields = parse_fields(body, now=_now(), table=kind.table)
    return _answer(kind, await _changes().create(kind.name, name, fields, now=_now(), by=_actor()))


async def update_account(kind: Kind) -> Response:
    body = await read_object()
    name, expected = _pop_name(kind, body), pop_expected(body)
    fields = parse_fields(body, now=_now(), update=True, table=kind.table)
    changed = await _changes().update(kind.name, name, fields, now=_now(), by=_actor(), expected=expected)
    return _answer(kind, changed)


async def set_blocked(kind: Kind, *, blocked: bool) -> Response:
    name = _pop_name(kind, await read_fields())
    return _answer(kind, await _changes().set_blocked(kind.name, name, blocked, now=_now(), by=_actor()))


async def delete_account(kind: Kind) -> Response:
    body = await read_fields()
    name, force = _pop_name(kind, body), body.get("force", False)
    if not isinstance(force, bool):
        raise invalid("force", "`force` is true or false", "give true or false")

    def count_keys() -> int:
        return 0 if force or kind is not GROUP else current_gateway().registry.keys_in(name)

    await _changes().delete(kind.name, name, count_keys, now=_now(), by=_actor())
    return json_response({"deleted": name})


async def show_account(kind: Kind) -> Response:
    query = read_query()
    name = query.group if kind is GROUP else query.user_id
    if name is None:
        raise invalid(kind.field, f"`{kind.field}` is missing", "give it once")
    return _answer(kind, _changes().find(kind.name, name, _now()))


async def list_accounts(kind: Kind) -> Response:
    """A page sorted by name; `q` is part of the name, the cursor is the last name of the previous page."""
    query = read_query()
    page = await _changes().list(
        kind.name, _now(), q=query.q, limit=query.limit or DEFAULT_LIMIT, after=query.cursor or ""
    )
    documents = [_document(kind, account) for account in page.accounts]
    return json_response({f"{kind.name}s": documents, "next_cursor": page.next_cursor})


def _pop_name(kind: Kind, body: Document) -> str:
    name = body.pop(kind.field, None)
    if not isinstance(name, str) or not name:
        raise invalid(kind.field, f"Name the {kind.name} by `{kind.field}`", "a text")
    return name


def _answer(kind: Kind, account: NamedAccount) -> Response:
    return json_response(_document(kind, account))


def _document(kind: Kind, account: NamedAccount) -> Document:
    name = account.record.name
    keys = {"keys": current_gateway().registry.keys_in(name)} if kind is GROUP else {}
    on_disconnect = current_gateway().settings.on_disconnect
    return {kind.field: name, **keys, **account_document(account, on_disconnect)}


def _changes() -> AccountChanges:
    return current_gateway().registry.account_changes


def _now() -> int:
    return current_gateway().now_micros()


def _actor() -> Actor:
    return current_caller().actor


groups = routes_of(GROUP, GROUP_OPERATIONS)
users = routes_of(USER, USER_OPERATIONS)
