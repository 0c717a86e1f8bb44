"""Finds the names of further resources that were created, in a response about another resource: files of a
finished batch or video, the interaction of a trigger's execution. Bytes in, names out; nothing raises.

Only members that Google fills in are read: what a client or a model has written could name anything. The
limit is that of `json_tokens`.
"""

from __future__ import annotations

from collections.abc import Callable

from gatekeeper.gemini.json_tokens import CLOSE, KEY, OPEN, STRING, JsonTokens
from gatekeeper.gemini.resource_names import file_of

MAX_NAMES = 256
"""Of one answer; a batch has two files, and a video operation four. They are in the call's record."""

Reader = Callable[[str], str | None]
"""Makes a resource's name of a member's value, if it is one."""


class Members(dict[bytes, "Members | Reader"]):
    """What is read of an object, by key. Arrays are transparent."""


def _of(collection: str) -> Reader:
    return lambda text: f"{collection}/{text.removeprefix(f'{collection}/')}" if text else None


_FILE = Members({b"uri": file_of, b"name": file_of})
_VIDEO = Members({b"video": _FILE, b"uri": file_of})
_VIDEOS = Members({b"generatedSamples": _VIDEO, b"generatedVideos": _VIDEO, b"videos": _VIDEO})
_STEP = Members({b"content": Members({b"uri": file_of}), b"uri": file_of})
_ANSWER = Members(
    {
        # What Google's operations end with
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
    """Those of one answer in JSON."""

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
                # Google's ids need no escapes; of encoders some write the slash as `\/`.
                self._add(self._meaning(text.decode(errors="replace").replace("\\/", "/")))

    def _open(self, bracket: bytes) -> None:
        if not isinstance(self._meaning, Members):
            self._tokens.pass_over()
            return
        self._around.append((self._members, self._meaning))
        # An array keeps the meaning: each of its elements has it.
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
