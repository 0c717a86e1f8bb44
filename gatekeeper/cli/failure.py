"""How a command fails: one line on stderr that says what to do, and a status that scripts can tell apart."""

from __future__ import annotations

from enum import IntEnum

INTERRUPTED = 130  # as shells report what ctrl+c ended


class Status(IntEnum):
    """The exit statuses of the contract."""

    FINE = 0
    FAULT = 1
    USAGE = 2
    UNREACHABLE = 3
    NOT_AUTHORISED = 4
    NOT_FOUND = 5
    REFUSED = 6
    FOUND = 7


class Failure(Exception):
    """Why a command could not do what it was asked: one line for people, and the exit status."""

    def __init__(self, message: str, status: Status) -> None:
        super().__init__(message)
        self.status = status
