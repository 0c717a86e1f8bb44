"""Collects the metadata in the JSON documents of a response: usage, model version, finish reason, resource,
error. The response is one of the Gemini API, of Interactions or of the OpenAI-style API.

Only top-level members are read, and those of an event's `interaction`: the arguments of a function call may
contain a `usageMetadata`, too. An `error` counts unless the document has a `name` or an `id`: then it is a
resource (an operation, a file, a batch) that reports its own failure, not this call's.

Every document is decoded, whether or not it has such members: msgspec skips the others faster than the bytes
can be searched for the names (measured from 0.4 KB to 4 MB).
"""

from __future__ import annotations

import msgspec

from gatekeeper.gemini.continuation import Continuations
from gatekeeper.gemini.grounding import Searches
from gatekeeper.gemini.json_values import as_object, as_text, read_tier
from gatekeeper.gemini.resource_names import other_resources, resource_in_document
from gatekeeper.gemini.response_document import (
    Candidate,
    ResponseDocument,
    block_reason,
    decode_response,
    finish_reasons,
    images,
    steps,
)
from gatekeeper.gemini.splitters import Document
from gatekeeper.gemini.token_usage import Usage
from gatekeeper.gemini.upstream_error import UpstreamError, read_error
from gatekeeper.gemini.usage_faults import UNREADABLE_NOTE, no_object_note

INTERACTIONS = "interactions"

_decode_list = msgspec.json.Decoder(list[msgspec.Raw]).decode


class ResponseSummary(msgspec.Struct, frozen=True):
    """The metadata of a response; None for what it does not report."""

    usage: bytes | None = None
    """The last `usageMetadata` or `usage`, as received: a JSON object in UTF-8, including white space. For a
    Live session a list of them, one per turn."""
    read_usage: Usage | None = None
    """`usage` already parsed, for a Live session: the sum of its turns."""
    model_version: str | None = None
    """Without `models/`."""
    finish_reason: str | None = None
    """The finish reason in the last document that has one; distinct ones of several candidates in their
    order, joined by `|`. For an interaction its status."""
    error: UpstreamError | None = None
    billed_units: dict[str, int | None] = {}
    """What was used in addition to tokens (`usageMetadata` does not report it): quantities by price
    component; None: used, but the quantity is unknown."""
    complete: bool = False
    """Whether the body ended properly in its format. Also true if the format is not parsed."""
    truncated: bool = False
    """Whether something was too large to be parsed, so that the usage may be unknown."""
    resource: str | None = None
    """The resource that the call created or accessed: `files/x`, `cachedContents/y`, `interactions/z`."""
    block_reason: str | None = None
    """Why the prompt was blocked: `promptFeedback.blockReason`."""
    service_tier: str | None = None
    """The service tier that an interaction reports outside its usage, in lower case."""
    images: int | None = None
    """The number of images, without withheld ones."""
    usage_note: str | None = None
    """A note on how reliable or complete `usage` is."""
    continuations: tuple[str, ...] = ()
    """The digests of the continuation tokens (`continuation`)."""
    found: tuple[str, ...] = ()
    """Other resources that were created by this call, or by the one that it asks about: registered files, the
    environment of an interaction, the files of a batch."""


class ResponseParser:
    """Collects the metadata of one response, document by document. The last value of each field wins: usage
    is neither a delta nor always increasing.

    `collection` is that of the resource whose `id` the response has (`resource_names`). `counts_usage` False:
    the reported tokens were used by another call, and are ignored.
    """

    __slots__ = (
        "_collection", "_continuations", "_counts_usage", "_found", "_searches", "block_reason",
        "error", "finish_reason", "images", "model_version", "resource", "service_tier", "usage",
        "usage_note",
    )  # fmt: skip

    def __init__(self, collection: str | None = None, *, counts_usage: bool = True) -> None:
        self.usage: bytes | None = None
        self.model_version: str | None = None
        self.finish_reason: str | None = None
        self.error: UpstreamError | None = None
        self.resource: str | None = None
        self.block_reason: str | None = None
        self.service_tier: str | None = None
        self.images: int | None = None
        self.usage_note: str | None = None
        self._collection = collection
        self._counts_usage = counts_usage
        self._searches: Searches | None = None
        self._continuations: Continuations | None = None
        self._found: dict[str, None] = {}

    def read(self, document: Document, *, is_whole: bool = True) -> bool:
        """Reads a document. Returns False, and ignores it, if it is not a JSON response. `is_whole` False: it
        may be truncated. Never raises."""
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
            self._skip(document, error, is_whole=is_whole)
            return False
        # `null` does not replace an earlier usage.
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
        has_ended = False  # True in few events of a stream
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

    def _skip(self, document: Document, error: Exception, *, is_whole: bool) -> None:
        if b'"usage' not in document:
            return
        if isinstance(error, RecursionError):
            # Another parser might accept it, and then its usage would be the last one, which counts.
            self.usage, self.usage_note = None, UNREADABLE_NOTE
        elif is_whole:
            self.usage_note = UNREADABLE_NOTE

    def _read_continuation(self, token: object) -> None:
        self._continuations = self._continuations or Continuations()
        self._continuations.add(token)

    def _read_list(self, document: Document) -> bool:
        """Reads an OpenAI-style error, which is an object in a list, also as an event of a stream."""
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
        made = images(response)
        self.images = self.images if made is None else made
        about = response.interaction or response
        if response.interaction and response.interaction.continuation_token is not None:
            self._read_continuation(response.interaction.continuation_token)
        # A trigger has an `interaction`, too: the one that it will create.
        own = about.id if self._collection == INTERACTIONS else response.id
        name = resource_in_document(self._collection, response.name, own, response.file)
        self.resource = name or self.resource
        self._found.update(dict.fromkeys(other_resources(about.environment_id, response.files)))
        # The `model` of a cache or a batch is not the one that generated a response.
        if response.name is None and (model := as_text(about.model)):
            self.model_version = model.removeprefix("models/")
        if self._collection == INTERACTIONS:
            self.finish_reason = as_text(about.status) or self.finish_reason
        if self._collection == INTERACTIONS or response.choices is not None:
            self.service_tier = read_tier(as_text(about.service_tier)) or self.service_tier

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
            images=self.images,
            found=tuple(self._found) if self._found else (),
            usage_note=self.usage_note if self._counts_usage else None,
        )
