"""`gatekeeper sandbox`."""

from __future__ import annotations

import signal
import sys

import click

from gatekeeper.cli.failure import Failure, Status
from gatekeeper.cli.help import examples


@click.command("sandbox", epilog=examples("sandbox --port 4001"))
@click.option("--host", metavar="HOST", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port", type=click.IntRange(1, 65535), default=4001, show_default=True, help="Port to listen on."
)
def command(host: str, port: int) -> None:
    """Run the simulated Gemini API alone, until it is stopped (ctrl+c).

    It answers as Google's API does, takes any key and costs nothing.
    """
    # Here and not above: `--help` has no use for a server.
    import trio

    try:
        trio.run(serve_until_stopped, host, port)
    except* OSError as faults:
        why = getattr(faults.exceptions[0], "strerror", None) or "no such address"
        raise Failure(
            f"cannot listen on {host}:{port}: {why}. Stop what uses it, or choose another --port",
            Status.USAGE,
        ) from None


async def serve_until_stopped(host: str, port: int) -> None:
    """Until the first SIGINT or SIGTERM: a stop is how this command ends, and no fault."""
    import trio

    from gatekeeper.sandbox.server import serve_sandbox
    from gatekeeper.streams import Outlet

    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async with trio.open_nursery() as nursery:
            at: int = await nursery.start(serve_sandbox, host, port)
            told = f"simulated Gemini API at http://{host}:{at}, for any key; stop it with ctrl+c\n"
            Outlet(sys.stdout.fileno()).write(told)
            await anext(signals)
            nursery.cancel_scope.cancel()
