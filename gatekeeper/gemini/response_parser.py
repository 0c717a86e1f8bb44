"""Collects what the JSON documents of a response report: usage, the model version, the finish reason, an
error.

Only top-level members count: a function call's arguments may hold a `usageMetadata` of their own. An `error`
counts unless the document has a `name`: then it is a resource (an operation, a file, a batch) that reports
its own failure, not this call's.

Every document is decoded, whether or not it can hold any of this: msgspec skips other members faster than the
bytes can be searched for the names (measured from 0.4 KB to 4 MB).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import cast

import msgspec

from gatekeeper.gemini.splitters import Document

# Characters that are kept of each text of an error.
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
    """The `error` of a response: a google.rpc.Status, or Interactions' variant, whose code is a word."""

    code: int | None
    status: str | None
    """The canonical name (`NOT_FOUND`), or the word that is the code."""
    message: str
    reason: str | None
    """The ErrorInfo detail's, else the status."""
    retry_delay: float | None
    """Seconds to wait, from a RetryInfo detail."""
    quota: str | None = None
    """The ids of the quotas in a QuotaFailure detail: they distinguish a limit per minute from one per
    day."""


class ResponseSummary(msgspec.Struct, frozen=True):
    """What a response reports; None where it reports nothing."""

    usage: bytes | None = None
    """The last `usageMetadata` as received: a JSON object in UTF-8, white space and line ends included."""
    model_version: str | None = None
    """Without `models/`."""
    finish_reason: str | None = None
    """Of the last document that has one; different ones of several candidates in their order, joined by
    `|`."""
    block_reason: str | None = None
    """`promptFeedback.blockReason`: why the prompt was blocked."""
    resource: str | None = None
    """The name of what the call made, as Google writes it: `files/x`, `cachedContents/y`."""
    error: UpstreamError | None = None
    extra_usage: dict[str, int | None] = {}
    """What was used beside tokens according to the response (`usageMetadata` does not report it), as price
    components with their quantity; None: used, but not how often."""
    complete: bool = False
    """Whether the body ended as its format demands. Also true where the format is not parsed."""
    truncated: bool = False
    """Whether something was too large to be parsed, so that the usage may be unknown."""


class _Candidate(msgspec.Struct, rename="camel"):
    finish_reason: object = None
    grounding_metadata: object = None


class _Response(msgspec.Struct, rename="camel"):
    usage_metadata: msgspec.Raw = msgspec.Raw()
    model_version: object = None
    candidates: list[_Candidate] | None = None
    error: object = None
    name: object = None


_decode = msgspec.json.Decoder(_Response).decode


class ResponseParser:
    """What the documents of one response have reported so far. The last value of each field wins: usage
    neither grows steadily nor adds up.
    """

    def __init__(self) -> None:
        self.usage: bytes | None = None
        self.model_version: str | None = None
        self.finish_reason: str | None = None
        self.error: UpstreamError | None = None
        self._searches: dict[str, set[str]] = {}

    def read(self, document: Document) -> bool:
        """False, and nothing is taken from it, if the document is not a response in JSON. Never raises."""
        try:
            response = _decode(document)
            usage = bytes(response.usage_metadata)
            # msgspec does not validate the UTF-8 of what it skips.
            usage.decode()
        # Invalid JSON or UTF-8; deep nesting exceeds the recursion limit.
        except (ValueError, RecursionError):
            return False
        # `null` and other values report nothing: what was reported earlier stays.
        if usage.startswith(b"{"):
            self.usage = usage
        if isinstance(response.model_version, str):
            self.model_version = response.model_version.removeprefix("models/")
        if response.candidates:
            self.finish_reason = _finish_reason(response.candidates) or self.finish_reason
            for candidate in response.candidates:
                if candidate.grounding_metadata is not None:
                    for component, queries in _grounding(candidate.grounding_metadata):
                        self._searches.setdefault(component, set()).update(queries)
        error = _object(response.error)
        # With a name the document is a resource that reports its own failure.
        if error is not None and response.name is None:
            self.error = _upstream_error(error)
        return True

    @property
    def extra_usage(self) -> dict[str, int | None]:
        """A query that several chunks or candidates repeat counts once: Google charges for distinct ones."""
        return {component: len(queries) or None for component, queries in self._searches.items()}

    def summary(self, *, complete: bool, truncated: bool) -> ResponseSummary:
        return ResponseSummary(
            usage=self.usage,
            model_version=self.model_version,
            finish_reason=self.finish_reason,
            error=self.error,
            extra_usage=self.extra_usage,
            complete=complete,
            truncated=truncated,
        )


def _grounding(metadata: object) -> Iterator[tuple[str, set[str]]]:
    """The searches that ran, by component, with their queries. Empty queries do not count: Google does not
    bill them. Passages of file search (`retrievedContext`) are billed as tokens only."""
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
