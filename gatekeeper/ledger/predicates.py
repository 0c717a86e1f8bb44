"""What a filter can ask of a call, each question in two languages: Python and DuckDB's SQL.

A condition answers for a `Call` in memory (`holds`) and renders itself for the table `calls` (`sql`), and
the two must never disagree: what the live stream shows is what a search finds. Hence no floats for money,
one rule for case, and no Python or DuckDB built-in whose idea of a pattern differs from the other's. A
column that is empty meets no condition; in SQL that may come out as NULL instead of false.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from typing import Protocol

from gatekeeper.ledger.call import Call

Sql = tuple[str, list[object]]
"""A condition with `?` in it, and the values for these."""

LABEL = "coalesce(key_alias, key_id)"
"""What a call's key is called in sums, as if it were a column."""

Number = int | float | Decimal

COMPARISONS: dict[str, Callable[[Number, Number], bool]] = {
    "=": operator.eq,
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
}


class Condition(Protocol):
    def holds(self, call: Call) -> bool: ...

    def sql(self) -> Sql: ...


@dataclass(frozen=True)
class Text:
    """One of the columns (text, or a list of texts) is `value`."""

    columns: tuple[str, ...]
    value: str

    def holds(self, call: Call) -> bool:
        return self.value in texts(call, self.columns)

    def sql(self) -> Sql:
        return anywhere(self.columns, "{} = ?", self.value)


@dataclass(frozen=True)
class Glob:
    """One of the columns matches `pattern` as a whole: `*` is any text, `?` one character."""

    columns: tuple[str, ...]
    pattern: str

    def holds(self, call: Call) -> bool:
        return any(map(self.regex.fullmatch, texts(call, self.columns)))

    @cached_property
    def regex(self) -> re.Pattern[str]:
        # What lies between two stars may be found at its first place for good, hence the atomic groups:
        # without them a pattern of many stars would keep the event loop busy for ever.
        first, *others = self.parts()
        between = "".join(f"(?>.*?{part})" for part in others[:-1])
        last = f".*{others[-1]}" if others else ""
        return re.compile(first + between + last, re.DOTALL)

    def parts(self) -> list[str]:
        """What stands between the stars, as regular expressions that Python and RE2 understand alike."""
        return [
            "".join("." if char == "?" else re.escape(char) for char in part)
            for part in re.split(r"\*+", self.pattern)
        ]

    def sql(self) -> Sql:
        # Not LIKE, which takes exponential time for many stars in DuckDB 1.5.
        return anywhere(self.columns, "regexp_full_match({}, ?, 's')", ".*".join(self.parts()))


@dataclass(frozen=True)
class Contains:
    """One of the columns contains `needle`, whatever the case of either."""

    columns: tuple[str, ...]
    needle: str

    def holds(self, call: Call) -> bool:
        return any(fold(self.needle) in fold(text) for text in texts(call, self.columns))

    def sql(self) -> Sql:
        return anywhere(self.columns, "contains(lower({}), ?)", fold(self.needle))


@dataclass(frozen=True)
class Compare:
    """A number compares to `bound`. For `started_at` that is in microseconds since 1970."""

    column: str
    comparison: str
    bound: Number

    def holds(self, call: Call) -> bool:
        number = measured(call, self.column)
        return number is not None and COMPARISONS[self.comparison](number, self.bound)

    def sql(self) -> Sql:
        bound = "make_timestamptz(?::BIGINT)" if self.column == "started_at" else "?"
        return f"{self.column} {self.comparison} {bound}", [self.bound]


@dataclass(frozen=True)
class Between:
    """A number lies in the range; both ends belong to it."""

    column: str
    low: int
    high: int

    def holds(self, call: Call) -> bool:
        number = measured(call, self.column)
        return number is not None and self.low <= number <= self.high

    def sql(self) -> Sql:
        return f"{self.column} BETWEEN ? AND ?", [self.low, self.high]


@dataclass(frozen=True)
class Flag:
    column: str
    value: bool

    def holds(self, call: Call) -> bool:
        return getattr(call, self.column) is self.value

    def sql(self) -> Sql:
        return f"{self.column} = ?", [self.value]


def measured(call: Call, column: str) -> Number | None:
    if column == "cost_usd":
        return None if call.cost_pico is None else Decimal(call.cost_pico).scaleb(-12)
    return getattr(call, column)


def texts(call: Call, columns: tuple[str, ...]) -> Iterator[str]:
    for column in columns:
        value: str | list[str] | None = label(call) if column == LABEL else getattr(call, column)
        if isinstance(value, list):
            yield from value
        elif value is not None:
            yield value


def label(call: Call) -> str | None:
    return call.key_id if call.key_alias is None else call.key_alias


def anywhere(columns: tuple[str, ...], question: str, value: object) -> Sql:
    """The question asked of each column, `{}` standing for its text."""
    asked = (asked_of(column, question) for column in columns)
    return f"({' OR '.join(asked)})", [value] * len(columns)


def asked_of(column: str, question: str) -> str:
    if column == "tags":
        return f"len(list_filter(tags, lambda tag: {question.format('tag')})) > 0"
    return question.format("CAST(id AS VARCHAR)" if column == "id" else column)


def fold(text: str) -> str:
    """Lower case as DuckDB's `lower` has it: character for character, without regard to neighbours.

    Python's differs for a sigma that ends a word and for the dotted capital I, which becomes two characters.
    """
    return text.lower() if text.isascii() else "".join(char.lower()[0] for char in text)
