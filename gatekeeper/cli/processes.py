"""The commands that run until they are stopped: the gateway, the simulated API, the terminal application.

Each imports what it runs only then: `--help` has no use for a server.
"""

from __future__ import annotations

import signal
import socket
import sys
from pathlib import Path

import click

from gatekeeper import addresses, values
from gatekeeper.cli.conventions import (
    FLAGS,
    Failure,
    Status,
    Target,
    as_failures,
    examples,
    loaded,
    on_gateway,
    setting_flags,
    variables,
)

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
        return values.host(text)
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
    from gatekeeper.sandbox.server import bound

    runtime.raise_descriptor_limit()

    try:
        listeners = bound(host, port)
    except OSError as fault:
        where = addresses.joined(host, port)
        raise Failure(
            f"cannot listen on {where}: {fault.strerror}; {addresses.remedy(fault)}", Status.USAGE
        ) from None
    trio.run(serve_until_stopped, listeners)


async def serve_until_stopped(listeners: list[socket.socket]) -> None:
    """Until the first SIGINT or SIGTERM: a stop is how this command ends, and no fault."""
    import trio

    from gatekeeper.runtime import Outlet
    from gatekeeper.sandbox.server import serve_on

    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(serve_on, listeners)
            # Of IPv6 a name has two more parts, flow and scope.
            host, port = listeners[0].getsockname()[:2]
            url = addresses.local_url(host, port)
            told = f"simulated Gemini API at {url}, for any key; stop it with ctrl+c\n"
            Outlet(sys.stdout.fileno()).write(told)
            await anext(signals)
            nursery.cancel_scope.cancel()


@click.command("tui", epilog=examples("tui --url http://127.0.0.1:4000"))
@on_gateway
def tui(target: Target) -> None:
    """Watch calls as they come, spend and keys, in the terminal."""
    from tui.app import run

    with as_failures():
        run(target.url, target.key)
