"""The fields of a key's form: how each is shown as text, and how text is read as the API's value.

Text and value are each other's inverse: an untouched field counts as unchanged. A field without
text is one without a value, which the API's null sets.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from math import ceil

from gatekeeper.client.key_types import Key

# As many digits as a number of 64 bits may have.
COUNT = re.compile(r"[0-9]{1,18}")
AMOUNT = re.compile(r"\$?([0-9]+|[0-9]{1,3}(?:,[0-9]{3})+)(\.[0-9]+)?")
# An item of a list: bare, or in quotes with backslashes before quotes and backslashes.
ITEM = re.compile(r'"((?:[^"\\]|\\.)*)"|([^\s,"]+)|[\s,]+')
BARE_ITEM = re.compile(r'[^\s,"]+')
MOMENT = "%Y-%m-%d %H:%M"
DATE = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2})(?:[ T]([0-9]{2}:[0-9]{2}))?")


def read_text(text: str, _now: datetime) -> object:
    """The text unchanged."""
    return text


def read_list(text: str, _now: datetime) -> object:
    """The items, separated by commas or spaces. Raises ValueError for a quote without its other one."""
    items: list[str] = []
    at = 0
    while at < len(text):
        found = ITEM.match(text, at)
        if found is None:
            raise ValueError('the quote " has no end')
        quoted, bare = found.groups()
        items += [bare] if bare else [re.sub(r"\\(.)", r"\1", quoted)] if quoted else []
        at = found.end()
    return items


def read_count(text: str, _now: datetime) -> object:
    """A JSON number; other text is left for the gateway to reject."""
    digits = text.replace(",", "")
    return int(digits) if COUNT.fullmatch(digits) else text


def read_amount(text: str, _now: datetime) -> object:
    """Dollars as a decimal string, exact; other text is left for the gateway to reject."""
    found = AMOUNT.fullmatch(text)
    return plain_decimal(Decimal(found[1].replace(",", "") + (found[2] or ""))) if found else text


def read_expiry(text: str, now: datetime) -> object:
    """A time from now in the API's form: as typed, or the seconds until a local time. Raises ValueError for a
    time that is no date, or over."""
    if not (found := DATE.fullmatch(text)):
        return text
    try:
        at = datetime.strptime(f"{found[1]} {found[2] or '00:00'}", MOMENT).astimezone()
    except ValueError:
        raise ValueError("there is no such day or time") from None
    seconds = ceil((at - now).total_seconds())
    if seconds <= 0:
        raise ValueError("that time is over; to stop a key now, block it")
    return f"{seconds}s"


def plain_decimal(amount: Decimal) -> str:
    """All places of the amount, without zeros at its end."""
    whole, _, decimals = f"{amount:f}".partition(".")
    return f"{whole.lstrip('0') or '0'}.{decimals.rstrip('0')}".rstrip(".")


def list_text(items: Sequence[str] | None) -> str:
    return " ".join(item_text(item) for item in items or ())


def item_text(item: str) -> str:
    if BARE_ITEM.fullmatch(item):
        return item
    escaped = item.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def amount_text(amount: Decimal | None) -> str:
    return "" if amount is None else plain_decimal(amount)


def count_text(number: int | None) -> str:
    return "" if number is None else str(number)


def expiry_text(key: Key) -> str:
    return f"{key.expires.astimezone():{MOMENT}}" if key.expires else ""


@dataclass(frozen=True, slots=True)
class Field:
    """The API's name, the label, an example, the text of a key's value, how text is read, and what holds
    without it. `is_limit`: a key that lacks it may do more than one expects, which is said before it is made.
    """

    name: str
    title: str
    hint: str
    show: Callable[[Key], str]
    read: Callable[[str, datetime], object]
    without: str
    is_limit: bool = False


FIELDS = (
    Field("key_alias", "alias", "web-frontend", lambda key: key.key_alias or "", read_text, "no alias"),
    Field(
        "max_budget",
        "budget",
        "none, or dollars: 50",
        lambda key: amount_text(key.max_budget),
        read_amount,
        "no budget: it can spend without limit",
        is_limit=True,
    ),
    Field(
        "budget_duration",
        "budget per",
        "ever, or a time: 1mo 30d 1d",
        lambda key: key.budget_duration or "",
        read_text,
        "the budget is for ever, and not for each period",
    ),
    Field(
        "models",
        "models",
        "any, or globs: gemini-2.5-flash* gemini-2.5-pro",
        lambda key: list_text(key.models),
        read_list,
        "any model",
        is_limit=True,
    ),
    Field(
        "soft_budget",
        "soft budget",
        "none, or dollars from which on it is warned: 40",
        lambda key: amount_text(key.soft_budget),
        read_amount,
        "no warning before the budget is used up",
    ),
    Field(
        "rpm_limit",
        "calls a minute",
        "no limit, or a number: 600",
        lambda key: count_text(key.rpm_limit),
        read_count,
        "any number of calls a minute",
    ),
    Field(
        "tpm_limit",
        "tokens a minute",
        "no limit, or a number: 250000",
        lambda key: count_text(key.tpm_limit),
        read_count,
        "any number of tokens a minute",
    ),
    Field(
        "max_parallel_requests",
        "parallel calls",
        "no limit, or a number: 8",
        lambda key: count_text(key.max_parallel_requests),
        read_count,
        "any number of parallel calls",
    ),
    Field(
        "tags", "tags", "none, or several: checkout eu", lambda key: list_text(key.tags), read_list, "no tags"
    ),
    Field("group", "group", "none, or its name: shop", lambda key: key.group or "", read_text, "no group"),
    Field(
        "user_id",
        "end user",
        "none, or the one of calls that name none: alice",
        lambda key: key.user_id or "",
        read_text,
        "no end user",
    ),
    Field(
        "allowed_routes",
        "routes",
        "any, or actions: generateContent countTokens",
        lambda key: list_text(key.allowed_routes),
        read_list,
        "any route",
    ),
    Field(
        "duration",
        "expires",
        "never, or after 90d, or at 2027-01-31 18:00",
        expiry_text,
        read_expiry,
        "never expires",
        is_limit=True,
    ),
    Field(
        "role",
        "role",
        "own data only, or viewer (reads all), operator, admin",
        lambda key: key.role or "",
        read_text,
        "it sees its own data only",
    ),
)
KEYS_ONLY = ("key_alias", "tags", "group", "user_id", "duration", "role")
"""What groups and end users lack."""
ACCOUNT_FIELDS = tuple(field for field in FIELDS if field.name not in KEYS_ONLY)

Texts = Mapping[Field, str]


class Unreadable(ValueError):
    """A text that is no value of its field."""

    def __init__(self, field: Field, problem: str) -> None:
        super().__init__(f"{field.title}: {problem}")
        self.field = field


def texts_of(key: Key, fields: Iterable[Field]) -> dict[Field, str]:
    """A key's values as the form shows them."""
    return {field: field.show(key) for field in fields}


def read_field(field: Field, text: str, now: datetime) -> object:
    """The value of a text; None without one. Raises Unreadable, also for text without anything in it."""
    if not text:
        return None
    try:
        value = field.read(text.strip(), now) if text.strip(", \t") else None
    except ValueError as error:
        raise Unreadable(field, f"{error} ({field.hint}).") from None
    if value in (None, []):
        raise Unreadable(field, f"there are only spaces; fill it in, or clear it ({field.hint}).")
    return value


def read_changes(before: Texts, typed: Texts, now: datetime) -> dict[str, object]:
    """The fields that differ from `before`, by the API's names, None where cleared. Raises Unreadable."""
    touched = [(field, text) for field, text in typed.items() if text != before[field]]
    return {
        field.name: value
        for field, text in touched
        if (value := read_field(field, text, now)) != _known(field, before[field], now)
    }


def _known(field: Field, text: str, now: datetime) -> object:
    try:
        return read_field(field, text, now)
    except Unreadable:
        # A date that is over cannot be set again, and differs from any other.
        return Unreadable
