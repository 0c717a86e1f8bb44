"""Status: `/`, `/healthz`, `/readyz`. They need no key, so they contain no secret, no path and no virtual
key's name."""

from __future__ import annotations

from collections.abc import Iterator
from http import HTTPStatus

from quart import Blueprint, Response, request

from gatekeeper import runtime
from gatekeeper.admin import status_documents
from gatekeeper.admin.gateway import NAME, current_gateway
from gatekeeper.admin.problems import Problem
from gatekeeper.admin.requests import json_response, read_query
from gatekeeper.keys.google_key_health import KeyHealth
from gatekeeper.ledger.consumers import Follower
from gatekeeper.openapi.operation import describe
from gatekeeper.public_url import public_base
from gatekeeper.startup import version

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
    "openapi": "/openapi.json",
    "docs": "/docs",
    "health": "/healthz",
    "readiness": "/readyz",
}


@blueprint.get("/")
@describe(status_documents.SHOW_ROOT)
async def root() -> Response:
    """`gemini` is the base URL to use instead of Google's; `upstream` is null with the sandbox; `timezone` is
    that of days and hours."""
    read_query()
    settings = current_gateway().settings
    return json_response(
        {
            "name": NAME,
            "version": version(),
            "mode": settings.mode,
            "timezone": settings.timezone,
            "sandbox": settings.sandbox,
            "upstream": None if settings.sandbox else settings.upstream,
            "gemini": f"{public_base(request.scope, settings)}/gemini",
            "links": LINKS,
        }
    )


@blueprint.get("/healthz")
@describe(status_documents.HEALTHZ)
async def healthz() -> Response:
    """Liveness: always 200."""
    return json_response({"status": "ok"})


@blueprint.get("/readyz")
@describe(status_documents.READYZ)
async def readyz() -> Response:
    """Readiness: whether calls are accepted. `reasons` say why not; `warnings` list other problems."""
    reasons, warnings = list(not_ready_reasons()), list(readiness_warnings())
    if reasons:
        raise Problem(
            HTTPStatus.SERVICE_UNAVAILABLE,
            "; ".join(reasons),
            ready=False,
            reasons=reasons,
            warnings=warnings,
        )
    told = [{"label": each.label, "state": each.state} for each in google_key_health()]
    return json_response({"ready": True, "reasons": reasons, "warnings": warnings, "google_keys": told})


def google_key_health() -> list[KeyHealth]:
    gateway = current_gateway()
    return gateway.google_keys.pool.health(gateway.now_micros())


def not_ready_reasons() -> Iterator[str]:
    if current_gateway().proxy.context.draining:
        yield "the gateway is stopping and takes no new calls"
    if not runtime.can_open_file():
        yield "the limit of open files is reached: no new connections are taken (raise ulimit -n)"
    if current_gateway().ledger.journal.error:
        yield "the journal of calls cannot be written (is the disk full?)"
    if stuck := current_gateway().ledger.analytics.stalled_reason:
        yield stuck


def readiness_warnings() -> Iterator[str]:
    for health in google_key_health():
        if health.state == "refused":
            yield f"Google refuses the Google key {health.label}: put a valid one in its place"
    pool = current_gateway().google_keys.pool
    # A single one is asked all the same.
    if len(pool) > 1 and pool.all_out(current_gateway().now_micros()):
        yield "no Google key takes calls now (GET /google_key/list says why, and until when)"
    ledger = current_gateway().ledger
    for follower in ledger.consumers.lagging:
        size, seconds = follower.lag
        yield f"{lag_warning(follower)} ({size:,} bytes of the journal behind, for {seconds:.0f} s)"
    for follower in ledger.consumers.with_lost_calls:
        calls = f"{follower.lost} call{'s' * (follower.lost > 1)}"
        yield f"{follower.name} lacks {calls}, which which the journal deleted before it had consumed them"
    if lines := ledger.journal.damaged_lines:
        yield f"{lines} damaged line{'s' * (lines > 1)} of the journal had to be skipped"
    if lost := ledger.journal.lost_refused_calls:
        yield f"{lost} refused call{'s' * (lost > 1)} came while the disk was full, and have no row"


def lag_warning(follower: Follower) -> str:
    if follower is current_gateway().ledger.analytics.follower and follower.retries.failing:
        return "the analytics file is damaged or cannot be written (see the log); the journal keeps the calls"
    return f"a consumer of the journal lags behind (see the log): {follower.name}"
