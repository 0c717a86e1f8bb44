"""Durations and points of time as people write them."""

from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rig.cases import cases

from gatekeeper.times import (
    NAMED_DAYS,
    WEEKDAYS,
    ClockWatch,
    parse_duration,
    parse_span,
    parse_time,
    to_micros,
)

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


@cases(
    ("text", "seconds"),
    [
        ("30s", 30),
        ("5m", 300),
        ("12h", 43_200),
        ("30d", 2_592_000),
        ("2w", 1_209_600),
        ("1mo", 2_592_000),
        ("1.5h", 5_400),
        ("0s", 0),
        ("36500d", 3_153_600_000),
    ],
)
def test_a_duration_is_a_number_and_a_unit(text: str, seconds: int) -> None:
    assert parse_duration(text) == seconds


@cases("text", ["", "30", "d", "-1d", "1 d", "1D", "1y", "1e3s", ".5h", "1.h", "١d", "1d2h"])
def test_anything_else_is_refused_with_what_is_allowed(text: str) -> None:
    with pytest.raises(ValueError, match="a number and one of ms s m h d w mo"):
        parse_duration(text)


def test_a_duration_of_keys_is_whole_seconds_and_at_most_a_century() -> None:
    with pytest.raises(ValueError, match="whole number of seconds"):
        parse_duration("1.5s")
    with pytest.raises(ValueError, match="longest is 36500d"):
        parse_duration("36501d")


def test_a_span_may_be_a_fraction_of_a_millisecond() -> None:
    assert parse_span("1.5ms") == Decimal("1.5")
    assert parse_span("2s") == 2_000


@cases(
    ("text", "moment"),
    [
        ("1h", NOW - timedelta(hours=1)),
        ("1mo", NOW - timedelta(days=30)),
        ("today", datetime(2026, 11, 24, tzinfo=UTC)),
        ("yesterday", datetime(2026, 11, 23, tzinfo=UTC)),
        ("monday", datetime(2026, 11, 23, tzinfo=UTC)),
        ("Tuesday", datetime(2026, 11, 24, tzinfo=UTC)),
        ("wednesday", datetime(2026, 11, 18, tzinfo=UTC)),
        ("this-month", datetime(2026, 11, 1, tzinfo=UTC)),
        ("last-month", datetime(2026, 10, 1, tzinfo=UTC)),
        ("2026-11-01", datetime(2026, 11, 1, tzinfo=UTC)),
        ("2026-11-01T13:30:00Z", datetime(2026, 11, 1, 13, 30, tzinfo=UTC)),
        ("2026-11-01T13:30:00", datetime(2026, 11, 1, 13, 30, tzinfo=UTC)),
        ("2026-11-01T13:30:00.123456+02:00", datetime(2026, 11, 1, 11, 30, 0, 123456, tzinfo=UTC)),
    ],
)
def test_a_time_is_a_duration_back_from_now_or_a_date_or_a_time(text: str, moment: datetime) -> None:
    assert parse_time(text, NOW) == moment


@cases("text", ["0001-01-01", "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59.999999-23:59", "1899-12-31"])
def test_a_time_is_one_of_every_zone_however_far_away(text: str) -> None:
    found = parse_time(text, NOW)
    assert found == (datetime(3000, 1, 1, tzinfo=UTC) if text > "2" else datetime(1900, 1, 1, tzinfo=UTC))
    assert found.astimezone(ZoneInfo("Pacific/Apia")) == found.astimezone(ZoneInfo("Pacific/Pago_Pago"))


@given(st.dates(min_value=date(2, 1, 1)))
def test_months_begin_on_their_first(today: date) -> None:
    now = datetime.combine(today, time(12), UTC)
    first, before = parse_time("this-month", now), parse_time("last-month", now)
    assert (first.year, first.month, first.day, first.hour) == (today.year, today.month, 1, 0)
    assert (before.day, before.hour) == (1, 0)
    assert (first - timedelta(days=1)).replace(day=1) == before


def test_what_names_no_zone_is_in_the_zone_of_now() -> None:
    berlin = NOW.astimezone(ZoneInfo("Europe/Berlin"))
    assert parse_time("2026-11-01", berlin) == datetime(2026, 10, 31, 23, 0, tzinfo=UTC)


def test_a_day_is_one_of_the_zone_of_now_though_its_clock_changes_meanwhile() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    after_the_change = datetime(2026, 10, 25, 0, 30, tzinfo=UTC).astimezone(berlin)
    assert parse_time("today", after_the_change) == datetime(2026, 10, 24, 22, 0, tzinfo=UTC)
    next_day = datetime(2026, 10, 25, 23, 30, tzinfo=UTC).astimezone(berlin)
    assert parse_time("today", next_day) == datetime(2026, 10, 25, 23, 0, tzinfo=UTC)
    assert parse_time("yesterday", next_day) == datetime(2026, 10, 24, 22, 0, tzinfo=UTC)


@given(
    st.datetimes(datetime(1901, 1, 1), timezones=st.timezones()),  # noqa: DTZ001
    st.sampled_from(WEEKDAYS),
)
def test_a_weekday_is_the_latest_one(now: datetime, name: str) -> None:
    began = parse_time(name, now).astimezone(now.tzinfo)
    assert WEEKDAYS[began.weekday()] == name
    assert 0 <= (now.date() - began.date()).days < 7


@cases("text", ["", "tomorrow", "mon", "2026-13-01", "12", "1h ago", "99999d"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not a time|too long"):
        parse_time(text, NOW)


@cases("text", NAMED_DAYS)
def test_a_mistyped_day_is_answered_with_the_one_that_was_meant(text: str) -> None:
    parse_time(text, NOW)
    with pytest.raises(ValueError, match=f"is not a time: did you mean {text}[?] Write a duration"):
        parse_time(f"{text}y", NOW)


@given(st.datetimes(timezones=st.timezones()).filter(lambda moment: moment.year > 1))
def test_microseconds_are_exact_and_do_not_depend_on_the_zone(moment: datetime) -> None:
    utc = moment.astimezone(UTC)
    assert to_micros(moment) == to_micros(utc)
    assert datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=to_micros(utc)) == utc


HOUR = 3_600_000_000


def test_a_clock_that_has_jumped_ahead_is_doubted_until_it_is_set_right_or_an_hour_is_over() -> None:
    watch, start = ClockWatch(), 10 * HOUR
    assert watch.is_steady(start, 0)
    assert watch.is_steady(start + HOUR + 1000, HOUR)  # as clocks drift
    months = 1440 * HOUR
    assert not watch.is_steady(start + months, HOUR + 1)
    assert not watch.is_steady(start + months + HOUR - 2, 2 * HOUR - 1)
    assert watch.is_steady(start + 2 * HOUR, 2 * HOUR)  # set right
    assert not watch.is_steady(start + months, 2 * HOUR)
    assert watch.is_steady(start + months + HOUR, 3 * HOUR)  # it was the one before that was wrong
    assert watch.is_steady(start + months + 2 * HOUR, 4 * HOUR)
    assert watch.is_steady(start, 4 * HOUR)  # back: nothing is due by it
