"""Whether the catalogue that priced a row gives it the same cost again, from the row alone."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from gatekeeper.admin.call_cost import cost_breakdown
from gatekeeper.pricing.catalogue import Catalogue


def priced_otherwise(row: dict[str, Any], catalogue: Catalogue) -> dict[str, Any]:
    """The two costs, if they differ; empty if not, or if the row has nothing to be priced by."""
    if row["usage"] is None and row["billed_units"] is None:
        return {}
    again = cost_breakdown(row, catalogue)["cost_usd"]
    recorded = row["cost_usd"]
    same = again == recorded or (again and recorded and Decimal(again) == Decimal(recorded))
    return {} if same else {"recorded": recorded, "again": again}
