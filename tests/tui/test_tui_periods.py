"""Ranges of time: where they begin and end in any zone, what precedes them, and how bars divide them."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from rig.examples import examples

from tui.spend import periods
from tui.spend.periods import LAST_24_HOURS, LAST_30_DAYS, RANGES, ROLLING, Calendar, Interval

NOW = datetime(2026, 11, 24, 13, 7, 32, tzinfo=UTC)
BERLIN = ZoneInfo("Europe/Berlin")
# Of them Kolkata is half an hour off, Cairo and Santiago begin a day at one, Havana has a midnight twice.
ZONES = ("UTC", "Europe/Berlin", "Asia/Kolkata", "Africa/Cairo", "America/Santiago", "America/Havana")
zones = st.sampled_from(ZONES).map(ZoneInfo)
nows = st.integers(1_420_070_400, 2_082_758_399).map(lambda seconds: datetime.fromtimestamp(seconds, UTC))
calendars = st.builds(Calendar, st.sampled_from(["day", "week", "month"]), st.integers(0, 14))
ranges = st.one_of(st.sampled_from(ROLLING), calendars)


def covered_by(span, now, zone):
    return Interval(span.start(now, zone), span.end(now, zone) or now)


@settings(max_examples=examples(40))
@given(ranges, nows, zones)
@example(Calendar("day"), datetime(2026, 10, 25, 1, 30, tzinfo=UTC), BERLIN)
@example(LAST_24_HOURS, datetime(2026, 3, 29, 1, 30, tzinfo=UTC), BERLIN)
def test_the_preceding_period_ends_before_and_bars_leave_nothing_out(span, now, zone):
    covered = covered_by(span, now, zone)
    assert covered.since <= covered.until <= now
    before = span.preceding(covered, zone)
    assert before.since <= before.until <= covered.since
    for unit in span.units:
        starts = periods.axis(unit, covered, zone)
        assert starts[0] == covered.since
        assert all(low < high for low, high in pairwise([*starts, covered.until])) or now == starts[0]
        day = timedelta(days=7 if unit == "week" else 1)
        longest = timedelta(hours=1) if unit == "hour" else day + timedelta(hours=1)
        assert all(high - low <= longest for low, high in pairwise([*starts, covered.until]))
        labels = [periods.bar_label(start, unit, zone) for start in starts]
        assert len({*labels}) == len(labels)
        assert [max(periods.bar_start(label, zone), covered.since) for label in labels] == starts


@settings(max_examples=examples(40))
@given(calendars, nows, zones)
def test_a_calendar_period_is_compared_with_the_one_before_it_or_as_much_of_it(span, now, zone):
    covered = covered_by(span, now, zone)
    before, earlier = span.preceding(covered, zone), covered_by(Calendar(span.unit, span.back + 1), now, zone)
    assert before.since == earlier.since
    assert earlier.until == covered.since
    if span.back:
        assert before.until == earlier.until
    elif before.until < earlier.until:
        here, then = covered.until.astimezone(zone), before.until.astimezone(zone)
        days = here.date() - covered.since.astimezone(zone).date()
        assert then.date() - before.since.astimezone(zone).date() == days
        # An hour that is missing on that day is the next one.
        assert abs(here.replace(tzinfo=None, fold=0) - then.replace(tzinfo=None, fold=0)) % timedelta(
            days=1
        ) in (timedelta(0), timedelta(hours=1), timedelta(hours=23))


@given(st.sampled_from(["hour", "day", "week"]), st.integers(1, 5), nows, zones)
def test_a_bar_is_compared_with_as_much_of_those_before_it(unit, bars, now, zone):
    start = periods.axis(unit, Interval(now - timedelta(days=9), now), zone)[-1]
    before = periods.preceding_bar(Interval(start, now), unit, bars, zone)
    assert before.since < before.until <= start
    length = timedelta(hours=1) if unit == "hour" else timedelta(days=7 if unit == "week" else 1)
    assert abs(start - before.since - bars * length) <= timedelta(hours=1)


@pytest.mark.parametrize(
    ("key", "title", "since", "until", "before", "to"),
    [
        ("t", "today", "24", None, "23 to 23T13:07", "the day before until 13:07"),
        ("y", "yesterday", "23", "24", "22 to 23", "the day before"),
        ("w", "this week", "23", None, "16 to 17T13:07", "the week before until Tue 13:07"),
        ("W", "last week", "16", "23", "09 to 16", "the week before"),
        ("m", "this month", "01", None, "10-01 to 10-24T13:07", "the month before until 24 Oct 13:07"),
        ("M", "last month", "10-01", "11-01", "09-01 to 10-01", "the month before"),
        ("1", "last 24 hours", "23T14", None, "22T14:52 to 23T14", "the 24 hours before"),
        ("7", "last 7 days", "18", None, "11T10:52 to 18", "the 7 days before"),
        ("3", "last 30 days", "10-26", None, "09-26T10:52 to 10-26", "the 30 days before"),
        ("9", "last 90 days", "08-27", None, "05-29T10:52 to 08-27", "the 90 days before"),
    ],
)
def test_each_range_on_a_tuesday(key, title, since, until, before, to):
    span = RANGES[key]
    covered = covered_by(span, NOW, UTC)
    assert span.title(NOW, UTC) == title
    assert (covered.since, covered.until) == (when(since), when(until) if until else NOW)
    bounds = span.preceding(covered, UTC)
    assert [at.replace(second=0) for at in (bounds.since, bounds.until)] == [*map(when, before.split(" to "))]
    assert span.preceding_title(covered, UTC) == to


def when(text):
    day, _, time = text.partition("T")
    hour, _, minute = time.partition(":")
    whole = day if "-" in day else f"11-{day}"
    return datetime.fromisoformat(f"2026-{whole}T{hour or '00'}:{minute or '00'}Z")


@pytest.mark.parametrize(
    ("span", "now", "title"),
    [
        (Calendar("day", 2), NOW, "Sun 22 Nov"),
        (Calendar("week", 2), NOW, "week 46, 9–15 Nov"),
        (Calendar("week", 3), NOW, "week 45, 2–8 Nov"),
        (Calendar("week", 4), NOW, "week 44, 26 Oct–1 Nov"),
        (Calendar("month", 2), NOW, "September"),
        (Calendar("month", 11), NOW, "December 2025"),
        (Calendar("month", 2), datetime(2026, 1, 5, tzinfo=UTC), "November 2025"),
    ],
)
def test_earlier_periods_have_names_of_their_own(span, now, title):
    assert span.title(now, UTC) == title


def test_the_end_of_a_long_month_is_compared_with_all_of_a_short_one():
    covered = Interval(datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 3, 31, 12, tzinfo=UTC))
    assert Calendar("month").preceding(covered, UTC).until == covered.since


@pytest.mark.parametrize(
    ("span", "by", "stepped"),
    [
        (LAST_30_DAYS, 1, RANGES["9"]),
        (LAST_30_DAYS, 5, RANGES["9"]),
        (LAST_30_DAYS, -5, LAST_24_HOURS),
        (RANGES["t"], -1, RANGES["y"]),
        (RANGES["t"], 1, RANGES["t"]),
        (RANGES["M"], 1, RANGES["m"]),
    ],
)
def test_steps(span, by, stepped):
    assert span.stepped(by) == stepped


@pytest.mark.parametrize(
    ("first", "title"),
    [
        (None, "24 hours"),
        ("2026-11-24", "24 hours"),
        ("2026-11-23", "7 days"),
        ("2026-11-18", "7 days"),
        ("2026-11-17", "30 days"),
        ("2026-01-01", "30 days"),
    ],
)
def test_the_range_that_fits_the_age_of_a_ledger(first, title):
    day = date.fromisoformat(first) if first else None
    assert periods.range_since(day, date(2026, 11, 24)).length == title


def test_hours_in_the_night_when_the_clocks_change():
    now = datetime(2026, 10, 25, 10, tzinfo=BERLIN)
    axis = periods.axis("hour", covered_by(LAST_24_HOURS, now, BERLIN), BERLIN)
    assert [periods.bar_label(start, "hour", BERLIN)[11:] for start in axis[14:17]] == [
        "02:00:00+02:00",
        "02:00:00+01:00",
        "03:00:00+01:00",
    ]


@pytest.mark.parametrize(
    ("label", "unit", "short", "of_several_days"),
    [
        ("2026-11-04", "day", "4 Nov", "4 Nov"),
        ("2026-11-23", "week", "W48", "W48"),
        ("2026-11-24T13:00:00Z", "hour", "13:00", "Tue 13:00"),
    ],
)
def test_labels_on_the_axis(label, unit, short, of_several_days):
    assert periods.short_label(label, unit) == short
    assert periods.short_label(label, unit, several_days=True) == of_several_days


@pytest.mark.parametrize(
    ("since", "until", "unit", "title"),
    [
        ("24T13", "24T14", "hour", "Tue 24 Nov, 13:00–14:00"),
        ("23T22", "24T01", "hour", "Mon 23 Nov, 22:00–01:00"),
        ("23", "24", "day", "Mon 23 Nov"),
        ("23", "24T13:07", "day", "23–24 Nov"),
        ("10-31", "11-02", "day", "31 Oct–1 Nov"),
        ("16", "23", "week", "week 47, 16–22 Nov"),
        ("09", "23", "week", "9–22 Nov"),
        ("01", "02", "week", "week 44, Sun 1 Nov"),
    ],
)
def test_what_a_bar_covers_is_said(since, until, unit, title):
    assert periods.bar_title(Interval(when(since), when(until)), unit, UTC) == title
