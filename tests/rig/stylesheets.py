"""Each stylesheet of the terminal application is parsed once in a process, and not by each of some hundred
applications, and again at each change of colours."""

from __future__ import annotations

from textual.cache import LRUCache
from textual.css.stylesheet import Stylesheet

PARSED = 1024  # more than the application has stylesheets and styles of texts


def parse_stylesheets_once() -> None:
    """Textual keeps what it has parsed for each application; here those with the same variables (the colours
    of a theme) share it. What is parsed depends on nothing else, and is not changed."""
    create, set_variables = Stylesheet.__init__, Stylesheet.set_variables
    known: dict[tuple[tuple[str, str], ...], tuple[LRUCache, LRUCache]] = {}

    def give_caches(sheet: Stylesheet) -> None:
        own = (LRUCache(PARSED), LRUCache(PARSED))
        shared = known.setdefault(tuple(sheet._variables.items()), own)
        sheet._parse_cache, sheet._style_parse_cache = shared

    def created(sheet: Stylesheet, *, variables: dict[str, str] | None = None) -> None:
        create(sheet, variables=variables)
        give_caches(sheet)

    def changed(sheet: Stylesheet, variables: dict[str, str]) -> None:
        # Textual empties the caches, which are not for this stylesheet only.
        sheet._parse_cache, sheet._style_parse_cache = LRUCache(1), LRUCache(1)
        set_variables(sheet, variables)
        give_caches(sheet)

    Stylesheet.__init__, Stylesheet.set_variables = created, changed
