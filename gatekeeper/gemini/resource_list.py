"""List responses: which routes return one, how a page is read, and how one is written with only some of its
items.

The written page has only the known members: its items, each byte for byte, and the page token. Other members
are left out, because they may describe the removed items (`totalSize`). Sources: Google's discovery
documents, https://google.aip.dev/132 and https://google.aip.dev/158, and OpenAI's reference for the lists
under `openai/`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from gatekeeper.gemini.actions import Billing
from gatekeeper.gemini.resource_names import COLLECTIONS_WITH_IDS, owned_resource, resource_in_document
from gatekeeper.gemini.routes import Route

_OF_ALL = (["models"], ["openai", "models"])  # visible to every key
_READS = frozenset({"GET", "HEAD"})
_WILDCARD = "-"  # in place of a parent's id: the lists of all parents (https://google.aip.dev/159)
_NEXT_TOKENS = ("nextPageToken", "next_page_token")
_OPENAI_MEMBERS = ("object", "has_more", "first_id", "last_id")

_OBJECT = msgspec.json.Decoder(dict[str, msgspec.Raw])
_ARRAY = msgspec.json.Decoder(list[msgspec.Raw])


class UnreadableList(ValueError):
    """A response that is not a list in a known format; the message says what it is."""


class ListKind(NamedTuple):
    """`collection` is the last one of the path: `files`, `operations`. `is_openai`: in OpenAI's format."""

    collection: str
    is_openai: bool


class Item(NamedTuple):
    """`name` is the resource name (`files/x`), `id` what `after` takes in OpenAI's format, `text` the JSON as
    received. `is_prebuilt`: provided by Google and visible to every key."""

    name: str
    id: str
    text: bytes
    is_prebuilt: bool = False


class ListPage(NamedTuple):
    """`member` is the key of the items. `next_token` is the page token of the next page; None on the last
    one. `is_indented`: Google's pretty-printed JSON; `ends` is the white space after the document."""

    members: dict[str, bytes]
    member: str | None
    items: tuple[Item, ...]
    next_token: str | None
    is_indented: bool
    ends: bytes

    @property
    def is_snake_case(self) -> bool:
        """Whether its members, and so the query parameters, are in snake_case, as in Google's newer APIs."""
        return _NEXT_TOKENS[1] in self.members


class _ItemHead(msgspec.Struct):
    name: object = None
    id: object = None
    type: object = None


_ITEM = msgspec.json.Decoder(_ItemHead)


def list_kind(method: str, route: Route) -> ListKind | None:
    """What the route lists; None if it is not a list, or lists only what is nested in one resource: a key
    that may see the parent may see its children. Any read without a resource name counts as a list, whatever
    its verb: Google might respond with one."""
    if route.action is None and route.billing is Billing.FREE and method in _READS:
        return ListKind("", is_openai=True)
    *collections, verb = (route.action or "").split(".")
    if not collections or collections in _OF_ALL:
        return None
    if (root := owned_resource(route.resource or "")) is not None and _WILDCARD not in root.split("/"):
        return None
    if verb != "list" and (method not in _READS or verb == "get"):
        return None
    return ListKind(collections[-1], collections[0] == "openai")


def read_page(document: bytes, kind: ListKind) -> ListPage:
    """Raises UnreadableList."""
    try:
        members = {name: bytes(raw) for name, raw in _OBJECT.decode(document).items()}
        arrays = {name: _ARRAY.decode(text) for name, text in members.items() if text[:1] == b"["}
        member = _member_of_items(members, arrays)
        items = tuple(_item(bytes(raw), kind) for raw in arrays.get(member or "", ()))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UnreadableList(f"it is not a JSON document of a list ({type(error).__name__})") from None
    return ListPage(
        members,
        member,
        items,
        next_token=_next_token(members, items, kind),
        is_indented=document.lstrip()[:2] == b"{\n",
        ends=document[len(document.rstrip()) :],
    )


def _member_of_items(members: dict[str, bytes], arrays: dict[str, list[msgspec.Raw]]) -> str | None:
    """The key of the array with the items. Arrays of anything but objects do not count. Raises
    UnreadableList."""
    some = [name for name, array in arrays.items() if array and bytes(array[0])[:1] == b"{"]
    if len(some) > 1:
        raise UnreadableList("it has several arrays of resources")
    if some:
        return some[0]
    if any(text[:1] == b"{" for text in members.values()):
        raise UnreadableList("it has no array of resources")
    return next((name for name, array in arrays.items() if not array), None)


def _item(text: bytes, kind: ListKind) -> Item:
    """Raises UnreadableList and msgspec.DecodeError."""
    head = _ITEM.decode(text)
    name = resource_in_document(_collection_of_ids(kind), head.name, head.id, None)
    if name is None:
        raise UnreadableList("one of its resources has no name")
    identifier = head.id if isinstance(head.id, str) else ""
    # Google's SDK on the voices in a list: "either a custom voice […] or a prebuilt system voice".
    return Item(name, identifier, text, is_prebuilt=kind.collection == "voices" and head.type == "prebuilt")


def _collection_of_ids(kind: ListKind) -> str | None:
    return kind.collection if kind.is_openai or kind.collection in COLLECTIONS_WITH_IDS else None


def position_name(position: str, kind: ListKind) -> str | None:
    """The resource name in `after` of an OpenAI-style list; None if it is not valid."""
    return resource_in_document(_collection_of_ids(kind), None, position, None)


def _next_token(members: dict[str, bytes], items: Sequence[Item], kind: ListKind) -> str | None:
    if kind.is_openai:
        return items[-1].id or None if items and members.get("has_more") == b"true" else None
    tokens = [_text(members[name]) for name in _NEXT_TOKENS if name in members]
    return tokens[0] or None if tokens else None


def _text(raw: bytes) -> str:
    """Raises UnreadableList."""
    value: object = msgspec.json.decode(raw)
    if not isinstance(value, str | None):
        raise UnreadableList("its page token is no text")
    return value or ""


def write_page(form: ListPage, items: Sequence[Item], kind: ListKind, token: str | None) -> bytes:
    """A page in the format of `form`, with these items. `token` becomes its `nextPageToken`; in OpenAI's
    format, where the last item's id has that role, it only sets `has_more`."""
    indent = b"\n  " if form.is_indented else b""
    members = _openai_members(form, items, token) if kind.is_openai else _members(form, token)
    name = form.member or kind.collection
    if items or kind.is_openai:
        members = {name: _array([item.text for item in items], indent), **members}
    # In the order of Google's page; members that it does not have come last.
    ordered = sorted(members, key=[*form.members, name, *members].index)
    colon = b": " if form.is_indented else b":"
    written = [msgspec.json.encode(key) + colon + members[key] for key in ordered]
    body = (b"," + indent).join(written)
    end = b"\n" if form.is_indented and written else b""
    return b"{" + (indent if written else b"") + body + end + b"}" + form.ends


def _members(form: ListPage, token: str | None) -> dict[str, bytes]:
    return {_NEXT_TOKENS[form.is_snake_case]: msgspec.json.encode(token)} if token else {}


def _openai_members(form: ListPage, items: Sequence[Item], token: str | None) -> dict[str, bytes]:
    ends = (items[0].id, items[-1].id) if items else (None, None)
    made = {"has_more": msgspec.json.encode(token is not None)}
    made |= {name: msgspec.json.encode(end) for name, end in zip(_OPENAI_MEMBERS[2:], ends, strict=True)}
    known = {name: text for name, text in form.members.items() if name in _OPENAI_MEMBERS}
    return {name: made.get(name, text) for name, text in known.items()} | (
        {"has_more": made["has_more"]} if token else {}
    )


def _array(texts: Sequence[bytes], indent: bytes) -> bytes:
    if not texts:
        return b"[]"
    inner = indent and indent + b"  "
    return b"[" + inner + (b"," + inner).join(texts) + indent + b"]"
