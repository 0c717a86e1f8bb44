"""`gatekeeper spend --compare`: what calls cost, beside the period before."""

from __future__ import annotations

import calendar
from collections.abc import Iterator, Sequence
from datetime import datetime, time, timedelta
from decimal import Decimal
from typing import NamedTuple
from zoneinfo import ZoneInfo

import click
import msgspec

from gatekeeper.cli.call_filter import CallFilter, explain_no_calls
from gatekeeper.cli.conventions import Target, call_api
from gatekeeper.cli.output import note_partial, print_json, print_note, print_table, print_warning
from gatekeeper.cli.spend_table import group_column
from gatekeeper.cli.table_layout import TableColumn
from gatekeeper.client import formats
from gatekeeper.client.admin_api import Client
from gatekeeper.client.api_types import ApiResponse
from gatekeeper.client.columns import Cell, Column, TextRole
from gatekeeper.client.formats import timestamp
from gatekeeper.client.spend import Spend, SpendRow, spent_cell, unpriced_text
from gatekeeper.times import WEEKDAYS

COMPARABLE = ("tag", "model", "key", "user", "none")
MAX_ROWS = 1000  # the API's largest answer: a group that is missing there is not known to be new or gone
WEEK = 7  # days


class Span(NamedTuple):
    since: datetime
    until: datetime


class Compared(NamedTuple):
    """The sums of one group in both periods. None: it had no calls, or where `is_cut` is unknown."""

    names: tuple[str | None, ...]
    current: SpendRow | None
    before: SpendRow | None
    is_cut: bool = False


def print_comparison(target: Target, by: str, wanted: CallFilter, limit: int, *, as_json: bool) -> None:
    """Prints the comparison. Raises UsageError for periods or groups that cannot be compared."""
    context = click.get_current_context()
    if wanted.since is None:
        raise click.UsageError("--compare needs --since: a period to compare, such as monday or 30d", context)
    groups = by.split(",")
    if not set(groups) <= set(COMPARABLE):
        allowed = ", ".join(COMPARABLE)
        raise click.UsageError(f"--compare compares --by {allowed}: no hour or day is in both", context)
    current, before = call_api(target, lambda client: both_periods(client, by, wanted), q=wanted.q)
    if as_json:
        both = {"current": msgspec.Raw(current.raw), "before": msgspec.Raw(before.raw)}
        print_json(msgspec.json.encode(both))
        return
    if not current.value.total.calls and not before.value.total.calls:
        print_note(call_api(target, lambda client: explain_no_calls(client, wanted)))
        return
    groups = [] if by == "none" else groups
    rows = list(compared_rows(groups, current.value, before.value)) if groups else []
    total = Compared((), current.value.total, before.value.total)
    print_table(columns(groups, total), rows[:limit], total)
    print_notes(current, before, len(rows) - limit)


async def both_periods(
    client: Client, by: str, wanted: CallFilter
) -> tuple[ApiResponse[Spend], ApiResponse[Spend]]:
    # The gateway's now, which is the end of both requests that have none.
    current = await client.spend(by, wanted.since, wanted.until or "0s", wanted.q, MAX_ROWS)
    since, until = current.value.since, current.value.until
    if since is None or until is None or since >= until:
        later = (
            "--until is not after --since" if wanted.until else f"--since {wanted.since} is not before now"
        )
        raise click.UsageError(later, click.get_current_context())
    zone = ZoneInfo(current.value.timezone)
    span = Span(since.astimezone(zone), until.astimezone(zone))
    earlier = period_before(span, wanted.since or "", is_open=wanted.until is None)
    before = await client.spend(by, earlier.since.isoformat(), earlier.until.isoformat(), wanted.q, MAX_ROWS)
    return current, before


def period_before(span: Span, since: str, *, is_open: bool) -> Span:
    """The period to compare with, as people mean it: after `--since monday` the same days of the week before;
    of whole months, and of this month so far (`is_open`: until now), the month before; of a time from
    midnight on, the same times of the days before; else the time directly before. By the clock of the span's
    zone."""
    if since.lower() in WEEKDAYS:
        return _days_earlier(span, -(-_days(span) // WEEK) * WEEK)
    if _begins_month(span.since) and (is_open or _begins_month(span.until)):
        months = _month(span.until) - _month(span.since) + is_open
        return Span(*(min(_months_earlier(at, months), span.since) for at in span))
    if span.since.time() == time():
        return _days_earlier(span, _days(span))
    # As instants: between two times of a zone Python would compare their clocks.
    length = span.until.timestamp() - span.since.timestamp()
    return Span(datetime.fromtimestamp(span.since.timestamp() - length, span.since.tzinfo), span.since)


def _days(span: Span) -> int:
    """The days that it has begun."""
    return -((span.since.replace(tzinfo=None) - span.until.replace(tzinfo=None)) // timedelta(days=1))


def _days_earlier(span: Span, days: int) -> Span:
    return Span(*(at - timedelta(days=days) for at in span))


def _begins_month(at: datetime) -> bool:
    return at.day == 1 and at.time() == time()


def _month(at: datetime) -> int:
    return at.year * 12 + at.month - 1


def _months_earlier(at: datetime, months: int) -> datetime:
    """The same day and time; a day that its month lacks is the end of that month."""
    year, month = divmod(_month(at) - months, 12)
    days = calendar.monthrange(year, month + 1)[1]
    if at.day > days:
        return datetime.combine(at.replace(year, month + 1, days) + timedelta(days=1), time(), at.tzinfo)
    return at.replace(year, month + 1)


def compared_rows(groups: Sequence[str], current: Spend, before: Spend) -> Iterator[Compared]:
    """The groups of the current period, the most expensive first, then those of the one before only."""

    def named(row: SpendRow) -> tuple[str | None, ...]:
        return tuple(getattr(row, group) for group in groups)

    earlier = {named(row): row for row in before.rows}
    for row in current.rows:
        yield Compared(named(row), row, earlier.pop(named(row), None), before.truncated)
    for names, row in earlier.items():
        yield Compared(names, None, row, current.truncated)


def columns(groups: Sequence[str], total: Compared) -> list[Column[Compared]]:
    def name(group: str, number: int) -> Column[Compared]:
        def cell(row: Compared) -> Cell:
            if row is total:
                return ("total" if number == 0 else ""), TextRole.PLAIN
            text = row.names[number]
            return (f"no {group}", TextRole.DIM) if text is None else (text, TextRole.PLAIN)

        return group_column(groups, group, cell)

    return [
        *(name(group, number) for number, group in enumerate(groups)),
        Column("cost", 0, lambda row: _cost_cell(row, row.current), right=True),
        Column("before", 0, lambda row: _cost_cell(row, row.before), right=True),
        Column("change", 0, change_cell, right=True),
        Column("", 0, percent_cell, right=True),
        TableColumn("calls", 0, lambda row: _calls_cell(row, row.current), right=True, drop=3),
        TableColumn(
            "before", 0, lambda row: _calls_cell(row, row.before), right=True, drop=2, name="calls before"
        ),
    ]


def _calls_cell(row: Compared, sums: SpendRow | None) -> Cell:
    missing = formats.UNKNOWN if row.is_cut else formats.EMPTY
    return (missing, TextRole.DIM) if sums is None else (formats.count(sums.calls), TextRole.PLAIN)


def _cost_cell(row: Compared, sums: SpendRow | None) -> Cell:
    if sums is None:
        return formats.align_decimal(formats.UNKNOWN if row.is_cut else formats.EMPTY, 4), TextRole.DIM
    return spent_cell(sums)


def _costs(row: Compared) -> tuple[Decimal | None, Decimal | None]:
    """What it cost in each period; None: unknown."""
    missing = None if row.is_cut else Decimal(0)
    current, before = (missing if sums is None else sums.known_cost for sums in (row.current, row.before))
    return current, before


def change_cell(row: Compared) -> Cell:
    current, before = _costs(row)
    if current is None or before is None:
        return formats.align_decimal(formats.UNKNOWN, 4), TextRole.WARNING
    change = current - before
    text = formats.EMPTY if not change else ("+" if change > 0 else "") + formats.money(change)
    return formats.align_decimal(text, 4), TextRole.PLAIN if change else TextRole.DIM


def percent_cell(row: Compared) -> Cell:
    """The change as a part of the cost before; that a group is new or gone."""
    current, before = _costs(row)
    if row.before is None and not row.is_cut:
        return "new", TextRole.ACCENT
    if row.current is None and not row.is_cut:
        return "gone", TextRole.DIM
    if current is None or not before:
        return "", TextRole.DIM
    part = float(current / before) - 1
    sign = "+" if part > 0 else "-" if part < 0 else ""
    return sign + formats.percent(abs(part)), TextRole.PLAIN


def print_notes(current: ApiResponse[Spend], before: ApiResponse[Spend], more: int) -> None:
    for response in (current, before):
        note_partial(response.raw)
    if more > 0:
        print_note(f"There are {formats.pluralized(more, 'more row')}: --limit.")
    print_note(f"Calls started {_span_text(current.value)}, before: {_span_text(before.value)}.")
    for period, response in (("", current), (" in the period before", before)):
        if told := unpriced_text(response.value):
            print_warning(f"{told}{period}. The sums leave them out.")


def _span_text(spend: Spend) -> str:
    return f"{timestamp(spend.since, 'seconds')} until {timestamp(spend.until, 'seconds')}"
