"""The query of a list: how many items a page has, and after which position it begins.

Google's lists take `pageSize` and `pageToken` (https://google.aip.dev/158), also in snake_case, its newer
APIs only so; those of OpenAI's form `limit` and `after`.
"""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import quote_from_bytes, unquote_plus

from gatekeeper.gemini.evasion import alphanumerics, query_risk

# By what the spelling of a parameter is reduced to: all spellings that are taken, camelCase first.
_NATIVE = {"pagesize": ("pageSize", "page_size"), "pagetoken": ("pageToken", "page_token")}
_OPENAI = {"limit": ("limit",), "after": ("after",)}
_SIZES = ("pagesize", "limit")
MAX_SIZE = 1_000_000  # items of a page; Google's limits are from 20 to 1,000


class BadListQuery(ValueError):
    """A query whose list could not be filtered; the text, a sentence without its dot, is for the client."""


class ListQuery(NamedTuple):
    """`size` and `token` are None where they were not given; `names` are the parameters as the client spells
    them, `others` all the rest, as it came."""

    size: int | None
    token: str | None
    names: dict[str, str]
    others: tuple[bytes, ...]
    is_openai: bool

    def at(self, size: int | None, token: str | None, *, snake_case: bool) -> bytes:
        """The query for another page of the same list."""
        given = zip(_OPENAI if self.is_openai else _NATIVE, (size, token), strict=True)
        paging = [
            (self._name(key, snake_case=snake_case), str(value)) for key, value in given if value is not None
        ]
        return b"&".join(
            [
                *self.others,
                *(f"{name}={quote_from_bytes(value.encode(), '')}".encode() for name, value in paging),
            ]
        )

    def _name(self, key: str, *, snake_case: bool) -> str:
        spellings = (_OPENAI if self.is_openai else _NATIVE)[key]
        return self.names.get(key) or spellings[-1 if snake_case else 0]


def parse_list_query(query: bytes, *, is_openai: bool) -> ListQuery:
    """Raises BadListQuery for what could change the answer's form, or is no valid paging."""
    if query_risk(query):
        raise BadListQuery("a field mask, `callback`, another `alt` or a method override in the query")
    known = _OPENAI if is_openai else _NATIVE
    names: dict[str, str] = {}
    values: dict[str, str] = {}
    others: list[bytes] = []
    for pair in filter(None, query.split(b"&")):
        name, _, value = pair.decode("latin-1").partition("=")
        name, value = unquote_plus(name), unquote_plus(value)
        folded = alphanumerics(name)
        if folded == "before" or (folded == "alt" and value == "sse"):
            raise BadListQuery(f"`{folded}`" + ("" if folded == "before" else "=sse"))
        if folded not in known:
            others.append(pair)
            continue
        if folded in values or name not in known[folded]:
            raise BadListQuery(f"`{known[folded][0]}` twice, or in another spelling")
        names[folded], values[folded] = name, value
    sizes = [_size(values[key]) for key in _SIZES if key in values]
    token = values.get("after" if is_openai else "pagetoken")
    return ListQuery(sizes[0] if sizes else None, token or None, names, tuple(others), is_openai)


def _size(value: str) -> int | None:
    """Zero is the same as none."""
    # Cut before it is read: int() raises for more than 4,300 digits (Python 3.11).
    if value and not (value.isascii() and value.isdigit() and int(value[:9]) <= MAX_SIZE and len(value) < 9):
        raise BadListQuery(f"a page size that is no whole number from 0 to {MAX_SIZE:,}")
    return int(value or 0) or None
