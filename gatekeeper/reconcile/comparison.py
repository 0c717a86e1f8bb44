"""Google's bill beside the ledger, by day and SKU. Pure.

A SKU that does not name a modality, a tier or a context stands for each one that has no SKU of its own in the
export; an amount of the ledger belongs to the SKU that says most about it. An unknown SKU is compared with
nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import date, timedelta
from decimal import Decimal
from typing import NamedTuple

import msgspec

from gatekeeper.pricing.sku import Charge, sku_charge
from gatekeeper.reconcile.billing_export import BilledUsage, BillingExport
from gatekeeper.reconcile.ledger_charges import Amount, LedgerCharges, Reason, Suspect

MAX_EXPLAINED, MAX_CALLS = 5, 5
# A smaller difference is not explained: pico-dollars.
NEGLIGIBLE = 10**6


class Period(NamedTuple):
    """From the first day until the last one, included, in Pacific time. `by_day`: whether the export has an
    amount for each day; otherwise all of it is compared at once."""

    first: date
    last: date
    by_day: bool

    def key(self, day: date) -> date:
        return day if self.by_day else self.first

    def days(self, key: date) -> list[date]:
        """The days that are compared under a key."""
        if self.by_day:
            return [key]
        return [self.first + timedelta(days=n) for n in range((self.last - self.first).days + 1)]


class Compared(msgspec.Struct, kw_only=True):
    """One charge of a day. `skus` has the descriptions and ids on the bill, none where only the ledger has
    it; `charge` is None for unknown SKUs, and then so is `ours`."""

    day: date
    charge: Charge | None
    skus: dict[str, str] = {}
    unit: str = ""
    their_amount: Decimal = Decimal(0)
    theirs_pico: int = 0
    credits_pico: int = 0
    ours: Amount | None = None

    @property
    def difference_pico(self) -> int | None:
        """What the bill has more than the ledger."""
        return None if self.ours is None else self.theirs_pico - self.ours.pico

    @property
    def label(self) -> str:
        """The SKUs; for what is not on the bill the charge."""
        if self.skus or self.charge is None:
            return " + ".join(self.skus)
        return "not on the bill: " + " ".join(part for part in self.charge if part)


class Explained(NamedTuple):
    """A difference and the calls that may explain it."""

    compared: Compared
    calls: list[Suspect]


def period_of(export: BillingExport) -> Period:
    """The days of an export, which has at least one row."""
    first, last = min(row.day for row in export.rows), max(row.end for row in export.rows)
    return Period(first, last, by_day=all(row.day == row.end for row in export.rows))


def compare(export: BillingExport, ledger: LedgerCharges, families: Collection[str]) -> list[Compared]:
    """All charges, by day, the largest amount first."""
    period = period_of(export)
    found: dict[tuple[date, Charge | str], Compared] = {}
    for row in export.rows:
        _add_theirs(found, period.key(row.day), row, sku_charge(row.sku, families))
    known = {each.charge for each in found.values() if each.charge}
    for (day, charge), amount in ledger.sums.items():
        if period.first <= day <= period.last:
            _add_ours(found, period.key(day), _best(charge, known), amount)
    rows = [each for each in found.values() if each.theirs_pico or (each.ours and each.ours.pico)]
    return sorted(rows, key=lambda each: (each.day, -each.theirs_pico, each.label))


def _add_theirs(
    found: dict[tuple[date, Charge | str], Compared], day: date, row: BilledUsage, charge: Charge | None
) -> None:
    ours = None if charge is None else Amount()
    # SKUs of one charge (thinking and not, free and paid) are compared together.
    each = found.setdefault((day, charge or row.sku), Compared(day=day, charge=charge, ours=ours))
    each.skus[row.sku] = row.sku_id
    each.unit = each.unit or row.unit
    each.their_amount += row.amount or 0
    each.theirs_pico += row.cost_pico
    each.credits_pico += row.credits_pico


def _add_ours(
    found: dict[tuple[date, Charge | str], Compared], day: date, charge: Charge, amount: Amount
) -> None:
    each = found.setdefault((day, charge), Compared(day=day, charge=charge, ours=Amount()))
    each.ours = (each.ours or Amount()).plus(*amount)


def _best(charge: Charge, known: Iterable[Charge]) -> Charge:
    """The charge of the bill that says most about this one; itself if none covers it."""
    covering = [each for each in known if each.covers(charge)]
    return max(covering, key=lambda each: (each.specific, str(each)), default=charge)


def explain(rows: Sequence[Compared], ledger: LedgerCharges, period: Period) -> list[Explained]:
    """The largest differences with the calls that are most likely to explain them."""
    differing = [each for each in rows if abs(each.difference_pico or 0) > NEGLIGIBLE]
    largest = sorted(differing, key=lambda each: -abs(each.difference_pico or 0))[:MAX_EXPLAINED]
    return [Explained(each, list(_calls(each, ledger, period))[:MAX_CALLS]) for each in largest]


def _calls(each: Compared, ledger: LedgerCharges, period: Period) -> Iterator[Suspect]:
    days, seen = set(period.days(each.day)), set[str]()
    of_charge = [
        reasons
        for (day, family), reasons in ledger.suspects.items()
        if day in days and each.charge and _concerns(each.charge, family)
    ]
    # What the ledger has too much of is not explained by calls without a cost.
    has_more = (each.difference_pico or 0) < 0
    for reason in Reason:
        for suspect in (suspect for reasons in of_charge for suspect in reasons.get(reason, ())):
            if suspect.id not in seen and not (has_more and suspect.cost_pico is None):
                seen.add(suspect.id)
                yield suspect


def _concerns(charge: Charge, family: str) -> bool:
    # Searches are billed by generation.
    return family == charge.family or (charge.kind in ("search", "maps") and family.startswith(charge.family))
