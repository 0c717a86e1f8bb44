"""What `/group/…` and `/user/…` have in common: records of limits, known by a name."""

from __future__ import annotations

from typing import NamedTuple

from quart import Response

from gatekeeper.admin.access import current_caller
from gatekeeper.admin.gateway import current_gateway
from gatekeeper.admin.parameters import DEFAULT_LIMIT
from gatekeeper.admin.precondition import pop_expected
from gatekeeper.admin.problems import invalid
from gatekeeper.admin.requests import Document, json_response, read_fields, read_object, read_query
from gatekeeper.keys.account import NamedAccount
from gatekeeper.keys.account_changes import AccountChanges, account_document
from gatekeeper.keys.audit import Actor
from gatekeeper.keys.fields import GROUP_TABLE, USER_TABLE, FieldTable, parse_fields, parse_name


class Kind(NamedTuple):
    """`group` or `user`, the field that names one, and the fields that it has."""

    name: str
    field: str
    table: FieldTable


GROUP = Kind("group", "group", GROUP_TABLE)
USER = Kind("user", "user_id", USER_TABLE)


async def generate(kind: Kind) -> Response:
    body = await read_object()
    name = parse_name(kind.field, body.pop(kind.field, None))
    fields = parse_fields(body, now=_now(), table=kind.table)
    return _answer(kind, await _changes().create(kind.name, name, fields, now=_now(), by=_actor()))


async def update(kind: Kind) -> Response:
    body = await read_object()
    name, expected = _pop_name(kind, body), pop_expected(body)
    fields = parse_fields(body, now=_now(), update=True, table=kind.table)
    changed = await _changes().update(kind.name, name, fields, now=_now(), by=_actor(), expected=expected)
    return _answer(kind, changed)


async def set_blocked(kind: Kind, *, blocked: bool) -> Response:
    name = _pop_name(kind, await read_fields())
    return _answer(kind, await _changes().set_blocked(kind.name, name, blocked, now=_now(), by=_actor()))


async def delete(kind: Kind) -> Response:
    body = await read_fields()
    name, force = _pop_name(kind, body), body.get("force", False)
    if not isinstance(force, bool):
        raise invalid("force", "`force` is true or false", "give true or false")

    def count_keys() -> int:
        return 0 if force or kind is not GROUP else current_gateway().registry.keys_in(name)

    await _changes().delete(kind.name, name, count_keys, now=_now(), by=_actor())
    return json_response({"deleted": name})


async def info(kind: Kind) -> Response:
    query = read_query()
    name = query.group if kind is GROUP else query.user_id
    if name is None:
        raise invalid(kind.field, f"`{kind.field}` is missing", "give it once")
    return _answer(kind, _changes().find(kind.name, name, _now()))


async def list_all(kind: Kind) -> Response:
    """By name; `q` is a text in it, the cursor the last name of the page before."""
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
