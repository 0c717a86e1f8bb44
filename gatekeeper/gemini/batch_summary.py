"""What a batch says of itself beside its responses: its state, how many requests it has, where its responses
are. Google's own batches, and OpenAI-style ones. Pure; nothing raises."""

from __future__ import annotations

from enum import Enum

import msgspec

from gatekeeper.gemini.json_values import as_object, as_text
from gatekeeper.gemini.token_counts import read_count


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
_OPENAI_STATES = {
    "validating": BatchState.PENDING,
    "in_progress": BatchState.RUNNING,
    "finalizing": BatchState.RUNNING,
    "cancelling": BatchState.RUNNING,
    "completed": BatchState.SUCCEEDED,
}


class BatchSummary(msgspec.Struct, frozen=True, kw_only=True):
    """What a result says beside its responses."""

    name: str | None = None
    """`batches/x`."""
    model: str | None = None
    """Without `models/`; the responses may name another."""
    state: BatchState = BatchState.UNSPECIFIED
    done: bool = False
    """Whether it has ended, in success or not: its responses are all that there will be."""
    responses_file: str | None = None
    """`files/x`, where the responses are in a file."""
    requests: int | None = None
    """How many the batch has, as it says itself."""
    responses: int = 0
    """How many were read here."""
    failed: int = 0
    """How many requests have an error in place of a response: they cost nothing."""
    unread: int = 0
    """How many were too long, or no JSON: what these have used is unknown."""
    complete: bool = False
    """Whether the result ended as its format demands."""


def batch_summary(document: dict[str, object]) -> BatchSummary:
    if document.get("object") == "batch":
        return _openai_summary(document)
    metadata = as_object(document.get("metadata")) or document
    # One that has ended says it twice, one that runs in its metadata only.
    output = as_object(document.get("response")) or as_object(metadata.get("output")) or {}
    stats = as_object(metadata.get("batchStats")) or {}
    model = as_text(metadata.get("model"))
    state = _state(metadata.get("state"))
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


def _openai_summary(document: dict[str, object]) -> BatchSummary:
    name, counts = as_text(document.get("id")), as_object(document.get("request_counts")) or {}
    state = _state(document.get("status"))
    return BatchSummary(
        name=name if name is None or "/" in name else f"batches/{name}",
        state=state,
        done=state in _ENDED,
        responses_file=as_text(document.get("output_file_id")),
        requests=read_count(counts.get("total")),
    )


def _state(value: object) -> BatchState:
    # By number, as `enum-encoding=int` sends it. `type`, because True is an int to isinstance.
    if type(value) is int and 0 <= value < len(BatchState):
        return BatchState(value)
    name = as_text(value) or ""
    if known := _OPENAI_STATES.get(name):
        return known
    for prefix in _PREFIXES:
        name = name.removeprefix(prefix)
    return BatchState.__members__.get(name.upper(), BatchState.UNSPECIFIED)
