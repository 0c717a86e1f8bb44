"""The routes of the admin API are compiled once in a process, and not by each of some thousand gateways."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from werkzeug.routing import Rule

Built = Callable[..., tuple[str, str]]


def compile_routes_once() -> None:
    """Werkzeug generates two functions for each route, two thirds of the work of making an application. They
    depend on the route's text only, unless it has defaults."""
    compile_builder: Callable[[Rule, bool], Built] = Rule._compile_builder
    known: dict[Any, Built] = {}

    def compiled(rule: Rule, append_unknown: bool = True) -> Built:
        if rule.defaults:
            return compile_builder(rule, append_unknown)
        key = (tuple(rule._trace), append_unknown)
        if key not in known:
            known[key] = compile_builder(rule, append_unknown)
        return known[key]

    Rule._compile_builder = compiled
