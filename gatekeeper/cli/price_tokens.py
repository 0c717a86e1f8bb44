"""A call that is told by numbers of tokens, as options of `prices quote`."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TypeVar

import click
import msgspec
from click.core import ParameterSource

from gatekeeper.pricing.token_numbers import CACHED_IS_PART, MEANINGS, MOST_TOKENS, TokenNumbers

T = TypeVar("T")


def tokens_options(command: Callable[..., T]) -> Callable[..., T]:
    """Adds an option for each number; the command gets them as `tokens`."""

    @functools.wraps(command)
    def with_tokens(**options: object) -> T:
        numbers = msgspec.convert({name: options.pop(name) for name in MEANINGS}, dict[str, int | None])
        return command(tokens=TokenNumbers(**numbers), **options)

    decorated: Callable[..., T] = with_tokens
    # click lists the option that is added last first: hence in reverse order.
    for name, meaning in reversed(MEANINGS.items()):
        option = click.option(
            f"--{name}", metavar="TOKENS", type=click.IntRange(0, MOST_TOKENS), help=meaning
        )
        decorated = option(decorated)
    return decorated


def refuse_contradictions(
    model: str | None, tokens: TokenNumbers, usage: str | None, call: str | None
) -> None:
    """Raises UsageError unless the call is told in one way, completely, and can be."""
    context = click.get_current_context()
    numbers = [f"--{name}" for name, value in zip(MEANINGS, tokens, strict=True) if value is not None]
    if ways := [way for way, given in (("--usage", usage), ("--call", call)) if given is not None]:
        if excluded := [*ways[1:], *numbers]:
            raise click.UsageError(f"{ways[0]} and {excluded[0]} exclude each other", context)
    elif not tokens.are_given:
        raise click.UsageError("Give MODEL with --input, --output or --usage FILE; or --call FILE", context)
    if call is None and model is None:
        raise click.UsageError(f"{(ways or numbers)[0]} needs MODEL, the model that was called", context)
    if call is not None:
        refuse_with_call(model, context)
    if tokens.contradict:
        why = CACHED_IS_PART.format(input="--input")
        raise click.UsageError(f"--cached is more than --input: {why}", context)


def refuse_with_call(model: str | None, context: click.Context) -> None:
    """Raises UsageError for what a call tells itself."""
    given = [
        f"--{name}"
        for name in ("at", "tier")
        if context.get_parameter_source(name) is not ParameterSource.DEFAULT
    ]
    if excluded := [*(["MODEL"] if model else []), *given]:
        raise click.UsageError(
            f"--call and {excluded[0]} exclude each other: the call names its own", context
        )
