"""The fields of a virtual key: as options of `keys create` and `keys edit`."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeVar

import click

from gatekeeper.cli import live_values
from gatekeeper.suggestions import did_you_mean

T = TypeVar("T")


def words(text: str) -> list[str]:
    return [item.strip() for item in text.split(",") if item.strip()]


def whole_number(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise click.BadParameter(f"{text!r} is no whole number") from None


def by_model(text: str) -> dict[str, str] | None:
    """A number for each model or glob: `gemini-2.5-pro*=10,*-lite=0.5`; None for none."""
    numbers: dict[str, str] = {}
    for item in words(text):
        model, equals, number = item.rpartition("=")
        if not equals or model in numbers:
            raise click.BadParameter(f"write each model once, with its number: {item!r} is not MODEL=N")
        numbers[model] = number
    return numbers or None


def whole_by_model(text: str) -> dict[str, int] | None:
    numbers = by_model(text) or {}
    return {model: whole_number(number) for model, number in numbers.items()} or None


def json_value(text: str) -> object:
    try:
        return json.loads(text)
    except ValueError as error:
        raise click.BadParameter(f"this is no JSON: {error}") from None


class KeyField(NamedTuple):
    """`name` is the API's. `read` parses the option's text, or raises click.BadParameter."""

    flag: str
    name: str
    metavar: str
    meaning: str
    read: Callable[[str], object] = str
    is_switch: bool = False


KEY_FIELDS = (
    KeyField("alias", "key_alias", "NAME", "Alias: a unique name of the key."),
    KeyField("duration", "duration", "SPAN", "It expires after this: 30d, 12h."),
    KeyField("models", "models", "A,B", "Models that it may use, or globs: gemini-2.5*.", words),
    KeyField("routes", "allowed_routes", "A,B", "Actions or globs of paths that it may use.", words),
    KeyField("max-budget", "max_budget", "USD", "Budget in USD; calls above it are refused."),
    KeyField("soft-budget", "soft_budget", "USD", "Soft budget in USD: calls above it warn only."),
    KeyField(
        "budget-duration", "budget_duration", "SPAN", "Budget period, after which spend resets: 30d, 1mo."
    ),
    KeyField("model-budget", "model_max_budget", "MODEL=USD,…", "Budgets of models or globs.", by_model),
    KeyField("rpm", "rpm_limit", "N", "Calls a minute.", whole_number),
    KeyField("tpm", "tpm_limit", "N", "Tokens a minute.", whole_number),
    KeyField(
        "model-rpm", "model_rpm_limit", "MODEL=N,…", "Calls a minute of models or globs.", whole_by_model
    ),
    KeyField(
        "model-tpm", "model_tpm_limit", "MODEL=N,…", "Tokens a minute of models or globs.", whole_by_model
    ),
    KeyField("parallel", "max_parallel_requests", "N", "Parallel calls.", whole_number),
    KeyField("tags", "tags", "A,B", "Tags of all its calls.", words),
    KeyField("user", "user_id", "NAME", "End user of calls that name none."),
    KeyField("group", "group", "NAME", "Group that it belongs to."),
    KeyField("metadata", "metadata", "JSON", "A JSON object of your own.", json_value),
    KeyField(
        "on-disconnect",
        "on_disconnect",
        "cancel|finish",
        "When a client leaves: cancel the call, or finish it without the client, for the exact cost.",
    ),
    KeyField("share", "share", "group|all", "Who else sees the files, caches, batches … that it makes."),
    KeyField(
        "allow-unpriced",
        "allow_unpriced",
        "",
        "With a budget: models without a price too; each call is charged the most that it can cost.",
        is_switch=True,
    ),
    KeyField("searches", "searches", "N", "Searches that a call may make; 0: none.", whole_number),
    KeyField(
        "store",
        "store",
        "",
        "Whether Google may keep its prompts; if not, its requests must say `store: false`.",
        is_switch=True,
    ),
    KeyField(
        "max-output-tokens",
        "max_output_tokens",
        "N",
        "Output tokens: a request must name a limit, and no larger one.",
        whole_number,
    ),
    KeyField(
        "service-tiers", "service_tiers", "A,B", "Service tiers that it may ask for: standard,flex.", words
    ),
    KeyField("allowed-ips", "allowed_ips", "A,B", "Addresses or networks of its calls: 10.0.0.0/8.", words),
    KeyField("role", "role", "admin|operator|viewer", "What it may do at the admin API."),
)


def field_options(known: Sequence[KeyField]) -> Callable[[Callable[..., T]], Callable[..., T]]:
    """Adds an option for each field; the command gets the given ones as `fields`, by the API's names. An
    empty value is rejected: an unset variable of a script must not extend what a key may do."""

    def add(command: Callable[..., T]) -> Callable[..., T]:
        @functools.wraps(command)
        def with_fields(*args: object, **options: object) -> T:
            given = {field.name: options.pop(field.name) for field in known}
            fields = {name: value for name, value in given.items() if value is not NOT_GIVEN}
            return command(*args, fields=fields, **options)

        decorated: Callable[..., T] = with_fields
        # click lists the option that is added last first: hence in reverse order.
        for field in reversed(known):
            option = switch_option if field.is_switch else text_option
            decorated = option(field)(decorated)
        return decorated

    return add


def text_option(field: KeyField) -> Callable[[Callable[..., T]], Callable[..., T]]:
    return click.option(
        f"--{field.flag}",
        field.name,
        metavar=field.metavar,
        help=field.meaning,
        callback=functools.partial(read_field, field),
        shell_complete=completion_of(field),
    )


def completion_of(field: KeyField) -> live_values.Complete:
    """The completion of an option's value: fixed words, or names that the gateway knows; none for free
    values."""
    if "|" in field.metavar:
        return live_values.of(live_values.words(*field.metavar.split("|")))
    many = field.read is words
    return (live_values.list_of if many else live_values.of)(SOURCES.get(field.name, live_values.words()))


SOURCES: dict[str, live_values.Source] = {
    "models": live_values.model_names,
    "tags": live_values.tags,
    "group": live_values.group_names,
    "user_id": live_values.users,
    "service_tiers": live_values.words("standard", "flex", "priority", "batch", "deferred"),
    "duration": live_values.words("12h", "7d", "30d"),
    "budget_duration": live_values.words("1d", "7d", "30d", "1mo"),
}


def switch_option(field: KeyField) -> Callable[[Callable[..., T]], Callable[..., T]]:
    return click.option(
        f"--{field.flag}/--no-{field.flag}",
        field.name,
        default=None,
        help=field.meaning,
        callback=read_switch,
    )


def read_switch(_context: click.Context, _option: click.Parameter, value: bool | None) -> object:
    return NOT_GIVEN if value is None else value


# Not None: as the value of a field that resets it.
NOT_GIVEN = object()


def read_field(
    field: KeyField, _context: click.Context, _option: click.Parameter, text: str | None
) -> object:
    if text is None:
        return NOT_GIVEN
    # Commas alone are not a list either.
    value = field.read(text) if text.strip() else None
    if value in (None, []):
        raise click.BadParameter(
            f"it is empty: give a value or leave the option out. To remove a value use "
            f"`edit NAME --unset {field.flag}`"
        )
    return value


def parse_unset(
    known: Sequence[KeyField], _context: click.Context, _option: click.Parameter, text: str | None
) -> dict[str, None]:
    """The fields of `--unset`, by the API's names, each with None, which resets it."""
    if text is None:
        return {}
    names = {field.flag: field.name for field in known}
    flags = words(text)
    if unknown := [flag for flag in flags or [text] if flag not in names]:
        meant = did_you_mean(unknown[0], names, f"there are {', '.join(names)}")
        raise click.BadParameter(f"there is no {unknown[0]!r} to remove; {meant}")
    return {names[flag]: None for flag in flags}


def unset_option(known: Sequence[KeyField]) -> Callable[[Callable[..., T]], Callable[..., T]]:
    return click.option(
        "--unset",
        metavar="A,B",
        callback=functools.partial(parse_unset, known),
        help="What to remove, by option name: rpm,max-budget.",
        shell_complete=live_values.list_of(live_values.words(*(field.flag for field in known))),
    )
