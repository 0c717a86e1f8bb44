"""How client commands reach the gateway: its address and key, one way to ask, one map of its errors.

What speaks HTTP is imported where it is used: `--help` of a command has no use for it.
"""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

import click

from gatekeeper.addresses import DEFAULT_URL
from gatekeeper.cli.failure import Failure, Status

if TYPE_CHECKING:
    from gatekeeper.client.admin_api import Client
    from gatekeeper.client.api_errors import ApiError

T = TypeVar("T")


@dataclass(frozen=True)
class Target:
    """A gateway by its address, and its master key (None in open mode)."""

    url: str
    key: str | None = field(repr=False)


def on_gateway(command: Callable[..., T]) -> Callable[..., T]:
    """Adds `--url` and `--key`; the command's first argument is what they name."""

    @click.option(
        "--url",
        envvar="GATEKEEPER_URL",
        default=DEFAULT_URL,
        metavar="URL",
        show_default=True,
        show_envvar=True,
        help="Address of the gateway.",
    )
    @click.option(
        "--key",
        envvar=["GATEKEEPER_MASTER_KEY", "LITELLM_MASTER_KEY"],
        metavar="KEY",
        show_envvar=True,
        help="Its master key; none in open mode.",
    )
    @functools.wraps(command)
    def with_target(url: str, key: str | None, **options: object) -> T:
        return command(Target(url, key), **options)

    return with_target


def ask(target: Target, question: Callable[[Client], Awaitable[T]]) -> T:
    """What the gateway says to `question`. Raises Failure with the status of what stood in the way."""
    import asyncio

    from gatekeeper.client.admin_api import Client

    async def asked() -> T:
        async with Client(target.url, target.key) as client:
            return await question(client)

    with as_failures():
        return asyncio.run(asked())


@contextmanager
def as_failures() -> Generator[None]:
    """Errors of the API as Failures."""
    from gatekeeper.client.api_errors import ApiError

    try:
        yield
    except ApiError as error:
        raise Failure(str(error), status_of(error)) from None


def status_of(error: ApiError) -> Status:
    """The exit status that tells scripts what went wrong."""
    from gatekeeper.client import api_errors

    match error:
        case api_errors.Unreachable():
            return Status.UNREACHABLE
        case api_errors.NotAuthorised():
            return Status.NOT_AUTHORISED
        case api_errors.NotFound():
            return Status.NOT_FOUND
        case api_errors.Refused():
            return Status.REFUSED
        case _:
            return Status.FAULT
