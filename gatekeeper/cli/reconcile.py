"""`gatekeeper spend --reconcile EXPORT.csv`: Google's bill beside the ledger.

The calls are fetched page by page and priced here, line by line, with the catalogue of this program and the
prices of this machine: the calls of a month must not keep the gateway from serving.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta, tzinfo
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from gatekeeper.cli.catalogue import loaded_catalogue
from gatekeeper.cli.conventions import CommandError, ExitStatus, Target, call_api
from gatekeeper.cli.export import CallFilter, pages
from gatekeeper.cli.output import print_cells, print_json, print_note, print_table
from gatekeeper.client.admin_api import Client
from gatekeeper.client.columns import Cell, Column, TextRole
from gatekeeper.client.formats import EMPTY, UNKNOWN, pluralized, timestamp
from gatekeeper.money import PICO, short_usd, usd
from gatekeeper.pricing.sku import Charge, families_of
from gatekeeper.reconcile.billing_export import BillingExport, read_export
from gatekeeper.reconcile.billing_row import ExportError
from gatekeeper.reconcile.comparison import Compared, Explained, Period, compare, explain, period_of
from gatekeeper.reconcile.ledger_charges import Amount, LedgerCharges, LedgerRow, Suspect
from gatekeeper.settings import OwnPrices

# Google's days.
PACIFIC = "America/Los_Angeles"
# What is known to cost nothing is on no bill.
# Negated, not `cost:>0`: so calls of unknown cost match, too (a negated term matches what is empty).
MAY_COST = "-cost:<=0"
MAX_NAMED = 5  # models in a note
PROGRESS_CALLS = 100_000  # between two notes
CENT_FRACTION = Decimal("0.000001")
MICRO = 10**6  # pico-dollars


def reconcile(target: Target, path: Path, own: OwnPrices, q: str | None, as_json: bool) -> None:
    """Prints the comparison; `own` is the file of the user's own prices. Raises CommandError."""
    pacific = pacific_zone()
    export = read_file(path, pacific)
    period = period_of(export)
    catalogue = loaded_catalogue(own)
    ledger = LedgerCharges(catalogue, pacific)
    call_api(target, lambda client: add_calls(client, ledger, filter_of(period, q, pacific)))
    families = families_of(name for model in catalogue.models() for name in model.ids)
    rows = compare(export, ledger, families)
    explained = explain(rows, ledger, period)
    notes = [*export.notes, *notes_of(export, ledger, rows, q)]
    if as_json:
        print_json(msgspec.json.encode(document(period, rows, explained, notes)))
        return
    print_table(columns(period), rows, sum_of(rows, period))
    for each in explained:
        print_explanation(each)
    for note in notes:
        print_note(note)


def pacific_zone() -> tzinfo:
    try:
        return ZoneInfo(PACIFIC)
    except ZoneInfoNotFoundError:
        raise CommandError(
            f"this machine does not know the time zone {PACIFIC}: install its time zones (package tzdata)",
            ExitStatus.INTERNAL_ERROR,
        ) from None


def read_file(path: Path, pacific: tzinfo) -> BillingExport:
    try:
        return read_export(path.read_bytes(), pacific)
    except OSError as error:
        raise CommandError(f"{path} cannot be read: {error.strerror}", ExitStatus.USAGE) from None
    except ExportError as error:
        raise CommandError(f"{path}: {error}", ExitStatus.REJECTED) from None


def filter_of(period: Period, q: str | None, pacific: tzinfo) -> CallFilter:
    """The calls of the export's days."""
    since, until = (
        datetime.combine(day, datetime.min.time(), pacific).isoformat()
        for day in (period.first, period.last + timedelta(days=1))
    )
    return CallFilter(f"{q or ''} {MAY_COST}".strip(), since, until)


async def add_calls(client: Client, ledger: LedgerCharges, wanted: CallFilter) -> None:
    read = 0
    async for page in pages(client, wanted):
        for call in page.calls:
            ledger.add(msgspec.json.decode(call, type=LedgerRow))
        read += len(page.calls)
        if read % PROGRESS_CALLS == 0 and read:
            print_note(f"{read:,} calls read …")


def notes_of(
    export: BillingExport, ledger: LedgerCharges, rows: Iterable[Compared], q: str | None
) -> Iterable[str]:
    unknown = [each for each in rows if each.charge is None]
    if unknown:
        total = sum(each.theirs_pico for each in unknown)
        yield (
            f"{pluralized(len(unknown), 'row')} of unknown SKUs, {usd_text(total)} in all, have nothing "
            "to be compared with."
        )
    if credits_pico := sum(row.credits_pico for row in export.rows):
        yield f"Credits and savings of {usd_text(credits_pico)} are not in these amounts."
    for what, costs in (("service", export.other_services), ("cost type", export.other_types)):
        for name, pico in costs.items():
            yield f"Left out: the {what} {name}, {usd_text(pico)}."
    if len(export.projects) > 1:
        yield (
            f"The export has {len(export.projects)} projects: {', '.join(export.projects)}. The calls are "
            "in those of the gateway's Google keys."
        )
    if ledger.unpriced:
        named = ", ".join(f"{model} ({count:,})" for model, count in ledger.unpriced.most_common(MAX_NAMED))
        more = ", …" if len(ledger.unpriced) > MAX_NAMED else ""
        yield f"{pluralized(ledger.unpriced.total(), 'call')} of unknown cost: {named}{more}."
    if ledger.otherwise_priced:
        yield (
            f"{pluralized(ledger.otherwise_priced, 'call')} had other prices than those in force here: "
            "their components are in proportion."
        )
    if q:
        yield f"The ledger's calls are those of the filter {q}."


def sum_of(rows: Iterable[Compared], period: Period) -> Compared:
    """The sum of the rows whose SKU is known: others are not in the ledger, and would only add to the
    difference."""
    total = Compared(day=period.first, charge=None)
    for each in rows:
        if each.ours is not None:
            total.ours = (total.ours or Amount()).plus(0, each.ours.pico)
            total.theirs_pico += each.theirs_pico
    return total


def is_total(each: Compared) -> bool:
    return not each.skus and each.charge is None


def usd_text(pico: int) -> str:
    """Dollars with six decimals, as many as the bill's own amounts have; with all of them where that is 0."""
    size = abs(pico)
    text = short_usd(size) if 0 < size < MICRO else f"{(Decimal(size) / PICO).quantize(CENT_FRACTION):,}"
    return f"{'-' if pico < 0 else ''}${text}"


def columns(period: Period) -> list[Column[Compared]]:
    def day(each: Compared) -> Cell:
        if is_total(each):
            return "", TextRole.PLAIN
        return (each.day.isoformat() if period.by_day else f"{period.first} … {period.last}"), TextRole.PLAIN

    def sku(each: Compared) -> Cell:
        if is_total(each):
            return "total of known SKUs", TextRole.PLAIN
        return each.label, TextRole.PLAIN if each.skus else TextRole.DIM

    def ours(each: Compared) -> Cell:
        return (
            (UNKNOWN, TextRole.WARNING) if each.ours is None else (usd_text(each.ours.pico), TextRole.PLAIN)
        )

    def difference(each: Compared) -> Cell:
        pico = each.difference_pico
        if pico is None:
            return "unknown SKU", TextRole.WARNING
        return (usd_text(pico), TextRole.ERROR) if pico else (EMPTY, TextRole.DIM)

    def theirs(each: Compared) -> Cell:
        return usd_text(each.theirs_pico), TextRole.PLAIN

    return [
        Column("day (Pacific)", 0, day),
        Column("theirs", 0, theirs, right=True),
        Column("ours", 0, ours, right=True),
        Column("difference", 0, difference, right=True),
        # Last, as some are wider than a terminal: the amounts stay in their columns.
        Column("SKU", 24, sku),
    ]


def print_explanation(explained: Explained) -> None:
    each, pico = explained.compared, explained.compared.difference_pico or 0
    print_cells([("", TextRole.PLAIN)])
    more = "more on the bill" if pico > 0 else "more in the ledger"
    print_cells([(f"{each.day} {each.label}: {usd_text(abs(pico))} {more}", TextRole.WARNING)])
    for suspect in explained.calls:
        print_cells([(f"  {suspect_text(suspect)}", TextRole.PLAIN)])
    if not explained.calls:
        print_cells([("  no call of that model and day stands out", TextRole.DIM)])


def suspect_text(suspect: Suspect) -> str:
    cost = "?" if suspect.cost_pico is None else usd_text(suspect.cost_pico)
    note = f": {suspect.note}" if suspect.note else ""
    at = timestamp(suspect.started_at, "seconds")
    return f"{suspect.id}  {at}  {suspect.model}  {cost}  {suspect.reason}{note}"


def document(
    period: Period, rows: Iterable[Compared], explained: Iterable[Explained], notes: list[str]
) -> dict[str, object]:
    total = sum_of(rows, period)
    return {
        "since": period.first,
        "until": period.last + timedelta(days=1),
        "timezone": PACIFIC,
        "by_day": period.by_day,
        "rows": [row_document(each) for each in rows],
        "total": amounts_document(total),
        "explanations": [
            {
                **row_document(each.compared),
                "calls": [suspect_document(suspect) for suspect in each.calls],
            }
            for each in explained
        ],
        "notes": notes,
    }


def row_document(each: Compared) -> dict[str, object]:
    charge = each.charge._asdict() if each.charge else dict.fromkeys(Charge._fields)
    return {
        "day": each.day,
        "skus": [{"id": sku_id or None, "description": sku} for sku, sku_id in each.skus.items()],
        **charge,
        "their_usage": str(each.their_amount),
        "our_usage": None if each.ours is None else str(each.ours.quantity),
        "unit": each.unit or None,
        **amounts_document(each),
    }


def amounts_document(each: Compared) -> dict[str, str | None]:
    difference = each.difference_pico
    return {
        "theirs_usd": usd(each.theirs_pico),
        "ours_usd": None if each.ours is None else usd(each.ours.pico),
        "difference_usd": None if difference is None else usd(difference),
    }


def suspect_document(suspect: Suspect) -> dict[str, object]:
    return {
        "id": suspect.id,
        "started_at": suspect.started_at,
        "model": suspect.model,
        "cost_usd": None if suspect.cost_pico is None else usd(suspect.cost_pico),
        "reason": suspect.reason,
        "note": suspect.note,
    }
