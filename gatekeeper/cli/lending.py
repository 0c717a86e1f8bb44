"""`gatekeeper sql --exec`: the analytics file in the hands of another program, and back in the gateway's."""

from __future__ import annotations

import shlex
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

from gatekeeper.cli.failure import Failure, Status
from gatekeeper.cli.gateway import Target, ask
from gatekeeper.cli.output import note
from gatekeeper.client.admin_api import Client

LOAN = 3600  # seconds, after which the gateway takes the file back by itself if it is free
PLACE = "{file}"


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
    previous = signal.signal(signal.SIGINT, passed_over)
    try:
        code = subprocess.run(command, check=False).returncode
    except OSError as error:
        raise Failure(f"{command[0]} cannot be run: {error.strerror}. Check --exec", Status.USAGE) from None
    finally:
        signal.signal(signal.SIGINT, previous)
    return code if code >= 0 else 128 - code  # as shells report a signal


def passed_over(_signal: int, _frame: object) -> None:
    """Unlike SIG_IGN, the program does not inherit this."""


def take_back(target: Target) -> None:
    """A gateway that cannot be told any more has ended, and the loan with it."""
    try:
        ask(target, Client.take_back)
    except Failure as failure:
        note(f"The file could not be given back: {failure}")
