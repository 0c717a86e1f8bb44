"""The commands that start a process: the gateway, the simulated API and the terminal application.

Each command imports what it runs only when it runs, so that `--help` does not load a server.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
from pathlib import Path

import click

from gatekeeper import addresses, setting_parsers
from gatekeeper.cli.conventions import (
    FLAGS,
    CommandError,
    ExitStatus,
    Target,
    examples,
    gateway_options,
    load_settings,
    map_api_errors,
    setting_flags,
    variables_help,
)
from gatekeeper.runtime import tune_gc
from gatekeeper.sandbox.errors import COMMANDS, LONG_DECODE

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
