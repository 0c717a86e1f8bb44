"""Methods of the PaLM API, which Google has switched off: no model supports them any more."""

from __future__ import annotations

from gatekeeper.sandbox.errors import model_not_found
from gatekeeper.sandbox.routing import Parameters, Route
from gatekeeper.sandbox.wire import HttpResponse, Request

METHODS = (
    "generateText",
    "generateMessage",
    "generateAnswer",
    "embedText",
    "batchEmbedText",
    "countTextTokens",
    "countMessageTokens",
)


def refuse(request: Request, at: Parameters) -> HttpResponse:
    raise model_not_found(at.name, at.version, request.path.rpartition(":")[2])


LEGACY_ROUTES = tuple(
    Route("POST", f"/{{v}}/{kind}/{{id}}:{method}", refuse)
    for kind in ("models", "tunedModels")
    for method in METHODS
)
