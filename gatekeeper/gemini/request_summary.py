"""What a request's body names: the result of `request_parser`."""

from __future__ import annotations

import msgspec

from gatekeeper.gemini.requested_media import NOTHING_SAID, RequestedMedia


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
