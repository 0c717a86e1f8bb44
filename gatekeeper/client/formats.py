"""How values are formatted, for terminal application and command line.

Pure: values in, text out; what depends on the clock takes it as an argument. Money is Decimal throughout and
is rounded here only, half even, to the significant digits. None is unknown: `?` for money, `–` for counts.
Local time is that of the machine that shows it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import ROUND_HALF_EVEN, Decimal
from typing import TypeVar

T = TypeVar("T")

UNKNOWN = "?"
EMPTY = "–"
EIGHTHS = " ▏▎▍▌▋▊▉█"
LEVELS = " ▁▂▃▄▅▆▇█"

SMALLEST = Decimal("0.000001")
CENTS, FOUR_PLACES, WHOLE = Decimal("0.01"), Decimal("0.0001"), Decimal(1)
AGES = ((60, 1, "s"), (3600, 60, "min"), (172_800, 3600, "h"), (None, 86_400, "d"))


def money(amount: Decimal | None) -> str:
    """Dollars with the significant digits: `$1,204`, `$12.40`, `$0.0294`, `$0.00011`; `?` where unknown."""
    if amount is None:
        return UNKNOWN
    if amount < 0:
        return f"-{money(-amount)}"
    if amount == 0:
        return "$0"
    if amount < SMALLEST:
        return f"<${SMALLEST:f}"
    return f"${rounded(amount):,f}"


def round_money(amount: Decimal | None) -> str:
    """A chosen amount such as a budget, without trailing zeros: `$800`, `$0.50`, `$0.001`."""
    whole, point, decimals = money(amount).removesuffix(".00").partition(".")
    return whole + point + decimals[:2] + decimals[2:].rstrip("0")


def rounded(amount: Decimal) -> Decimal:
    """A positive amount at the decimals that `money` shows. Twice: `0.99999` and `1.00` differ in places."""
    once = amount.quantize(places(amount), ROUND_HALF_EVEN)
    return once.quantize(places(once), ROUND_HALF_EVEN)


def places(amount: Decimal) -> Decimal:
    """The last decimal shown; below a cent that is the second significant digit."""
    if amount >= 1000:
        return WHOLE
    if amount >= 1:
        return CENTS
    if amount >= CENTS:
        return FOUR_PLACES
    return Decimal(1).scaleb(min(amount.adjusted() - 1, -4))


def exact_money(amount: Decimal | None) -> str:
    """Dollars to the last of the ledger's 12 decimals: `$0.000067200000`."""
    return UNKNOWN if amount is None else f"${amount:,.12f}"


def price(amount: Decimal | None) -> str:
    """A price as published, with at least two decimals: `$0.30`, `$0.075`."""
    if amount is None:
        return UNKNOWN
    places = max(2, len(f"{amount.normalize():f}".partition(".")[2]))
    return f"${amount:,.{places}f}"


def sanitized(text: str, replacement: str = "·") -> str:
    """Untrusted text without control characters and bidirectional ones, which would change the terminal."""
    return text if text.isprintable() else "".join(one if one.isprintable() else replacement for one in text)


def align_decimal(text: str, places: int) -> str:
    """Padded on the right so that decimal points align, `places` decimals from the edge."""
    whole, point, decimals = text.partition(".")
    width = places + 1 if places else 0
    return whole + (point + decimals).ljust(width)


def count(number: int | None) -> str:
    """A whole number in full: `14,203`; `–` where there is none."""
    return EMPTY if number is None else f"{number:,}"


def pluralized(number: int, noun: str) -> str:
    """A number with its noun: `1 call`, `14,203 calls`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def tokens(number: int | None) -> str:
    """A short count: `8,310`, `12.3k`, `124k`, `1.2M`; `–` where there is none."""
    if number is None or number < 10_000:
        return count(number)
    scaled, unit = scale(number, ("k", "M", "B", "T"))
    return f"{scaled:.1f}{unit}" if scaled < 99.95 else f"{scaled:.0f}{unit}"


def size(number: int | None) -> str:
    """Bytes: `812 B`, `2.1 kB`, `18 MB`."""
    if number is None or number < 1000:
        return EMPTY if number is None else f"{number} B"
    scaled, unit = scale(number, ("kB", "MB", "GB", "TB"))
    return f"{scaled:.1f} {unit}" if scaled < 9.95 else f"{scaled:.0f} {unit}"


def scale(number: int, units: Sequence[str]) -> tuple[float, str]:
    """Scaled to the first unit, each 1,000 times the one before, that needs at most three digits."""
    power = next((power for power in range(1, len(units)) if number < 999.5 * 1000**power), len(units))
    return number / 1000**power, units[power - 1]


def duration(milliseconds: float | None) -> str:
    """`0.3ms`, `212ms`, `3.41s`, `12.3s`, `2m05s`, `1h04m`; `–` where there is none."""
    if milliseconds is None:
        return EMPTY
    # The bounds are where rounding would add a digit: 9.95 would be shown as 10.0.
    if milliseconds < 9.95:
        return f"{milliseconds:.1f}ms"
    if milliseconds < 999.5:
        return f"{milliseconds:.0f}ms"
    return long_duration(milliseconds / 1000)


def long_duration(seconds: float) -> str:
    """From one second: three digits, then minutes, then hours."""
    if seconds < 9.995:
        return f"{seconds:.2f}s"
    if seconds < 59.95:
        return f"{seconds:.1f}s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes}m{rest:02}s"
    return f"{minutes // 60}h{minutes % 60:02}m"


def local_now() -> datetime:
    """The current local time: the only function here that is not pure."""
    return datetime.now().astimezone()


def clock(moment: datetime | None) -> str:
    """The local time of day: `14:07:21`."""
    return EMPTY if moment is None else moment.astimezone().strftime("%H:%M:%S")


def moment(at: datetime | None) -> str:
    """A full local time: `24 Nov 2026, 14:07:21.418`."""
    if at is None:
        return EMPTY
    local = at.astimezone()
    return f"{day(at)} {local.year}, {local:%H:%M:%S}.{local.microsecond // 1000:03}"


def day(at: datetime) -> str:
    """A local day without its year: `1 Dec`."""
    local = at.astimezone()
    return f"{local.day} {local:%b}"


def weekday(at: datetime) -> str:
    """A local day with its name: `Fri 27 Nov`."""
    return f"{at.astimezone():%a} {day(at)}"


def ago(at: datetime | None, now: datetime) -> str:
    """The time since `at`: `now`, `40 s`, `3 min`, `5 h`, `40 d`; `never` for None."""
    if at is None:
        return "never"
    seconds = (now - at).total_seconds()
    if seconds < 10:
        return "now"
    return next(
        f"{int(seconds // unit)} {name}" for limit, unit, name in AGES if not limit or seconds < limit
    )


def short_id(id: str) -> str:  # noqa: A002 - the API's name
    """Both ends of a UUID; calls of the same second can have equal first digits."""
    return id if len(id) <= 13 else f"{id[:8]}…{id[-4:]}"


def share(part: Decimal | int | None, whole: Decimal | int | None) -> float:
    """The part as a fraction of the whole, from 0 to 1; 0 without a whole."""
    return float(min(max(part / whole, 0), 1)) if part and whole else 0.0


def percent(fraction: float) -> str:
    """`48 %`, `0.4 %`: one decimal below ten, none for 0."""
    scaled = fraction * 100
    return f"{scaled:.1f} %" if 0 < scaled < 9.95 else f"{scaled:.0f} %"


def bar(fraction: float, width: int) -> str:
    """A bar in eighths of a cell, padded to `width`; at least an eighth for more than 0."""
    clamped = min(max(fraction, 0.0), 1.0)
    eighths = max(round(clamped * width * 8), 1 if clamped > 0 and width else 0)
    full, rest = divmod(eighths, 8)
    return ("█" * full + EIGHTHS[rest].strip()).ljust(width)


def timestamp(at: datetime | None, timespec: str = "milliseconds") -> str:
    """A time in this machine's zone, in a form that `--since` and others read back as the same time:
    `2026-11-24 14:07:21.418+01:00`."""
    if at is None:
        return EMPTY
    return at.astimezone().isoformat(" ", timespec).replace("+00:00", "Z")


def short_moment(at: datetime | None, now: datetime) -> str:
    """The time of day if that is today, else the day and the minute: `14:07:21`, `24 Nov 14:07`."""
    if at is None:
        return EMPTY
    local = at.astimezone()
    return clock(at) if local.date() == now.date() else f"{day(at)} {local:%H:%M}"


def plain_moment(at: datetime, now: datetime) -> str:
    """The day and the minute, for people: `1 Dec 00:00`, of another year `1 Dec 2027 00:00`."""
    local = at.astimezone()
    year = "" if local.year == now.astimezone().year else f" {local.year}"
    return f"{day(at)}{year} {local:%H:%M}"
