"""What a user's own prices change against the built-in ones. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

import msgspec

from gatekeeper.pricing.catalogue import Catalogue
from gatekeeper.pricing.tariff import PricedModel, Tariff


class PriceChange(msgspec.Struct, frozen=True):
    """A component that `ids` cost `old` pico-dollars for (None: nothing known) and now cost `new`, within the
    bounds of `tariff`."""

    ids: tuple[str, ...]
    component: str
    old: int | None
    new: int
    tariff: Tariff


class AliasChange(msgspec.Struct, frozen=True):
    """From a day on, an alias stands for `new`; before for `old`, itself where it was none."""

    alias: str
    starts: date
    old: str
    new: str


class Changes(msgspec.Struct, frozen=True):
    """All differences. `added` are ids and globs that the built-in catalogue has no price for."""

    added: tuple[str, ...]
    prices: tuple[PriceChange, ...]
    aliases: tuple[AliasChange, ...]


def changes(built_in: Catalogue, catalogue: Catalogue) -> Changes:
    """What `catalogue`, `built_in` with a user's own file over it, has other than that."""
    added: list[str] = []
    prices: list[PriceChange] = []
    for model in catalogue.models():
        # Ids of one entry are all in the same entry of the built-in catalogue, or all in none.
        before = built_in.find(model.ids[0])
        if before is None:
            added += model.ids
        prices += _price_changes(before, model)
    return Changes(tuple(added), tuple(prices), tuple(_alias_changes(built_in, catalogue)))


def _price_changes(before: PricedModel | None, model: PricedModel) -> list[PriceChange]:
    found: list[PriceChange] = []
    # The last change of the same component, and the place of it: its next period may be alike.
    last: dict[tuple[object, ...], int] = {}
    for tariff in (each for tariffs in model.tariffs.values() for each in tariffs):
        # No tariff is in two of the built-in ones.
        there = before and before.tariff(tariff.tier, tariff.starts, tariff.above + 1)
        for component, new in tariff.prices.items():
            old = there.prices.get(component) if there else None
            # A file of one's own may repeat what is built in.
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
