"""Where budget windows begin and end: by the calendar of a zone, without gaps, whenever somebody looks."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from hypothesis import example, given
from hypothesis import strategies as st
from rig.cases import cases

from gatekeeper.keys.windows import CalendarDuration, boundaries, calendar_duration
from gatekeeper.times import to_micros

HOUR = 3_600_000_000

PERIODS = [
    ("1mo", CalendarDuration(1, "mo")),
    ("12mo", CalendarDuration(12, "mo")),
    ("1.5mo", CalendarDuration(45, "d")),
    ("1w", CalendarDuration(1, "w")),
    ("0.5w", CalendarDuration(84, "h")),
    ("7d", CalendarDuration(7, "d")),
    ("1.5d", CalendarDuration(36, "h")),
    ("24h", CalendarDuration(24, "h")),
    ("0.5h", CalendarDuration(30, "m")),
    ("60m", CalendarDuration(60, "m")),
    ("1.5m", CalendarDuration(90, "s")),
    ("2000ms", CalendarDuration(2, "s")),
]

# Zone, duration, when it was set, and the boundaries of the first windows from then on, in local time.
CALENDARS = [
    ("UTC", "1d", "2026-11-29T15:23:04", ["2026-11-29", "2026-11-30", "2026-12-01"]),
    ("UTC", "30d", "2026-11-29T15:23:04", ["2026-11-29", "2026-12-29", "2027-01-28"]),
    ("UTC", "7d", "2026-11-29T15:23:04", ["2026-11-29", "2026-12-06"]),
    ("UTC", "1w", "2026-11-29T15:23:04", ["2026-11-23", "2026-11-30", "2026-12-07"]),
    ("UTC", "2w", "2026-11-29T15:23:04", ["2026-11-23", "2026-12-07", "2026-12-21"]),
    ("UTC", "1mo", "2026-01-31T15:23:04", ["2026-01-01", "2026-02-01", "2026-03-01", "2026-04-01"]),
    ("UTC", "1mo", "2026-12-01T00:00:00", ["2026-12-01", "2027-01-01"]),
    ("UTC", "3mo", "2026-11-29T15:23:04", ["2026-11-01", "2027-02-01", "2027-05-01"]),
    ("UTC", "12mo", "2026-11-29T15:23:04", ["2026-11-01", "2027-11-01", "2028-11-01"]),
    ("UTC", "1h", "2026-11-29T15:23:04", ["2026-11-29T15:00", "2026-11-29T16:00"]),
    ("UTC", "12h", "2026-11-29T15:23:04", ["2026-11-29T15:00", "2026-11-30T03:00", "2026-11-30T15:00"]),
    ("UTC", "5m", "2026-11-29T15:23:04", ["2026-11-29T15:23", "2026-11-29T15:28"]),
    ("UTC", "90s", "2026-11-29T15:23:04.5", ["2026-11-29T15:23:04", "2026-11-29T15:24:34"]),
    ("Asia/Kolkata", "1h", "2026-11-29T15:23:04", ["2026-11-29T15:00", "2026-11-29T16:00"]),
    ("Europe/Berlin", "1d", "2026-03-28T15:00", ["2026-03-28", "2026-03-29", "2026-03-30"]),
    ("Europe/Berlin", "1mo", "2026-03-28T15:00", ["2026-03-01", "2026-04-01", "2026-05-01"]),
    ("Europe/Berlin", "1h", "2026-03-29T01:30", ["2026-03-29T01:00", "2026-03-29T03:00"]),
    # No midnight on that day: it begins at one o'clock.
    ("America/Santiago", "1d", "2026-09-05T12:00", ["2026-09-05", "2026-09-06T01:00", "2026-09-07"]),
    # Twice midnight: it begins with the first one.
    ("America/Havana", "1d", "2026-10-31T12:00", ["2026-10-31", "2026-11-01", "2026-11-02"]),
]


@cases(("duration", "parsed"), PERIODS)
def test_a_duration_is_so_many_of_a_unit(duration, parsed):
    assert calendar_duration(duration) == parsed


@cases(("zone", "duration", "now", "ends"), CALENDARS)
def test_windows_follow_the_calendar(zone, duration, now, ends):
    where = ZoneInfo(zone)
    anchor = at = to_micros(datetime.fromisoformat(now).replace(tzinfo=where))

    found = boundaries(duration, anchor, at, where)
    moments = [found.before]
    while len(moments) < len(ends):
        moments.append(found.after)
        found = boundaries(duration, found.after, found.after, where)
        assert found.before == moments[-1]

    assert moments == [to_micros(datetime.fromisoformat(end).replace(tzinfo=where)) for end in ends]


def test_a_day_on_which_clocks_change_is_longer_or_shorter():
    berlin = ZoneInfo("Europe/Berlin")
    lengths = []
    for day in ["2026-03-29T12:00", "2026-10-25T12:00", "2026-10-26T12:00"]:
        at = to_micros(datetime.fromisoformat(day).replace(tzinfo=berlin))
        before, after = boundaries("1d", at, at, berlin)
        lengths.append((after - before) // HOUR)
    assert lengths == [23, 25, 24]


ZONES = [
    "UTC", "Europe/Berlin", "America/New_York", "America/Santiago", "America/Havana", "America/Scoresbysund",
    "Australia/Lord_Howe", "Asia/Kolkata", "Asia/Beirut", "Africa/Cairo", "Pacific/Apia", "Pacific/Chatham",
]  # fmt: skip
DURATIONS = [
    "1s",
    "90s",
    "5m",
    "1h",
    "12h",
    "36h",
    "1d",
    "7d",
    "30d",
    "1w",
    "2w",
    "1mo",
    "3mo",
    "12mo",
    "1.5mo",
]
# After Samoa's change of date, in which a day was left out.
FIRST, LAST = (to_micros(datetime(year, 1, 1, tzinfo=UTC)) for year in (2012, 2037))
moments = st.integers(FIRST, LAST)


@given(zone=st.sampled_from(ZONES), duration=st.sampled_from(DURATIONS), anchor=moments, at=moments)
@example(zone="Africa/Cairo", duration="1d", anchor=FIRST, at=1_777_000_000_000_000)
def test_every_moment_is_in_exactly_one_window(zone, duration, anchor, at):
    where = ZoneInfo(zone)
    before, after = boundaries(duration, anchor, at, where)

    assert before <= at < after
    assert after - before <= calendar_duration(duration).longest
    # Whatever is taken as the anchor, and whoever looks when: the same windows, one after the other.
    for end in (before, after):
        assert boundaries(duration, end, at, where) == (before, after)
    assert boundaries(duration, anchor, after - 1, where) == (before, after)
    assert boundaries(duration, anchor, before, where) == (before, after)
    assert boundaries(duration, anchor, after, where).before == after
    assert boundaries(duration, anchor, before - 1, where).after == before
