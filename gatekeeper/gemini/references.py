"""What a request's body refers to that is somebody's: files, caches, an earlier interaction, stores, a tuned
model, an agent, an environment. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from gatekeeper.gemini.request_summary import RequestSummary

OVERLAP = 32
"""Bytes, more than any of the words by which a body can refer to something."""
# One of these is in each body that refers to something: in the name, or beside it where that may be bare.
# JSON may escape any character, but of those by encoders the slash only.
_WORDS = (
    *(b"iles/", b"iles\\/", b"iles%", b"%6", b"%73", b"file_id", b"ile_name", b"ileName"),
    *(b"achedContent", b"ached_content", b"nteraction_id", b"nteractionId", b"tunedModels", b"corpora"),
    *(b"ileSearch", b"ile_search", b"vector_store", b"nvironment", b"agent", b"redential", b"voice_"),
    *(b"\\u002f", b"\\u002F", b"\\u004", b"\\u005", b"\\u006", b"\\u007"),
)
_OWN_ENVIRONMENT = re.compile(r"env|.*[\d/]")


class Reference(NamedTuple):
    """`may_be_googles`: Google has some of this name for everybody, so one that has no owner is no secret."""

    name: str
    may_be_googles: bool = False


def may_refer(data: bytes) -> bool:
    """Whether a part of a body, in plain, could refer to something."""
    return any(word in data for word in _WORDS)


def names_a_file(data: bytes) -> bool:
    """The same for files and their stores only, which is cheaper. In UTF-16 and UTF-32 no word is found, but
    letters have zero bytes."""
    return b"file" in data or b"\\u00" in data or b"\0" in data


class ReferenceScan:
    """Whether a body, or the part of it that is fed, could refer to something, at any chunking."""

    def __init__(self) -> None:
        self.found = False
        self._before = b""

    def feed(self, chunk: bytes) -> None:
        # Of UTF-16 and UTF-32 the letters are left.
        text = self._before + chunk.replace(b"\0", b"")
        self.found = self.found or may_refer(text)
        self._before = text[-OVERLAP:]


def references(named: RequestSummary) -> Iterator[Reference]:
    """Those of a body, by names as Google writes them."""
    if not (named.refers or named.resources or named.models or named.environments):
        return
    names = (*named.files, *named.interactions, *named.file_search_stores, *named.resources)
    yield from map(Reference, names)
    yield from (Reference(_in("cachedContents", name)) for name in named.cached_contents)
    yield from (Reference(_in("vector_stores", name)) for name in named.vector_stores)
    yield from (Reference(name) for name in named.models if name.startswith("tunedModels/"))
    yield from (Reference(_in("agents", name), may_be_googles=True) for name in named.agents)
    # `remote` asks for a new one.
    own = filter(_OWN_ENVIRONMENT.match, named.environments)
    yield from (Reference(_in("environments", name)) for name in own)


def _in(collection: str, name: str) -> str:
    return f"{collection}/{name.removeprefix(f'{collection}/')}"
