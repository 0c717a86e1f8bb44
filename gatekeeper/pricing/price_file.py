"""Reads a price file: TOML text in; entries and aliases out, or all faults, line by line. Pure.

The format
- `[[models]]` has `ids` (exact ids or globs, `*` matches anything), `source`, optionally a `note` and the
  input modalities `inputs` (default: all four), and `prices`: one row per tier, context and period.
- A row has `tier`; optionally `context` ("<=200k" or ">200k", by the whole prompt), `from` (first day, UTC)
  and `to` (first day after the period), `confidence` ("likely" or "doubtful", if Google's own page was not
  seen); and prices in dollars per unit, all as strings.
- The price keys are those of `price_form`: `input` is the price of every modality in `inputs`, `input_audio`
  of one. Rows of the same tier, context and period must price different components.
- `[aliases]` says which model an alias stands for from which day on.
- `checked` is the day of the last comparison with Google's page; `version` is informational.

The user's own file has the same format; it needs neither `checked` nor sources.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable
from datetime import date
from fnmatch import fnmatchcase
from itertools import pairwise
from typing import NamedTuple, TypeVar, cast

from gatekeeper.pricing.price_faults import CatalogueError, Fault, Row, gaps, overlaps
from gatekeeper.pricing.price_form import (
    ENTRY_KEYS,
    STEP_KEYS,
    TOP_LEVEL_KEYS,
    RowError,
    day_of,
    found,
    id_of,
    modalities_of,
    tariff_of,
    text_of,
    unknown_key,
    word_of,
)
from gatekeeper.pricing.tariff import MODALITIES, PricedModel
from gatekeeper.pricing.toml_lines import Path, key_lines

T = TypeVar("T")
Table = dict[str, object]
Aliases = dict[str, tuple[tuple[date, str], ...]]
# The models of the built-in catalogue that an id or a glob affects
BuiltIn = Callable[[str], tuple[PricedModel, ...]]
# The message of a fault; some mention another line.
Message = Callable[[dict[Path, int]], str]


class Entry(NamedTuple):
    """One or more models of the file that share prices."""

    ids: tuple[str, ...]
    source: str
    note: str
    rows: tuple[Row, ...]


class PriceFile(NamedTuple):
    """The contents of a file. `checked` is None only in a user's own file."""

    checked: date | None
    entries: tuple[Entry, ...]
    aliases: Aliases


def read_price_file(text: str, built_in: BuiltIn | None = None) -> PriceFile:
    """Reads the built-in file, or a user's own if `built_in` is given. Raises CatalogueError with all
    faults."""
    try:
        document = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise CatalogueError([_syntax_fault(text, error)]) from None
    reading = _Reading(document, built_in)
    file = reading.file()
    if reading.faults:
        lines = key_lines(text)
        raise CatalogueError(Fault(_line(lines, path), message(lines)) for path, message in reading.faults)
    return file


def _syntax_fault(text: str, error: Exception) -> Fault:
    # tomllib gives the position of an error only in its message.
    where = re.search(r" \(at (?:line (\d+), column \d+|end of document)\)", str(error))
    if where is None:
        return Fault(1, "not valid TOML: nested too deeply, or a number has too many digits")
    last = len(text.splitlines())
    return Fault(int(where[1] or last), f"not valid TOML: {str(error).replace(where[0], '')}")


def _line(lines: dict[Path, int], path: Path) -> int:
    """The line of a path, or of the nearest enclosing table; line 1 for the document."""
    while path and path not in lines:
        path = path[:-1]
    return lines.get(path, 1)


class _Reading:
    """Reads a document and collects its faults."""

    def __init__(self, document: Table, built_in: BuiltIn | None) -> None:
        self._document = document
        self._own = built_in is not None
        self._built_in: BuiltIn = built_in or (lambda _: ())
        self._ids: dict[str, Path] = {}
        self.faults: list[tuple[Path, Message]] = []

    def file(self) -> PriceFile:
        document = self._document
        self._check_keys((), document, TOP_LEVEL_KEYS)
        self._optional((), document, "version", text_of)
        self._optional((), document, "currency", _currency)
        checked = self._optional((), document, "checked", day_of)
        entries = [self._entry(*item) for item in self._tables(("models",), document.get("models", []))]
        if not (self._own or "checked" in document):
            self._fault((), 'checked is missing; allowed: the day of the last check, such as "2026-11-24"')
        if not (self._own or document.get("models")):
            self._fault((), "there are no [[models]]; allowed: at least one")
        return PriceFile(checked, tuple(entries), self._aliases(document.get("aliases", {})))

    def _entry(self, path: Path, table: Table) -> Entry:
        self._check_keys(path, table, ENTRY_KEYS)
        ids = self._names(path, table.get("ids"))
        source, note = (self._optional(path, table, key, text_of) or "" for key in ("source", "note"))
        if not (self._own or "source" in table):
            self._fault(path, "the model has no source; allowed: where its prices are from")
        inputs = self._optional(path, table, "inputs", modalities_of) or MODALITIES
        if table.get("prices") == []:
            self._fault((*path, "prices"), "prices is empty; allowed: at least one row")
        rows: list[Row] = []
        for where, row in self._tables((*path, "prices"), table.get("prices")):
            try:
                rows.append(Row(where, tariff_of(row, inputs, own=self._own)))
            except RowError as error:
                for key, message in error.wrong.items():
                    self._fault((*where, key), message)
        self._check_rows(ids, rows)
        return Entry(ids, source, note, tuple(rows))

    def _names(self, path: Path, ids: object) -> tuple[str, ...]:
        """The ids of an entry, each of which may occur once in the file."""
        path = (*path, "ids")
        if not (isinstance(ids, list) and ids):
            self._fault(
                path, f'ids is {found(cast("object", ids))}; allowed: a list of ids, such as ["gemini-x"]'
            )
            return ()
        names: list[str] = []
        for index, each in enumerate(cast("list[object]", ids)):
            where = (*path, index)
            name = self._value(where, id_of, each)
            if name in self._ids:
                self._elsewhere(where, f"{name} is in line {{}} too; allowed is once", self._ids[name])
            elif name:
                self._ids[name] = where
                names.append(name)
        return tuple(names)

    def _check_rows(self, ids: tuple[str, ...], rows: list[Row]) -> None:
        for first, second, components in overlaps(rows):
            twice = ", ".join(components)
            have = "has" if len(components) == 1 else "have"
            message = f"{twice} {have} a price for the same calls in line {{}}; allowed is one"
            self._elsewhere(second.path, message, first.path)
        concerned = [self._built_in(name) for name in ids]

        def is_built_in(tier: str, component: str, day: date, prompt: int) -> bool:
            models = [model for models in concerned for model in models]
            tariffs = [model.tariff(tier, day, prompt) for model in models]
            # For every model that the glob matches: one without this price would have none.
            return all(concerned) and all(tariff and component in tariff.prices for tariff in tariffs)

        for row, problem in gaps(rows, is_built_in):
            self._fault(row.path, problem)

    def _aliases(self, aliases: object) -> Aliases:
        if not isinstance(aliases, dict):
            self._fault(("aliases",), "aliases is no table; allowed: [aliases] and a line for each")
            aliases = {}
        return {
            alias: tuple(self._steps(("aliases", alias), steps))
            for alias, steps in cast("Table", aliases).items()
            if self._value(("aliases", alias), id_of, alias)
        }

    def _steps(self, path: Path, steps: object) -> list[tuple[date, str]]:
        if rest := _after_dot(steps):
            quoted = f'"{path[-1]}.{rest}"'
            self._fault(path, f"{path[-1]} is no alias; a name with a dot stands in quotes: {quoted}")
            return []
        found: list[tuple[Path, date, str]] = []
        for where, step in self._tables(path, steps):
            self._check_keys(where, step, STEP_KEYS)
            day = self._value((*where, "from"), day_of, step.get("from"))
            model = self._value((*where, "model"), text_of, step.get("model"))
            if model and not (self._built_in(model) or any(fnmatchcase(model, name) for name in self._ids)):
                self._fault(where, f"{model!r} is no model; allowed: an id of [[models]]")
            if day and model:
                found.append((where, day, model))
        for (_, earlier, _), (where, later, _) in pairwise(found):
            if later <= earlier:
                self._fault(where, f"from {later} is not after {earlier}; allowed are days that ascend")
        return [(day, model) for _, day, model in found]

    def _fault(self, path: Path, message: str) -> None:
        self.faults.append((path, lambda _: message))

    def _elsewhere(self, path: Path, message: str, other: Path) -> None:
        """Adds a fault whose message mentions the line of another path."""
        self.faults.append((path, lambda lines: message.format(_line(lines, other))))

    def _check_keys(self, path: Path, table: Table, allowed: tuple[str, ...]) -> None:
        for key in table.keys() - set(allowed):
            self._fault((*path, key), unknown_key(key, allowed))

    def _optional(self, path: Path, table: Table, key: str, read: Callable[[str, object], T]) -> T | None:
        return self._value((*path, key), read, table[key]) if key in table else None

    def _value(self, path: Path, read: Callable[[str, object], T], value: object) -> T | None:
        try:
            return read(str(path[-1]), value)
        except ValueError as error:
            self._fault(path, str(error))
            return None

    def _tables(self, path: Path, value: object) -> list[tuple[Path, Table]]:
        """The tables in a list, with their paths."""
        items = cast("list[object]", value) if isinstance(value, list) else [value]
        found = [
            ((*path, index), cast("Table", item))
            for index, item in enumerate(items)
            if isinstance(item, dict)
        ]
        if len(found) < len(items) or not isinstance(value, list):
            self._fault(path, f"{path[-1]} is no list of tables; allowed: [{{ … }}, …]")
        return found


def _after_dot(steps: object) -> str | None:
    """The part after the dot of an unquoted alias: TOML parses `gemini-9.5 = …` as a table."""
    first = next(iter(cast("Table", steps)), None) if isinstance(steps, dict) else None
    return None if first in STEP_KEYS else first


def _currency(key: str, value: object) -> str:
    return word_of(key, value, ("USD",))
