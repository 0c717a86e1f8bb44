"""How `--help` reads."""

from __future__ import annotations

import click


def examples(*commands: str) -> str:
    """An epilog whose lines stay as they are, so that they can be copied."""
    title = "Example:" if len(commands) == 1 else "Examples:"
    return "\n".join(["\b", title, *(f"  gatekeeper {command}" for command in commands)])


class InOrder(click.Group):
    """Lists its commands in the order in which they were defined, which tells more than the alphabet."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(self.commands)
