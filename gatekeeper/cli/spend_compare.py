"""`gatekeeper spend --compare`: the cost of calls compared with the preceding period."""

from __future__ import annotations

import calendar
from collections.abc import Iterator, Sequence
from datetime import datetime, time, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

import click
import msgspec

from gatekeeper.cli.call_filter import CallFilter, explain_no_calls
from gatekeeper.cli.conventions import Target, call_api
from gatekeeper.cli.output import note_partial, print_json, print_note, print_table, print_warning
from gatekeeper.cli.spend_table import Compared, compared_columns
from gatekeeper.client import formats
from gatekeeper.client.admin_api import Client
from gatekeeper.client.api_types import ApiResponse
from gatekeeper.client.formats import timestamp
from gatekeeper.client.spend import Spend, SpendRow, unpriced_text
from gatekeeper.times import WEEKDAYS

COMPARABLE = ("tag", "model", "key", "user", "none")
MAX_ROWS = 1000  # the API's largest answer: a group that is missing there is not known to be new or gone
WEEK = 7  # days


class Span(NamedTuple):
    since: datetime
    until: datetime


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
    print_table(compared_columns(groups, total), rows[:limit], total)
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
