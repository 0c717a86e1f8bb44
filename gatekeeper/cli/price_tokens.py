"""A call that is told by numbers of tokens, as options of `prices quote`."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import NamedTuple, TypeVar

import click
import msgspec
from click.core import ParameterSource

T = TypeVar("T")


class TokenNumbers(NamedTuple):
    """Tokens of text; None where not given. `input` includes `cached`, `output` is without `thoughts`, as in
    the API's `usageMetadata`."""

    input: int | None = None
    output: int | None = None
    cached: int | None = None
    thoughts: int | None = None

    def usage(self) -> bytes:
        """As the `usageMetadata` of an answer: whatever is not given is not used."""
        prompt, output, cached, thoughts = (number or 0 for number in self)
        return msgspec.json.encode(
            {
                "promptTokenCount": prompt,
                "candidatesTokenCount": output,
                "cachedContentTokenCount": cached,
                "thoughtsTokenCount": thoughts,
                "totalTokenCount": prompt + output + thoughts,
            }
        )


# In the order of `TokenNumbers`.
MEANINGS = {
    "input": "Tokens of the prompt, cached ones included.",
    "output": "Tokens of the answer, without thoughts.",
    "cached": "How many of the prompt's tokens come from a cache.",
    "thoughts": "Tokens of thinking.",
}


def tokens_options(command: Callable[..., T]) -> Callable[..., T]:
    """Adds an option for each number; the command gets them as `tokens`."""

    @functools.wraps(command)
    def with_tokens(**options: object) -> T:
        numbers = msgspec.convert({name: options.pop(name) for name in MEANINGS}, dict[str, int | None])
        return command(tokens=TokenNumbers(**numbers), **options)

    decorated: Callable[..., T] = with_tokens
    # click lists the option that is added last first: hence in reverse order.
    for name, meaning in reversed(MEANINGS.items()):
        # As many digits as a count of the API may have.
        option = click.option(f"--{name}", metavar="TOKENS", type=click.IntRange(0, 10**15), help=meaning)
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
    elif tokens.input is None and tokens.output is None:
        raise click.UsageError("Give MODEL with --input, --output or --usage FILE; or --call FILE", context)
    if call is None and model is None:
        raise click.UsageError(f"{(ways or numbers)[0]} needs MODEL, the model that was called", context)
    if call is not None:
        refuse_with_call(model, context)
    if tokens.cached is not None and tokens.cached > (tokens.input or 0):
        raise click.UsageError(
            "--cached is more than --input: cached tokens are a part of the prompt, and count in --input too",
            context,
        )


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
