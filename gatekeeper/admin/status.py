"""Status: `/`, `/healthz`, `/readyz`, `/metrics`. They need no key, so they contain no secret, no path
and no virtual key's name."""

from __future__ import annotations

from quart import Blueprint, Response, request

from gatekeeper import __version__
from gatekeeper.admin import probes, status_schemas
from gatekeeper.admin.gateway import NAME, current_gateway
from gatekeeper.admin.requests import json_response, read_query
from gatekeeper.openapi.operation import describe
from gatekeeper.public_url import public_base

blueprint = Blueprint("status", __name__)

LINKS = {
    "keys": "/key/list",
    "groups": "/group/list",
    "users": "/user/list",
    "calls": "/calls",
    "stream": "/calls/stream",
    "spend": "/spend",
    "spend_top": "/spend?by=day,tag&top=8",
    "models": "/models",
    "prices": "/prices",
    "google_keys": "/google_key/list",
    "audit": "/audit",
    "settings": "/settings",
    "openapi": "/openapi.json",
    "docs": "/docs",
    "health": "/healthz",
    "readiness": "/readyz",
    "metrics": "/metrics",
}


@blueprint.get("/")
@describe(status_schemas.SHOW_ROOT)
async def root() -> Response:
    """`gemini` is the base URL to use instead of Google's; `upstream` is null with the sandbox; `timezone` is
    that of days and hours."""
    read_query()
    settings = current_gateway().settings
    return json_response(
        {
            "name": NAME,
            "version": __version__,
            "mode": settings.mode,
            "timezone": settings.timezone,
            "sandbox": settings.sandbox,
            "upstream": None if settings.sandbox else settings.upstream,
            "gemini": f"{public_base(request.scope, settings)}/gemini",
            "links": LINKS,
        }
    )


@blueprint.get("/healthz")
@describe(status_schemas.HEALTHZ)
async def healthz() -> Response:
    """Liveness: always 200."""
    return json_response(probes.liveness(current_gateway()))


@blueprint.get("/readyz")
@describe(status_schemas.READYZ)
async def readyz() -> Response:
    """Readiness: whether calls are accepted. `reasons` say why not; `warnings` list other problems."""
    return json_response(probes.readiness(current_gateway()))


@blueprint.get("/metrics")
@describe(status_schemas.METRICS)
async def metrics() -> Response:
    """For Prometheus, in the exposition format that `Accept` asks for. Counters start with the process."""
    # Imported here: its library takes a sixth of the time in which the admin API loads.
    from gatekeeper.admin.metrics import expose

    read_query()
    gateway = current_gateway()
    counted = await gateway.ledger.current_metrics()
    body, media_type = expose(gateway, counted, request.headers.get("accept", ""))
    return Response(body, content_type=media_type)
