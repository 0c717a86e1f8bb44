"""The breakdown of a call's cost, calculated from its row by the current catalogue."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

import msgspec

from gatekeeper.ledger.call import Document
from gatekeeper.logs import log
from gatekeeper.money import pico, short_usd
from gatekeeper.pricing.catalogue import Catalogue
from gatekeeper.pricing.cost_notes import is_priced_by_usage
from gatekeeper.pricing.price_documents import QuoteDocument, quote_document
from gatekeeper.pricing.priced_call import PricedColumns, free_reason, row_quote
from gatekeeper.pricing.quote import Quote

NEVER_RAN = "the client left before all of its request was sent, or Google answered that with an error"
FREE_ROUTE = "requests of this method and path cost nothing"
NOTHING_CHARGED = "the call used nothing that is charged"
FAULT = "a fault of the gateway kept the cost from being calculated: see its log"
REPRICE = "gatekeeper prices reprice"


def cost_breakdown(call: Document, catalogue: Catalogue) -> QuoteDocument:
    """The lines and notes of a finished call's cost, including the reason if it is 0 or unknown, and a note
    if the recorded cost differs from that by the current catalogue."""
    recorded = None if call["cost_usd"] is None else pico(Decimal(call["cost_usd"]))
    model = call["model_version"] or call["model"] or ""
    # A row without a price version was not priced: the call was known to be free, whatever the model costs.
    if recorded == 0 and call["price_version"] is None:
        why = free_reason(call["outcome"], call["status"], call["action"])
        why = why or (NEVER_RAN if call["outcome"] == "client_disconnected" else FREE_ROUTE)
        return quote_document(Quote(model, 0, (), catalogue.version, (why,)))
    if recorded is None and not is_priced_by_usage(call["usage_note"]):
        return quote_document(Quote(model, None, (), catalogue.version, (call["usage_note"],)))
    try:
        quoted = row_quote(catalogue, priced_columns(call))
    except Exception as error:  # noqa: BLE001  a call is shown whatever its price is
        log.error("call_not_priced", call=call["id"], problem=type(error).__name__)
        quoted = Quote(model, None, (), catalogue.version, (FAULT,))
    if quoted.cost_pico == 0 and not quoted.lines and not quoted.notes:
        quoted = msgspec.structs.replace(quoted, notes=(NOTHING_CHARGED,))
    document = quote_document(quoted)
    if quoted.cost_pico != recorded:
        document["notes"].append(_difference(call, recorded, catalogue.version))
    return document


def priced_columns(call: Document) -> PricedColumns:
    return PricedColumns(
        model=call["model"],
        model_version=call["model_version"],
        service_tier=call["service_tier"],
        action=call["action"],
        usage=None if call["usage"] is None else bytes(call["usage"]),
        billed_units=None if call["billed_units"] is None else bytes(call["billed_units"]),
        started_at=datetime.fromisoformat(call["started_at"]),
    )


def _difference(call: Document, recorded: int | None, in_force: str) -> str:
    if recorded is None:
        return f"the row has no cost: it had no known price when the call ended; to set it: {REPRICE}"
    said = f"the row has {short_usd(recorded)} USD"
    if not is_priced_by_usage(call["usage_note"]):
        return f"{said}, which is not the price of its usage alone: see usage_note"
    version = call["price_version"]
    by = f" by the catalogue {version}, this is by {in_force}" if version else f", this is by {in_force}"
    return f"{said}{by}; to change the row: {REPRICE}"
