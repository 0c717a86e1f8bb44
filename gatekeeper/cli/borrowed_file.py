"""The loan of the analytics file by the gateway, to a program (`gatekeeper sql --exec`) or to this command
itself. It is returned however they end."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import NoReturn

from gatekeeper.cli.conventions import CommandError, ExitStatus, Target, call_api
from gatekeeper.cli.ending_signals import ENDING, end, handled, status_of

# After this time the gateway reopens the file by itself if no other program has it open.
LOAN_SECONDS = 3600
FILE_PLACEHOLDER = "{file}"
TAKEN = (signal.SIGINT, *ENDING)


class Borrower:
    """The program that has the file. It gets the signals sent to this command; until it runs they are held
    back, because a loan that was requested must be returned."""

    def __init__(self) -> None:
        self.kept: list[int] = []
        self._process: subprocess.Popen[bytes] | None = None

    def run(self, words: list[str], file: Path) -> int:
        """Runs the program in the foreground; returns its exit status. Raises CommandError."""
        if not file.exists():
            raise CommandError(f"the gateway's file {file} is not on this machine", ExitStatus.REJECTED)
        command = [word.replace(FILE_PLACEHOLDER, str(file)) for word in words]
        try:
            self._process = subprocess.Popen(command)
        except OSError as error:
            raise CommandError(
                f"{command[0]} cannot be run: {error.strerror}. Check --exec", ExitStatus.USAGE
            ) from None
        for number in self.kept:
            self._process.send_signal(number)
        code = self._process.wait()
        return code if code >= 0 else status_of(-code)

    def on_signal(self, number: int, _frame: FrameType | None) -> None:
        if self._process is None:
            if self.kept:  # the gateway does not answer, and somebody insists
                end(number)
            self.kept.append(number)
        # ctrl+c goes to the program already: it is in the foreground, too.
        elif number in ENDING:
            self._process.send_signal(number)


class Ending:
    """The signals that end this command. While the file is requested and returned they are held back, unless
    repeated; otherwise they raise SystemExit."""

    def __init__(self) -> None:
        self.kept: list[int] = []
        self._may_end = False

    def on_signal(self, number: int, _frame: FrameType | None) -> None:
        if self._may_end or self.kept:
            end(number)
        self.kept.append(number)

    def raise_kept(self) -> None:
        if self.kept:
            raise SystemExit(status_of(self.kept[0]))

    @contextmanager
    def allowed(self) -> Generator[None]:
        """Lets signals end what runs within."""
        self._may_end = True
        try:
            self.raise_kept()
            yield
        finally:
            self._may_end = False


@contextmanager
def borrowed(target: Target, seconds: int) -> Generator[Path]:
    """The file, for this command. Raises CommandError where it is not lent."""
    ending = Ending()
    with handled(TAKEN, ending.on_signal):
        file = Path(call_api(target, lambda client: client.lend(seconds)).value.file)
        try:
            with ending.allowed():
                yield file
        finally:
            end_loan(target)
    ending.raise_kept()


@contextmanager
def returned_if_killed(target: Target) -> Generator[None]:
    """Starts a process that returns the file if this one is killed, which no handler can. The program
    continues then, and the gateway opens the file once the program has closed it."""
    is_over, ends = os.pipe()
    pid = os.fork()
    if pid == 0:
        _return_after(is_over, ends, target)
    os.close(is_over)
    try:
        yield
    finally:
        os.write(ends, b".")
        os.close(ends)
        os.waitpid(pid, 0)


def _return_after(is_over: int, ends: int, target: Target) -> NoReturn:
    """In the process that waits: the pipe ends without a byte where this command was killed."""
    try:
        os.close(ends)
        # What ends the terminal or its foreground job does not end this one before the file is returned.
        os.setsid()
        for each in TAKEN:
            signal.signal(each, signal.SIG_IGN)
        if not os.read(is_over, 1):
            end_loan(target)
    finally:
        # Nothing of what the forked command would still do.
        os._exit(0)


def run_with_file(target: Target, program: str, fallback: Callable[[CommandError], Path]) -> int:
    """Runs the program with `{file}` replaced by the file's path; returns its exit status.

    `fallback` gives the path where no gateway lends the file, or raises CommandError. Raises CommandError
    also if the program cannot be run.
    """
    words, borrower = command_line(program), Borrower()
    with handled(TAKEN, borrower.on_signal):
        try:
            file = Path(call_api(target, lambda client: client.lend(LOAN_SECONDS)).value.file)
        except CommandError as error:
            return status_of(borrower.kept[0]) if borrower.kept else borrower.run(words, fallback(error))
        with returned_if_killed(target):
            try:
                return status_of(borrower.kept[0]) if borrower.kept else borrower.run(words, file)
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


def end_loan(target: Target) -> None:
    """Ends the loan. If the gateway is gone, so is the loan."""
    try:
        call_api(target, lambda client: client.end_loan())
    except CommandError as error:
        from gatekeeper.cli.output import print_note

        print_note(f"The file could not be returned: {error}")
