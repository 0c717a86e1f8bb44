"""The command `gatekeeper`: the list of commands, and how errors become exit statuses.

The modules of the commands are imported only when one of them runs, so that `gatekeeper --help` is fast; the
one-line descriptions are therefore here.
"""

from __future__ import annotations

import errno
import gc
import importlib
import io
import os
import sys
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import click
from click.exceptions import NoArgsIsHelpError

from gatekeeper import __version__
from gatekeeper.cli.conventions import HELP, INTERRUPTED, CommandError, ExitStatus, OrderedGroup, examples
from gatekeeper.runtime import avoid_unknown_zone, reserve_standard_fds

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem


class Command(NamedTuple):
    """The line of a command in `gatekeeper --help`, and the module that defines it under its name."""

    meaning: str
    module: str
    attribute: str | None = None
    """Its name there, if that is another one."""


# `--help` lists them in this order.
COMMANDS = {
    "serve": Command("Run the gateway.", "processes"),
    "init": Command("Write gatekeeper.toml, from questions or flags.", "init"),
    "sandbox": Command("Run the simulated Gemini API alone.", "processes"),
    "tui": Command("Watch calls, spend and keys in the terminal.", "processes"),
    "keys": Command("Create, list, change, block and delete virtual keys.", "keys"),
    "groups": Command("Give limits and budgets to groups of keys.", "accounts"),
    "users": Command("Give limits and budgets to end users.", "accounts"),
    "import": Command("Import keys, budgets and spend from LiteLLM.", "imports", "import_"),
    "audit": Command("Show who changed what, from where and when.", "audit"),
    "calls": Command("Follow, search, show and export calls.", "calls"),
    "spend": Command("Sum up spend by tag, model or key; compare it with Google's bill.", "spend"),
    "sql": Command("Query the analytics file in SQL.", "sql"),
    "prices": Command("Show the price catalogue; price one call, or reprice past calls.", "prices"),
    "doctor": Command("Check the set-up, with a remedy for each problem.", "doctor"),
    "completion": Command("Print the completion script for bash, zsh or fish.", "completion"),
    "man": Command("Show the manual page.", "man"),
    "config": Command("Print every setting in effect, and where it came from.", "doctor"),
}

PROG = "gatekeeper"
# By this variable the scripts of `gatekeeper completion` ask what may be typed next.
COMPLETE = "_GATEKEEPER_COMPLETE"
EMPTY_CHECK_EXEMPT = tuple(
    (noun, verb) for noun in ("keys", "groups", "users") for verb in ("create", "edit")
)


UNWRITABLE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
# Of a file by its name: what the machine, or who set it up, says of it.
INACCESSIBLE = (*UNWRITABLE, errno.EACCES, errno.EPERM, errno.EROFS, errno.ENAMETOOLONG, errno.ELOOP)


class OutputClosed(Exception):
    """The reader of stdout has closed the pipe, as `head` does."""


class LazyGroup(OrderedGroup):
    """A group that imports a command's module when the command is asked for, and not before."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in COMMANDS:
            return None
        command = COMMANDS[cmd_name]
        module = importlib.import_module(f"gatekeeper.cli.{command.module}")
        return getattr(module, command.attribute or cmd_name)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As that of each group, but a command of a command is found, too: `quote` of `prices`."""
        word = args[0]
        if word not in COMMANDS:
            commands = ((name, self.get_command(ctx, name)) for name in COMMANDS)
            if meant := [
                f"{name} {word}" for name, each in commands if word in getattr(each, "commands", ())
            ]:
                raise click.UsageError(
                    f"there is no command {word!r}; did you mean {' or '.join(meant)}?", ctx
                )
        return super().resolve_command(ctx, args)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem[str]]:
        """As click's, which would import every command for the sake of its help."""
        from click.shell_completion import CompletionItem

        found = [
            CompletionItem(name, help=command.meaning)
            for name, command in COMMANDS.items()
            if name.startswith(incomplete)
        ]
        return [*found, *click.Command.shell_complete(self, ctx, incomplete)]

    def invoke(self, ctx: click.Context) -> object:
        """As click's, which would exit with status 1 where stdout was closed."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            raise OutputClosed from None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl([(name, command.meaning) for name, command in COMMANDS.items()])


# The names of the help option are those of every command below, too.
@click.group(
    cls=LazyGroup,
    epilog=examples("serve --sandbox", "init", "keys create --alias me", "tui"),
    context_settings={"help_option_names": HELP},
)
@click.version_option(__version__, prog_name=PROG, message="%(prog)s %(version)s")
def gatekeeper() -> None:
    """A gateway for Google's Gemini API: virtual keys, an exact ledger, a terminal application."""


def main() -> None:
    """The entry point."""
    # First, before any file is opened that could get one of their numbers.
    reserve_standard_fds()
    avoid_unknown_zone()
    # A character that the terminal's encoding lacks is replaced, not an error.
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    status = run(sys.argv[1:])
    # The interpreter would search all objects for garbage once more, a sixth of the time that `--help` takes.
    gc.freeze()
    sys.exit(status)


def run(args: Sequence[str]) -> int:
    """Runs one command. Returns the exit status; errors have been printed on stderr."""
    if shell := os.environ.get(COMPLETE):
        from gatekeeper.cli.completion import respond

        sys.stdout.write(respond(gatekeeper, shell, args))
        return ExitStatus.OK
    try:
        reject_empty_arguments(args)
        # In standalone mode click would print errors itself and exit with its own statuses.
        status = gatekeeper.main(args, prog_name=PROG, standalone_mode=False)
        # Here, because a closed pipe may be noticed only now.
        sys.stdout.flush()
    except CommandError as error:
        for message in error.messages:
            print_error(message)
        for line in error.excerpt:
            print(line, file=sys.stderr)
        return error.status
    except click.ClickException as error:
        print_usage_error(error)
        return error.exit_code
    except click.Abort:
        # ctrl+c.
        return INTERRUPTED
    except (OutputClosed, BrokenPipeError):
        return silence_stdout()
    except OSError as error:
        # A file has its name in the error; stdout has none.
        if error.filename is None and error.errno in UNWRITABLE:
            return report_unwritable(error)
        if error.filename is not None and error.errno in INACCESSIBLE:
            print_error(f"{error.filename}: {error.strerror}")
            return ExitStatus.REJECTED
        return report_internal_error(error)
    except Exception as error:  # noqa: BLE001 - the last boundary: a person reads what comes out of it
        return report_internal_error(error)
    return status if isinstance(status, int) else ExitStatus.OK


def reject_empty_arguments(args: Sequence[str]) -> None:
    """Rejects empty arguments: most likely a shell variable was not set. Ignoring the argument would often
    mean more than intended: all time, every call, every key. `keys create` and `keys edit` reject it
    themselves and say how a field is reset. Raises UsageError.
    """
    if tuple(args[:2]) in EMPTY_CHECK_EXEMPT:
        return
    for before, word in pairwise(("", *args)):
        option, equals, value = word.partition("=") if word.startswith("--") else (before, "", word)
        if (equals or not word) and not value:
            name = option if option.startswith("-") else "an argument"
            raise click.UsageError(f"{name} is empty: give it a value, or leave it out")


def print_error(message: str) -> None:
    """Prints one line; text after an empty line is left out, such as DuckDB's pointer to the error."""
    # Imported here: `--help` prints no untrusted text and needs no sanitizing.
    from gatekeeper.cli.output import sanitized

    line = " ".join(message.partition("\n\n")[0].split())
    end = "" if line.endswith("?") else "."
    print(f"{PROG}: {sanitized(line).rstrip('.')}{end}", file=sys.stderr)


def print_usage_error(error: click.ClickException) -> None:
    """Prints what is wrong with the arguments; for a group without a command, its help."""
    if isinstance(error, NoArgsIsHelpError):
        error.show()
    elif isinstance(error, click.UsageError) and error.ctx:
        said = message_of(error).rstrip(".")
        print_error(f"{said}{'' if said.endswith('?') else '.'} See {error.ctx.command_path} --help")
    else:
        print_error(error.format_message())


def message_of(error: click.UsageError) -> str:
    """The error's message, with a suggestion for a mistyped option."""
    if not (isinstance(error, click.NoSuchOption) and error.ctx):
        return error.format_message()
    from gatekeeper.suggestions import did_you_mean

    parameters = error.ctx.command.get_params(error.ctx)
    options = [name for each in parameters for name in (*each.opts, *each.secondary_opts) if name[:1] == "-"]
    named = any(isinstance(each, click.Argument) for each in parameters)
    otherwise = "what begins with - and is no option goes after --" if named else ""
    known = did_you_mean(error.option_name, options, otherwise)
    return f"there is no option {error.option_name}{'; ' if known else ''}{known}"


def silence_stdout() -> int:
    """A closed pipe is no error. Buffered output is discarded, or the interpreter would complain at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return ExitStatus.OK


def report_unwritable(error: OSError) -> int:
    """Reports that stdout could not be written (a full disk): its output is incomplete, and may have had a
    new secret."""
    silence_stdout()
    print_error(
        f"stdout cannot be written: {error.strerror}. What the command has changed at the gateway is changed"
    )
    return ExitStatus.INTERNAL_ERROR


def report_internal_error(error: Exception) -> int:
    """Prints one line, without the exception's own text, which may contain a secret."""
    # Imported here: `--help` does without.
    import traceback
    from pathlib import Path

    if os.environ.get("GATEKEEPER_DEBUG"):
        traceback.print_exception(error)
    else:
        at = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{Path(at.filename).name}, line {at.lineno}"
        print_error(
            f"internal error: {type(error).__name__} in {where}. "
            "Run it again with GATEKEEPER_DEBUG=1 to see more, and report that"
        )
    return ExitStatus.INTERNAL_ERROR
