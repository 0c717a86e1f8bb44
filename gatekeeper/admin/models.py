"""What costs what: `/models` and `/prices`."""

from __future__ import annotations

from quart import Blueprint, Response

from gatekeeper.admin.documents import answer
from gatekeeper.admin.gateway import gateway
from gatekeeper.admin.queries import read_query
from gatekeeper.pricing.catalogue import catalogue_document

blueprint = Blueprint("models", __name__)


@blueprint.get("/models")
async def models() -> Response:
    """`seen`: the models that calls asked for, the last used first, and whether the catalogue knows them;
    `priced`: the ids, or globs of ids, that it knows."""
    read_query()
    found = await gateway().ledger.analytics.models()
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
    return answer(catalogue_document(gateway().catalogue))
