"""`gatekeeper serve`."""

from __future__ import annotations

from pathlib import Path

import click

from gatekeeper.cli.flags import FLAGS, loaded, setting_flags, variables
from gatekeeper.cli.help import examples

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
def command(config: Path | None, **flags: object) -> int:
    """Run the gateway until it is stopped (ctrl+c).

    Of flag, environment, file and default the first that says something holds.
    """
    settings = loaded(flags, config)
    # Here and not above: `--help` has no use for a server.
    from gatekeeper import serve

    return serve.main(settings)
