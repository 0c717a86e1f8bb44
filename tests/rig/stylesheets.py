"""Each stylesheet of the terminal application is parsed once in a process, and not by each of some hundred
applications, and again at each change of colours."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from textual.css.model import RuleSet
from textual.css.stylesheet import Stylesheet


def parse_stylesheets_once() -> None:
    """What Textual parses depends on the text, where it is from, and the variables of the theme. The rules
    are not changed: Textual itself caches them, within one stylesheet."""
    parse_rules: Callable[..., list[RuleSet]] = Stylesheet._parse_rules
    known: dict[Any, list[RuleSet]] = {}

    def parsed(sheet: Stylesheet, *source: Any, **more: Any) -> list[RuleSet]:
        key = (tuple(sheet._variables.items()), source, tuple(more.items()))
        if key not in known:
            known[key] = parse_rules(sheet, *source, **more)
        return known[key]

    Stylesheet._parse_rules = parsed
