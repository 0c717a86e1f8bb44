"""The description of each route, which stands at its view (`describe`), and the OpenAPI 3.1 document of all
of them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from http import HTTPStatus
from typing import Any, NamedTuple, TypeVar

from gatekeeper.openapi.schema import COMPONENTS, Document, Schema, example_of, resolved

ViewFunction = Callable[..., Any]
View = TypeVar("View", bound=ViewFunction)


class Operation(NamedTuple):
    """What a route takes and answers. Its view's docstring is the description.

    `query` names its parameters (of `admin.parameters`), `required` those that must be given, `headers` the
    request headers that it reads. `body` is the schema of a JSON body with its example, None for a route that
    takes no field. `answer` is the schema of the body of a 200, and `media_type` its type. `problems` are the
    statuses of errors beside those that every route has.
    """

    summary: str
    answer: Schema
    body: Schema | None = None
    query: tuple[str, ...] = ()
    required: tuple[str, ...] = ()
    headers: tuple[str, ...] = ()
    media_type: str = "application/json"
    problems: tuple[int, ...] = ()


_OPERATIONS: dict[ViewFunction, Operation] = {}


def describe(operation: Operation) -> Callable[[View], View]:
    """A decorator: this is what the view does. It goes below the one that gives the view its route."""

    def register(view: View) -> View:
        _OPERATIONS[view] = operation
        return view

    return register


def operation_of(view: ViewFunction) -> Operation | None:
    """The description of a view."""
    return _OPERATIONS.get(view)


class Route(NamedTuple):
    """A route of the API: `path` as OpenAPI writes it, with the names of its parameters. `access` says who
    may use it; None: anybody, without a key."""

    path: str
    path_parameters: tuple[str, ...]
    method: str
    endpoint: str
    view: ViewFunction
    operation: Operation
    access: str | None


class ApiDescription(NamedTuple):
    """What all routes have in common. `problem` is the schema of every error; `statuses` those that every
    route may have, `guarded_statuses` those of routes that need a key, `body_statuses` those of routes with a
    body; `paths` are described elsewhere."""

    info: Document
    security: list[dict[str, list[str]]]
    security_schemes: Document
    parameters: Mapping[str, Schema]
    headers: Mapping[str, Schema]
    path_parameters: Mapping[str, Schema]
    problem: Schema
    statuses: tuple[int, ...]
    guarded_statuses: tuple[int, ...]
    body_statuses: tuple[int, ...]
    paths: Document
    tags: Mapping[str, str]


def openapi_document(api: ApiDescription, routes: Iterable[Route]) -> Document:
    paths: Document = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(api, route)
    return {
        "openapi": "3.1.0",
        "info": api.info,
        "tags": [{"name": name, "description": meaning} for name, meaning in api.tags.items()],
        "security": api.security,
        "paths": paths | api.paths,
        "components": {"schemas": dict(sorted(COMPONENTS.items())), "securitySchemes": api.security_schemes},
    }


def _operation(api: ApiDescription, route: Route) -> Document:
    operation = route.operation
    described: Document = {
        "operationId": route.endpoint,
        "tags": [route.endpoint.partition(".")[0]],
        "summary": operation.summary,
        "description": "\n\n".join(filter(None, (inspect.getdoc(route.view), route.access))),
        "responses": _responses(api, route),
    }
    if parameters := _parameters(api, route):
        described["parameters"] = parameters
    if operation.body is not None:
        described["requestBody"] = _request_body(operation.body)
    if route.access is None:
        described["security"] = []
    return described


def _parameters(api: ApiDescription, route: Route) -> list[Document]:
    placed = [
        *(("path", name, api.path_parameters[name]) for name in route.path_parameters),
        *(("query", name, api.parameters[name]) for name in route.operation.query),
        *(("header", name, api.headers[name]) for name in route.operation.headers),
    ]
    return [_parameter(place, name, schema, route.operation) for place, name, schema in placed]


def _parameter(place: str, name: str, schema: Schema, operation: Operation) -> Document:
    rules = {keyword: value for keyword, value in schema.items() if keyword != "description"}
    required = place == "path" or name in operation.required
    described = {"name": name, "in": place, "description": schema["description"], "schema": rules}
    return described | ({"required": True} if required else {})


def _request_body(body: Schema) -> Document:
    # A body without a required field may be left out.
    required = bool(resolved(body).get("required") or resolved(body).get("oneOf"))
    content = {"schema": body, "example": example_of(body)}
    return {"required": required, "content": {"application/json": content}}


def _responses(api: ApiDescription, route: Route) -> Document:
    operation = route.operation
    answer = {"schema": operation.answer, "example": example_of(operation.answer)}
    statuses = {*api.statuses, *operation.problems}
    statuses |= set() if route.access is None else set(api.guarded_statuses)
    # Bodies that do not arrive or are too large are refused whatever the route takes of them.
    statuses |= set(api.body_statuses) if route.method == "POST" else set()
    meaning = resolved(operation.answer)["description"]
    ok = {"200": {"description": meaning, "content": {operation.media_type: answer}}}
    return ok | {str(status): _problem(api, status) for status in sorted(statuses)}


def _problem(api: ApiDescription, status: int) -> Document:
    return {
        "description": HTTPStatus(status).phrase,
        "content": {
            "application/problem+json": {
                "schema": api.problem,
                "example": {
                    "type": "about:blank",
                    "title": HTTPStatus(status).phrase,
                    "status": status,
                    "detail": "What is wrong, and what is allowed.",
                },
            }
        },
    }
