"""`python -m gatekeeper` runs the command `gatekeeper`."""

from gatekeeper.cli.main import main

main()
