"""Maps exceptions to the error responses of the admin API."""

from __future__ import annotations

import traceback
from http import HTTPStatus

import msgspec
from quart import Response, request
from werkzeug.exceptions import HTTPException

from gatekeeper.admin.litellm import moved_route
from gatekeeper.admin.problems import Problem, invalid, invalid_cursor, malformed_problem
from gatekeeper.admin.requests import LARGE_BODIES, MAX_BODY_BYTES
from gatekeeper.keys.account_changes import AccountExists, AccountNotFound, GroupInUse
from gatekeeper.keys.fields import FieldError
from gatekeeper.keys.key_index import KeyAmbiguous, KeyNotFound
from gatekeeper.keys.sqlite_file import StoreFailed
from gatekeeper.keys.store import AliasConflict, ChangedMeanwhile, SecretConflict
from gatekeeper.ledger.analytics.messages import (
    AnalyticsError,
    CursorError,
    GroupingError,
    QueryRefused,
    QueryTimeout,
    QueryUnavailable,
    SortError,
    mebibytes,
)
from gatekeeper.ledger.filters import FilterError
from gatekeeper.logs import log
from gatekeeper.server.client_stream import ClientDisconnected, MalformedBody

MAX_TRACE_FRAMES = 5  # stack frames of an internal error that are logged


async def problem_response(error: Exception) -> Response:
    """The response to a request that raised this exception."""
    problem = problem_of(error)
    response = Response(
        msgspec.json.encode(problem.document()), problem.status, content_type="application/problem+json"
    )
    response.headers.update(problem.headers)
    return response


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
        case GroupingError() | SortError():
            return invalid(error.field, f"`{error.field}`: {error}", error.allowed)
        case QueryUnavailable() | QueryTimeout():
            return Problem(HTTPStatus.SERVICE_UNAVAILABLE, str(error))
        # After its subclass QueryTimeout: a query that takes too long is not logged as an error.
        case AnalyticsError():
            log.error("analytics_query_failed", detail=str(error))
            return Problem(HTTPStatus.SERVICE_UNAVAILABLE, str(error))
        case StoreFailed():
            log.error("key_store_failed", detail=str(error))
            return Problem(HTTPStatus.SERVICE_UNAVAILABLE, f"{error}; nothing was changed")
        case HTTPException():
            return _http_problem(error)
        case MalformedBody():
            return malformed_problem(error.malformed)
        case ClientDisconnected():  # nobody reads it
            return Problem(HTTPStatus.BAD_REQUEST, "The request's body has no end")
        case _:
            return _internal_error(error)


def _http_problem(error: HTTPException) -> Problem:
    """Errors of Quart itself: unknown path or method, a body that is too large or does not arrive."""
    status = error.code or HTTPStatus.INTERNAL_SERVER_ERROR
    # Only `Allow`: Werkzeug's Content-Type, for instance, is that of its HTML page.
    headers = {name: value for name, value in error.get_headers() if name.lower() == "allow"}
    match status:
        case HTTPStatus.NOT_FOUND:
            # LiteLLM's path is not repeated, because it may contain a key.
            moved = moved_route(request.path)
            detail = (
                f"{moved.route} of LiteLLM is not here. Instead: {moved.instead}"
                if moved
                else f"There is nothing at {request.path}; GET / lists what there is"
            )
        case HTTPStatus.METHOD_NOT_ALLOWED:
            detail = f"{request.path} does not take {request.method}; it takes {headers.get('Allow')}"
        case HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
            most = mebibytes(LARGE_BODIES.get(request.path, MAX_BODY_BYTES))
            detail = f"The body is too large: {request.path} takes at most {most}"
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
