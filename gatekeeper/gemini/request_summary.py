"""The contents of a request body that matter to the gateway, as `request_parser` finds them; and which of
them are references to owned resources: files, caches, an earlier interaction, stores, a tuned model, an
agent, an environment. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from gatekeeper.gemini.requested_settings import NO_MEDIA, RequestedMedia

OVERLAP = 32
"""Bytes; longer than any of the words that indicate a reference."""
# Every body with a reference contains one of these: in the resource name, or in the key of a bare id. JSON
# may escape any character, but encoders escape only the slash among these.
_WORDS = (
    *(b"iles/", b"iles\\/", b"iles%", b"%6", b"%73", b"file_id", b"ile_name", b"ileName"),
    *(b"achedContent", b"ached_content", b"nteraction_id", b"nteractionId", b"tunedModels", b"corpora"),
    *(b"ileSearch", b"ile_search", b"vector_store", b"nvironment", b"agent", b"redential", b"voice_"),
    *(b"\\u002f", b"\\u002F", b"\\u004", b"\\u005", b"\\u006", b"\\u007"),
)
_OWN_ENVIRONMENT = re.compile(r"env|.*[\d/]")


class RequestSummary(msgspec.Struct, frozen=True):
    """What a request body contains. Names are distinct, in the order of the body."""

    models: tuple[str, ...] = ()
    """Models and agents, without `models/`."""
    cached_contents: tuple[str, ...] = ()
    interactions: tuple[str, ...] = ()
    """Earlier interactions that this one continues, as `interactions/i`."""
    files: tuple[str, ...] = ()
    agents: tuple[str, ...] = ()
    """The subset of `models` that are agents: they may use further models and tools."""
    input_files: tuple[str, ...] = ()
    """The subset of `files` that contain the requests of a batch."""
    stream: bool = False
    background: bool = False
    continuation: str | None = None
    """The digest of the continuation token, if the request continues a long decode; of the last token, if
    there are several."""
    media: RequestedMedia = NO_MEDIA
    max_output_tokens: int | None = None
    """The largest of the body's requests; None if one of them does not set it."""
    candidate_count: int | None = None
    """The largest number of candidates, choices (`n`) or samples; None if none is set."""
    service_tiers: tuple[str, ...] = ()
    """In lower case: `flex`. `standard`, the default, is only listed if there is another."""
    store: bool | None = None
    """Whether Google may store the prompt. False only if each request of the body sets it."""
    tools: tuple[str, ...] = ()
    """In snake_case: `google_search`; OpenAI's `web_search`."""
    file_search_stores: tuple[str, ...] = ()
    vector_stores: tuple[str, ...] = ()
    environments: tuple[str, ...] = ()
    """Environments of an interaction or an agent; `remote` stands for a new one."""
    resources: tuple[str, ...] = ()
    """Any other resources: a corpus to answer from, credentials of an environment, voices."""
    understood: bool = True
    """Whether all of the body was parsed. Otherwise it may contain more than this."""

    @property
    def has_references(self) -> bool:
        """Whether its input may include content that is not in the body."""
        return not self.understood or bool(
            self.cached_contents
            or self.files
            or self.interactions
            or self.file_search_stores
            or self.vector_stores
            or self.agents
        )


class Reference(NamedTuple):
    """The resource name. `may_be_prebuilt`: it may be one that Google provides to everybody, so every key may
    use it unless it has an owner."""

    name: str
    may_be_prebuilt: bool = False


def may_refer(data: bytes) -> bool:
    """Whether a part of an uncompressed body could contain a reference."""
    return any(word in data for word in _WORDS)


def names_a_file(data: bytes) -> bool:
    """As `may_refer` for files and their stores only, which is cheaper. In UTF-16 and UTF-32 no word can be
    found, but ASCII letters have zero bytes."""
    return b"file" in data or b"\\u00" in data or b"\0" in data


class ReferenceScan:
    """Whether a body, as far as it is fed, could contain a reference, whatever the chunk boundaries."""

    def __init__(self) -> None:
        self.found = False
        self._before = b""

    def feed(self, chunk: bytes) -> None:
        # Converts ASCII letters in UTF-16 and UTF-32 to single bytes.
        text = self._before + chunk.replace(b"\0", b"")
        self.found = self.found or may_refer(text)
        self._before = text[-OVERLAP:]


def references(named: RequestSummary) -> Iterator[Reference]:
    """The references of a body, as resource names."""
    if not (named.has_references or named.resources or named.models or named.environments):
        return
    names = (*named.files, *named.interactions, *named.file_search_stores, *named.resources)
    yield from map(Reference, names)
    yield from (Reference(_in("cachedContents", name)) for name in named.cached_contents)
    yield from (Reference(_in("vector_stores", name)) for name in named.vector_stores)
    yield from (Reference(name) for name in named.models if name.startswith("tunedModels/"))
    yield from (Reference(_in("agents", name), may_be_prebuilt=True) for name in named.agents)
    # `remote` requests a new one.
    own = filter(_OWN_ENVIRONMENT.match, named.environments)
    yield from (Reference(_in("environments", name)) for name in own)


def _in(collection: str, name: str) -> str:
    return f"{collection}/{name.removeprefix(f'{collection}/')}"
