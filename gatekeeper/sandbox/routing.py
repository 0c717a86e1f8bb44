"""Routing by method and path. Each module of a resource defines its own routes."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cache
from typing import NamedTuple

from gatekeeper.sandbox.http import HttpResponse, RenderError, Request, error_response

# Google's API versions, including those before 2024; and a name without slash and colon.
PLACEHOLDERS = {"{v}": r"(?P<version>v1(?:(?:beta|alpha|main)\d*)?)", "{id}": r"([^/:]+)"}


class Parameters(NamedTuple):
    """The values of a path's placeholders. `names` are those of `{id}`, from left to right; `path` is the
    whole resource name, such as `corpora/a/documents/b`: the path without version, prefix and custom
    method."""

    version: str
    names: tuple[str, ...]
    path: str

    @property
    def name(self) -> str:
        """The last name; empty without one."""
        return self.names[-1] if self.names else ""


Respond = Callable[[Request, Parameters], HttpResponse]


@dataclass(frozen=True, slots=True)
class Route:
    """A method and a path with placeholders (`PLACEHOLDERS`). `respond` raises GoogleError; `open` routes
    need no key; `render_error` renders an error."""

    method: str
    path: str
    respond: Respond
    open: bool = False
    render_error: RenderError = error_response


@cache
def pattern(path: str) -> re.Pattern[str]:
    """The pattern of a path with placeholders. Compiled lazily, because compiling all took longer than the
    rest of the start of the simulated API."""
    pieces = re.split(r"(\{\w+\})", path)
    return re.compile("".join(PLACEHOLDERS.get(piece, re.escape(piece)) for piece in pieces))


Shape = tuple[str, int]


@dataclass(slots=True)
class RouteTable:
    """Routes indexed by method and number of slashes, so that a request is compared with few of them."""

    _by_shape: dict[Shape, list[Route]] = field(default_factory=dict[Shape, list[Route]])

    def add(self, routes: Iterable[Route]) -> None:
        for route in routes:
            # Names have no slash (`PLACEHOLDERS`), so a request's path has as many slashes as the route's.
            shape = route.method, route.path.count("/")
            self._by_shape.setdefault(shape, []).append(route)

    def find(self, request: Request) -> tuple[Route, Parameters] | None:
        for route in self._by_shape.get((request.method, request.path.count("/")), ()):
            if found := pattern(route.path).fullmatch(request.path):
                return route, parameters(found, request.path)
        return None


def parameters(found: re.Match[str], path: str) -> Parameters:
    """The groups of a pattern: a version or none, then the names."""
    version = found.groupdict().get("version") or ""
    names = found.groups()[1 if version else 0 :]
    below = path.partition(f"/{version}/")[2] if version else path.strip("/")
    return Parameters(version, names, below.partition(":")[0])
