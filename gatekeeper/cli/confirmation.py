"""Asking before something is deleted for good."""

from __future__ import annotations

import sys

import click

from gatekeeper.cli.conventions import CommandError, ExitStatus


def confirmed(question: str) -> bool:
    """Raises CommandError at the end of input, where nobody can confirm."""
    # On stderr: stdout may be redirected to a file, and the question would not be seen.
    click.echo(f"{question} [y/N] ", nl=False, err=True)
    typed = sys.stdin.readline()
    if not typed:
        raise CommandError("no confirmation, so nothing was deleted: add --yes", ExitStatus.USAGE)
    return typed.strip().lower() in ("y", "yes")
