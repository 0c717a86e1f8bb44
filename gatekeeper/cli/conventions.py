"""Conventions of all commands: exit statuses, errors, the format of help, and the options for a gateway or
for settings.

`gatekeeper --help` imports this module, so it imports nothing but click: the settings and the HTTP client are
imported by the functions that need them.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Awaitable, Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from enum import IntEnum
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import click

if TYPE_CHECKING:
    from pathlib import Path
    from ssl import SSLContext

    from click.shell_completion import CompletionItem

    from gatekeeper.client.admin_api import Client
    from gatekeeper.client.api_errors import ApiError
    from gatekeeper.settings import Setting, Settings

T = TypeVar("T")

# 128 + SIGINT, as shells report it.
INTERRUPTED = 130
# The names of the option of every command.
HELP = ["-h", "--help"]
# Settings that also have a flag.
FLAGS = ("host", "port", "data", "prices", "upstream", "sandbox")

# The first for commands that print the API's document, the second for those that build one here.
json_option = click.option("--json", "as_json", is_flag=True, help="Print the API's document.")
local_json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")


def limit_option(default: int, of: str) -> Callable[[Callable[..., T]], Callable[..., T]]:
    """How many rows a response has at most; the API allows no more."""
    return click.option(
        "--limit",
        metavar="N",
        type=click.IntRange(1, 1000),
        default=default,
        show_default=True,
        help=f"{of} at most.",
    )


class ExitStatus(IntEnum):
    """The exit statuses, which scripts may rely on."""

    OK = 0
    INTERNAL_ERROR = 1
    USAGE = 2
    UNREACHABLE = 3
    UNAUTHORIZED = 4
    NOT_FOUND = 5
    REJECTED = 6
    # `doctor` found something to fix.
    CHECK_FAILED = 7


class CommandError(Exception):
    """A command failed: a message, with a line for each error, and the exit status. `excerpt` is printed
    below it unchanged."""

    def __init__(self, message: str, status: ExitStatus, *more: str) -> None:
        super().__init__(message)
        self.status = status
        self.messages = (message, *more)
        self.excerpt: Sequence[str] = ()


def examples(*commands: str) -> str:
    """An epilog whose lines are not re-wrapped, so that they can be copied."""
    title = "Example:" if len(commands) == 1 else "Examples:"
    return "\n".join(["\b", title, *(f"  gatekeeper {command}" for command in commands)])


class OrderedGroup(click.Group):
    """Lists its commands in the order of their definition, not alphabetically, and suggests one for a
    mistyped name."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(self.commands)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        # Asked before click is, whose own message names no other command.
        if self.get_command(ctx, args[0]) is None:
            from gatekeeper.suggestions import did_you_mean

            commands = self.list_commands(ctx)
            known = did_you_mean(args[0], commands, f"there are {', '.join(commands)}")
            raise click.UsageError(f"there is no command {args[0]!r}; {known}", ctx)
        return super().resolve_command(ctx, args)


class OneOf(click.Choice[str]):
    """A choice that suggests a word for a mistyped one."""

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if value not in self.choices:
            from gatekeeper.suggestions import did_you_mean

            known = did_you_mean(value, self.choices, f"it takes {', '.join(self.choices)}")
            self.fail(f"{value!r} is not allowed; {known}", param, ctx)
        return value


class Target(NamedTuple):
    """A gateway by its address, and its master key (None in open mode)."""

    url: str
    key: str | None

    def __repr__(self) -> str:
        return f"Target({self.url!r}, key not shown)"


def stripped(_context: click.Context, _option: click.Parameter, text: str | None) -> str | None:
    """As `serve` reads the same variables: a secret that was mounted or piped often ends in a line break."""
    return (text or "").strip() or None


def gateway_options(command: Callable[..., T]) -> Callable[..., T]:
    """Adds `--url` and `--key`; the command gets them as its first argument, a `Target`."""
    from gatekeeper.addresses import DEFAULT_URL

    @click.option(
        "--url",
        envvar="GATEKEEPER_URL",
        default=DEFAULT_URL,
        metavar="URL",
        show_default=True,
        show_envvar=True,
        callback=stripped,
        help="Address of the gateway.",
    )
    @click.option(
        "--key",
        # The first that is set wins; the second is there for set-ups that were made for LiteLLM.
        envvar=["GATEKEEPER_MASTER_KEY", "LITELLM_MASTER_KEY"],
        metavar="KEY",
        show_envvar=True,
        callback=stripped,
        help="Its master key, or a key with a role; none in open mode.",
    )
    @functools.wraps(command)
    def with_target(url: str | None, key: str | None, **options: object) -> T:
        return command(Target(url or DEFAULT_URL, key), **options)

    return with_target


def call_api(
    target: Target,
    request: Callable[[Client], Awaitable[T]],
    tls: SSLContext | None = None,
    q: str | None = None,
) -> T:
    """The gateway's response to `request`; without `tls` it needs a certificate that this machine trusts.
    Raises CommandError with the exit status for what went wrong, which points into the filter `q`."""
    # asyncio, because the terminal application shares the client, and Textual runs on nothing else.
    import asyncio

    from gatekeeper.client.admin_api import Client

    async def called() -> T:
        async with Client(target.url, target.key, tls) as client:
            return await request(client)

    with map_api_errors(q):
        return asyncio.run(called())


@contextmanager
def map_api_errors(q: str | None = None) -> Generator[None]:
    """Turns errors of the API into CommandErrors, those in the filter `q` with a pointer to the place."""
    from gatekeeper.client.api_errors import ApiError

    try:
        yield
    except ApiError as error:
        failed = CommandError(str(error), status_of(error))
        if q and error.problem.column:
            from gatekeeper.cli.call_filter import pointer
            from gatekeeper.cli.output import width

            failed.excerpt = pointer(q, error.problem.column, width())
        raise failed from None
    except UnicodeEncodeError:
        # An argument that is no UTF-8 is text with surrogates (PEP 383), which no JSON and no URL can have.
        raise CommandError("an argument has bytes that are no UTF-8", ExitStatus.USAGE) from None


def status_of(error: ApiError) -> ExitStatus:
    """The exit status of an API error."""
    from gatekeeper.client import api_errors

    match error:
        case api_errors.Unreachable():
            return ExitStatus.UNREACHABLE
        case api_errors.Unauthorized():
            return ExitStatus.UNAUTHORIZED
        case api_errors.NotFound():
            return ExitStatus.NOT_FOUND
        case api_errors.BadRequest():
            return ExitStatus.REJECTED
        case _:
            return ExitStatus.INTERNAL_ERROR


def setting_flags(*names: str) -> Callable[[Callable[..., T]], Callable[..., T]]:
    """Adds a flag for each of these settings, as `setting_options`, and `--config`, which the command gets as
    `config`."""
    from pathlib import Path

    from gatekeeper.settings import DEFAULT_FILE

    def add(command: Callable[..., T]) -> Callable[..., T]:
        command = click.option(
            "--config",
            type=click.Path(path_type=Path),
            metavar="FILE",
            help=f"Settings in TOML.  [default: {DEFAULT_FILE}, if there is one]",
        )(command)
        return setting_options(*names)(command)

    return add


def setting_options(*names: str) -> Callable[[Callable[..., T]], Callable[..., T]]:
    """Adds a flag for each of these settings, as text or None (the settings validate it)."""
    from gatekeeper.settings import SETTINGS

    def add(command: Callable[..., T]) -> Callable[..., T]:
        # click lists the option that is added last first: hence in reverse order.
        for setting in reversed([setting for setting in SETTINGS if setting.name in names]):
            command = _flag(setting)(command)
        return command

    return add


def _flag(setting: Setting) -> Callable[[Callable[..., T]], Callable[..., T]]:
    from gatekeeper import setting_parsers

    meaning = setting.meaning[0].upper() + setting.meaning[1:]
    if setting.name == "sandbox":
        # None where it is not given, so that the environment and the file still count.
        return click.option("--sandbox", is_flag=True, default=None, help=f"{meaning}.")
    default = f"; default: {setting.default}" if setting.default else ""
    described = f"{meaning}.  [env: {setting.environment[0]}{default}]"
    kind = setting_parsers.PATHS.get(setting.parse)
    complete = _path_completion(kind) if kind else None
    return click.option(
        f"--{setting.name}", metavar=setting.name.upper(), help=described, shell_complete=complete
    )


def _path_completion(
    kind: str,
) -> Callable[[click.Context, click.Parameter, str], list[CompletionItem[str]]]:
    def complete(
        _context: click.Context, _parameter: click.Parameter, typed: str
    ) -> list[CompletionItem[str]]:
        from click.shell_completion import CompletionItem

        return [CompletionItem(typed, type=kind)]

    return complete


def load_settings(flags: Mapping[str, object], config: Path | None) -> Settings:
    """The settings in effect. Raises CommandError where one is invalid."""
    from gatekeeper.settings import SettingError, load

    try:
        return load(flags, os.environ, config)
    except SettingError as error:
        raise CommandError(str(error), ExitStatus.USAGE) from None


def variables_help() -> str:
    """The settings without a flag, by their environment variables, for `--help`."""
    from gatekeeper.settings import SETTINGS

    rows = [(" ".join(s.environment), s.meaning) for s in SETTINGS if s.environment and s.name not in FLAGS]
    width = max(len(names) for names, _ in rows)
    return "\n".join(f"  {names:<{width}}  {meaning}" for names, meaning in rows)
