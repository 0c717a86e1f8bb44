"""What commands share: exit statuses, how help reads, and the options that lead to a gateway or to settings.

`gatekeeper --help` waits for this module. So nothing but click is imported with it: settings, and what speaks
HTTP, are imported by the functions that need them.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Awaitable, Callable, Generator, Mapping
from contextlib import contextmanager
from enum import IntEnum
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import click

if TYPE_CHECKING:
    from gatekeeper.client.admin_api import Client
    from gatekeeper.client.api_errors import ApiError
    from gatekeeper.settings import Setting, Settings

T = TypeVar("T")

# As shells report what ctrl+c ended.
INTERRUPTED = 130
# Settings that are flags, too.
FLAGS = ("host", "port", "data", "upstream", "sandbox")

# Which of the two a command has tells whether its document is the API's, or made here.
json_option = click.option("--json", "as_json", is_flag=True, help="Print the API's document.")
own_json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")


class Status(IntEnum):
    """The exit statuses of the contract."""

    FINE = 0
    FAULT = 1
    USAGE = 2
    UNREACHABLE = 3
    NOT_AUTHORISED = 4
    NOT_FOUND = 5
    REFUSED = 6
    # Something to be mended, by `doctor`.
    FOUND = 7


class Failure(Exception):
    """Why a command could not do what it was asked: one line for people, and the exit status."""

    def __init__(self, message: str, status: Status) -> None:
        super().__init__(message)
        self.status = status


def examples(*commands: str) -> str:
    """An epilog whose lines stay as they are, so that they can be copied."""
    title = "Example:" if len(commands) == 1 else "Examples:"
    return "\n".join(["\b", title, *(f"  gatekeeper {command}" for command in commands)])


class InOrder(click.Group):
    """Lists its commands in the order in which they were defined, which tells more than the alphabet."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(self.commands)


class Target(NamedTuple):
    """A gateway by its address, and its master key (None in open mode)."""

    url: str
    key: str | None

    def __repr__(self) -> str:
        return f"Target({self.url!r}, key not shown)"


def on_gateway(command: Callable[..., T]) -> Callable[..., T]:
    """Adds `--url` and `--key`; the command's first argument is what they name."""
    from gatekeeper.addresses import DEFAULT_URL

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
        # The first that is set holds; the second is what a set-up made for LiteLLM has.
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
    # asyncio, because the client is the terminal application's too, and its toolkit runs on nothing else.
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


def setting_flags(*names: str) -> Callable[[Callable[..., T]], Callable[..., T]]:
    """Adds a flag for each of these settings, as text or None: what is allowed, the settings know. And
    `--config`, which the command gets as `config`."""
    from gatekeeper.settings import DEFAULT_FILE, SETTINGS

    def add(command: Callable[..., T]) -> Callable[..., T]:
        command = click.option(
            "--config",
            type=click.Path(path_type=Path),
            metavar="FILE",
            help=f"Settings in TOML.  [default: {DEFAULT_FILE}, if there is one]",
        )(command)
        # click shows the option that is added last on top: hence in reverse.
        for setting in reversed([setting for setting in SETTINGS if setting.name in names]):
            command = _flag(setting)(command)
        return command

    return add


def _flag(setting: Setting) -> Callable[[Callable[..., T]], Callable[..., T]]:
    meaning = setting.meaning[0].upper() + setting.meaning[1:]
    if setting.name == "sandbox":
        # None where it is not given, so that the environment and the file have their say.
        return click.option("--sandbox", is_flag=True, default=None, help=f"{meaning}.")
    described = f"{meaning}.  [env: {setting.environment[0]}; default: {setting.default}]"
    return click.option(f"--{setting.name}", metavar=setting.name.upper(), help=described)


def loaded(flags: Mapping[str, object], config: Path | None) -> Settings:
    """The settings in force. Raises Failure where one does not do."""
    from gatekeeper.settings import SettingError, load

    try:
        return load(flags, os.environ, config)
    except SettingError as error:
        raise Failure(str(error), Status.USAGE) from None


def variables() -> str:
    """The settings that have no flag: their variables and what they mean, for `--help`."""
    from gatekeeper.settings import SETTINGS

    rows = [(" ".join(s.environment), s.meaning) for s in SETTINGS if s.name not in FLAGS]
    width = max(len(names) for names, _ in rows)
    return "\n".join(f"  {names:<{width}}  {meaning}" for names, meaning in rows)
