"""Cursors of filtered lists: a Google project and a page token of Google's in it.

A key's resources may be in several projects, and Google lists one project at a time: the lists are
concatenated, in the order of the Google keys. If keys configured as of two projects are really of one, both
lists have everything: then a resource counts in the project of the Google key that created it.
"""

from __future__ import annotations

from typing import NamedTuple

from gatekeeper.keys.sealing import PageTokens
from gatekeeper.ledger.call import CallRecord
from gatekeeper.proxy.call_google_key import CallGoogleKey


class ListCursor(NamedTuple):
    """A position in a list. `token` is Google's page token; empty for the first page of the project."""

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
    """The cursors of one list, as strings. `scope` is what a client's token is valid for: the key's id and
    the list."""

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
        """The cursor after an item of an OpenAI-style list."""
        project = self._keys.project_of(name)
        return ListCursor(project if project in self._projects else self._projects[0], position).text

    def sealed(self, cursor: str) -> str:
        """The page token for the client."""
        return self._tokens.seal(cursor, *self._scope)

    def unsealed(self, token: str) -> str | None:
        """The cursor of a client's page token; None for one of another key or list, or whose project has no
        key any more."""
        cursor = self._tokens.unseal(token, *self._scope)
        return cursor if cursor is not None and ListCursor.of(cursor).project in self._projects else None

    def after(self, cursor: str, token: str | None) -> str | None:
        """The cursor of the next page, by Google's token for it: without one that of the next project; None
        after the last project."""
        project = ListCursor.of(cursor).project
        if token is not None:
            return ListCursor(project, token).text
        later = self._projects[self._projects.index(project) + 1 :]
        return ListCursor(later[0], "").text if later else None

    def is_first(self, cursor: str) -> bool:
        """Whether it is in the first project: items that all projects have are listed there only."""
        return ListCursor.of(cursor).project == self._projects[0]

    def has(self, cursor: str, name: str) -> bool:
        """Whether a resource listed at the cursor belongs to that project's list."""
        if len(self._projects) == 1:
            return True
        project = self._keys.project_of(name)
        # One whose project is unknown or has no key any more would be in no list otherwise.
        return project == ListCursor.of(cursor).project or project not in self._projects

    def switch_project(self, cursor: str) -> None:
        """Switches to a Google key of the cursor's project. Raises Refused."""
        self._keys.switch_project(self._row, ListCursor.of(cursor).project)
