"""Reads an export of Google's bill: a CSV of the Cloud Billing console (Reports or Cost table), or one of the
table that Cloud Billing exports to BigQuery, with names as `sku.description` or `sku_description`. Pure.

What is documented (Cloud Billing, "Schema of the standard usage cost data") and what files show:

- The console's days are Pacific time, BigQuery's times UTC; a Cost table has one row for a month.
- Before the header a Cost table has lines such as `Currency,USD`; after its rows a report has sums, without a
  date or a SKU.
- The cost is that before credits. BigQuery has these in `credits`, a report in `Savings programs` and `Other
  savings`. Rows of another cost type than usage are taxes and adjustments.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping, Sequence
from datetime import date, timedelta, tzinfo
from decimal import Decimal
from typing import NamedTuple

import msgspec

from gatekeeper.reconcile.billing_row import BillingRow, ExportError, require_usd

MAX_HEADER_LINES = 60  # in which the header must be
DELIMITERS = ",;\t"
GEMINI_SERVICE_ID = "AEFD-7695-64FA"
GEMINI_SERVICES = frozenset({"gemini api", "generative language api"})
USAGE_TYPES = frozenset({"", "usage", "regular"})

# By meaning: the names that it may have, without a currency and with blanks for `.` and `_`; the first that
# there is counts. Costs with all their decimals come before rounded ones.
REQUIRED = {
    "sku": ("sku description",),
    "day": ("usage start time", "usage start date", "date", "day"),
    "cost": ("unrounded cost", "unrounded subtotal", "cost", "subtotal"),
}
OPTIONAL = {
    "sku_id": ("sku id",),
    "service": ("service description",),
    "service_id": ("service id",),
    "end": ("usage end time", "usage end date"),
    "amount": ("usage amount",),
    "unit": ("usage unit",),
    "currency": ("currency",),
    "type": ("cost type",),
    "credits": ("credits", "credits amount", "credit amount", "total credits"),
    "project": ("project id",),
}
CENT = 10**10  # pico-dollars
SAVINGS = ("savings programs", "savings programmes", "other savings")

# First bytes of ZIP (and Excel), gzip, Parquet and old Excel files.
NOT_CSV = (b"PK\x03\x04", b"\x1f\x8b", b"PAR1", b"\xd0\xcf\x11\xe0")
_CURRENCY = re.compile(r"\(([^)]*)\)\s*\Z")
WHERE = (
    "export it in the console (Billing > Reports, grouped by SKU and by day, or Cost table), or as CSV from "
    "BigQuery"
)


class BilledUsage(NamedTuple):
    """The usage of a SKU from `day` until `end`, which is a later day where the row is for more than one."""

    day: date
    end: date
    sku: str
    sku_id: str
    amount: Decimal | None
    unit: str
    cost_pico: int
    credits_pico: int


class BillingExport(msgspec.Struct):
    """The rows of the Gemini API; and the cost of what else is in the file, in pico-dollars."""

    rows: list[BilledUsage] = []
    other_services: dict[str, int] = {}
    other_types: dict[str, int] = {}
    projects: dict[str, None] = {}
    notes: list[str] = []


def read_export(data: bytes, pacific: tzinfo) -> BillingExport:
    """Reads a file. `pacific` is the zone of Google's days. Raises ExportError."""
    export = BillingExport()
    lines = _decode(data, export.notes).splitlines(keepends=True)
    start, delimiter, titles = _header(lines)
    names = [_name(title) for title in titles]
    columns = _columns(names)
    _check_currency(lines[:start], start + 1, dict(zip(names, titles, strict=True))[columns["cost"]])
    text = io.StringIO("".join(lines[start + 1 :]), newline="")
    reader = csv.reader(text, delimiter=delimiter, strict=True)
    try:
        for values in reader:
            # The sums behind a report's rows have fewer cells than its header.
            fields = dict(zip(names, values, strict=False))
            _add(BillingRow(fields, columns, start + 1 + reader.line_num, pacific), columns, export)
    except csv.Error as error:
        raise ExportError(f"line {start + 1 + reader.line_num}: this is not CSV: {error}") from None
    if export.rows and all(row.cost_pico % CENT == 0 for row in export.rows):
        export.notes.append("Google's amounts are whole cents here: smaller differences are rounding.")
    if not export.rows:
        others = ", ".join(export.other_services)
        raise ExportError(
            f"it has no usage of the Gemini API{f', only of {others}' if others else ''}: choose other days "
            "or another project"
        )
    return export


def _decode(data: bytes, notes: list[str]) -> str:
    if data.startswith(NOT_CSV):
        raise ExportError("this is a spreadsheet, an archive or Parquet: save it as CSV")
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        text = data.decode("utf-16", "replace")
    else:
        try:
            text = data.decode("utf-8-sig")
        except UnicodeDecodeError:
            # What Excel saves as CSV on Windows; a few of its bytes mean nothing.
            text = data.decode("cp1252", "replace")
            notes.append("The file is not UTF-8: it was read as Windows-1252.")
    if "\0" in text:
        raise ExportError(f"this is no text: {WHERE}")
    return text


def _header(lines: Sequence[str]) -> tuple[int, str, list[str]]:
    """The header's place, its delimiter and the titles of its columns."""
    for place, line in enumerate(lines[:MAX_HEADER_LINES]):
        for delimiter in DELIMITERS:
            titles = line.rstrip("\r\n").split(delimiter)
            titles = [title.strip().strip('"') for title in titles]
            if len(titles) > 1 and "sku description" in map(_name, titles):
                return place, delimiter, titles
    shown = lines[0].strip()[:60] if lines else ""
    raise ExportError(
        f"line 1: {shown!r} is not the header of a billing export; there is no column `SKU description` "
        f"(console) or `sku.description` (BigQuery) in the first {MAX_HEADER_LINES} lines: {WHERE}"
    )


def _name(title: str) -> str:
    return " ".join(re.sub(r"[._\s]+", " ", _CURRENCY.sub("", title.lower())).split())


def _columns(names: Sequence[str]) -> dict[str, str]:
    """The column of each meaning. Raises ExportError for a missing one."""
    found = {
        meaning: name
        for meaning, known in (REQUIRED | OPTIONAL).items()
        if (name := next((name for name in known if name in names), None))
    }
    for meaning, known in REQUIRED.items():
        if meaning not in found:
            listed = " or ".join(f"`{name}`" for name in known)
            raise ExportError(f"the header has no column {listed}; it has {', '.join(filter(None, names))}")
    return found


def _check_currency(before: Sequence[str], header: int, title: str) -> None:
    """The currency that is given once: in a line before the header, or in the title of the cost."""
    for number, line in enumerate(before, 1):
        key, _, value = re.sub(r"[;\t]", ",", line).strip().partition(",")
        if key.strip(' "').lower() == "currency":
            require_usd(value.strip(' ,"'), number)
    if found := _CURRENCY.search(title):
        require_usd(found[1], header)


def _add(row: BillingRow, columns: Mapping[str, str], export: BillingExport) -> None:
    sku, start = row.text("sku"), row.day("day")
    # The sums at the end of a report have no SKU or no day.
    if not sku or start is None:
        return
    cost, kind, service = row.cost(), row.text("type"), row.text("service")
    if kind.lower() not in USAGE_TYPES:
        export.other_types[kind] = export.other_types.get(kind, 0) + cost
    elif not _is_gemini(service, row.text("service_id")):
        export.other_services[service] = export.other_services.get(service, 0) + cost
    else:
        if project := row.text("project"):
            export.projects[project] = None
        # A subtotal is what remains after savings.
        savings = row.sum_of(SAVINGS) if "subtotal" in columns["cost"] else 0
        end = row.day("end") or start
        export.rows.append(
            BilledUsage(
                start,
                # One day ends at the next one's midnight.
                end if end > start + timedelta(days=1) else start,
                sku,
                row.text("sku_id"),
                row.number("amount"),
                row.text("unit"),
                cost - savings,
                row.credits() + savings,
            )
        )


def _is_gemini(service: str, service_id: str) -> bool:
    """An export of one service need not name it."""
    if not (service or service_id):
        return True
    return service_id.upper() == GEMINI_SERVICE_ID or service.lower() in GEMINI_SERVICES
