"""What one JSON document of an answer says: usage, the model that served, how it ended, what went wrong.

Only members at the top count: a function call's arguments may hold a `usageMetadata` of their own. An
`error` counts unless the document has a `name`: then it is a resource (an operation, a file, a batch) that
tells of its own failure, not of this call's.

Every document is decoded, whether or not it can hold any of this: msgspec passes over members that are not
asked for faster than the bytes can be searched for their names (measured from 0.4 KB to 4 MB).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import cast

import msgspec

from gatekeeper.gemini.splitters import Document

# Characters of an error's texts that are kept.
TEXT_LIMIT = 1000

# By number, as `enum-encoding=int` sends them: google.ai.generativelanguage.v1beta, Candidate.FinishReason.
_FINISH_REASONS = (
    "FINISH_REASON_UNSPECIFIED",
    "STOP",
    "MAX_TOKENS",
    "SAFETY",
    "RECITATION",
    "OTHER",
    "LANGUAGE",
    "BLOCKLIST",
    "PROHIBITED_CONTENT",
    "SPII",
    "MALFORMED_FUNCTION_CALL",
    "IMAGE_SAFETY",
    "UNEXPECTED_TOOL_CALL",
    "TOO_MANY_TOOL_CALLS",
    "IMAGE_PROHIBITED_CONTENT",
    "IMAGE_OTHER",
    "NO_IMAGE",
    "IMAGE_RECITATION",
)

# A google.protobuf.Duration in JSON. Ten digits are three centuries.
_DURATION = re.compile(r"([0-9]{1,10}(?:\.[0-9]{1,9})?)s")


class UpstreamError(msgspec.Struct, frozen=True):
    """The `error` of an answer: a google.rpc.Status, or Interactions' variant, whose code is a word."""

    code: int | None
    status: str | None
    """The canonical name (`NOT_FOUND`), or the word that stands for a code."""
    message: str
    reason: str | None
    """The ErrorInfo detail's, else the status."""
    retry_delay: float | None
    """Seconds, where a RetryInfo detail asks for a pause."""
    quota: str | None = None
    """The ids of the quotas that a QuotaFailure detail names: they tell a minute from a day."""


class Reading(msgspec.Struct, frozen=True):
    """What an answer was understood to say; None where it did not say it."""

    usage: bytes | None = None
    """The last `usageMetadata` as received: a JSON object in UTF-8, white space and line ends included."""
    model_version: str | None = None
    """Without `models/`."""
    finish_reason: str | None = None
    """Of the last document with one; different ones of several candidates in their order, joined by `|`."""
    error: UpstreamError | None = None
    charges: dict[str, int | None] = {}
    """What the answer shows to have been used beside tokens, as price components with their quantity (None:
    it ran, and nothing says how often): usage does not tell."""
    complete: bool = False
    """Whether the body ended as its form demands. True as well where the form is none that is read."""
    truncated: bool = False
    """Whether something was too large to be read, so that the usage may be unknown."""


class _Candidate(msgspec.Struct, rename="camel"):
    finish_reason: object = None
    grounding_metadata: object = None


class _Answer(msgspec.Struct, rename="camel"):
    usage_metadata: msgspec.Raw = msgspec.Raw()
    model_version: object = None
    candidates: list[_Candidate] | None = None
    error: object = None
    name: object = None


_decode = msgspec.json.Decoder(_Answer).decode


class ResponseParser:
    """What the documents of one answer have said so far. Of everything the last word counts: usage neither
    grows steadily nor adds up.
    """

    def __init__(self) -> None:
        self.usage: bytes | None = None
        self.model_version: str | None = None
        self.finish_reason: str | None = None
        self.error: UpstreamError | None = None
        self._searches: dict[str, set[str]] = {}

    def read(self, document: Document) -> bool:
        """False, with nothing taken from it, where the document is no answer in JSON. Never raises."""
        try:
            answer = _decode(document)
            usage = bytes(answer.usage_metadata)
            # Msgspec does not look at the UTF-8 of what it passes over
            usage.decode()
        # Of msgspec, for UTF-8; nesting has the stack's limit
        except (ValueError, RecursionError):
            return False
        # `null` and other values report nothing: what was reported before them stays.
        if usage.startswith(b"{"):
            self.usage = usage
        if isinstance(answer.model_version, str):
            self.model_version = answer.model_version.removeprefix("models/")
        if answer.candidates:
            self.finish_reason = _finish_reason(answer.candidates) or self.finish_reason
            for candidate in answer.candidates:
                if candidate.grounding_metadata is not None:
                    for component, queries in _grounding(candidate.grounding_metadata):
                        self._searches.setdefault(component, set()).update(queries)
        error = _object(answer.error)
        # With a name it is a resource that tells of its own failure.
        if error is not None and answer.name is None:
            self.error = _upstream_error(error)
        return True

    @property
    def charges(self) -> dict[str, int | None]:
        """A query that several chunks or candidates repeat is one: Google charges for different ones."""
        return {component: len(queries) or None for component, queries in self._searches.items()}

    def reading(self, *, complete: bool, truncated: bool) -> Reading:
        return Reading(
            usage=self.usage,
            model_version=self.model_version,
            finish_reason=self.finish_reason,
            error=self.error,
            charges=self.charges,
            complete=complete,
            truncated=truncated,
        )


def _grounding(metadata: object) -> Iterator[tuple[str, set[str]]]:
    """The searches that ran, by component, and their queries: Google leaves out empty ones when it counts,
    and so does this. Passages of file search (`retrievedContext`) are tokens and no charge of their own."""
    grounding = _object(metadata) or {}
    listed, chunks = _list(grounding.get("webSearchQueries")), _list(grounding.get("groundingChunks"))
    queries = {query for query in listed if isinstance(query, str) and query}
    kinds = {kind for chunk in chunks for kind in _object(chunk) or ()}
    if "maps" in kinds:
        yield "grounding_maps_query", queries
    elif queries or "web" in kinds:
        yield "grounding_search_query", queries


def _finish_reason(candidates: list[_Candidate]) -> str:
    names = [_reason_name(candidate.finish_reason) for candidate in candidates]
    return "|".join(dict.fromkeys(filter(None, names)))


def _reason_name(value: object) -> str | None:
    if type(value) is int:
        return _FINISH_REASONS[value] if 0 <= value < len(_FINISH_REASONS) else str(value)
    return value if isinstance(value, str) else None


def _upstream_error(error: dict[str, object]) -> UpstreamError:
    code = error.get("code")
    status = _text(error.get("status")) or _text(code)
    return UpstreamError(
        code=code if type(code) is int else None,
        status=status,
        message=_text(error.get("message")) or "",
        reason=_text(_detail(error, "google.rpc.ErrorInfo", "reason")) or status,
        retry_delay=_seconds(_detail(error, "google.rpc.RetryInfo", "retryDelay")),
        quota=_quotas(_detail(error, "google.rpc.QuotaFailure", "violations")),
    )


def _detail(error: dict[str, object], kind: str, member: str) -> object:
    for detail in _list(error.get("details")):
        named = _object(detail) or {}
        if str(named.get("@type")).endswith(kind):
            return named.get(member)
    return None


def _quotas(violations: object) -> str | None:
    ids = (_text((_object(violation) or {}).get("quotaId")) for violation in _list(violations))
    return ", ".join(dict.fromkeys(filter(None, ids)))[:TEXT_LIMIT] or None


def _object(value: object) -> dict[str, object] | None:
    return cast("dict[str, object]", value) if isinstance(value, dict) else None


def _list(value: object) -> list[object]:
    return cast("list[object]", value) if isinstance(value, list) else []


def _text(value: object) -> str | None:
    return value[:TEXT_LIMIT] if isinstance(value, str) else None


def _seconds(value: object) -> float | None:
    duration = _DURATION.fullmatch(value) if isinstance(value, str) else None
    return float(duration[1]) if duration else None
