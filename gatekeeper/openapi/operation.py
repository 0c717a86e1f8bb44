"""The description of one route, which stands at its view."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

from gatekeeper.openapi.schema import Schema

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
