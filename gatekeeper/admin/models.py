"""What costs what: `/models` and `/prices`."""

from __future__ import annotations

from datetime import date

from quart import Blueprint, Response

from gatekeeper.admin.documents import Document, answer
from gatekeeper.admin.gateway import gateway
from gatekeeper.admin.queries import read_query
from gatekeeper.admin.questions import ask
from gatekeeper.money import usd
from gatekeeper.pricing.catalogue import TOKENS_PER_PRICE
from gatekeeper.pricing.tariff import PricedModel, Tariff

blueprint = Blueprint("models", __name__)


@blueprint.get("/models")
async def models() -> Response:
    """`seen`: the models that calls asked for, the last used first, and whether the catalogue knows them;
    `priced`: the ids, or globs of ids, that it knows."""
    read_query()
    found = await ask(lambda analytics: analytics.models())
    catalogue, today = gateway().catalogue, gateway().now().date()
    seen = [
        {**row, "priced": catalogue.find(catalogue.meant(row["model"], today)) is not None}
        for row in found.value
    ]
    priced = [name for model in catalogue.models() for name in model.ids]
    return answer({"seen": seen, "priced": priced, "price_version": catalogue.version, **found.gaps})


@blueprint.get("/prices")
async def prices() -> Response:
    """The catalogue in force. Prices are dollars for a million tokens of each component."""
    read_query()
    catalogue = gateway().catalogue
    return answer(
        {
            "version": catalogue.version,
            "checked": catalogue.checked,
            "currency": "USD",
            "models": [model_document(model) for model in catalogue.models()],
            "aliases": {
                alias: [{"from": starts, "model": model} for starts, model in steps]
                for alias, steps in catalogue.aliases.items()
            },
        }
    )


def model_document(model: PricedModel) -> Document:
    rows = (tariff_document(tariff) for tariffs in model.tariffs.values() for tariff in tariffs)
    return {"ids": model.ids, "source": model.source, "note": model.note, "prices": list(rows)}


def tariff_document(tariff: Tariff) -> Document:
    """`from` is the first day, `to` the first on which it no longer holds; the bounds are of the whole prompt
    in tokens. Null: without bound."""
    return {
        "tier": tariff.tier,
        "from": None if tariff.starts == date.min else tariff.starts,
        "to": None if tariff.ends == date.max else tariff.ends,
        "prompt_above": None if tariff.above < 0 else tariff.above,
        "prompt_up_to": tariff.up_to,
        "per_1m_tokens": {name: usd(pico * TOKENS_PER_PRICE) for name, pico in tariff.prices.items()},
    }
