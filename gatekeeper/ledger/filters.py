"""The filter grammar, the same for the TUI, the command line and the API.

    filter  = terms joined by blanks; all of them hold
    term    = ["-"] [field ":"] value {"," value}; a comma means either, "-" means not
    value   = bare text, or text in double quotes, where \\" is a quote and \\\\ a backslash

`FIELDS` says which fields there are and how the values of each are read. Bare text may be a glob with `*`
and `?`; quoted text is taken as it stands, so that any tag or alias can be named exactly. A value without
field is free text, looked for whatever the case in the columns of `FREE_TEXT`. A negated term holds where
the plain one does not, hence also where the field is empty: `-tag:*` finds the calls without a tag.

So each group of `/spend` has a term that finds its calls and no other: `tag`, `model` and `user` with its
value in quotes, `label` with that of `key` (the alias, else the id; `key` finds either), `-tag:*` for null.

A filter has at most `MOST_VALUES` values in all its terms, and `LONGEST` characters.

A date or time without a zone is in the zone of the `now` that the filter is parsed with.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from gatekeeper.ledger.call import Call, Outcome
from gatekeeper.ledger.predicates import LABEL, Between, Compare, Condition, Contains, Flag, Glob, Sql, Text
from gatekeeper.times import parse_span, parse_time, to_micros

LONGEST = 4096  # characters of a filter
MOST_VALUES = 100  # of a filter, in all its terms: each asks every call something
MOST_STARS = 100  # of one glob
FREE_TEXT = ("id", "key_alias", "model", "path", "tags", "user_id", "reason", "user_agent")


class FilterError(ValueError):
    """A term that does not parse. The message names its `column` (counted from 1) and what is allowed."""

    def __init__(self, column: int, problem: str) -> None:
        super().__init__(f"column {column}: {problem}")
        self.column = column


@dataclass(frozen=True)
class Value:
    text: str
    quoted: bool


Reading = Callable[[Value, datetime], Condition]
"""Makes a condition of a value; raises ValueError with what is allowed."""


@dataclass(frozen=True)
class Term:
    either: tuple[Condition, ...]
    negated: bool

    def holds(self, call: Call) -> bool:
        return any(condition.holds(call) for condition in self.either) != self.negated

    def sql(self) -> Sql:
        questions, values = joined(" OR ", [condition.sql() for condition in self.either])
        # NULL is the answer of an empty column, and NOT NULL would still be NULL.
        return (f"NOT coalesce({questions}, false)" if self.negated else f"({questions})"), values


@dataclass(frozen=True)
class Filter:
    """What calls must be like; an empty one finds every call."""

    terms: tuple[Term, ...] = ()

    def matches(self, call: Call) -> bool:
        """Whether a call, finished or in flight, is as asked."""
        return all(term.holds(call) for term in self.terms)

    def within(self, since: datetime | None, until: datetime | None) -> Filter:
        """The same filter of calls that started at `since` or later, and before `until`."""
        limits = [(">=", since), ("<", until)]
        bounds = [Compare("started_at", how, to_micros(moment)) for how, moment in limits if moment]
        return Filter((*self.terms, *(Term((bound,), negated=False) for bound in bounds)))

    def where(self) -> Sql:
        """The same as a DuckDB condition on the columns of `calls`, with `?` for the values beside it."""
        return joined(" AND ", [term.sql() for term in self.terms]) if self.terms else ("true", [])


def joined(word: str, parts: list[Sql]) -> Sql:
    return word.join(text for text, _ in parts), [value for _, values in parts for value in values]


def text(*columns: str) -> Reading:
    def read(value: Value, _now: datetime) -> Condition:
        wild = not value.quoted and ("*" in value.text or "?" in value.text)
        if wild and value.text.count("*") > MOST_STARS:
            raise ValueError(f"a pattern has at most {MOST_STARS} *; in quotes each * stands for itself")
        return Glob(columns, value.text) if wild else Text(columns, value.text)

    return read


def outcome(value: Value, now: datetime) -> Condition:
    condition = text("outcome")(value, now)
    if isinstance(condition, Text) and value.text not in set(Outcome):
        raise ValueError(f'no outcome is called "{value.text}"; there are {", ".join(Outcome)}')
    return condition


def number(column: str) -> Reading:
    def read(value: Value, _now: datetime) -> Condition:
        comparison, rest = compared(value.text)
        if not re.fullmatch(r"[0-9]{1,12}(\.[0-9]{1,12})?", rest):
            raise ValueError(f'"{value.text}" is no number; write 5, 0.25 or >=1000, with < <= > >= or none')
        return Compare(column, comparison, Decimal(rest))

    return read


def status(value: Value, now: datetime) -> Condition:
    if re.fullmatch(r"[1-9][xX]{2}", value.text):
        hundred = int(value.text[0]) * 100
        return Between("status", hundred, hundred + 99)
    try:
        return number("status")(value, now)
    except ValueError:
        raise ValueError(f'"{value.text}" is no status; write 200, 4xx or >=500, with < <= > >=') from None


def duration(column: str) -> Reading:
    def read(value: Value, _now: datetime) -> Condition:
        comparison, rest = compared(value.text)
        return Compare(column, comparison, float(parse_span(rest)))

    return read


def started(comparison: str) -> Reading:
    def read(value: Value, now: datetime) -> Condition:
        return Compare("started_at", comparison, to_micros(parse_time(value.text, now)))

    return read


def flag(column: str) -> Reading:
    def read(value: Value, _now: datetime) -> Condition:
        if value.text not in ("true", "false"):
            raise ValueError(f'"{value.text}" is neither true nor false')
        return Flag(column, value.text == "true")

    return read


def compared(value: str) -> tuple[str, str]:
    """The comparison that a value starts with (none is `=`), and the rest of it."""
    rest = value.lstrip("<=>")
    comparison = value[: len(value) - len(rest)]
    if comparison not in ("", "=", "<", "<=", ">", ">="):
        raise ValueError(f'"{comparison}" is no comparison; there are < <= > >= and =')
    return comparison or "=", rest


FIELDS: dict[str, Reading] = {
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
    "label": text(LABEL),
}


def parse(filter_text: str, *, now: datetime) -> Filter:
    """The filter that the text stands for. `now` has a zone. Raises FilterError."""
    return Filter(tuple(terms(filter_text, now)))


HEAD = re.compile(r"(?P<minus>-?)(?:(?P<field>[A-Za-z_]+):)?")
VALUE = re.compile(r'"(?P<quoted>(?:[^"\\]|\\.)*)"(?=[\s,]|$)|(?P<bare>[^\s,"]+)(?=[\s,]|$)', re.DOTALL)
BLANKS = re.compile(r"\s*")


def terms(source: str, now: datetime) -> Iterator[Term]:
    if len(source) > LONGEST:
        raise FilterError(LONGEST + 1, f"a filter has at most {LONGEST} characters")
    position = end_of(BLANKS, source, 0)
    left = MOST_VALUES
    while position < len(source):
        try:
            term, end = term_at(source, position, now)
        except ValueError as error:
            raise FilterError(position + 1, str(error)) from None
        left -= len(term.either)
        if left < 0:
            raise FilterError(position + 1, f"a filter has at most {MOST_VALUES} terms, or values of terms")
        yield term
        position = end_of(BLANKS, source, end)


def term_at(source: str, start: int, now: datetime) -> tuple[Term, int]:
    head = HEAD.match(source, start)
    assert head is not None  # noqa: S101 - both of its parts may be missing
    values, end = values_at(source, head.end())
    read = reading(head["field"])
    return Term(tuple(read(value, now) for value in values), bool(head["minus"])), end


def values_at(source: str, position: int) -> tuple[list[Value], int]:
    """The values that stand there, separated by commas, and where they end."""
    values: list[Value] = []
    while True:
        value, position = value_at(source, position)
        values.append(value)
        if source[position : position + 1] != ",":
            return values, position
        position += 1


def value_at(source: str, position: int) -> tuple[Value, int]:
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


def reading(field: str | None) -> Reading:
    if field is None:
        return lambda value, _now: Contains(FREE_TEXT, value.text)
    if field not in FIELDS:
        raise ValueError(
            f'no field is called "{field}"; there are {", ".join(FIELDS)}. '
            "To look for text with a colon, put it in quotes"
        )
    return FIELDS[field]


def end_of(pattern: re.Pattern[str], source: str, position: int) -> int:
    found = pattern.match(source, position)
    return found.end() if found else position
