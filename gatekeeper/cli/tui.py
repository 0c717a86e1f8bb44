"""`gatekeeper tui`."""

from __future__ import annotations

import click

from gatekeeper.cli.gateway import Target, as_failures, on_gateway
from gatekeeper.cli.help import examples


@click.command("tui", epilog=examples("tui --url http://127.0.0.1:4000"))
@on_gateway
def command(target: Target) -> None:
    """Watch calls as they come, spend and keys, in the terminal."""
    from tui.app import run

    with as_failures():
        run(target.url, target.key)
