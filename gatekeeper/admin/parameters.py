"""The query parameters of the admin API: parsers and schemas. The description of a route lists those that it
accepts (`openapi.document`)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime
from typing import NamedTuple

from gatekeeper.admin.access import current_gateway
from gatekeeper.keys.audit import ACTIONS
from gatekeeper.keys.listing import SORTS
from gatekeeper.ledger.analytics.call_pages import SORTS as CALL_SORTS
from gatekeeper.openapi.schema import Schema, choice, integer, text
from gatekeeper.suggestions import did_you_mean
from gatekeeper.times import parse_time

MAX_LIMIT = 1000
DEFAULT_LIMIT = 100


class Parameter(NamedTuple):
    """`parse` returns the value, or raises ValueError with a message that says what is allowed."""

    parse: Callable[[str], object]
    schema: Schema


def limit(text: str) -> int:
    # ASCII digits only, and few, because `int` is slow for many digits.
    if not (text.isascii() and text.isdecimal() and len(text) < 10 and 0 < int(text) <= MAX_LIMIT):
        raise ValueError(f"give a whole number from 1 to {MAX_LIMIT}")
    return int(text)


def moment(text: str) -> datetime:
    return parse_time(text, current_gateway().now())


def given(text: str) -> str:
    if not text:
        raise ValueError("give a value, or leave it out")
    return text


def names(text: str) -> tuple[str, ...]:
    # An empty name would match rows without one, and so widen the query.
    if not all(found := tuple(text.split(","))):
        raise ValueError("give one name, or several with commas between them")
    return found


def actions(text: str) -> tuple[str, ...]:
    found = names(text)
    if unknown := [name for name in found if name not in ACTIONS]:
        known = did_you_mean(unknown[0], ACTIONS, f"there are {', '.join(ACTIONS)}")
        raise ValueError(f'there is no action "{unknown[0]}"; {known}')
    return found


def day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ValueError("give a date like 2026-11-24") from None


def true_or_false(text: str) -> bool:
    if text not in ("true", "false"):
        raise ValueError("give true or false")
    return text == "true"


def false_only(text: str) -> bool:
    if text.lower() != "false":
        raise ValueError("give false, or leave it out: GET /spend?by=day,model has the sums")
    return False


_TIME = (
    "a duration back from now, `today`, `yesterday`, a weekday (the latest one), `this-month`, `last-month`, "
    "or a date or time in ISO 8601; days and times without a zone are in the setting `timezone`"
)
_KEY = "Its secret, `token_id` or alias."

PARAMETERS: dict[str, Parameter] = {
    "q": Parameter(
        str,
        text(
            "What to look for. Of calls and spend: a filter (its grammar: docs/filter.md). Of keys: a text "
            "in alias, tags, user or group. Of groups and end users: a text in the name.",
            "web",
        ),
    ),
    "since": Parameter(moment, text(f"From when, inclusive: {_TIME}.", "24h")),
    "until": Parameter(moment, text(f"Until when, exclusive: {_TIME}.", "2026-11-25")),
    "limit": Parameter(
        limit, integer("How many entries the answer has at most.", 100, minimum=1, maximum=MAX_LIMIT)
    ),
    "top": Parameter(
        limit,
        integer(
            "How many groups, the most expensive in the whole range, have rows of their own; `other` has "
            "the sums of the rest.",
            8,
            minimum=1,
            maximum=MAX_LIMIT,
        ),
    ),
    "cursor": Parameter(str, text("The `next_cursor` of the page before.", "")),
    "sort": Parameter(
        given,
        text(
            f"By what to sort, with `-` before it from high to low; entries without a value come last. Keys: "
            f"by {', '.join(SORTS)} (default -created_at). `budget_used` is the part of the budget that is "
            "spent; keys without a budget count as less than any, and blocked and expired ones come last. "
            f"Calls: by a column or a short name: {', '.join(CALL_SORTS)} (default -started).",
            "-cost",
        ),
    ),
    "running": Parameter(
        true_or_false,
        choice(
            "Calls in flight instead of finished ones, newest first, with their bytes and tokens so far.",
            ["true", "false"],
        ),
    ),
    "by": Parameter(
        names,
        text(
            "Of spend: one or two of tag, model, key, user, day, week, hour and minute, joined by a "
            "comma, or none. Of changes: who made them, by id or alias, or `master`, `open` or `gateway`; "
            "any of several.",
            "day,model",
        ),
    ),
    "action": Parameter(
        actions,
        text(
            f"Changes of these kinds only, joined by commas: {', '.join(ACTIONS)}.",
            "update,delete",
        ),
    ),
    "key": Parameter(
        given,
        text(
            f"The key. {_KEY} Of changes: what was changed, by id, alias or name, joined by commas.",
            "web-frontend",
        ),
    ),
    "start_date": Parameter(day, text("The first day, in UTC.", "2026-11-24", format="date")),
    "end_date": Parameter(day, text("The last day, in UTC, which is included.", "2026-11-30", format="date")),
    "api_key": Parameter(given, text(f"Calls of this key only. {_KEY}", "web-frontend")),
    "group": Parameter(given, text("The name of the group.", "shop")),
    "user_id": Parameter(given, text("The end user; of calls, only this one's.", "user-17")),
    "request_id": Parameter(
        given, text("The call with this id only.", "019ab2c3-d4e5-7f60-8192-a3b4c5d6e7f8")
    ),
    "summarize": Parameter(
        false_only, choice("Accepted as `false` only: `GET /spend` has the sums.", ["false"])
    ),
}

HEADERS: dict[str, Schema] = {
    "If-Match": text("The same as `updated_at` in the body.", '"2026-11-24T13:05:00.000000Z"'),
    "Last-Event-ID": integer("The last event that was received: those after it are sent.", 1764000000000001),
}
"""The request headers that a route may use."""

PATH_PARAMETERS: dict[str, Schema] = {
    "call_id": text(
        "The id of a call: its header x-gatekeeper-call-id.", "019ab2c3-d4e5-7f60-8192-a3b4c5d6e7f8"
    )
}
