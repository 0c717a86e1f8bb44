"""Collects what the JSON documents of a response report: usage, the model version, the finish reason, the
resource, an error. Gemini's own responses, Interactions' and OpenAI-style ones.

Only top-level members count, and those of an event's `interaction`: a function call's arguments may hold a
`usageMetadata` of their own. An `error` counts unless the document has a `name` or an `id`: then it is a
resource (an operation, a file, a batch) that reports its own failure, not this call's.

Every document is decoded, whether or not it can hold any of this: msgspec skips other members faster than the
bytes can be searched for the names (measured from 0.4 KB to 4 MB).
"""

from __future__ import annotations

import msgspec

from gatekeeper.gemini.continuation import Continuations
from gatekeeper.gemini.grounding import Searches
from gatekeeper.gemini.json_values import as_object, as_text
from gatekeeper.gemini.resource_names import other_resources, resource_in_document
from gatekeeper.gemini.response_document import (
    Candidate,
    ResponseDocument,
    block_reason,
    decode_response,
    finish_reasons,
    pictures,
    steps,
)
from gatekeeper.gemini.splitters import Document
from gatekeeper.gemini.upstream_error import UpstreamError, read_error
from gatekeeper.gemini.usage_faults import UNREADABLE_NOTE, no_object_note
from gatekeeper.gemini.usage_total import Usage

INTERACTIONS = "interactions"

_decode_list = msgspec.json.Decoder(list[msgspec.Raw]).decode


class ResponseSummary(msgspec.Struct, frozen=True):
    """What a response reports; None where it reports nothing."""

    usage: bytes | None = None
    """The last `usageMetadata`, or its kin, as received: a JSON object in UTF-8, white space and line ends
    included. Of a Live session a list of them, one for each turn."""
    read_usage: Usage | None = None
    """`usage`, where it has been read already: the sum of a Live session's turns."""
    model_version: str | None = None
    """Without `models/`."""
    finish_reason: str | None = None
    """Of the last document that has one; different ones of several candidates in their order, joined by
    `|`. Of an interaction its status."""
    error: UpstreamError | None = None
    billed_units: dict[str, int | None] = {}
    """What was used beside tokens according to the response (`usageMetadata` does not report it), as price
    components with their quantity; None: used, but not how often."""
    complete: bool = False
    """Whether the body ended as its format demands. Also true where the format is not parsed."""
    truncated: bool = False
    """Whether something was too large to be parsed, so that the usage may be unknown."""
    resource: str | None = None
    """What the call made, or what it is about: `files/x`, `cachedContents/y`, `interactions/z`."""
    block_reason: str | None = None
    """Why the prompt was blocked: `promptFeedback.blockReason`."""
    service_tier: str | None = None
    """As an interaction reports it, beside its usage, in lower case."""
    pictures: int | None = None
    """How many pictures it lists, without those that were withheld."""
    usage_note: str | None = None
    """What is to be known about `usage` beside its numbers."""
    continuations: tuple[str, ...] = ()
    """The digests of the tokens by which another request may go on (`continuation`)."""
    found: tuple[str, ...] = ()
    """What else was made, by this call or by the one that it asks about: registered files, the environment of
    an interaction, the files of a batch."""


class ResponseParser:
    """What the documents of one response have reported so far. The last value of each field wins: usage
    neither grows steadily nor adds up.

    `collection`: that whose resources the response has by their `id` (`resource_names`). Unless
    `counts_usage` the tokens that are reported were used by another call, and are left out.
    """

    __slots__ = (
        "_collection", "_continuations", "_counts_usage", "_found", "_searches", "block_reason", "error",
        "finish_reason", "model_version", "pictures", "resource", "service_tier", "usage", "usage_note",
    )  # fmt: skip

    def __init__(self, collection: str | None = None, *, counts_usage: bool = True) -> None:
        self.usage: bytes | None = None
        self.model_version: str | None = None
        self.finish_reason: str | None = None
        self.error: UpstreamError | None = None
        self.resource: str | None = None
        self.block_reason: str | None = None
        self.service_tier: str | None = None
        self.pictures: int | None = None
        self.usage_note: str | None = None
        self._collection = collection
        self._counts_usage = counts_usage
        self._searches: Searches | None = None
        self._continuations: Continuations | None = None
        self._found: dict[str, None] = {}

    def read(self, document: Document, *, is_whole: bool = True) -> bool:
        """False, and nothing is taken from it, if the document is not a response in JSON. Unless `is_whole`
        it may have been cut. Never raises."""
        if document[:1] == b"[":
            return self._read_list(document)
        try:
            response = decode_response(document)
            usage = bytes(response.usage_metadata)
            if not usage.startswith(b"{"):
                usage = response.other_usage()
            # msgspec does not validate the UTF-8 of what it skips.
            usage.decode()
        # Invalid JSON or UTF-8; deep nesting exceeds the recursion limit.
        except (ValueError, RecursionError) as error:
            self._pass_over(document, error, is_whole=is_whole)
            return False
        # `null` reports nothing: what was reported earlier stays.
        if usage.startswith(b"{"):
            self.usage, self.usage_note = usage, None
        elif usage:
            self.usage, self.usage_note = None, no_object_note(usage)
        if isinstance(response.model_version, str):
            self.model_version = response.model_version.removeprefix("models/")
        if response.prompt_feedback is not None:
            self.block_reason = block_reason(response.prompt_feedback) or self.block_reason
        if response.candidates:
            self._read_candidates(response.candidates)
        else:
            self._read_without_candidates(response)
        token = response.continuation_token or response.top_continuation_token
        if token is not None:
            self._read_continuation(token)
        if response.error is not None:
            self._read_error(response)
        return True

    def _read_candidates(self, candidates: list[Candidate]) -> None:
        has_ended = False  # which few events of a stream say
        for candidate in candidates:
            if candidate.finish_reason is not None:
                has_ended = True
            if candidate.grounding_metadata is not None:
                self._searches = self._searches or Searches()
                self._searches.add(candidate.grounding_metadata)
            if candidate.continuation_token is not None:
                self._read_continuation(candidate.continuation_token)
        if has_ended:
            self.finish_reason = finish_reasons(candidates) or self.finish_reason

    def _pass_over(self, document: Document, error: Exception, *, is_whole: bool) -> None:
        if b'"usage' not in document:
            return
        if isinstance(error, RecursionError):
            # It may be JSON for others, and its usage would be the last one, which counts.
            self.usage, self.usage_note = None, UNREADABLE_NOTE
        elif is_whole:
            self.usage_note = UNREADABLE_NOTE

    def _read_continuation(self, token: object) -> None:
        self._continuations = self._continuations or Continuations()
        self._continuations.add(token)

    def _read_list(self, document: Document) -> bool:
        """OpenAI-style errors are objects in a list, and may be an event of a stream."""
        try:
            elements = [bytes(element) for element in _decode_list(document)]
        except (ValueError, RecursionError):
            return False
        return all(not element.startswith(b"[") and self.read(element) for element in elements)

    def _read_without_candidates(self, response: ResponseDocument) -> None:
        if response.choices:
            self.finish_reason = finish_reasons(response.choices) or self.finish_reason
        for step in steps(response):
            self._searches = self._searches or Searches()
            self._searches.add_call(str(step.type), step.arguments)
        made = pictures(response)
        self.pictures = self.pictures if made is None else made
        about = response.interaction or response
        if response.interaction and response.interaction.continuation_token is not None:
            self._read_continuation(response.interaction.continuation_token)
        # A trigger has an interaction too, which is the one that it will make.
        own = about.id if self._collection == INTERACTIONS else response.id
        name = resource_in_document(self._collection, response.name, own, response.file)
        self.resource = name or self.resource
        self._found.update(dict.fromkeys(other_resources(about.environment_id, response.files)))
        # The model of a cache or a batch is no model that has answered.
        if response.name is None and (model := as_text(about.model)):
            self.model_version = model.removeprefix("models/")
        if self._collection == INTERACTIONS:
            self.finish_reason = as_text(about.status) or self.finish_reason
            if tier := as_text(about.service_tier):
                self.service_tier = tier.lower()

    def _read_error(self, response: ResponseDocument) -> None:
        error = as_object(response.error)
        if error is not None and response.name is None and response.id is None:
            self.error = read_error(error)

    def summary(self, *, complete: bool, truncated: bool) -> ResponseSummary:
        return ResponseSummary(
            usage=self.usage if self._counts_usage else None,
            model_version=self.model_version,
            finish_reason=self.finish_reason,
            error=self.error,
            billed_units=self._searches.counts if self._searches else {},
            complete=complete,
            truncated=truncated,
            resource=self.resource,
            block_reason=self.block_reason,
            service_tier=self.service_tier,
            continuations=self._continuations.digests if self._continuations else (),
            pictures=self.pictures,
            found=tuple(self._found) if self._found else (),
            usage_note=self.usage_note if self._counts_usage else None,
        )
