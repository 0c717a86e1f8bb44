"""The price catalogue, by date: Google's prices, with the user's own prices taking precedence. Pure.

An exact id takes precedence over a glob, a longer glob over a shorter one, and there is no fuzzy matching: an
id that only resembles a known one is unknown, and so is its price. For the file format see `price_file`.

The entry of an id in the user's file is found by the same rule. If one of its rows covers tier, context, day
and component, its price applies; otherwise the built-in one. An alias in the user's file applies from the
first day that the file gives.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from datetime import date
from fnmatch import fnmatchcase
from hashlib import sha256
from typing import NamedTuple

import msgspec

from gatekeeper.pricing.price_file import Aliases, PriceFile, read_price_file
from gatekeeper.pricing.tariff import PricedModel

# Hexadecimal digits of a version
HASH_DIGITS = 10

Globs = tuple[tuple[str, PricedModel], ...]


class Catalogue(msgspec.Struct, frozen=True, eq=False):
    """All prices. `version` is recorded with every cost: `checked`, the day of the last comparison with
    Google's page, and a hash of the prices. Catalogues are compared by identity, so that results that depend
    on one can be cached."""

    version: str
    checked: date
    entries: tuple[PricedModel, ...]
    exact: dict[str, PricedModel]
    # Longest first.
    globs: Globs
    # By day, ascending.
    aliases: Aliases
    # The globs of the user's own file, and the merged models for pairs of a built-in glob and one of these
    own_globs: Globs = ()
    of_both: dict[tuple[str, str], PricedModel] = {}

    @classmethod
    def parse(cls, text: str) -> Catalogue:
        """Parses the TOML text of a catalogue. Raises CatalogueError."""
        file = read_price_file(text)
        layer = _layer(file)
        return cls(
            version=_version(checked := file.checked or date.min, layer.models, file.aliases),
            checked=checked,
            entries=layer.models,
            exact={name: model for name, model in layer.by_id.items() if "*" not in name},
            globs=layer.globs,
            aliases=file.aliases,
        )

    def with_own(self, text: str) -> Catalogue:
        """This catalogue, which has no own prices yet, with the user's own file taking precedence. Raises
        CatalogueError."""
        file = read_price_file(text, self.models_of)
        own = _layer(file)
        entries = tuple(_overlaid(self, own))
        checked = max(self.checked, file.checked or self.checked)
        aliases = {**self.aliases, **{name: self._steps_with_own(name, file) for name in file.aliases}}
        return Catalogue(
            version=_version(checked, entries, aliases),
            checked=checked,
            entries=entries,
            exact={name: model for model in entries for name in model.ids if "*" not in name},
            globs=self.globs,
            aliases=aliases,
            own_globs=own.globs,
            # Merged once: otherwise each call of a model that two globs match would merge two price lists.
            of_both={
                (name, own_name): _with_own_prices((name,), model, own_model)
                for name, model in self.globs
                for own_name, own_model in own.globs
            },
        )

    def _steps_with_own(self, alias: str, file: PriceFile) -> tuple[tuple[date, str], ...]:
        steps = file.aliases[alias]
        return (*(step for step in self.aliases.get(alias, ()) if not steps or step[0] < steps[0][0]), *steps)

    def models(self) -> tuple[PricedModel, ...]:
        """Every entry, in the order of the files."""
        return self.entries

    def find(self, name: str) -> PricedModel | None:
        """The entry of an id, with or without `models/`; None if neither an id nor a glob matches."""
        name = name.removeprefix("models/")
        if model := self.exact.get(name):
            return model
        built_in, own = _match(self.globs, name), _match(self.own_globs, name)
        if built_in and own:
            return self.of_both[built_in[0], own[0]]
        found = built_in or own
        return found and found[1]

    def models_of(self, name: str) -> tuple[PricedModel, ...]:
        """The entry of an id, or the entries with an id that a glob matches."""
        if "*" not in name:
            return (model,) if (model := self.find(name)) else ()
        return tuple(model for model in self.entries if any(fnmatchcase(each, name) for each in model.ids))

    def resolve_alias(self, name: str, day: date) -> str:
        """The id without `models/`; for an alias, the model that it stood for on that day, if known."""
        name = name.removeprefix("models/")
        steps = self.aliases.get(name, ())
        # To the right of an equal day: a step applies from its first day on.
        passed = bisect_right(steps, day, key=lambda step: step[0])
        return steps[passed - 1][1] if passed else name


class _Layer(NamedTuple):
    """The models of one file."""

    models: tuple[PricedModel, ...]
    by_id: dict[str, PricedModel]
    # Longest first.
    globs: Globs

    def find(self, name: str) -> PricedModel | None:
        """The entry of an id, or of exactly this glob."""
        if model := self.by_id.get(name):
            return model
        found = _match(self.globs, name)
        return found and found[1]


def _layer(file: PriceFile) -> _Layer:
    models = tuple(
        PricedModel.of_rows(ids, source, note, tuple(row.tariff for row in rows))
        for ids, source, note, rows in file.entries
    )
    by_id = {name: model for model in models for name in model.ids}
    # The sort is stable: among globs of the same length the first in the file takes precedence.
    globs = sorted((item for item in by_id.items() if "*" in item[0]), key=lambda item: -len(item[0]))
    return _Layer(models, by_id, tuple(globs))


def _match(globs: Globs, name: str) -> tuple[str, PricedModel] | None:
    # Not `fnmatch`, which folds case where the file system does.
    return next((item for item in globs if fnmatchcase(name, item[0])), None)


def _overlaid(built_in: Catalogue, own: _Layer) -> Iterator[PricedModel]:
    """The merged entries of both files. An entry with several ids is split if the own file has only some of
    them."""
    layer = _Layer(built_in.entries, {id_: m for m in built_in.entries for id_ in m.ids}, built_in.globs)
    together: dict[tuple[int, int], tuple[list[PricedModel], list[str]]] = {}
    for name in dict.fromkeys((*layer.by_id, *own.by_id)):
        of_both = layer.find(name), own.find(name)
        found = [model for model in of_both if model]
        # By identity, as models are compared; a missing one has that of None.
        together.setdefault((id(of_both[0]), id(of_both[1])), (found, []))[1].append(name)
    for (model, *own_models), names in together.values():
        ids = tuple(names)
        if own_models:
            yield _with_own_prices(ids, model, own_models[0])
        else:
            yield model if model.ids == ids else msgspec.structs.replace(model, ids=ids)


def _with_own_prices(ids: tuple[str, ...], built_in: PricedModel, own: PricedModel) -> PricedModel:
    source = f"{built_in.source}; own prices: {own.source}" if own.source else built_in.source
    note = " ".join(filter(None, (built_in.note, own.note)))
    return PricedModel.of_rows(ids, source, note, built_in.rows, own.rows)


def _version(checked: date, models: tuple[PricedModel, ...], aliases: Aliases) -> str:
    """The version: equal for equal prices, whatever the order, comments and sources in the file."""
    content = {
        "models": {name: _priced(model) for model in models for name in model.ids},
        "aliases": aliases,
    }
    digest = sha256(msgspec.json.encode(content, order="deterministic")).hexdigest()
    return f"{checked}-{digest[:HASH_DIGITS]}"


def _priced(model: PricedModel) -> list[object]:
    return [
        (tariff.tier, tariff.starts, tariff.ends, tariff.above, tariff.up_to, tariff.prices)
        for tariffs in model.tariffs.values()
        for tariff in tariffs
    ]
