"""Batches (https://ai.google.dev/gemini-api/docs/batch-api): generate or embed calls, inline or in a JSON
Lines file, in Google's format and in OpenAI's.

A batch is PENDING in the response that creates it, RUNNING at the first GET, then SUCCEEDED, with its results
inline or in a file. A request that fails has an error as its result. A batch has at most 500 requests here,
because they all run at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from gatekeeper.sandbox.errors import GoogleError, invalid
from gatekeeper.sandbox.google_json import Json
from gatekeeper.sandbox.store import (
    MAX_TOTAL_BYTES,
    OVERHEAD_BYTES,
    Clock,
    ExpiringStore,
    format_timestamp,
    random_id,
)

TTL = 48 * 3600.0
MAX_REQUESTS = 500
# GET requests until it has ended: at the first one it is running.
POLLS_UNTIL_DONE = 2
NAMESPACE = "type.googleapis.com/google.ai.generativelanguage.v1main."


@dataclass(frozen=True, slots=True)
class BatchRequest:
    """One request of a batch; `label` identifies it in the results (`key`, `metadata`, `custom_id`)."""

    body: Json
    label: Json


@dataclass(frozen=True, slots=True)
class BatchResult:
    """`answer` is the response or the error."""

    answer: Json
    label: Json
    failed: bool


@dataclass(slots=True)
class Batch:
    """`run` executes one request, `write` converts the results into the output; they are called at the
    end."""

    name: str
    kind: str
    model: str
    display_name: str
    requests: list[BatchRequest]
    run: Callable[[Json], Json]
    write: Callable[[list[BatchResult]], Json]
    created: float
    size: int
    count: int
    polls: int = 0
    ended: float | None = None
    cancelled: bool = False
    output: Json = field(default_factory=dict[str, object])
    failed: int = 0

    @property
    def expires(self) -> float:
        return self.created + TTL

    def poll(self, now: float) -> None:
        """Moves to the next state, at each GET."""
        self.polls += 1
        if self.ended is None and self.polls >= POLLS_UNTIL_DONE:
            results = [self.result(request) for request in self.requests]
            self.failed = sum(result.failed for result in results)
            self.output, self.ended = self.write(results), now
            # The prompts are no longer needed, and may take most of the memory.
            self.requests = []

    def result(self, request: BatchRequest) -> BatchResult:
        try:
            return BatchResult(self.run(request.body), request.label, failed=False)
        except GoogleError as error:
            return BatchResult({"code": error.code, "message": error.message}, request.label, failed=True)

    def cancel(self, now: float) -> None:
        if self.ended is None:
            self.cancelled, self.ended = True, now

    @property
    def state(self) -> str:
        if self.cancelled:
            return "CANCELLED"
        if self.ended is not None:
            return "SUCCEEDED"
        return "RUNNING" if self.polls else "PENDING"


class Batches:
    """All batches, in both formats."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._batches = ExpiringStore[Batch](MAX_TOTAL_BYTES, clock)

    def start(
        self,
        kind: str,
        model: str,
        display_name: str,
        requests: list[BatchRequest],
        run: Callable[[Json], Json],
        write: Callable[[list[BatchResult]], Json],
        size: int,
    ) -> Batch:
        """Creates a batch. `size` is that of the requests, in bytes. Raises GoogleError (400)."""
        if not 1 <= len(requests) <= MAX_REQUESTS:
            raise invalid(f"A batch must have between 1 and {MAX_REQUESTS} requests here.")
        name, now = f"batches/{random_id(36)}", self._clock()
        batch = Batch(
            name, kind, model, display_name, requests, run, write, now, OVERHEAD_BYTES + size, len(requests)
        )
        self._batches.put(batch)
        return batch

    def poll(self, name: str) -> Batch:
        batch = self.require(name)
        batch.poll(self._clock())
        return batch

    def require(self, name: str) -> Batch:
        """Raises GoogleError (404)."""
        found = self._batches.get(name)
        if found is None:
            raise GoogleError(404, f"Batch {name} not found.")
        return found

    def cancel(self, name: str) -> None:
        self.require(name).cancel(self._clock())

    def drop(self, name: str) -> None:
        self._batches.drop(self.require(name).name)

    def all(self) -> list[Batch]:
        return self._batches.all()


def batch_resource(batch: Batch) -> Json:
    """The batch as Google's long-running operation, with the fields as recorded."""
    created = format_timestamp(batch.created)
    ended = format_timestamp(batch.ended) if batch.ended else ""
    # Google omits empty values: they are filtered below.
    metadata: Json = {
        "@type": f"{NAMESPACE}{batch.kind}Batch",
        "model": f"models/{batch.model}",
        "displayName": batch.display_name,
        "output": batch.output,
        "createTime": created,
        "endTime": ended,
        "updateTime": ended or created,
        "batchStats": batch_stats(batch),
        "state": f"BATCH_STATE_{batch.state}",
        "name": batch.name,
    }
    known: Json = {
        "name": batch.name,
        "metadata": {name: value for name, value in metadata.items() if value},
    }
    # 1 is CANCELLED (google.rpc.Code).
    if batch.cancelled:
        return known | {"done": True, "error": {"code": 1, "message": "Batch was cancelled."}}
    if batch.ended:
        known |= {"done": True, "response": {"@type": f"{NAMESPACE}{batch.kind}BatchOutput", **batch.output}}
    return known


def batch_stats(batch: Batch) -> Json:
    counts = {
        "requestCount": batch.count,
        "successfulRequestCount": batch.count - batch.failed if batch.output else 0,
        "failedRequestCount": batch.failed,
        "pendingRequestCount": 0 if batch.ended else batch.count,
    }
    # int64 is a string in protobuf's JSON, and zeros are left out.
    return {name: str(number) for name, number in counts.items() if number}
