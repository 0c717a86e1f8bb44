"""One row of an export of Google's bill: its texts as days and amounts. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, tzinfo
from decimal import Decimal

import msgspec

from gatekeeper.money import PICO
from gatekeeper.times import EARLIEST, LATEST

USD = frozenset({"", "$", "usd", "us$"})
# 1,234.56; also -0.5, $3 and 1.5e-05, as a spreadsheet or BigQuery writes them.
_NUMBER = re.compile(r"[+-]?\$?(?:\d{1,3}(?:,\d{3})+|\d+|(?=\.\d))(?:\.\d+)?(?:[eE][+-]?\d{1,2})?", re.ASCII)
# Longer texts and larger numbers are no amounts of dollars, and no usage of the Gemini API.
MAX_LENGTH, MAX_NUMBER = 40, 10**15


class ExportError(ValueError):
    """The file is no export that can be read. The message is one line for people: where, what, what to do."""


class BillingRow:
    """The texts of one line by the names of their columns; `columns` has the name for each meaning. Every
    method raises ExportError."""

    def __init__(
        self, fields: Mapping[str, str], columns: Mapping[str, str], line: int, pacific: tzinfo
    ) -> None:
        self._fields, self._columns, self._line, self._pacific = fields, columns, line, pacific

    def text(self, meaning: str) -> str:
        """Empty where the column or the value is missing."""
        name = self._columns.get(meaning)
        return self._fields.get(name, "").strip() if name else ""

    def number(self, meaning: str) -> Decimal | None:
        """None where there is none."""
        text = self.text(meaning)
        return self._parse(self._columns[meaning], text) if text else None

    def cost(self) -> int:
        """Pico-dollars."""
        require_usd(self.text("currency"), self._line)
        return to_pico(self._parse(self._columns["cost"], self.text("cost")))

    def sum_of(self, columns: tuple[str, ...]) -> int:
        """Pico-dollars of those columns that there are, by their names."""
        texts = ((name, self._fields.get(name, "").strip()) for name in columns)
        return sum(to_pico(self._parse(name, text)) for name, text in texts if text)

    def day(self, meaning: str) -> date | None:
        """The day in Pacific time; None where there is none. A time without a zone is UTC, as BigQuery writes
        it."""
        text = self.text(meaning)
        plain = text.removesuffix(" UTC").removesuffix("Z")
        try:
            if not plain:
                return None
            if len(plain) <= len("2026-11-24"):
                return self._checked(date.fromisoformat(plain))
            moment = datetime.fromisoformat(plain)
            utc = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
            return self._checked(utc.astimezone(self._pacific).date())
        except (ValueError, OverflowError):
            raise self._error(
                meaning, text, "a day such as 2026-11-24, or a time such as 2026-11-24 08:00:00 UTC"
            ) from None

    @staticmethod
    def _checked(day: date) -> date:
        """Raises ValueError for one that has no calls, and may have no day after it."""
        if not EARLIEST.date() <= day < LATEST.date():
            raise ValueError(day)
        return day

    def credits(self) -> int:
        """Pico-dollars of a number, or of BigQuery's list of credits as JSON."""
        text = self.text("credits")
        if text[:1] not in ("[", "{"):
            return to_pico(self.number("credits") or Decimal(0))
        try:
            listed = _CREDITS.decode(text if text.startswith("[") else f"[{text}]")
        except msgspec.MsgspecError:
            raise self._error("credits", text, "a number, or TO_JSON_STRING(credits)") from None
        return sum(to_pico(credit.amount) for credit in listed)

    def _parse(self, column: str, text: str) -> Decimal:
        # As accountants write what is negative.
        in_brackets = text.startswith("(") and text.endswith(")")
        digits = text[1:-1] if in_brackets else text
        fits = len(digits) <= MAX_LENGTH and _NUMBER.fullmatch(digits)
        number = Decimal(digits.replace(",", "").replace("$", "")) if fits else None
        if number is None or abs(number) > MAX_NUMBER:
            raise ExportError(
                f"line {self._line}: `{column}` is {text[:40]!r}; allowed is a number with a decimal point, "
                "such as 1234.56 or 1,234.56"
            )
        return -number if in_brackets else number

    def _error(self, meaning: str, text: str, allowed: str) -> ExportError:
        return ExportError(
            f"line {self._line}: `{self._columns[meaning]}` is {text[:40]!r}; allowed is {allowed}"
        )


class _Credit(msgspec.Struct):
    amount: Decimal = Decimal(0)


_CREDITS = msgspec.json.Decoder(list[_Credit])


def to_pico(amount: Decimal) -> int:
    """Rounded half even: BigQuery's amounts are floats, with more places than a pico-dollar has."""
    return int((amount * PICO).to_integral_value())


def require_usd(currency: str, line: int) -> None:
    """Raises ExportError for another currency."""
    if currency.lower() not in USD:
        raise ExportError(
            f"line {line}: the currency is {currency[:20]}, and the ledger is in USD; in BigQuery select "
            "cost / currency_conversion_rate AS cost and 'USD' AS currency, else convert the column"
        )
