"""The fields of a key as options of `keys create` and `keys edit`, and how their texts become values."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from typing import NamedTuple, TypeVar

import click

from gatekeeper.client.list_columns import STORED

T = TypeVar("T")


def texts(text: str) -> list[str]:
    return [item.strip() for item in text.split(",") if item.strip()]


def count(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise click.BadParameter(f"{text!r} is no whole number") from None


def document(text: str) -> object:
    try:
        return json.loads(text)
    except ValueError as error:
        raise click.BadParameter(f"this is no JSON: {error}") from None


class Field(NamedTuple):
    """`name` is the API's. `read` gives the value of a text, or raises click.BadParameter."""

    flag: str
    name: str
    metavar: str
    meaning: str
    read: Callable[[str], object] = str


FIELDS = (
    Field("alias", "key_alias", "NAME", "What people call the key."),
    Field("duration", "duration", "SPAN", "It expires after this: 30d, 12h."),
    Field("models", "models", "A,B", "Models that it may use, or globs: gemini-2.5*.", texts),
    Field("routes", "allowed_routes", "A,B", "Actions or globs of paths that it may use.", texts),
    Field("max-budget", "max_budget", "USD", "It may spend this much."),
    Field("soft-budget", "soft_budget", "USD", "From this much on it is conspicuous."),
    Field("budget-duration", "budget_duration", "SPAN", "The budget starts anew after this: 30d."),
    Field("rpm", "rpm_limit", "N", f"Calls a minute; {STORED}.", count),
    Field("tpm", "tpm_limit", "N", f"Tokens a minute; {STORED}.", count),
    Field("parallel", "max_parallel_requests", "N", f"Calls at the same time; {STORED}.", count),
    Field("tags", "tags", "A,B", "Tags of all its calls.", texts),
    Field("user", "user_id", "NAME", "End user of calls that name none."),
    Field("group", "group", "NAME", "Group that it belongs to."),
    Field("metadata", "metadata", "JSON", "A JSON object of your own.", document),
    Field("on-disconnect", "on_disconnect", "cancel|finish", f"A call whose client left; finish: {STORED}."),
)


def field_options(command: Callable[..., T]) -> Callable[..., T]:
    """Adds an option for each field; the command gets those that were given as `fields`, by the API's names.
    An empty value is refused: a script's variable that is not set must not widen what a key may do."""

    @functools.wraps(command)
    def with_fields(*args: object, **options: object) -> T:
        given = {field.name: options.pop(field.name) for field in FIELDS}
        fields = {name: value for name, value in given.items() if value is not NOT_GIVEN}
        return command(*args, fields=fields, **options)

    for field in reversed(FIELDS):
        with_fields = click.option(
            f"--{field.flag}",
            field.name,
            metavar=field.metavar,
            help=field.meaning,
            callback=functools.partial(read, field),
        )(with_fields)
    return with_fields


NOT_GIVEN = object()


def read(field: Field, _context: click.Context, _option: click.Parameter, text: str | None) -> object:
    if text is None:
        return NOT_GIVEN
    value = field.read(text) if text.strip() else None
    if value in (None, []):
        raise click.BadParameter(
            f"it is empty: give a value or leave the option out. What a key has is taken away by "
            f"`keys edit NAME --unset {field.flag}`"
        )
    return value


def unset(_context: click.Context, _option: click.Parameter, text: str | None) -> dict[str, None]:
    """The fields of `--unset`, by the API's names, each with the value that sets it back."""
    if text is None:
        return {}
    names = {field.flag: field.name for field in FIELDS}
    flags = texts(text)
    if not flags or not names.keys() >= set(flags):
        raise click.BadParameter(f"{text!r} is none of {', '.join(names)}")
    return {names[flag]: None for flag in flags}


unset_option = click.option(
    "--unset", metavar="A,B", callback=unset, help="What to take away, by option: rpm,max-budget."
)
