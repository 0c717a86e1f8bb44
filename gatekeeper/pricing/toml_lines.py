"""Finds the lines of the keys in a TOML document, which `tomllib` does not report. A path has the keys and
indices that lead to a value: `("models", 0, "prices", 2, "input")`. Pure.
"""

from __future__ import annotations

import re
import tomllib
from bisect import bisect_right
from typing import Any

Path = tuple[str | int, ...]

_BLANK = re.compile(r"(?:\s|#[^\n]*)*")
_INDENT = re.compile(r"[ \t]*")
_KEY = re.compile(r"""(?:[A-Za-z0-9_-]|"(?:\\.|[^"\\])*"|'[^']*'|[ \t]*\.[ \t]*)+""")
# A multi-line string may end in up to two quotes of its own: hence no quote after its end.
_SCALAR = re.compile(
    r'"""(?:\\[\s\S]|[^\\])*?"""(?!")'
    r"|'''[\s\S]*?'''(?!')"
    r'|"(?:\\.|[^"\\])*"'
    r"|'[^']*'"
    r"|[^,\]}#\n]+"
)


def key_lines(text: str) -> dict[Path, int]:
    """The line, from 1, in which each value or table begins (for a table with headers, the first one). The
    document must be valid for tomllib; otherwise the result is undefined."""
    scanner = _Scanner(text)
    scanner.document()
    breaks = [found.start() for found in re.finditer("\n", text)]
    return {path: bisect_right(breaks, at) + 1 for path, at in scanner.places.items()}


class _Scanner:
    """Scans a document once. `places` has the offset of each path."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self.places: dict[Path, int] = {}
        # The number of tables in each array of tables so far
        self._counts: dict[Path, int] = {}

    def document(self) -> None:
        table: Path = ()
        self._skip(_BLANK)
        while self._at < len(self._text):
            if self._text[self._at] == "[":
                table = self._header()
            else:
                self._pair(table)
            self._skip(_BLANK)

    def _header(self) -> Path:
        started = self._at
        brackets = 2 if self._text.startswith("[[", self._at) else 1
        self._at += brackets
        self._skip(_INDENT)
        *parents, last = self._key()
        table: Path = ()
        for name in parents:
            table = self._latest((*table, name))
        table = (*table, last)
        if brackets == 2:
            self._counts[table] = self._counts.get(table, 0) + 1
        self._skip(_INDENT)
        self._at += brackets
        table = self._latest(table)
        self.places.setdefault(table, started)
        return table

    def _latest(self, path: Path) -> Path:
        """The path of the last table if this is an array of tables; otherwise the same path."""
        count = self._counts.get(path)
        # A sub-table header refers to the last element of an array of tables (TOML 1.0).
        return (*path, count - 1) if count else path

    def _pair(self, table: Path) -> None:
        started = self._at
        path = table
        for name in self._key():
            path = (*path, name)
            # Also the tables of a dotted key.
            self.places.setdefault(path, started)
        self._skip(_INDENT)
        self._at += 1  # =
        self._skip(_INDENT)
        self._value(path)

    def _value(self, path: Path) -> None:
        opening = self._text[self._at]
        if opening == "[":
            self._items("]", path)
        elif opening == "{":
            self._items("}", path)
        else:
            self._skip(_SCALAR)

    def _items(self, closing: str, path: Path) -> None:
        """An array, or an inline table."""
        self._at += 1
        index = 0
        self._skip(_BLANK)
        while self._text[self._at] != closing:
            if closing == "]":
                self.places[(*path, index)] = self._at
                self._value((*path, index))
                index += 1
            else:
                self._pair(path)
            self._skip(_BLANK)
            if self._text[self._at] == ",":
                self._at += 1
                self._skip(_BLANK)
        self._at += 1

    def _key(self) -> list[str]:
        """The parts of a key, dotted or simple."""
        written = self._skip(_KEY)
        parts: list[str] = []
        # tomllib decodes quotes and escapes.
        found: Any = tomllib.loads(f"{written} = 0")
        while found != 0:
            ((name, found),) = found.items()
            parts.append(name)
        return parts

    def _skip(self, pattern: re.Pattern[str]) -> str:
        found = pattern.match(self._text, self._at)
        if found is None:
            raise ValueError("this is not TOML")
        self._at = found.end()
        return found[0]
