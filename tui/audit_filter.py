"""The filter of the Audit screen: `action:update,delete key:web by:ann since:7d`, by which `/audit` is asked.

The gateway decides which values are valid; here only the words are told apart.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from gatekeeper.client.api_errors import Problem

FIELDS = ("action", "key", "by", "since", "until")
# A field with its value, which may be quoted; else anything up to the next space.
WORD = re.compile(r'(?P<field>[a-z]+):(?:"(?P<quoted>[^"]*)"|(?P<bare>[^\s"]+))(?=\s|$)|\S+')
ALLOWED = "action:update,delete  key:NAME  by:NAME  since:7d  until:TIME"


class AuditFilterError(ValueError):
    """A word is no term of the filter; `problem` has its column."""

    def __init__(self, message: str, column: int) -> None:
        super().__init__(message)
        self.problem = Problem(title="Bad filter", detail=message, column=column)


@dataclass(frozen=True, slots=True)
class AuditRequest:
    """Which changes are shown: the filter as text, and its values by the API's names."""

    text: str = ""
    action: str | None = None
    key: str | None = None
    by: str | None = None
    since: str | None = None
    until: str | None = None


def parse(text: str) -> AuditRequest:
    """Raises AuditFilterError for a word that is no term, and for a field that is given twice."""
    values: dict[str, str] = {}
    for word in WORD.finditer(text):
        field, column = word["field"], word.start() + 1
        if field not in FIELDS:
            raise AuditFilterError(f"{word[0]} is no term: write {ALLOWED}", column)
        if field in values:
            raise AuditFilterError(f"{field}: is given twice: join its values by commas", column)
        values[field] = word["bare"] if word["quoted"] is None else word["quoted"]
    return AuditRequest(text, **values)


def problem_at(text: str, problem: Problem) -> Problem:
    """The gateway's problem with a field, at the column where the filter has that field."""
    columns = {word["field"]: word.start() + 1 for word in WORD.finditer(text) if word["field"]}
    return Problem(title=problem.title, detail=problem.detail, column=columns.get(problem.field or ""))
