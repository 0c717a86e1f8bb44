"""Tuned models (https://ai.google.dev/api/tuning): an operation creates one, which then responds like its
base model; and its permissions."""

from __future__ import annotations

from gatekeeper.sandbox.batch_calls import BatchCalls
from gatekeeper.sandbox.calls import Calls
from gatekeeper.sandbox.collection import Collection
from gatekeeper.sandbox.errors import invalid
from gatekeeper.sandbox.google_json import Json, field, message, text
from gatekeeper.sandbox.http import HttpResponse, Request, json_response
from gatekeeper.sandbox.operations import Operations
from gatekeeper.sandbox.routing import Parameters, Respond, Route
from gatekeeper.sandbox.store import Clock, random_id

TUNED = "/{v}/tunedModels/{id}"
METADATA_TYPE = "type.googleapis.com/google.ai.generativelanguage.v1beta.CreateTunedModelMetadata"
TOTAL_STEPS = 100
DYNAMIC_MODEL = "gemini-3.8-flash"


class TunedModels:
    def __init__(self, clock: Clock, calls: Calls, batches: BatchCalls, operations: Operations) -> None:
        self._calls = calls
        self._batches = batches
        self._operations = operations
        self.models = Collection(clock, "tunedModels")
        self.permissions = Collection(clock, "tunedModels/{id}/permissions", parent=self.models)

    def routes(self) -> tuple[Route, ...]:
        dynamic = "/{v}/dynamic/{id}"
        return (
            # Before the routes of the collection, because the first match is used.
            Route("POST", "/{v}/tunedModels", self.create),
            Route("GET", TUNED, self.get),
            *self.models.routes(),
            *self.permissions.routes(),
            Route("POST", f"{TUNED}:transferOwnership", self.transfer),
            Route("POST", f"{TUNED}:generateContent", self.by_base(self._calls.generate)),
            Route("POST", f"{TUNED}:streamGenerateContent", self.by_base(self._calls.stream)),
            Route("POST", f"{TUNED}:batchGenerateContent", self.by_base(self._batches.generate)),
            Route("POST", f"{TUNED}:asyncBatchEmbedContent", self.by_base(self._batches.embed)),
            Route("POST", f"{dynamic}:generateContent", by_model(DYNAMIC_MODEL, self._calls.generate)),
            Route("POST", f"{dynamic}:streamGenerateContent", by_model(DYNAMIC_MODEL, self._calls.stream)),
        )

    def create(self, request: Request, _at: Parameters) -> HttpResponse:
        body = request.json()
        if not text(field(body, "baseModel")) or not message(field(body, "tuningTask")):
            raise invalid("* CreateTunedModelRequest.tuned_model: base_model and tuning_task are required\n")
        # Without the training data, which may be large, and which Google does not return.
        known = {name: value for name, value in body.items() if name not in ("tuningTask", "tuning_task")}
        record = self.models.make("tunedModels", known, self.models.wanted_id(request))
        metadata: Json = {"@type": METADATA_TYPE, "tunedModel": record.name, "totalSteps": TOTAL_STEPS}
        self.models.put(record.name, record.document | {"state": "ACTIVE"})
        name = f"{record.name}/operations/{random_id(12)}"
        return json_response(self._operations.start(name, record.document, metadata).resource())

    def get(self, _request: Request, at: Parameters) -> HttpResponse:
        """Gets a tuned model, which is CREATING until its operation is done."""
        found = self.models.require(at.path)
        running = self._operations.running(f"{found.name}/operations/")
        return json_response(found.document | ({"state": "CREATING"} if running else {}))

    def transfer(self, request: Request, at: Parameters) -> HttpResponse:
        self.models.require(at.path)
        if not text(field(request.json(), "emailAddress")):
            raise invalid("* TransferOwnershipRequest.email_address: email_address is required\n")
        return json_response({})

    def by_base(self, respond: Respond) -> Respond:
        """`respond` for the base model of the tuned one."""

        def answer(request: Request, at: Parameters) -> HttpResponse:
            base = text(field(self.models.require(at.path).document, "baseModel"))
            return by_model(base.removeprefix("models/"), respond)(request, at)

        return answer


def by_model(model: str, respond: Respond) -> Respond:
    return lambda request, at: respond(request, at._replace(names=(model,)))
