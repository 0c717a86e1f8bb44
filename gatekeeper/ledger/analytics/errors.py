"""What can go wrong with a question to the analytics file.

Here, and not where it is raised, because that brings DuckDB, which an idle gateway does without.
"""

from __future__ import annotations


class AnalyticsError(Exception):
    """The analytics file cannot be used at present; the calls are safe in the journal."""


class FileHeld(AnalyticsError):
    """Another process has the file open; it can be ours when that process closes it."""


class FileUnusable(AnalyticsError):
    """The file is damaged, of another format, or cannot be written; somebody has to do something."""


class FileReplaced(AnalyticsError):
    """The file is another one than it was, and lacks calls: the journal is to be read again."""


class RowsRefused(FileUnusable):
    """DuckDB would not take rows, and it is not the disk's fault: it may be that of a row."""


class TookTooLong(AnalyticsError):
    """A question was stopped; a simpler one, or one of a shorter time, may do."""


class QueryRefused(ValueError):
    """A person's query is wrong, is not allowed, or passed a limit; the message says which and what to do."""


class QueryUnavailable(RuntimeError):
    """No person's query can be answered at present."""


class GroupingError(ValueError):
    """A sum is asked for by what it cannot be grouped by; `allowed` is what it can."""

    def __init__(self, message: str, allowed: list[str]) -> None:
        super().__init__(message)
        self.allowed = allowed
