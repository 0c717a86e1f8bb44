"""What is wrong with a price file, line by line."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple


class Fault(NamedTuple):
    """What is wrong in a line (from 1), and what is allowed: one line for people."""

    line: int
    message: str


class CatalogueError(ValueError):
    """A price file is invalid. Its message has one line for each fault, with the file's name once that is
    known."""

    def __init__(self, faults: Iterable[Fault], file: str | None = None) -> None:
        self.faults = tuple(sorted(faults))
        where = f"{file}, " if file else ""
        self.lines = tuple(f"{where}line {line}: {message}" for line, message in self.faults)
        super().__init__("\n".join(self.lines))
