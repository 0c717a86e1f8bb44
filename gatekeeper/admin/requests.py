"""Parsing of request bodies and query parameters, and JSON responses.

`msgspec` encodes the JSON, because it can embed Google's `usage` byte for byte. The description of a route
lists the parameters and fields that it accepts (`openapi.document`).
"""

from __future__ import annotations

from datetime import date, datetime
from typing import cast

import msgspec
from quart import Response, current_app, request

from gatekeeper.admin.access import current_caller, current_gateway
from gatekeeper.admin.litellm import LITELLM_PARAMETERS, is_taken
from gatekeeper.admin.parameters import PARAMETERS
from gatekeeper.admin.problems import invalid
from gatekeeper.keys.litellm_fields import LITELLM_FIELDS, is_unset
from gatekeeper.ledger import filters
from gatekeeper.ledger.call import Document
from gatekeeper.ledger.predicates import Equals
from gatekeeper.openapi.document import Operation, operation_of
from gatekeeper.openapi.schema import property_names
from gatekeeper.times import to_micros

MAX_BODY_BYTES = 1024 * 1024  # bytes
LARGE_BODIES = {"/key/bulk": 16 * 1024 * 1024, "/import": 16 * 1024 * 1024}
"""Paths whose bodies may be larger, and their limit in bytes."""
_OBJECT = "send one JSON object, or nothing where no field is needed"


def json_response(document: object) -> Response:
    return Response(msgspec.json.encode(document), content_type="application/json")


async def read_object() -> Document:
    """The request's body, whatever its Content-Type; an empty body is an empty object.

    Raises Problem if it is not a JSON object.
    """
    # Without form parsing: curl sets the Content-Type of a form by default, and the body would be parsed as
    # one.
    body = await request.get_data(cache=True, as_text=False, parse_form_data=False)
    if not body.strip():
        return {}
    try:
        document = msgspec.json.decode(body)
    # RecursionError: thousands of nested lists.
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise invalid("body", f"The body is not JSON: {error}", _OBJECT) from None
    if not isinstance(document, dict):
        raise invalid("body", "The body is not a JSON object", _OBJECT)
    return cast("Document", document)


def described() -> Operation:
    """The description of the current request's route."""
    if operation := operation_of(current_app.view_functions[request.endpoint or ""]):
        return operation
    raise LookupError(f"{request.path} has no description: give its view one (`openapi.document.describe`)")


async def read_fields() -> Document:
    """The body of a request. Raises Problem for fields that are not in the description of its route."""
    document = await read_object()
    body = described().body
    allowed = () if body is None else property_names(body)
    for name in document:
        if name not in allowed and not is_unset(name, document[name]):
            # Not ignored: a misspelt limit would silently have no effect.
            foreign = LITELLM_FIELDS.get(name)
            known = _known(allowed, foreign and foreign.instead)
            raise invalid(name, f"`{name}` is not a field of this request; {known}", list(allowed))
    return {name: value for name, value in document.items() if name in allowed}


def read_text(fields: Document, name: str) -> str | None:
    """A string field of a body; null counts as absent. Raises Problem if it is empty or not a string."""
    value = fields.get(name)
    if value is not None and not (isinstance(value, str) and value and value.isprintable()):
        raise invalid(name, f"`{name}` is not a text", "a text of printable characters, or null")
    return value


def read_count(fields: Document, name: str, most: int) -> int | None:
    """An integer field of a body; null counts as absent. Raises Problem if it is not an integer from 0 to
    `most`."""
    value = fields.get(name)
    # In Python, JSON's true is an int.
    if value is not None and (
        not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= most
    ):
        raise invalid(name, f"`{name}` is a whole number from 0 to {most}", f"0 to {most}")
    return value


def pop_expected(body: Document) -> int | None:
    """Removes and returns the precondition for a change (optimistic locking): `updated_at` in the body, or
    the header `If-Match`. Microseconds since 1970; None without one. Raises Problem."""
    text = body.pop("updated_at", None)
    if text is None and (header := request.headers.get("If-Match")):
        # An entity tag is quoted, and may be a weak one (RFC 9110, 8.8.3).
        text = header.strip().removeprefix("W/").strip('"')
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        allowed = "give the `updated_at` of the document that was read"
        raise invalid("updated_at", f"`updated_at` is no time of a change: {allowed}", allowed)
    return to_micros(moment)


REJECT_EMPTY = (
    "since", "until", "by", "limit", "top", "action", "start_date", "end_date", "api_key", "user_id",
    "request_id", "sort", "running", "key",
)  # fmt: skip
"""Parameters that must not be empty: treating them as absent would widen the query."""


class Query(msgspec.Struct, frozen=True, kw_only=True):
    """The parameters of one request. Absent ones have their default, and so have empty ones unless they are
    in `REJECT_EMPTY`."""

    q: str = ""
    since: datetime | None = None
    until: datetime | None = None
    limit: int | None = None
    top: int | None = None
    cursor: str | None = None
    sort: str | None = None
    running: bool = False
    by: tuple[str, ...] = ()
    action: tuple[str, ...] = ()
    key: str | None = None
    start_date: date | None = None
    end_date: date | None = None
    api_key: str | None = None
    group: str | None = None
    user_id: str | None = None
    request_id: str | None = None
    summarize: bool = False

    def filter(self) -> filters.Filter:
        """The filter: `q` in the filter grammar, between `since` and `until`, restricted to the calls that
        the caller may read. Raises FilterError."""
        wanted = filters.parse(self.q, now=current_gateway().now()).in_period(self.since, self.until)
        own_id = current_caller().own_id
        if own_id is None:
            return wanted
        own = filters.Term((Equals(("key_id",), own_id),), negated=False)
        return filters.Filter((*wanted.terms, own))


def _known(allowed: tuple[str, ...], instead: str | None) -> str:
    """The end of an error message: the allowed names, and what to use in place of a name of LiteLLM's."""
    known = f"there are {', '.join(allowed)}" if allowed else "it takes none"
    return f"{known}. It is LiteLLM's: {instead}" if instead else known


async def check_parameters() -> None:
    """Raises Problem for a parameter that the route does not accept, or that is repeated."""
    # An unknown route is another error; Quart handles OPTIONS.
    if request.args and request.endpoint and request.method != "OPTIONS":
        allowed = described().query
        for name in request.args:
            _check_parameter(name, allowed)


def read_query() -> Query:
    """Parses the parameters after `check_parameters`. Raises Problem for an invalid value."""
    given = {
        name: text
        for name, text in request.args.items()
        if (text or name in REJECT_EMPTY) and not is_taken(request.path, name, text)
    }
    return msgspec.structs.replace(
        Query(), **{name: _parse_value(name, text) for name, text in given.items()}
    )


def _check_parameter(name: str, allowed: tuple[str, ...]) -> None:
    if name not in allowed:
        if is_taken(request.path, name, request.args[name]):
            return
        foreign = LITELLM_PARAMETERS.get(name)
        known = _known(allowed, foreign and foreign.instead)
        raise invalid(name, f"`{name}` is not a parameter of {request.path}; {known}", list(allowed))
    # One of two values would be ignored silently.
    times = len(request.args.getlist(name))
    if times > 1:
        raise invalid(name, f"`{name}` is given {times} times", "give it once")


def _parse_value(name: str, text: str) -> object:
    try:
        return PARAMETERS[name].parse(text)
    except ValueError as problem:
        raise invalid(name, f"`{name}`: {problem}", str(problem)) from None
