"""What the command line starts: the gateway, the simulated API, the terminal application, and a program that
borrows the analytics file.

Each command imports what it runs only when it runs, so that `--help` does not load a server.
"""

from __future__ import annotations

import os
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
    CommandError,
    ExitStatus,
    Target,
    call_api,
    examples,
    gateway_options,
    load_settings,
    map_api_errors,
    setting_flags,
    variables_help,
)
from gatekeeper.runtime import tune_gc
from gatekeeper.sandbox.errors import COMMANDS, LONG_DECODE

# After this time the gateway reopens the file by itself if no other program has it open.
LOAN_SECONDS = 3600
FILE_PLACEHOLDER = "{file}"
ENDING = (signal.SIGTERM, signal.SIGHUP)
WEB_HOST, WEB_PORT = "127.0.0.1", 4080

EPILOG = f"""\b
Settings without a flag, by environment variable. In the file they have the names
that `gatekeeper config` prints, such as master_key:
{variables_help()}

""" + examples(
    "serve --sandbox",
    "serve --port 4002 --data ~/gatekeeper",
    "serve --host 0.0.0.0  # with GATEKEEPER_MASTER_KEY",
)


@click.command("serve", epilog=EPILOG)
@setting_flags(*FLAGS)
def serve(config: Path | None, **flags: object) -> int:
    """Run the gateway until it is stopped (ctrl+c).

    Precedence: flag, environment, file, default.
    """
    settings = load_settings(flags, config)
    # Before the imports, which make most of the objects.
    tune_gc()
    from gatekeeper.serve import main

    return main(settings)


def validate_host(context: click.Context, option: click.Parameter, text: str | None) -> str | None:
    if text is None:
        return None
    try:
        return setting_parsers.host(text)
    except ValueError as allowed:
        raise click.BadParameter(f"{text!r} is not allowed; it takes {allowed}", context, option) from None


def faults_help() -> str:
    """The words that make it fail, for `--help`."""
    rows = [*COMMANDS.items(), LONG_DECODE]
    return "\n".join(f"  {word:<9} {meaning}" for word, meaning in rows)


SANDBOX_EPILOG = f"""\b
What it does where the first word of a prompt is one of these:
{faults_help()}

""" + examples("sandbox --port 4001")


@click.command("sandbox", epilog=SANDBOX_EPILOG)
@click.option(
    "--host",
    metavar="HOST",
    default="127.0.0.1",
    show_default=True,
    callback=validate_host,
    help="Address to listen on.",
)
@click.option(
    "--port",
    metavar="PORT",
    type=click.IntRange(1, 65535),
    default=4001,
    show_default=True,
    help="Port to listen on.",
)
def sandbox(host: str, port: int) -> None:
    """Run the simulated Gemini API alone, until it is stopped (ctrl+c).

    It responds as Google's API does, accepts any key and costs nothing.
    """
    import trio

    from gatekeeper import runtime
    from gatekeeper.sandbox.server import bind_listeners

    runtime.raise_descriptor_limit()

    try:
        listeners = bind_listeners(host, port)
    except OSError as error:
        where = addresses.host_port(host, port)
        raise CommandError(
            f"cannot listen on {where}: {error.strerror}; {addresses.bind_remedy(error)}", ExitStatus.USAGE
        ) from None
    trio.run(serve_until_stopped, listeners)


async def serve_until_stopped(listeners: list[socket.socket]) -> None:
    """Serves until the first SIGINT or SIGTERM, which is a normal end of this command."""
    import trio

    from gatekeeper.runtime import NonBlockingWriter
    from gatekeeper.sandbox.server import serve_on

    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(serve_on, listeners)
            # An IPv6 socket name has two more parts, flow info and scope id.
            host, port = listeners[0].getsockname()[:2]
            url = addresses.local_url(host, port)
            message = f"simulated Gemini API at {url}, for any key; stop it with ctrl+c\n"
            NonBlockingWriter(sys.stdout.fileno()).write(message)
            await anext(signals)
            nursery.cancel_scope.cancel()


@click.command("tui", epilog=examples("tui --url http://127.0.0.1:4000", "tui --web"))
@click.option("--web", is_flag=True, help="Serve it to browsers, which have to present the master key.")
@click.option(
    "--host",
    metavar="HOST",
    callback=validate_host,
    help=f"With --web: address to listen on.  [default: {WEB_HOST}]",
)
@click.option(
    "--port",
    metavar="PORT",
    type=click.IntRange(1, 65535),
    help=f"With --web: port to listen on.  [default: {WEB_PORT}]",
)
@gateway_options
def tui(target: Target, web: bool, host: str | None, port: int | None) -> None:
    """Watch live calls, spend and keys in the terminal, or in a browser."""
    if web:
        serve_web(target, host or WEB_HOST, port or WEB_PORT)
        return
    if host or port:
        raise CommandError("--host and --port are where --web listens; add --web", ExitStatus.USAGE)
    # Before the imports, which make most of the objects.
    tune_gc()
    refuse_without_terminal(target)
    from tui.app import run

    with map_api_errors():
        run(target.url, target.key)


def refuse_without_terminal(target: Target) -> None:
    """In a pipe or a cron job it would only print control sequences. Raises CommandError."""
    from gatekeeper.client.connection import address_host

    with map_api_errors():
        address_host(target.url)
    # Textual draws on stderr, and by another driver where it is served to a browser.
    if not (sys.stdin.isatty() and sys.stderr.isatty()) and "TEXTUAL_DRIVER" not in os.environ:
        raise CommandError(
            "tui needs a terminal; for scripts there are keys, calls, spend and audit, with --json",
            ExitStatus.USAGE,
        )


def serve_web(target: Target, host: str, port: int) -> None:
    """Serves the terminal application to browsers until it is stopped."""
    try:
        from gatekeeper.web import server, sign_in
    except ModuleNotFoundError as error:
        raise CommandError(
            f"--web needs the package {error.name}, which is not installed; install what it needs with: "
            "pip install 'gatekeeper-gemini[web]'",
            ExitStatus.USAGE,
        ) from None

    def announce(open_mode: bool) -> None:
        asks = "for no key (open mode)" if open_mode else "for the master key"
        print(
            f"terminal application at {addresses.local_url(host, port)}; it asks {asks}. Stop it with ctrl+c"
        )
        if not addresses.is_loopback(host):
            print("what browsers send is not encrypted: put a proxy with TLS in front of it", file=sys.stderr)

    try:
        with map_api_errors():
            server.serve(target.url, host, port, announce)
    except sign_in.Refused as error:
        raise CommandError(f"--host {host}: {error}", ExitStatus.USAGE) from None
    except OSError as error:
        where = addresses.host_port(host, port)
        raise CommandError(
            f"cannot listen on {where}: {error.strerror}; {addresses.bind_remedy(error)}", ExitStatus.USAGE
        ) from None


def run_with_file(target: Target, program: str, fallback: Callable[[CommandError], Path]) -> int:
    """Runs the program with `{file}` replaced by the file's path; returns its exit status.

    `fallback` gives the path where no gateway lends the file, or raises CommandError. Raises CommandError
    also if the program cannot be run.
    """
    words = command_line(program)
    try:
        file = Path(call_api(target, lambda client: client.lend(LOAN_SECONDS)).value.file)
    except CommandError as error:
        return run(words, fallback(error))
    try:
        return run(words, file)
    finally:
        # Also if the program fails.
        end_loan(target)


def command_line(program: str) -> list[str]:
    """Splits the text as a shell would; no shell is used."""
    try:
        words = shlex.split(program)
    except ValueError as error:
        raise CommandError(f"--exec: {error}", ExitStatus.USAGE) from None
    if not any(FILE_PLACEHOLDER in word for word in words):
        raise CommandError(
            f"--exec needs {FILE_PLACEHOLDER} where the path belongs: 'duckdb {FILE_PLACEHOLDER}'",
            ExitStatus.USAGE,
        )
    return words


def run(words: list[str], file: Path) -> int:
    """Runs the program in the foreground: ctrl+c goes to it, not to this command, and what would end this
    command ends the program, or it would go on with a file that nobody returns."""
    if not file.exists():
        raise CommandError(f"the gateway's file {file} is not on this machine", ExitStatus.REJECTED)
    command = [word.replace(FILE_PLACEHOLDER, str(file)) for word in words]
    # Restored afterwards, so that ctrl+c ends this command again.
    previous = [(one, signal.signal(one, ignore)) for one in (signal.SIGINT, *ENDING)]
    try:
        process = subprocess.Popen(command)
        for one in ENDING:
            signal.signal(one, lambda number, _frame: process.send_signal(number))
        code = process.wait()
    except OSError as error:
        raise CommandError(
            f"{command[0]} cannot be run: {error.strerror}. Check --exec", ExitStatus.USAGE
        ) from None
    finally:
        for one, handler in previous:
            signal.signal(one, handler)
    # 128 + the signal's number, as shells report it.
    return code if code >= 0 else 128 - code


def ignore(_signal: int, _frame: object) -> None:
    """Does nothing. Unlike SIG_IGN, a handler is not inherited by the program."""


def end_loan(target: Target) -> None:
    """Ends the loan. If the gateway is gone, so is the loan."""
    try:
        call_api(target, lambda client: client.end_loan())
    except CommandError as error:
        from gatekeeper.cli.output import print_note

        print_note(f"The file could not be returned: {error}")
