"""Reads the resources that determine the cost of a call after it has ended: a batch, a video's long-running
operation, a cached content. Pure; nothing raises.

- A batch, in Google's format or OpenAI's, has a state, the number of its requests, and its responses or where
  they are. `batch_results` reads the usage of the responses.
- `predictLongRunning` returns only the name of an operation. Reading that later (`models/m/operations/o`, or
  `videos/v` in OpenAI's format) tells how it ended. Google charges a video "if your video is successfully
  generated" (pricing page, Veo): one that its filter removed, or that failed, costs nothing.
- A cached content, as returned by create, get and patch, has what its storage is charged by: tokens, creation
  and expiry.
"""

from __future__ import annotations

from datetime import datetime
from enum import Enum

import msgspec

from gatekeeper.gemini.json_values import as_list, as_object, as_text, read_count
from gatekeeper.gemini.resource_names import resource_in_document
from gatekeeper.times import to_micros


class BatchState(Enum):
    """Google's `BatchState` (`BATCH_STATE_…`, `JOB_STATE_…`, or its number)."""

    UNSPECIFIED = 0
    PENDING = 1
    RUNNING = 2
    SUCCEEDED = 3
    FAILED = 4
    CANCELLED = 5
    EXPIRED = 6


_ENDED = frozenset({BatchState.SUCCEEDED, BatchState.FAILED, BatchState.CANCELLED, BatchState.EXPIRED})
_PREFIXES = ("BATCH_STATE_", "JOB_STATE_")
_OPENAI_BATCH_STATES = {
    "validating": BatchState.PENDING,
    "in_progress": BatchState.RUNNING,
    "finalizing": BatchState.RUNNING,
    "cancelling": BatchState.RUNNING,
    "completed": BatchState.SUCCEEDED,
}


class BatchSummary(msgspec.Struct, frozen=True, kw_only=True):
    """The state of a batch, and how many of its responses were read."""

    name: str | None = None
    """`batches/x`."""
    model: str | None = None
    """Without `models/`; the responses may report a different `modelVersion`."""
    state: BatchState = BatchState.UNSPECIFIED
    done: bool = False
    """Whether it has ended, successfully or not: no further responses will follow."""
    responses_file: str | None = None
    """`files/x`, where the responses are in a file."""
    requests: int | None = None
    """The number of requests that the batch reports."""
    responses: int = 0
    """How many were read here."""
    failed: int = 0
    """How many requests have an error in place of a response: they cost nothing."""
    unread: int = 0
    """How many responses were too long or not JSON: their usage is unknown."""
    complete: bool = False
    """Whether the result was received to its end."""


def batch_summary(document: dict[str, object]) -> BatchSummary:
    if document.get("object") == "batch":
        return _openai_batch_summary(document)
    metadata = as_object(document.get("metadata")) or document
    # A batch that has ended has its output in both places, a running one in its metadata only.
    output = as_object(document.get("response")) or as_object(metadata.get("output")) or {}
    stats = as_object(metadata.get("batchStats")) or {}
    model = as_text(metadata.get("model"))
    state = _batch_state(metadata.get("state"))
    if state is BatchState.UNSPECIFIED and document.get("error") is not None:
        state = BatchState.FAILED
    return BatchSummary(
        name=as_text(document.get("name")),
        model=model.removeprefix("models/") if model else None,
        state=state,
        done=document.get("done") is True or state in _ENDED,
        responses_file=as_text(output.get("responsesFile")),
        requests=read_count(stats.get("requestCount")),
    )


def _openai_batch_summary(document: dict[str, object]) -> BatchSummary:
    name, counts = as_text(document.get("id")), as_object(document.get("request_counts")) or {}
    state = _batch_state(document.get("status"))
    return BatchSummary(
        name=name if name is None or "/" in name else f"batches/{name}",
        state=state,
        done=state in _ENDED,
        responses_file=as_text(document.get("output_file_id")),
        requests=read_count(counts.get("total")),
    )


def _batch_state(value: object) -> BatchState:
    # By number, as `enum-encoding=int` sends it. `type`, because True is an int to isinstance.
    if type(value) is int and 0 <= value < len(BatchState):
        return BatchState(value)
    name = as_text(value) or ""
    if known := _OPENAI_BATCH_STATES.get(name):
        return known
    for prefix in _PREFIXES:
        name = name.removeprefix(prefix)
    return BatchState.__members__.get(name.upper(), BatchState.UNSPECIFIED)


class VideoOperation(msgspec.Struct, frozen=True, kw_only=True):
    """The operation that generates videos. `videos` is how many were generated; None until it is done, or if
    not reported. `filtered` is how many more were generated and withheld by Google's safety filter."""

    done: bool = False
    failed: bool = False
    videos: int | None = None
    filtered: int = 0


_OPENAI_OPERATIONS = {
    "completed": VideoOperation(done=True, videos=1),
    "failed": VideoOperation(done=True, failed=True, videos=0),
    "cancelled": VideoOperation(done=True, failed=True, videos=0),
}
# The name in the API, and those in the SDKs' own formats.
_VIDEO_LISTS = ("generatedSamples", "generatedVideos", "videos")


def read_video_operation(document: bytes) -> VideoOperation | None:
    """None if the document is not an operation, or not JSON. Never raises."""
    found = _decoded(document)
    if found is None or not (found.get("name") or found.get("id")):
        return None
    if found.get("object") == "video":
        return _OPENAI_OPERATIONS.get(str(found.get("status")), VideoOperation())
    if found.get("done") is not True:
        return VideoOperation()
    if found.get("error") is not None:
        return VideoOperation(done=True, failed=True, videos=0)
    response = as_object(found.get("response")) or {}
    made = as_object(response.get("generateVideoResponse")) or response
    filtered = read_count(made.get("raiMediaFilteredCount")) or 0
    lists = [as_list(made[name]) for name in _VIDEO_LISTS if name in made]
    # proto3's JSON omits empty lists: no list means that no sample was generated.
    videos = len(lists[0]) if lists else 0 if filtered else None
    return VideoOperation(done=True, failed=videos == 0, videos=videos, filtered=filtered)


class CachedContent(msgspec.Struct, frozen=True, kw_only=True):
    """`name` is `cachedContents/x`, `model` without `models/`; times are microseconds since 1970. None: not
    reported."""

    name: str
    model: str | None = None
    tokens: int | None = None
    created_at: int | None = None
    expires_at: int | None = None


def read_cached_content(document: bytes) -> CachedContent | None:
    """None if the document is not a cached content, or not JSON. Never raises."""
    found = _decoded(document)
    name = resource_in_document(None, (found or {}).get("name"), None, None)
    if not found or not name or not name.startswith("cachedContents/"):
        return None
    model = as_text(found.get("model"))
    return CachedContent(
        name=name,
        model=model.removeprefix("models/") if model else None,
        tokens=read_count((as_object(found.get("usageMetadata")) or {}).get("totalTokenCount")),
        created_at=_micros(found.get("createTime")),
        expires_at=_micros(found.get("expireTime")),
    )


def _micros(value: object) -> int | None:
    """An RFC 3339 time with up to nanoseconds, truncated to microseconds."""
    try:
        moment = datetime.fromisoformat(as_text(value) or "")
        return to_micros(moment) if moment.tzinfo else None
    except (ValueError, OverflowError):
        return None


def _decoded(document: bytes) -> dict[str, object] | None:
    try:
        return as_object(msgspec.json.decode(document))
    # msgspec's errors are ValueErrors; deep nesting exceeds the recursion limit.
    except (ValueError, RecursionError):
        return None
