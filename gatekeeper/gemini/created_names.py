"""Finds the names of resources that were created along with the resource in a response: the files of a
finished batch or video, the interaction of a trigger's execution. Bytes in, names out; nothing raises.

Only members that Google sets are read, because text from a client or a model could name anything. The size
limit is that of `json_tokens`.
"""

from __future__ import annotations

from collections.abc import Callable

from gatekeeper.gemini.json_tokens import CLOSE, KEY, OPEN, STRING, JsonTokens
from gatekeeper.gemini.resource_names import file_of

MAX_NAMES = 256
"""Limit per response; a batch has two files, a video operation four. The names go into the call's record."""

Reader = Callable[[str], str | None]
"""Converts a member's value into a resource name, or None if it is not one."""


class Members(dict[bytes, "Members | Reader"]):
    """The members of an object to read, by key. An array counts as each of its elements."""


def _of(collection: str) -> Reader:
    return lambda text: f"{collection}/{text.removeprefix(f'{collection}/')}" if text else None


_FILE = Members({b"uri": file_of, b"name": file_of})
_VIDEO = Members({b"video": _FILE, b"uri": file_of})
_VIDEOS = Members({b"generatedSamples": _VIDEO, b"generatedVideos": _VIDEO, b"videos": _VIDEO})
_STEP = Members({b"content": Members({b"uri": file_of}), b"uri": file_of})
_ANSWER = Members(
    {
        # The result of a long-running operation
        b"response": Members(
            {b"responsesFile": file_of, b"generateVideoResponse": _VIDEOS, b"file": _FILE} | _VIDEOS
        ),
        # OpenAI's batches and videos
        b"output_file_id": file_of,
        b"error_file_id": file_of,
        b"url": file_of,
        # Interactions, and the executions of triggers
        b"interaction_id": _of("interactions"),
        b"environment_id": _of("environments"),
        b"trigger_executions": Members(
            {b"interaction_id": _of("interactions"), b"environment_id": _of("environments")}
        ),
        b"steps": _STEP,
        b"outputs": _STEP,
    }
)


class CreatedNames:
    """The names in one JSON response."""

    def __init__(self) -> None:
        self._tokens = JsonTokens()
        self._found: dict[str, None] = {}
        self._members = Members()
        self._meaning: Members | Reader | None = _ANSWER
        self._around: list[tuple[Members, Members]] = []

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._found)

    def feed(self, chunk: bytes) -> None:
        for kind, text in self._tokens.feed(chunk):
            if kind is KEY:
                self._meaning = self._members.get(text)
            elif kind is OPEN:
                self._open(text)
            elif kind is CLOSE:
                self._close()
            elif kind is STRING and callable(self._meaning):
                # Google's ids need no escapes, but some encoders write the slash as `\/`.
                self._add(self._meaning(text.decode(errors="replace").replace("\\/", "/")))

    def _open(self, bracket: bytes) -> None:
        if not isinstance(self._meaning, Members):
            self._tokens.skip()
            return
        self._around.append((self._members, self._meaning))
        # The elements of an array are read like a single value.
        if bracket == b"{":
            self._members, self._meaning = self._meaning, None

    def _close(self) -> None:
        if self._around:
            self._members, self._meaning = self._around.pop()
        else:
            self._tokens.failed = True

    def _add(self, name: str | None) -> None:
        if name and len(self._found) < MAX_NAMES:
            self._found[name] = None
