"""The dated price catalogue: TOML text in, models with their tariffs out.

The form of the file
- `[[models]]` has `ids` (exact ids or globs, `*` matches anything), `source`, optionally a `note` and the
  `inputs` that it takes (default: all four modalities), and `prices`: one row for each tier, context and
  period.
- A row has `tier`; optionally `context` ("<=200k" or ">200k", by the whole prompt), `from` (first day, UTC)
  and `to` (first day on which it no longer holds), `confidence` ("likely" or "doubtful", where Google's own
  page was not seen); and prices in dollars for the unit of each, all as strings.
- The price keys are those of `price_keys`: `input` is the price of every modality of `inputs`, `input_audio`
  of one. Rows of one tier, context and period price different components.
- `[aliases]` says which model an alias stands for from which day on.

An exact id wins over a glob, a longer glob over a shorter one, and there is no fuzzy matching: an id that
only resembles a known one is unknown, and so is its price.
"""

from __future__ import annotations

import re
import tomllib
from bisect import bisect_right
from collections.abc import Iterable
from datetime import date
from fnmatch import fnmatchcase
from itertools import combinations, pairwise
from typing import Literal

import msgspec

from gatekeeper.money import usd
from gatekeeper.pricing.price_keys import PRICE_KEYS, components_of, is_shorthand, price_of
from gatekeeper.pricing.tariff import (
    MODALITIES,
    TIERS,
    Modality,
    PricedModel,
    Tariff,
)
from gatekeeper.pricing.units import TOKENS, unit_of

ROW_KEYS = ("tier", "context", "from", "to", "confidence")
CONFIDENCE = ("likely", "doubtful")
ENTRY_KEYS = f'ids, source, note, inputs (of {", ".join(MODALITIES)}), prices (rows of strings only: "0.30")'
TOP_LEVEL_KEYS = 'version, checked ("2026-11-24"), currency ("USD"), models, aliases (rows of from and model)'

ID = re.compile(r"[a-z0-9.*-]+\Z")
CONTEXT = re.compile(r"(<=|>)(\d{1,5})k\Z", re.ASCII)


class CatalogueError(ValueError):
    """The catalogue is invalid. The message is one line for people: the entry, what is wrong, what is
    allowed."""


class Catalogue(msgspec.Struct, frozen=True, eq=False):
    """All prices of one file. `version` goes with every cost; `checked` is the day of the last comparison
    with Google's page. Compared by identity, so that results that depend on a catalogue can be cached."""

    version: str
    checked: date
    entries: tuple[PricedModel, ...]
    exact: dict[str, PricedModel]
    # Longest first.
    globs: tuple[tuple[str, PricedModel], ...]
    # By day, ascending.
    aliases: dict[str, tuple[tuple[date, str], ...]]

    @classmethod
    def parse(cls, text: str) -> Catalogue:
        """The catalogue that a TOML text holds. Raises CatalogueError."""
        document = _document(text)
        by_id = _by_id(entries := tuple(_entry(*item) for item in enumerate(document.models, 1)))
        globs = sorted((item for item in by_id.items() if "*" in item[0]), key=lambda item: -len(item[0]))
        catalogue = cls(
            version=document.version,
            checked=document.checked,
            entries=entries,
            exact={name: model for name, model in by_id.items() if "*" not in name},
            globs=tuple(globs),
            aliases={
                name: tuple((s.starts, s.model) for s in steps) for name, steps in document.aliases.items()
            },
        )
        # Last, because a glob may be the only id that matches an alias's model.
        _check_aliases(catalogue)
        return catalogue

    def models(self) -> tuple[PricedModel, ...]:
        """Every entry, in the order of the file."""
        return self.entries

    def find(self, name: str) -> PricedModel | None:
        """The entry of an id, with or without `models/`; None if no id and no glob of the file matches."""
        name = name.removeprefix("models/")
        if model := self.exact.get(name):
            return model
        # Not `fnmatch`, which folds case where the file system does.
        return next((model for glob, model in self.globs if fnmatchcase(name, glob)), None)

    def resolve_alias(self, name: str, day: date) -> str:
        """The id without `models/`; for an alias, the model that it stood for on that day, if known."""
        name = name.removeprefix("models/")
        steps = self.aliases.get(name, ())
        # To the right of an equal day: a step holds from its first day on.
        passed = bisect_right(steps, day, key=lambda step: step[0])
        return steps[passed - 1][1] if passed else name


def catalogue_document(catalogue: Catalogue, model: PricedModel | None = None) -> dict[str, object]:
    """The catalogue as the API and the command line show it, or with `model` as its only model.
    `per_1m_tokens` has the dollars for a million tokens of each component, `prices` those of every component
    with its unit."""
    return {
        "version": catalogue.version,
        "checked": catalogue.checked,
        "currency": "USD",
        "models": [_model_document(each) for each in ([model] if model else catalogue.models())],
        "aliases": {
            alias: [{"from": starts, "model": name} for starts, name in steps]
            for alias, steps in catalogue.aliases.items()
        },
    }


def _model_document(model: PricedModel) -> dict[str, object]:
    rows = [_tariff_document(tariff) for tariffs in model.tariffs.values() for tariff in tariffs]
    return {"ids": model.ids, "source": model.source, "note": model.note, "prices": rows}


def _tariff_document(tariff: Tariff) -> dict[str, object]:
    """`from` is the first day, `to` the first on which it no longer holds; the bounds are those of the whole
    prompt in tokens. Null: no bound."""
    priced = {name: (unit_of(name), pico) for name, pico in tariff.prices.items()}
    return {
        "tier": tariff.tier,
        "from": None if tariff.starts == date.min else tariff.starts,
        "to": None if tariff.ends == date.max else tariff.ends,
        "prompt_above": None if tariff.above < 0 else tariff.above,
        "prompt_up_to": tariff.up_to,
        "per_1m_tokens": {
            name: usd(pico * unit.size) for name, (unit, pico) in priced.items() if unit is TOKENS
        },
        "prices": {
            name: {"unit": unit.name, "usd": usd(pico * unit.size)} for name, (unit, pico) in priced.items()
        },
        "confidence": tariff.doubts,
    }


class _AliasTarget(msgspec.Struct, forbid_unknown_fields=True, rename={"starts": "from"}):
    starts: date
    model: str


class _Entry(msgspec.Struct, forbid_unknown_fields=True):
    ids: tuple[str, ...]
    source: str
    prices: list[dict[str, str]]
    note: str = ""
    inputs: tuple[Modality, ...] = MODALITIES


class _Document(msgspec.Struct, forbid_unknown_fields=True):
    version: str
    checked: date
    currency: Literal["USD"]
    models: list[dict[str, object]]
    aliases: dict[str, list[_AliasTarget]] = {}


def _document(text: str) -> _Document:
    try:
        return msgspec.convert(tomllib.loads(text), _Document)
    except tomllib.TOMLDecodeError as error:
        raise CatalogueError(f"the price catalogue is not valid TOML: {error}") from None
    except msgspec.ValidationError as error:
        raise CatalogueError(f"the price catalogue: {error}; allowed at its top: {TOP_LEVEL_KEYS}") from None


def _by_id(entries: Iterable[PricedModel]) -> dict[str, PricedModel]:
    found: dict[str, PricedModel] = {}
    for entry in entries:
        for name in entry.ids:
            if not ID.match(name):
                raise CatalogueError(f"model {name!r}: an id has only a-z 0-9 . - and * (for anything)")
            if name in found:
                raise CatalogueError(f"model {name}: it is in [[models]] twice; allowed is once")
            found[name] = entry
    return found


def _check_aliases(catalogue: Catalogue) -> None:
    for alias, steps in catalogue.aliases.items():
        for day, model in steps:
            if catalogue.find(model) is None:
                raise CatalogueError(f"alias {alias}, from {day}: {model} is not an id of [[models]]")
        if any(later <= earlier for (earlier, _), (later, _) in pairwise(steps)):
            raise CatalogueError(f"alias {alias}: its `from` days must ascend, one model for each")


def _entry(number: int, entry: dict[str, object]) -> PricedModel:
    where = f"model {number} ({entry.get('ids')})"
    try:
        read = msgspec.convert(entry, _Entry)
    except msgspec.ValidationError as error:
        raise CatalogueError(f"{where}: {error}; allowed: {ENTRY_KEYS}") from None
    rows = [_row(f"{where}, price row {row}", keys, read.inputs) for row, keys in enumerate(read.prices, 1)]
    # If two rows held for one call, its price would depend on their order.
    for (first, one), (second, other) in combinations(enumerate(rows, 1), 2):
        twice = one.prices.keys() & other.prices.keys()
        if twice and one.overlaps(other):
            raise CatalogueError(
                f"{where}: price rows {first} and {second} both price {', '.join(sorted(twice))} of the same "
                "calls; allowed is one row for each tier, context and day"
            )
    return PricedModel.of_rows(read.ids, read.source, read.note, tuple(rows))


def _row(where: str, row: dict[str, str], inputs: tuple[Modality, ...]) -> Tariff:
    try:
        return _tariff(row, inputs)
    except CatalogueError as error:
        raise CatalogueError(f"{where}: {error}") from None


def _tariff(row: dict[str, str], inputs: tuple[Modality, ...]) -> Tariff:
    above, up_to = _context(row.get("context"))
    prices = _prices({key: text for key, text in row.items() if key not in ROW_KEYS}, inputs)
    doubt = row.get("confidence")
    if doubt not in (None, *CONFIDENCE):
        raise CatalogueError(f"confidence is {doubt!r}; allowed: {', '.join(CONFIDENCE)}, or nothing")
    tariff = Tariff(
        tier=row.get("tier", ""),
        prices=prices,
        doubts=dict.fromkeys(prices, doubt) if doubt else {},
        starts=_day(row, "from") or date.min,
        ends=_day(row, "to") or date.max,
        above=above,
        up_to=up_to,
    )
    if tariff.tier not in TIERS:
        raise CatalogueError(f"tier is {tariff.tier!r}; allowed: {', '.join(TIERS)}")
    if tariff.starts >= tariff.ends:
        raise CatalogueError(f"`from` {tariff.starts} is not before `to` {tariff.ends}, so it never holds")
    if not prices:
        raise CatalogueError("the row has no price; allowed: at least one, or no row")
    return tariff


def _context(text: str | None) -> tuple[int, int | None]:
    if text is None:
        return -1, None
    if not (match := CONTEXT.match(text)):
        raise CatalogueError(f'context is {text!r}; allowed: "<=200k" or ">200k" (any number), or no context')
    tokens = int(match[2]) * 1000
    return (-1, tokens) if match[1] == "<=" else (tokens, None)


def _day(row: dict[str, str], key: str) -> date | None:
    try:
        return date.fromisoformat(row[key]) if key in row else None
    except ValueError:
        raise CatalogueError(f'`{key}` is {row[key]!r}; allowed: a day such as "2026-11-24"') from None


def _prices(texts: dict[str, str], inputs: tuple[Modality, ...]) -> dict[str, int]:
    """Pico-dollars for a single unit by component."""
    prices: dict[str, int] = {}
    # `input_audio` overrides `input`, whatever the order in the file.
    for key in sorted(texts, key=is_shorthand, reverse=True):
        if key not in PRICE_KEYS:
            raise CatalogueError(f"unknown key {key!r}; allowed: {', '.join((*ROW_KEYS, *PRICE_KEYS))}")
        try:
            price = price_of(key, texts[key])
        except ValueError as error:
            raise CatalogueError(str(error)) from None
        prices.update(dict.fromkeys(components_of(key, inputs), price))
    return prices
