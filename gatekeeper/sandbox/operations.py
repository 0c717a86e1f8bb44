"""Long-running operations (https://ai.google.dev/api/batch-api#Operation): they are not done at the first GET
and done at the next, so that a client's polling is exercised and takes no time."""

from __future__ import annotations

from dataclasses import dataclass, field

from gatekeeper.sandbox.errors import GoogleError
from gatekeeper.sandbox.google_json import Json
from gatekeeper.sandbox.http import HttpResponse, Request, json_response
from gatekeeper.sandbox.routing import Parameters, Route
from gatekeeper.sandbox.store import Clock, ExpiringStore, page

TTL = 48 * 3600.0
MAX_OPERATIONS = 1000
POLLS_UNTIL_DONE = 1
# The collections whose resources have operations.
PARENTS = ("models", "tunedModels", "corpora", "fileSearchStores", "ragStores", "generatedFiles")
PATHS = tuple(f"/{{v}}/{parent}/{{id}}/operations" for parent in PARENTS) + tuple(
    f"/{{v}}/{parent}/{{id}}/upload/operations" for parent in ("fileSearchStores", "ragStores")
)


@dataclass(slots=True)
class Operation:
    """A long-running operation; `response` is returned when it is done."""

    name: str
    response: Json
    expires: float
    metadata: Json = field(default_factory=dict[str, object])
    polls_until_done: int = POLLS_UNTIL_DONE
    cancelled: bool = False
    size: int = 1

    def resource(self) -> Json:
        known: Json = {"name": self.name, **({"metadata": self.metadata} if self.metadata else {})}
        # 1 is CANCELLED (google.rpc.Code).
        if self.cancelled:
            return known | {"done": True, "error": {"code": 1, "message": "Operation was cancelled."}}
        return known if self.polls_until_done else known | {"done": True, "response": self.response}


class Operations:
    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._operations = ExpiringStore[Operation](MAX_OPERATIONS, clock)

    def routes(self) -> tuple[Route, ...]:
        return (
            *(Route("GET", path, self.list) for path in PATHS),
            *(Route("GET", f"{path}/{{id}}", self.get) for path in PATHS),
            *(Route("POST", f"{path}/{{id}}:cancel", self.cancel) for path in PATHS),
            Route("GET", "/{v}/operations/{id}", self.get),
            Route("DELETE", "/{v}/operations/{id}", self.delete),
        )

    def start(self, name: str, response: Json, metadata: Json | None = None) -> Operation:
        operation = Operation(name, response, self._clock() + TTL, metadata or {})
        self._operations.put(operation)
        return operation

    def running(self, prefix: str) -> bool:
        """Whether an operation with this prefix in its name is not done yet."""
        found = [item for item in self._operations.all() if item.name.startswith(prefix)]
        return any(item.polls_until_done and not item.cancelled for item in found)

    def require(self, name: str) -> Operation:
        """Raises GoogleError (404)."""
        found = self._operations.get(name)
        if found is None:
            raise GoogleError(404, f"Operation {name} not found.")
        return found

    def get(self, _request: Request, at: Parameters) -> HttpResponse:
        operation = self.require(at.path)
        # The state at this GET; the next one gets the next state.
        document = operation.resource()
        operation.polls_until_done = max(0, operation.polls_until_done - 1)
        return json_response(document)

    def list(self, request: Request, at: Parameters) -> HttpResponse:
        found = [item for item in self._operations.all() if item.name.startswith(f"{at.path}/")]
        some, more = page(found, request.query.get("pageSize"), request.query.get("pageToken"))
        listed: Json = {"operations": [item.resource() for item in some]} if some else {}
        return json_response(listed | more)

    def cancel(self, _request: Request, at: Parameters) -> HttpResponse:
        operation = self.require(at.path)
        operation.cancelled = operation.polls_until_done > 0
        return json_response({})

    def delete(self, _request: Request, at: Parameters) -> HttpResponse:
        self._operations.drop(self.require(at.path).name)
        return json_response({})
