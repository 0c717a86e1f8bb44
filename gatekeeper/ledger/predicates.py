"""Filter conditions, each evaluated in Python and rendered as DuckDB SQL.

A condition is evaluated on a `CallRecord` in memory (`matches`) and rendered for the table `calls` (`sql`),
and both must always agree: the event stream must show the same calls as a search. Hence no floats for money,
one rule for case, and no pattern functions that differ between Python and DuckDB. A NULL column matches no
condition; in SQL the result may be NULL instead of false.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from typing import Protocol

from gatekeeper.ledger.call import CallRecord

Sql = tuple[str, list[object]]
"""An SQL condition with `?` placeholders, and their values."""

KEY_LABEL_SQL = "coalesce(key_alias, key_id)"
"""The label of a call's key in sums, to be used like a column."""

Number = int | float | Decimal

COMPARISONS: dict[str, Callable[[Number, Number], bool]] = {
    "=": operator.eq,
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
}


class Condition(Protocol):
    def matches(self, call: CallRecord) -> bool: ...

    def sql(self) -> Sql: ...


@dataclass(frozen=True)
class Equals:
    """One of the columns (text, or a list of texts) is `value`."""

    columns: tuple[str, ...]
    value: str

    def matches(self, call: CallRecord) -> bool:
        return self.value in text_values(call, self.columns)

    def sql(self) -> Sql:
        return any_column_sql(self.columns, "{} = ?", self.value)


@dataclass(frozen=True)
class Glob:
    """One of the columns matches `pattern` as a whole: `*` is any text, `?` one character."""

    columns: tuple[str, ...]
    pattern: str

    def matches(self, call: CallRecord) -> bool:
        return any(map(self.regex.fullmatch, text_values(call, self.columns)))

    @cached_property
    def regex(self) -> re.Pattern[str]:
        # The text between two stars need only be matched at its first occurrence, hence the atomic groups:
        # backtracking in a pattern of many stars would block the event loop.
        first, *others = self.regex_parts()
        between = "".join(f"(?>.*?{part})" for part in others[:-1])
        last = f".*{others[-1]}" if others else ""
        return re.compile(first + between + last, re.DOTALL)

    def regex_parts(self) -> list[str]:
        """The parts between the stars, as regular expressions with the same meaning in Python and RE2."""
        return [
            "".join("." if char == "?" else re.escape(char) for char in part)
            for part in re.split(r"\*+", self.pattern)
        ]

    def sql(self) -> Sql:
        # Not LIKE, which takes exponential time for many stars in DuckDB 1.5.
        return any_column_sql(self.columns, "regexp_full_match({}, ?, 's')", ".*".join(self.regex_parts()))


@dataclass(frozen=True)
class Contains:
    """One of the columns contains `needle`, ignoring case."""

    columns: tuple[str, ...]
    needle: str

    def matches(self, call: CallRecord) -> bool:
        return any(sql_lower(self.needle) in sql_lower(text) for text in text_values(call, self.columns))

    def sql(self) -> Sql:
        return any_column_sql(self.columns, "contains(lower({}), ?)", sql_lower(self.needle))


@dataclass(frozen=True)
class Compare:
    """A number compared to `bound`. For `started_at` the bound is in microseconds since 1970."""

    column: str
    comparison: str
    bound: Number

    def matches(self, call: CallRecord) -> bool:
        number = numeric_value(call, self.column)
        return number is not None and COMPARISONS[self.comparison](number, self.bound)

    def sql(self) -> Sql:
        bound = "make_timestamptz(?::BIGINT)" if self.column == "started_at" else "?"
        return f"{self.column} {self.comparison} {bound}", [self.bound]


@dataclass(frozen=True)
class IsUnknown:
    """A number that is not known."""

    column: str

    def matches(self, call: CallRecord) -> bool:
        return numeric_value(call, self.column) is None

    def sql(self) -> Sql:
        return f"{self.column} IS NULL", []


@dataclass(frozen=True)
class Between:
    """A number in a range that includes both ends."""

    column: str
    low: int
    high: int

    def matches(self, call: CallRecord) -> bool:
        number = numeric_value(call, self.column)
        return number is not None and self.low <= number <= self.high

    def sql(self) -> Sql:
        return f"{self.column} BETWEEN ? AND ?", [self.low, self.high]


@dataclass(frozen=True)
class IsTrue:
    column: str
    value: bool

    def matches(self, call: CallRecord) -> bool:
        return getattr(call, self.column) is self.value

    def sql(self) -> Sql:
        return f"{self.column} = ?", [self.value]


def numeric_value(call: CallRecord, column: str) -> Number | None:
    if column == "cost_usd":
        return None if call.cost_pico is None else Decimal(call.cost_pico).scaleb(-12)
    return getattr(call, column)


def text_values(call: CallRecord, columns: tuple[str, ...]) -> Iterator[str]:
    for column in columns:
        value: str | list[str] | None = key_label(call) if column == KEY_LABEL_SQL else getattr(call, column)
        if isinstance(value, list):
            yield from value
        elif value is not None:
            yield value


def key_label(call: CallRecord) -> str | None:
    return call.key_id if call.key_alias is None else call.key_alias


def any_column_sql(columns: tuple[str, ...], template: str, value: object) -> Sql:
    """The condition for any of the columns; `{}` in `template` stands for the column."""
    asked = (column_sql(column, template) for column in columns)
    return f"({' OR '.join(asked)})", [value] * len(columns)


def column_sql(column: str, template: str) -> str:
    if column == "tags":
        return f"len(list_filter(tags, lambda tag: {template.format('tag')})) > 0"
    # Otherwise DuckDB would cast the text to a UUID, and fail for any other text.
    return template.format("CAST(id AS VARCHAR)" if column == "id" else column)


def sql_lower(text: str) -> str:
    """Lower case like DuckDB's `lower`: each character separately, without context.

    Python's differs for a sigma that ends a word and for the dotted capital I, which becomes two characters.
    """
    return text.lower() if text.isascii() else "".join(char.lower()[0] for char in text)
