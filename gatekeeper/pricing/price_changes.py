"""The differences between a user's own prices and the built-in ones. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

import msgspec

from gatekeeper.pricing.catalogue import Catalogue
from gatekeeper.pricing.tariff import PricedModel, Tariff


class PriceChange(msgspec.Struct, frozen=True):
    """The price of a component for `ids` changes from `old` pico-dollars (None: no price) to `new`, within
    the tier, period and context of `tariff`."""

    ids: tuple[str, ...]
    component: str
    old: int | None
    new: int
    tariff: Tariff


class AliasChange(msgspec.Struct, frozen=True):
    """From a day on, an alias stands for `new` instead of `old` (itself if it was not an alias)."""

    alias: str
    starts: date
    old: str
    new: str


class Changes(msgspec.Struct, frozen=True):
    """All differences. `added` are the ids and globs without a built-in price."""

    added: tuple[str, ...]
    prices: tuple[PriceChange, ...]
    aliases: tuple[AliasChange, ...]


def changes(built_in: Catalogue, catalogue: Catalogue) -> Changes:
    """The differences between `built_in` and `catalogue`, which is `built_in` with a user's own file
    applied."""
    added: list[str] = []
    prices: list[PriceChange] = []
    for model in catalogue.models():
        # The ids of one entry are all in the same built-in entry, or in none.
        before = built_in.find(model.ids[0])
        if before is None:
            added += model.ids
        prices += _price_changes(before, model)
    return Changes(tuple(added), tuple(prices), tuple(_alias_changes(built_in, catalogue)))


def _price_changes(before: PricedModel | None, model: PricedModel) -> list[PriceChange]:
    found: list[PriceChange] = []
    # The last change of each component and its index: the next period may have the same change.
    last: dict[tuple[object, ...], int] = {}
    for tariff in (each for tariffs in model.tariffs.values() for each in tariffs):
        # A tariff never spans two of the built-in ones.
        there = before and before.tariff(tariff.tier, tariff.starts, tariff.above + 1)
        for component, new in tariff.prices.items():
            old = there.prices.get(component) if there else None
            # The user's own file may repeat built-in prices.
            if old == new:
                continue
            alike = (component, old, new, tariff.tier, tariff.above, tariff.up_to, tariff.starts)
            change = PriceChange(model.ids, component, old, new, tariff)
            if (place := last.pop(alike, None)) is None:
                place = len(found)
                found.append(change)
            else:
                period = msgspec.structs.replace(tariff, starts=found[place].tariff.starts)
                found[place] = msgspec.structs.replace(change, tariff=period)
            last[(*alike[:-1], tariff.ends)] = place
    return found


def _alias_changes(built_in: Catalogue, catalogue: Catalogue) -> Iterator[AliasChange]:
    for alias, steps in catalogue.aliases.items():
        for day, model in steps:
            old = built_in.resolve_alias(alias, day)
            if old != model:
                yield AliasChange(alias, day, old, model)
