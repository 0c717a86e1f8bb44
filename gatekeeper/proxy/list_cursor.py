"""Where a list goes on: at a page token of Google's, in one of the projects of the gateway's Google keys.

A key's resources may be in any of them, and each has a list of its own: they follow one another, in the order
of the Google keys. Keys that are said to be of two projects may be of the same: each then lists everything,
and a resource counts in the project of the Google key with which it was made.
"""

from __future__ import annotations

from typing import NamedTuple

from gatekeeper.keys.sealing import PageTokens
from gatekeeper.ledger.call import CallRecord
from gatekeeper.proxy.call_google_key import CallGoogleKey


class ListCursor(NamedTuple):
    """Where a list goes on. `token` is Google's; empty at the beginning of the project's list."""

    project: str
    token: str

    @property
    def text(self) -> str:
        # A project's label has no NUL, so that the first one ends it, whatever a token of Google's holds.
        return "\0".join(self)

    @classmethod
    def of(cls, text: str) -> ListCursor:
        project, _, token = text.partition("\0")
        return cls(project, token)


class ListCursors:
    """The cursors of one list, as texts. `scope` is what a client's token may be used for: the key's id, the
    list."""

    def __init__(
        self, row: CallRecord, keys: CallGoogleKey, tokens: PageTokens, scope: tuple[str, ...]
    ) -> None:
        self._row, self._keys = row, keys
        self._tokens, self._scope = tokens, scope
        self._projects = keys.projects

    @property
    def beginning(self) -> str:
        return ListCursor(self._projects[0], "").text

    def of_item(self, name: str, position: str) -> str:
        """Behind an item of OpenAI's form."""
        project = self._keys.project_of(name)
        return ListCursor(project if project in self._projects else self._projects[0], position).text

    def sealed(self, cursor: str) -> str:
        """The client's token."""
        return self._tokens.seal(cursor, *self._scope)

    def unsealed(self, token: str) -> str | None:
        """None for a token that was not given to this key for this list, or whose project is gone."""
        cursor = self._tokens.unseal(token, *self._scope)
        return cursor if cursor is not None and ListCursor.of(cursor).project in self._projects else None

    def after(self, cursor: str, token: str | None) -> str | None:
        """Behind the page that is at the cursor, and has this token of Google's: in the next project where it
        has none; None behind the last one."""
        project = ListCursor.of(cursor).project
        if token is not None:
            return ListCursor(project, token).text
        later = self._projects[self._projects.index(project) + 1 :]
        return ListCursor(later[0], "").text if later else None

    def is_first(self, cursor: str) -> bool:
        """Whether it is in the first project: what is the same in all is listed there."""
        return ListCursor.of(cursor).project == self._projects[0]

    def has(self, cursor: str, name: str) -> bool:
        """Whether a resource that is listed at the cursor counts there."""
        if len(self._projects) == 1:
            return True
        project = self._keys.project_of(name)
        # One whose project has no key any more, or is not known, would be in no list at all.
        return project == ListCursor.of(cursor).project or project not in self._projects

    def switch_project(self, cursor: str) -> None:
        """Takes a Google key of the cursor's project. Raises Refused."""
        self._keys.switch_project(self._row, ListCursor.of(cursor).project)
