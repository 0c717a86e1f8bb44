"""JSON in and out. `msgspec` does both: it passes Google's `usage` on byte for byte."""

from __future__ import annotations

from typing import Any, cast

import msgspec
from quart import Response, request

from gatekeeper.admin.problems import invalid

Document = dict[str, Any]
"""A JSON object."""

LARGEST_BODY = 1024 * 1024  # bytes
_OBJECT = "send one JSON object, or nothing where no field is needed"


def answer(document: object) -> Response:
    return Response(msgspec.json.encode(document), content_type="application/json")


async def read_object() -> Document:
    """The request's body, whatever its Content-Type says; an empty one is an empty object.

    Raises Problem for what is no JSON object.
    """
    body = await request.get_data(cache=True, as_text=False, parse_form_data=False)
    if not body.strip():
        return {}
    try:
        document = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise invalid("body", f"The body is no JSON: {error}", _OBJECT) from None
    if not isinstance(document, dict):
        raise invalid("body", "The body is no JSON object", _OBJECT)
    return cast("Document", document)


async def read_fields(*allowed: str) -> Document:
    """The body of a request that takes these fields and no other. Raises Problem."""
    document = await read_object()
    for name in document:
        if name not in allowed:
            raise invalid(name, f"`{name}` is no field here; there are {', '.join(allowed)}", list(allowed))
    return document
