"""The filter grammar, the same for the TUI, the command line and the API.

    filter  = terms separated by blanks, combined by AND
    term    = ["-"] [field ":"] value {"," value}; a comma is OR, "-" is NOT
    value   = bare text, or text in double quotes, where \\" is a quote and \\\\ a backslash

`FIELDS` lists the fields and the parser of their values. Bare text may be a glob with `*` and `?`; quoted
text is literal, so that any tag or alias can be matched exactly. A value without a field is free text, which
is searched, ignoring case, in the columns of `FREE_TEXT`. A negated term matches if the plain one does not,
hence also if the field is empty: `-tag:*` finds the calls without a tag.

For each group of `/spend` there is a term that matches exactly its calls: `tag`, `model` and `user` with the
value in quotes, `label` for a group of `key` (its alias, else its id), `-tag:*` for null.

A filter has at most `MAX_VALUES` values in all its terms, and `MAX_FILTER_LENGTH` characters. The value of a
number may be `none`: unknown. For a call in flight numbers are those so far, most of them unknown. A day, or
a date or time without a zone, is in the zone of the `now` that is passed to `parse`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from gatekeeper.ledger.call import CallRecord, Outcome
from gatekeeper.ledger.predicates import (
    KEY_LABEL_SQL,
    Between,
    Compare,
    Condition,
    Contains,
    Equals,
    Glob,
    IsTrue,
    IsUnknown,
    Sql,
)
from gatekeeper.suggestions import did_you_mean
from gatekeeper.times import parse_span, parse_time, to_micros

MAX_FILTER_LENGTH = 4096  # characters of a filter
MAX_VALUES = 100  # of a filter, in all its terms: each costs time for every call
MAX_WILDCARDS = 100  # of one glob
UNKNOWN = "none"
"""The value of a number that is not known."""
FREE_TEXT = ("id", "key_alias", "model", "path", "tags", "user_id", "reason", "user_agent")


class FilterError(ValueError):
    """A term cannot be parsed. The message has its `column` (counted from 1) and what is allowed."""

    def __init__(self, column: int, problem: str) -> None:
        super().__init__(f"column {column}: {problem}")
        self.column = column


@dataclass(frozen=True)
class Value:
    text: str
    quoted: bool


ValueParser = Callable[[Value, datetime], Condition]
"""Parses a value into a condition; raises ValueError with what is allowed."""


@dataclass(frozen=True)
class Term:
    alternatives: tuple[Condition, ...]
    negated: bool

    def matches(self, call: CallRecord) -> bool:
        return any(condition.matches(call) for condition in self.alternatives) != self.negated

    def sql(self) -> Sql:
        conditions, values = join_sql(" OR ", [condition.sql() for condition in self.alternatives])
        # An empty column makes the condition NULL, and NOT NULL is still NULL.
        return (f"NOT coalesce({conditions}, false)" if self.negated else f"({conditions})"), values


@dataclass(frozen=True)
class Filter:
    """Conditions that a call must meet; an empty filter matches every call."""

    terms: tuple[Term, ...] = ()

    def matches(self, call: CallRecord) -> bool:
        """Whether a call, finished or in flight, matches."""
        return all(term.matches(call) for term in self.terms)

    def in_period(self, since: datetime | None, until: datetime | None) -> Filter:
        """The filter restricted to calls that started at `since` or later, and before `until`."""
        limits = [(">=", since), ("<", until)]
        bounds = [Compare("started_at", how, to_micros(moment)) for how, moment in limits if moment]
        return Filter((*self.terms, *(Term((bound,), negated=False) for bound in bounds)))

    def to_sql(self) -> Sql:
        """The filter as a DuckDB condition on the columns of `calls`, with `?` for the returned values."""
        return join_sql(" AND ", [term.sql() for term in self.terms]) if self.terms else ("true", [])


def join_sql(word: str, parts: list[Sql]) -> Sql:
    return word.join(text for text, _ in parts), [value for _, values in parts for value in values]


def text(*columns: str) -> ValueParser:
    def read(value: Value, _now: datetime) -> Condition:
        wild = not value.quoted and ("*" in value.text or "?" in value.text)
        if wild and value.text.count("*") > MAX_WILDCARDS:
            raise ValueError(f"a pattern has at most {MAX_WILDCARDS} *; in quotes each * stands for itself")
        return Glob(columns, value.text) if wild else Equals(columns, value.text)

    return read


def outcome(value: Value, now: datetime) -> Condition:
    condition = text("outcome")(value, now)
    if isinstance(condition, Equals) and value.text not in set(Outcome):
        known = did_you_mean(value.text, Outcome, f"there are {', '.join(Outcome)}")
        raise ValueError(f'no outcome is called "{value.text}"; {known}')
    return condition


def number(column: str) -> ValueParser:
    def read(value: Value, _now: datetime) -> Condition:
        if value.text == UNKNOWN:
            return IsUnknown(column)
        comparison, rest = split_comparison(value.text)
        if not re.fullmatch(r"[0-9]{1,12}(\.[0-9]{1,12})?", rest):
            raise ValueError(
                f'"{value.text}" is not a number; write 5, 0.25 or >=1000, with < <= > >= or '
                "without, or none for unknown"
            )
        return Compare(column, comparison, Decimal(rest))

    return read


def status(value: Value, now: datetime) -> Condition:
    if re.fullmatch(r"[1-9][xX]{2}", value.text):
        hundred = int(value.text[0]) * 100
        return Between("status", hundred, hundred + 99)
    try:
        return number("status")(value, now)
    except ValueError:
        raise ValueError(f'"{value.text}" is not a status; write 200, 4xx, >=500 or none') from None


def duration(column: str) -> ValueParser:
    def read(value: Value, _now: datetime) -> Condition:
        if value.text == UNKNOWN:
            return IsUnknown(column)
        comparison, rest = split_comparison(value.text)
        return Compare(column, comparison, float(parse_span(rest)))

    return read


def started(comparison: str) -> ValueParser:
    def read(value: Value, now: datetime) -> Condition:
        return Compare("started_at", comparison, to_micros(parse_time(value.text, now)))

    return read


def flag(column: str) -> ValueParser:
    def read(value: Value, _now: datetime) -> Condition:
        if value.text not in ("true", "false"):
            raise ValueError(f'"{value.text}" is neither true nor false')
        return IsTrue(column, value.text == "true")

    return read


def split_comparison(value: str) -> tuple[str, str]:
    """The comparison operator that a value starts with (`=` if none), and the rest of the value."""
    rest = value.lstrip("<=>")
    comparison = value[: len(value) - len(rest)]
    if comparison not in ("", "=", "<", "<=", ">", ">="):
        raise ValueError(f'"{comparison}" is not a comparison; there are < <= > >= and =')
    return comparison or "=", rest


FIELDS: dict[str, ValueParser] = {
    "key": text("key_alias", "key_id"),
    "model": text("model"),
    "tag": text("tags"),
    "user": text("user_id"),
    "status": status,
    "outcome": outcome,
    "reason": text("reason"),
    "cost": number("cost_usd"),
    "tokens": number("total_tokens"),
    "prompt": number("prompt_tokens"),
    "cached": number("cached_tokens"),
    "output": number("output_tokens"),
    "thoughts": number("thoughts_tokens"),
    "lat": duration("duration_ms"),
    "ttfb": duration("first_byte_ms"),
    "gateway": duration("gateway_ms"),
    "since": started(">="),
    "until": started("<"),
    "action": text("action"),
    "method": text("method"),
    "path": text("path"),
    "id": text("id"),
    "stream": flag("stream"),
    "served": text("model_version"),
    "tier": text("service_tier"),
    "finish": text("finish_reason"),
    "upstream": text("upstream_key"),
    "agent": text("user_agent"),
    "trace": text("trace_id"),
    "label": text(KEY_LABEL_SQL),
}


def parse(filter_text: str, *, now: datetime) -> Filter:
    """Parses a filter. `now` has a zone. Raises FilterError."""
    return Filter(tuple(term for term, _, _ in parse_terms(filter_text, now)))


TERM_PREFIX = re.compile(r"(?P<minus>-?)(?:(?P<field>[A-Za-z_]+):)?")
VALUE = re.compile(r'"(?P<quoted>(?:[^"\\]|\\.)*)"(?=[\s,]|$)|(?P<bare>[^\s,"]+)(?=[\s,]|$)', re.DOTALL)
BLANKS = re.compile(r"\s*")


def parse_terms(source: str, now: datetime) -> Iterator[tuple[Term, int, int]]:
    """Each term, where it begins, and where it ends."""
    if len(source) > MAX_FILTER_LENGTH:
        raise FilterError(MAX_FILTER_LENGTH + 1, f"a filter has at most {MAX_FILTER_LENGTH} characters")
    position = match_end(BLANKS, source, 0)
    left = MAX_VALUES
    while position < len(source):
        try:
            term, end = parse_term(source, position, now)
        except ValueError as error:
            raise FilterError(position + 1, str(error)) from None
        left -= len(term.alternatives)
        if left < 0:
            raise FilterError(position + 1, f"a filter has at most {MAX_VALUES} terms, or values of terms")
        yield term, position, end
        position = match_end(BLANKS, source, end)


def term_texts(source: str, *, now: datetime) -> list[str]:
    """The terms of a filter as they are written. Raises FilterError."""
    return [source[start:end] for _, start, end in parse_terms(source, now)]


def parse_term(source: str, start: int, now: datetime) -> tuple[Term, int]:
    head = TERM_PREFIX.match(source, start)
    assert head is not None  # noqa: S101 - both of its parts are optional
    values, end = parse_values(source, head.end())
    read = field_parser(head["field"])
    return Term(tuple(read(value, now) for value in values), bool(head["minus"])), end


def parse_values(source: str, position: int) -> tuple[list[Value], int]:
    """The comma-separated values at `position`, and where they end."""
    values: list[Value] = []
    while True:
        value, position = parse_value(source, position)
        values.append(value)
        if source[position : position + 1] != ",":
            return values, position
        position += 1


def parse_value(source: str, position: int) -> tuple[Value, int]:
    found = VALUE.match(source, position)
    if not found and source[position : position + 1].strip(",") == "":
        raise ValueError('a value is missing; a comma that belongs to a value needs quotes, like tag:"a, b"')
    if not found:
        raise ValueError(
            'a quoted value must be quoted from end to end, like tag:"a, b"; a quote in it is \\"'
        )
    if found["bare"]:
        return Value(found["bare"], quoted=False), found.end()
    return Value(re.sub(r'\\(["\\])', r"\1", found["quoted"]), quoted=True), found.end()


def field_parser(field: str | None) -> ValueParser:
    if field is None:
        return lambda value, _now: Contains(FREE_TEXT, value.text)
    if field not in FIELDS:
        near = did_you_mean(field, FIELDS, "there are").replace("?", "? There are")
        raise ValueError(
            f'no field is called "{field}"; {near} {", ".join(FIELDS)}. '
            "To look for text with a colon, put it in quotes"
        )
    return FIELDS[field]


def match_end(pattern: re.Pattern[str], source: str, position: int) -> int:
    found = pattern.match(source, position)
    return found.end() if found else position
