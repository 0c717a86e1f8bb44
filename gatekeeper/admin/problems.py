"""All error responses of the admin API, as RFC 9457 problem documents (`application/problem+json`).

`type` is `about:blank`, so `title` is the status code's reason phrase; `detail` says what is wrong and what
is allowed. Further members name the place: `field` (of the body, the query or the headers), `allowed`,
`column` (of a filter, counted from 1).
"""

from __future__ import annotations

import traceback
from collections.abc import Mapping
from http import HTTPStatus

import msgspec
from hypercorn.typing import ASGISendCallable
from quart import Response, request
from werkzeug.exceptions import HTTPException

from gatekeeper.admin.litellm import moved_route
from gatekeeper.keys.account_changes import AccountExists, AccountNotFound, GroupInUse
from gatekeeper.keys.fields import FieldError
from gatekeeper.keys.key_index import KeyAmbiguous, KeyNotFound
from gatekeeper.keys.store import AliasConflict, ChangedMeanwhile, SecretConflict, StoreFailed
from gatekeeper.ledger.analytics.messages import (
    AnalyticsError,
    CursorError,
    GroupingError,
    QueryRefused,
    QueryTimeout,
    QueryUnavailable,
)
from gatekeeper.ledger.filters import FilterError
from gatekeeper.logs import log
from gatekeeper.server.request_validation import MalformedRequest

MAX_TRACE_FRAMES = 5  # stack frames of an internal error that are logged


class Problem(Exception):
    """An error response. `members` are added to the document, `headers` to the response; no secrets in
    either."""

    def __init__(
        self, status: int, detail: str, *, headers: Mapping[str, str] | None = None, **members: object
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = headers or {}
        self.members = members

    def document(self) -> dict[str, object]:
        title = HTTPStatus(self.status).phrase
        known: dict[str, object] = {
            "type": "about:blank",
            "title": title,
            "status": self.status,
            "detail": self.detail,
        }
        return known | self.members


def invalid(field: str, detail: str, allowed: str | list[str]) -> Problem:
    """For an invalid value."""
    return Problem(HTTPStatus.BAD_REQUEST, detail, field=field, allowed=allowed)


def invalid_cursor(what: str) -> Problem:
    return invalid(
        "cursor", f"`cursor`: invalid cursor, no page of {what} ended there", "give a page's `next_cursor`"
    )


async def problem_response(error: Exception) -> Response:
    """The response to a request that raised this exception."""
    problem = problem_of(error)
    response = Response(
        msgspec.json.encode(problem.document()), problem.status, content_type="application/problem+json"
    )
    response.headers.update(problem.headers)
    return response


async def reject_malformed(malformed: MalformedRequest, send: ASGISendCallable) -> None:
    """Sends the response to a malformed request, which never reaches Quart."""
    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE if malformed.too_large else HTTPStatus.BAD_REQUEST
    body = msgspec.json.encode(Problem(status, malformed.message).document())
    headers = [(b"content-type", b"application/problem+json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})


def problem_of(error: Exception) -> Problem:
    match error:
        case Problem():
            return error
        case FieldError():
            return invalid(error.field, str(error), error.allowed)
        case FilterError():
            return Problem(HTTPStatus.BAD_REQUEST, str(error), field="q", column=error.column)
        case KeyNotFound() | AccountNotFound():
            return Problem(HTTPStatus.NOT_FOUND, str(error), field=error.field)
        case (
            AliasConflict()
            | SecretConflict()
            | KeyAmbiguous()
            | AccountExists()
            | GroupInUse()
            | ChangedMeanwhile()
        ):
            return Problem(HTTPStatus.CONFLICT, str(error), field=error.field)
        case QueryRefused():
            return Problem(HTTPStatus.BAD_REQUEST, str(error), field="query")
        case CursorError():
            return invalid_cursor("calls")
        case GroupingError():
            return invalid("by", f"`by`: {error}", error.allowed)
        case QueryUnavailable() | QueryTimeout():
            return Problem(HTTPStatus.SERVICE_UNAVAILABLE, str(error))
        case AnalyticsError():
            log.error("analytics_query_failed", detail=str(error))
            return Problem(HTTPStatus.SERVICE_UNAVAILABLE, str(error))
        case StoreFailed():
            log.error("key_store_failed", detail=str(error))
            return Problem(HTTPStatus.SERVICE_UNAVAILABLE, f"{error}; nothing was changed")
        case HTTPException():
            return _http_problem(error)
        case _:
            return _internal_error(error)


def _http_problem(error: HTTPException) -> Problem:
    """Errors of Quart itself: unknown path or method, too large a body, a body that does not arrive."""
    status = error.code or HTTPStatus.INTERNAL_SERVER_ERROR
    # Only `Allow`: Werkzeug's Content-Type, for instance, is that of its HTML page.
    headers = {name: value for name, value in error.get_headers() if name.lower() == "allow"}
    match status:
        case HTTPStatus.NOT_FOUND:
            # LiteLLM's path is not repeated: it may hold a key.
            moved = moved_route(request.path)
            detail = (
                f"{moved.route} of LiteLLM is not here. Instead: {moved.instead}"
                if moved
                else f"There is nothing at {request.path}; GET / lists what there is"
            )
        case HTTPStatus.METHOD_NOT_ALLOWED:
            detail = f"{request.path} does not take {request.method}; it takes {headers.get('Allow')}"
        case HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
            detail = "The body is too large: the admin API takes at most 1 MiB, and /key/bulk 16 MiB"
        case _:
            detail = error.description or HTTPStatus(status).description
    return Problem(status, detail, headers=headers)


def _internal_error(error: Exception) -> Problem:
    """An internal error. Logged with its stack frames but without its message, which may contain a secret."""
    # The last frames: the first are Quart's, the same for every request.
    frames = traceback.extract_tb(error.__traceback__)[-MAX_TRACE_FRAMES:]
    log.error(
        "admin_request_failed",
        method=request.method,
        path=request.path,
        problem=type(error).__name__,
        trace=[f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames],
    )
    return Problem(
        HTTPStatus.INTERNAL_SERVER_ERROR,
        "Internal error of the gateway; its log has the event admin_request_failed",
    )
