"""What a request's body names, as `request_parser` finds it; and which of that is somebody's: files, caches,
an earlier interaction, stores, a tuned model, an agent, an environment. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from gatekeeper.gemini.requested_settings import NOTHING_SAID, RequestedMedia

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


class RequestSummary(msgspec.Struct, frozen=True):
    """What a request's body names, each name once, in its order."""

    models: tuple[str, ...] = ()
    """Models and agents, without `models/`."""
    cached_contents: tuple[str, ...] = ()
    interactions: tuple[str, ...] = ()
    """Earlier ones that this one continues, as `interactions/i`."""
    files: tuple[str, ...] = ()
    agents: tuple[str, ...] = ()
    """Those among the models that may use models and tools of their own."""
    input_files: tuple[str, ...] = ()
    """Those among the files that hold a batch's requests."""
    stream: bool = False
    background: bool = False
    continuation: str | None = None
    """The digest of the token of the long decode that it goes on; the last one's."""
    media: RequestedMedia = NOTHING_SAID
    max_output_tokens: int | None = None
    """The largest that is named; None if none is, or not by each request of the body."""
    candidate_count: int | None = None
    """The largest that is named: of candidates, choices (`n`), or samples."""
    service_tiers: tuple[str, ...] = ()
    """In lower case: `flex`. `standard` is the default, and among them only beside others."""
    store: bool | None = None
    """Whether Google may keep a prompt. False only if each request of the body says so."""
    tools: tuple[str, ...] = ()
    """In snake case: `google_search`; OpenAI's `web_search`."""
    file_search_stores: tuple[str, ...] = ()
    vector_stores: tuple[str, ...] = ()
    environments: tuple[str, ...] = ()
    """Of an interaction or an agent; `remote` is a new one."""
    resources: tuple[str, ...] = ()
    """Any others: a corpus that an answer is to be from, credentials of an environment, voices."""
    understood: bool = True
    """Whether all of it was looked at. Otherwise it may name more."""

    @property
    def refers(self) -> bool:
        """Whether what it asks for may depend on what is not in it."""
        return not self.understood or bool(
            self.cached_contents
            or self.files
            or self.interactions
            or self.file_search_stores
            or self.vector_stores
            or self.agents
        )


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
