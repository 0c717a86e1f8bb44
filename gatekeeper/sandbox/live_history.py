"""What a Live session remembers: a sliding window over its turns, so that a long session costs no more than a
short one and stays within its model's context."""

from __future__ import annotations

from collections.abc import Iterable

from gatekeeper.sandbox.google_json import Json, message, messages, text
from gatekeeper.sandbox.google_json import field as json_field

# Characters of text and base64: at four a token, most of the 131,072 tokens of a Live model.
MAX_CHARACTERS = 400_000
# Of a turn without its texts and media: limits their number.
OVERHEAD_CHARACTERS = 100


class History:
    def __init__(self, contents: Iterable[Json] = ()) -> None:
        self.contents: list[Json] = []
        self._sizes: list[int] = []
        self._size: int = 0
        for content in contents:
            self.add(content)

    def add(self, content: Json) -> None:
        """Forgets the oldest turns until the rest fits; never the new one."""
        self.contents.append(content)
        self._sizes.append(characters(content))
        self._size += self._sizes[-1]
        while self._size > MAX_CHARACTERS and len(self.contents) > 1:
            self._size -= self._sizes.pop(0)
            del self.contents[0]


def characters(content: Json) -> int:
    parts = messages(json_field(content, "parts"))
    media = [message(json_field(part, "inlineData")) for part in parts]
    return (
        OVERHEAD_CHARACTERS
        + sum(len(text(part.get("text"))) for part in parts)
        + sum(len(text(blob.get("data"))) for blob in media)
    )
