"""The command `gatekeeper`: which commands there are, and how a run of one ends.

The commands' modules are imported only when one of them runs: `gatekeeper --help` has to answer at once, so
what it says of them stands here.
"""

from __future__ import annotations

import importlib
import io
import os
import sys
import traceback
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import click
from click.exceptions import NoArgsIsHelpError

from gatekeeper.cli.conventions import INTERRUPTED, Failure, Status, examples
from gatekeeper.runtime import reserve_standard_fds


class Command(NamedTuple):
    """What the help of all says of a command, and the module that has it under its name."""

    meaning: str
    module: str


# Help lists them in this order, which tells more than the alphabet.
COMMANDS = {
    "serve": Command("Run the gateway.", "processes"),
    "sandbox": Command("Run the simulated Gemini API alone.", "processes"),
    "tui": Command("Watch calls, spend and keys in the terminal.", "processes"),
    "keys": Command("Make, list, change, block and delete virtual keys.", "keys"),
    "calls": Command("Follow, search, show and export calls.", "calls"),
    "spend": Command("Sum up spend by tag, model, key, user, day or hour.", "analytics"),
    "sql": Command("Ask the analytics file in SQL.", "analytics"),
    "prices": Command("Show the price catalogue, or price one call.", "prices"),
    "doctor": Command("Check the set-up, and say what to do.", "doctor"),
    "config": Command("Print every setting in force, and where it came from.", "doctor"),
}

PROG = "gatekeeper"
OWN_RULES = (("keys", "create"), ("keys", "edit"))


class ReaderLeft(Exception):
    """What read our output has seen enough, as `head` does."""


class LazyGroup(click.Group):
    """A group that imports a command's module when the command is asked for, and not before."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"gatekeeper.cli.{COMMANDS[cmd_name].module}")
        return getattr(module, cmd_name)

    def invoke(self, ctx: click.Context) -> object:
        """As click's, which would end with the status 1 where the reader of our output has left."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            raise ReaderLeft from None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl([(name, command.meaning) for name, command in COMMANDS.items()])


@click.group(cls=LazyGroup, epilog=examples("serve --sandbox"))
@click.version_option(package_name="gatekeeper-gemini", prog_name=PROG, message="%(prog)s %(version)s")
def gatekeeper() -> None:
    """A gateway for Google's Gemini API: virtual keys, an exact ledger, a terminal application."""


def main() -> None:
    """The entry point."""
    # First of all, before any file is opened that could get one of their numbers.
    reserve_standard_fds()
    # A terminal that cannot show a letter is no reason to fail.
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    sys.exit(run(sys.argv[1:]))


def run(args: Sequence[str]) -> int:
    """Runs one command. Returns the exit status; whatever went wrong has been told on stderr."""
    try:
        refuse_empty(args)
        # Alone, click would print its own errors and end the process with its own statuses.
        status = gatekeeper.main(args, prog_name=PROG, standalone_mode=False)
        # Here, because a reader that has left may be noticed only now.
        sys.stdout.flush()
    except Failure as failure:
        tell(str(failure))
        return failure.status
    except click.ClickException as failure:
        tell_usage(failure)
        return failure.exit_code
    except click.Abort:
        # That was ctrl+c.
        return INTERRUPTED
    except (ReaderLeft, BrokenPipeError):
        return reader_left()
    except Exception as fault:  # noqa: BLE001 - the last boundary: a person reads what comes out of it
        return own_fault(fault)
    return status if isinstance(status, int) else Status.FINE


def refuse_empty(args: Sequence[str]) -> None:
    """An empty argument is most likely a variable of the shell that was not set. To read it as if it had not
    been given would often mean more: all time, every call, each key. `keys create` and `keys edit` refuse it
    themselves and say how a field is set back. Raises UsageError.
    """
    if tuple(args[:2]) in OWN_RULES:
        return
    for before, word in pairwise(("", *args)):
        option, equals, value = word.partition("=") if word.startswith("--") else (before, "", word)
        if (equals or not word) and not value:
            name = option if option.startswith("-") else "an argument"
            raise click.UsageError(f"{name} is empty: give it a value, or leave it out")


def tell(message: str) -> None:
    """One line; what stands below an empty one is left out, as DuckDB's picture of the fault's place."""
    # Here and not above: `--help` writes nothing that others wrote.
    from gatekeeper.cli.output import harmless

    line = " ".join(message.partition("\n\n")[0].split())
    print(f"{PROG}: {harmless(line).rstrip('.')}.", file=sys.stderr)


def tell_usage(failure: click.ClickException) -> None:
    """What is wrong with the arguments; for a group without a command, what commands there are."""
    if isinstance(failure, NoArgsIsHelpError):
        failure.show()
    elif isinstance(failure, click.UsageError) and failure.ctx:
        tell(f"{failure.format_message().rstrip('.')}. See {failure.ctx.command_path} --help")
    else:
        tell(failure.format_message())


def reader_left() -> int:
    """That is no fault. What is buffered goes nowhere, or the interpreter would complain at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return Status.FINE


def own_fault(fault: Exception) -> int:
    """One line, without the fault's own text: that may quote a secret."""
    if os.environ.get("GATEKEEPER_DEBUG"):
        traceback.print_exception(fault)
    else:
        at = traceback.extract_tb(fault.__traceback__)[-1]
        where = f"{Path(at.filename).name}, line {at.lineno}"
        tell(
            f"this is a fault of its own: {type(fault).__name__} in {where}. "
            "Run it again with GATEKEEPER_DEBUG=1 to see more, and report that"
        )
    return Status.FAULT
