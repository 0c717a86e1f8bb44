"""The documents of groups and end users as schemas."""

from __future__ import annotations

from typing import NamedTuple

from gatekeeper.admin.key_schemas import FIELD_SCHEMAS, KEY_PROPERTIES, NEXT_CURSOR
from gatekeeper.keys.account import NamedAccount
from gatekeeper.keys.account_changes import account_document
from gatekeeper.keys.field_values import ALIAS_LENGTH
from gatekeeper.keys.fields import GROUP_FIELDS
from gatekeeper.keys.limits import NamedRecord
from gatekeeper.openapi.operation import Operation
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


class Operations(NamedTuple):
    """One of each route."""

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


def _name(meaning: str, example: str) -> Schema:
    return text(meaning, example, minLength=1, maxLength=ALIAS_LENGTH)


GROUP = _operations(
    "group",
    "group",
    "group",
    _name("The name of the group.", "shop"),
    {"keys": integer("How many keys name it.", 3)},
    {"force": boolean("Whether to delete it although keys name it.", example=True)},
)
USER = _operations("user", "end user", "user_id", _name("The end user.", "user-17"), {}, {})
