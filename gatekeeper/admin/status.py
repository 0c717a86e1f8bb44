"""Status: `/`, `/healthz`, `/readyz`, `/metrics`. They need no key, so they contain no secret, no path
and no virtual key's name."""

from __future__ import annotations

from quart import Blueprint, Response, request

from gatekeeper import __version__
from gatekeeper.admin import probes
from gatekeeper.admin.access import NAME, current_gateway
from gatekeeper.admin.google_keys import STATES
from gatekeeper.admin.requests import json_response, read_query
from gatekeeper.openapi.document import Operation, describe
from gatekeeper.openapi.schema import (
    array,
    boolean,
    choice,
    component,
    mapping,
    members,
    nullable,
    number,
    text,
    texts,
)
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

REASONS = texts("Why it takes no calls.")
WARNINGS = texts("Other problems.")

ROOT = component(
    "Root",
    members(
        "The gateway.",
        {
            "name": text("Always gatekeeper.", "gatekeeper"),
            "version": text("Its release.", "0.1.0"),
            "mode": text("`open`, or `master key`.", "master key"),
            "timezone": text("That of days and hours.", "UTC"),
            "sandbox": boolean("Whether the simulated API is behind it.", example=False),
            "upstream": nullable(
                text("The API behind it; null with the sandbox.", "https://generativelanguage.googleapis.com")
            ),
            "gemini": text("The base URL for clients.", "http://127.0.0.1:4000/gemini"),
            "links": mapping("Paths by name.", {"type": "string"}, {"keys": "/key/list"}),
        },
    ),
)
HEALTH = component("Health", members("It runs.", {"status": text("Always ok.", "ok")}))
READINESS = component(
    "Readiness",
    members(
        "It takes calls.",
        {
            "ready": boolean("Whether it does.", example=True),
            "reasons": REASONS,
            "warnings": WARNINGS,
            "google_keys": array(
                "The gateway's own Google keys.",
                members(
                    "One of them.",
                    {"label": text("Its label.", "team-a"), "state": choice("Its health.", STATES)},
                ),
            ),
            "analytics_lag_seconds": number(
                "Seconds since the first call ended that the analytics file lacks; sums have it.",
                0.4,
            ),
        },
    ),
)

SHOW_ROOT = Operation("Show the gateway", ROOT)
HEALTHZ = Operation("Liveness", HEALTH)
METRICS = Operation("Metrics", text("Metrics as text.", "gatekeeper_ready 1.0"), media_type="text/plain")
READYZ = Operation("Readiness", READINESS, problems=(503,))


@blueprint.get("/")
@describe(SHOW_ROOT)
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
@describe(HEALTHZ)
async def healthz() -> Response:
    """Liveness: always 200."""
    return json_response(probes.liveness(current_gateway()))


@blueprint.get("/readyz")
@describe(READYZ)
async def readyz() -> Response:
    """Readiness: whether calls are accepted. `reasons` say why not; `warnings` list other problems."""
    return json_response(probes.readiness(current_gateway()))


@blueprint.get("/metrics")
@describe(METRICS)
async def metrics() -> Response:
    """For Prometheus, in the exposition format that `Accept` asks for. Counters start with the process."""
    # Imported here: its library takes a sixth of the time in which the admin API loads.
    from gatekeeper.admin.metrics import expose

    read_query()
    gateway = current_gateway()
    counted = await gateway.ledger.current_metrics()
    body, media_type = expose(gateway, counted, request.headers.get("accept", ""))
    return Response(body, content_type=media_type)
