"""A catalogue as JSON."""

from __future__ import annotations

from datetime import date

from gatekeeper.money import usd
from gatekeeper.pricing.catalogue import Catalogue
from gatekeeper.pricing.tariff import PricedModel, Tariff
from gatekeeper.pricing.units import TOKENS, unit_of


def catalogue_document(
    catalogue: Catalogue, model: PricedModel | None = None, day: date | None = None
) -> dict[str, object]:
    """The catalogue as the API and the command line show it, or with `model` as its only model; of `day`, or
    of all days.

    `prices` of a row has every component with its unit, `per_1m_tokens` the dollars of those that are
    counted in tokens; `confidence` the components whose price is "likely" or "doubtful", `own` those that the
    user's own file prices.
    """
    return {
        "version": catalogue.version,
        "checked": catalogue.checked,
        "currency": "USD",
        "models": [_model(each, day) for each in ([model] if model else catalogue.models())],
        "aliases": {
            alias: [{"from": starts, "model": name} for starts, name in steps]
            for alias, steps in catalogue.aliases.items()
        },
    }


def _model(model: PricedModel, day: date | None) -> dict[str, object]:
    rows = [
        _tariff(tariff)
        for tariffs in model.tariffs.values()
        for tariff in tariffs
        if day is None or tariff.starts <= day < tariff.ends
    ]
    return {"ids": model.ids, "source": model.source, "note": model.note, "prices": rows}


def _tariff(tariff: Tariff) -> dict[str, object]:
    priced = {name: (unit_of(name), pico) for name, pico in tariff.prices.items()}
    return {
        **bounds_document(tariff),
        "per_1m_tokens": {
            name: usd(pico * unit.size) for name, (unit, pico) in priced.items() if unit is TOKENS
        },
        "prices": {
            name: {"unit": unit.name, "usd": usd(pico * unit.size)} for name, (unit, pico) in priced.items()
        },
        "confidence": tariff.doubts,
        "own": sorted(tariff.own),
    }


def bounds_document(tariff: Tariff) -> dict[str, object]:
    """What a tariff holds for. `from` is the first day, `to` the first on which it no longer holds; the
    bounds are those of the whole prompt in tokens. Null: no bound."""
    return {
        "tier": tariff.tier,
        "from": None if tariff.starts == date.min else tariff.starts,
        "to": None if tariff.ends == date.max else tariff.ends,
        "prompt_above": None if tariff.above < 0 else tariff.above,
        "prompt_up_to": tariff.up_to,
    }
