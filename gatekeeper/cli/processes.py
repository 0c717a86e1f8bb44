"""What the command line starts: the gateway, the simulated API, the terminal application, and a program that
the analytics file is lent to.

Each imports what it runs only then: `--help` has no use for a server.
"""

from __future__ import annotations

import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import click

from gatekeeper import addresses, setting_parsers
from gatekeeper.cli.conventions import (
    FLAGS,
    Failure,
    Status,
    Target,
    as_failures,
    ask,
    examples,
    loaded,
    on_gateway,
    setting_flags,
    variables,
)

# Seconds, after which the gateway takes the file back by itself if it is free.
LOAN = 3600
PLACE = "{file}"

EPILOG = f"""\b
Settings by the environment, or in lower case in the file:
{variables()}

""" + examples(
    "serve --sandbox",
    "serve --port 4002 --data ~/gatekeeper",
    "serve --host 0.0.0.0  # with GATEKEEPER_MASTER_KEY",
)


@click.command("serve", epilog=EPILOG)
@setting_flags(*FLAGS)
def serve(config: Path | None, **flags: object) -> int:
    """Run the gateway until it is stopped (ctrl+c).

    Of flag, environment, file and default the first that says something holds.
    """
    settings = loaded(flags, config)
    from gatekeeper.serve import main

    return main(settings)


def checked_host(context: click.Context, option: click.Parameter, text: str) -> str:
    try:
        return setting_parsers.host(text)
    except ValueError as allowed:
        raise click.BadParameter(f"{text!r} is not allowed; it takes {allowed}", context, option) from None


@click.command("sandbox", epilog=examples("sandbox --port 4001"))
@click.option(
    "--host",
    metavar="HOST",
    default="127.0.0.1",
    show_default=True,
    callback=checked_host,
    help="Address to listen on.",
)
@click.option(
    "--port", type=click.IntRange(1, 65535), default=4001, show_default=True, help="Port to listen on."
)
def sandbox(host: str, port: int) -> None:
    """Run the simulated Gemini API alone, until it is stopped (ctrl+c).

    It answers as Google's API does, takes any key and costs nothing.
    """
    import trio

    from gatekeeper import runtime
    from gatekeeper.sandbox.server import bind_listeners

    runtime.raise_descriptor_limit()

    try:
        listeners = bind_listeners(host, port)
    except OSError as fault:
        where = addresses.host_port(host, port)
        raise Failure(
            f"cannot listen on {where}: {fault.strerror}; {addresses.bind_remedy(fault)}", Status.USAGE
        ) from None
    trio.run(serve_until_stopped, listeners)


async def serve_until_stopped(listeners: list[socket.socket]) -> None:
    """Until the first SIGINT or SIGTERM: a stop is how this command ends, and no fault."""
    import trio

    from gatekeeper.runtime import NonBlockingWriter
    from gatekeeper.sandbox.server import serve_on

    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(serve_on, listeners)
            # Of IPv6 a name has two more parts, flow and scope.
            host, port = listeners[0].getsockname()[:2]
            url = addresses.local_url(host, port)
            told = f"simulated Gemini API at {url}, for any key; stop it with ctrl+c\n"
            NonBlockingWriter(sys.stdout.fileno()).write(told)
            await anext(signals)
            nursery.cancel_scope.cancel()


@click.command("tui", epilog=examples("tui --url http://127.0.0.1:4000"))
@on_gateway
def tui(target: Target) -> None:
    """Watch calls as they come, spend and keys, in the terminal."""
    from tui.app import run

    with as_failures():
        run(target.url, target.key)


def run_with_file(target: Target, program: str, instead: Callable[[Failure], Path]) -> int:
    """Runs the program, with the file's path where it says `{file}`; its exit status.

    `instead` names a file where no gateway lends one, or raises Failure. Raises Failure, also for what is no
    program.
    """
    words = command_line(program)
    try:
        file = Path(ask(target, lambda client: client.lend(LOAN)).value.file)
    except Failure as failure:
        return run(words, instead(failure))
    try:
        return run(words, file)
    finally:
        # However the program ends.
        take_back(target)


def command_line(program: str) -> list[str]:
    """The words, as a shell would take them; no shell is used."""
    try:
        words = shlex.split(program)
    except ValueError as error:
        raise Failure(f"--exec: {error}", Status.USAGE) from None
    if not any(PLACE in word for word in words):
        raise Failure(f"--exec needs {PLACE} where the path belongs: 'duckdb {PLACE}'", Status.USAGE)
    return words


def run(words: list[str], file: Path) -> int:
    """The program has the terminal meanwhile: ctrl+c is for it to deal with."""
    if not file.exists():
        raise Failure(f"the gateway's file {file} is not on this machine", Status.REFUSED)
    command = [word.replace(PLACE, str(file)) for word in words]
    # Set back afterwards, so that ctrl+c ends this command as any other.
    previous = signal.signal(signal.SIGINT, passed_over)
    try:
        code = subprocess.run(command, check=False).returncode
    except OSError as error:
        raise Failure(f"{command[0]} cannot be run: {error.strerror}. Check --exec", Status.USAGE) from None
    finally:
        signal.signal(signal.SIGINT, previous)
    # As shells report a signal.
    return code if code >= 0 else 128 - code


def passed_over(_signal: int, _frame: object) -> None:
    """Unlike SIG_IGN, the program does not inherit this."""


def take_back(target: Target) -> None:
    """A gateway that cannot be told any more has ended, and the loan with it."""
    try:
        ask(target, lambda client: client.take_back())
    except Failure as failure:
        from gatekeeper.cli.output import note

        note(f"The file could not be given back: {failure}")
