"""Whether it lives and what it is: `/`, `/healthz`, `/readyz`. These ask for no key, so they tell no secret,
no path and no name of a key."""

from __future__ import annotations

from collections.abc import Iterator
from http import HTTPStatus

from quart import Blueprint, Response, request

from gatekeeper import runtime
from gatekeeper.admin.gateway import NAME, gateway
from gatekeeper.admin.problems import Problem
from gatekeeper.admin.requests import answer, read_query
from gatekeeper.ledger.consumers import Follower
from gatekeeper.startup import version

blueprint = Blueprint("status", __name__)

LINKS = {
    "keys": "/key/list",
    "calls": "/calls",
    "stream": "/calls/stream",
    "spend": "/spend",
    "spend_top": "/spend?by=day,tag&top=8",
    "models": "/models",
    "prices": "/prices",
    "audit": "/audit",
    "health": "/healthz",
    "readiness": "/readyz",
}


@blueprint.get("/")
async def root() -> Response:
    """`gemini` is what stands in place of Google's address; `upstream` is null in front of the sandbox."""
    read_query()
    settings = gateway().settings
    return answer(
        {
            "name": NAME,
            "version": version(),
            "mode": settings.mode,
            "sandbox": settings.sandbox,
            "upstream": None if settings.sandbox else settings.upstream,
            "gemini": f"{request.host_url}gemini",
            "links": LINKS,
        }
    )


@blueprint.get("/healthz")
async def healthz() -> Response:
    """That this is answered says it all."""
    return answer({"status": "ok"})


@blueprint.get("/readyz")
async def readyz() -> Response:
    """Whether calls are taken. `reasons` say why not; `warnings` say what else is wrong."""
    reasons, warnings = list(faults()), list(troubles())
    if reasons:
        raise Problem(
            HTTPStatus.SERVICE_UNAVAILABLE,
            "; ".join(reasons),
            ready=False,
            reasons=reasons,
            warnings=warnings,
        )
    return answer({"ready": True, "reasons": reasons, "warnings": warnings})


def faults() -> Iterator[str]:
    if gateway().proxy.context.draining:
        yield "the gateway is stopping and takes no new calls"
    if not runtime.can_open_file():
        yield "the limit of open files is reached: no new connections are taken (raise ulimit -n)"
    if gateway().ledger.journal.fault:
        yield "the journal of calls cannot be written (is the disk full?)"
    if stuck := gateway().ledger.analytics.stuck:
        yield stuck


def troubles() -> Iterator[str]:
    ledger = gateway().ledger
    for follower in ledger.consumers.behind:
        size, seconds = follower.lag
        yield f"{behind(follower)} (it is {size:,} bytes of the journal behind, for {seconds:.0f} s)"
    for follower in ledger.consumers.with_gaps:
        calls = f"{follower.lost} call{'s' * (follower.lost > 1)}"
        yield f"{follower.name} lacks {calls}, which it did not take before the journal had to let go of them"
    if lines := ledger.journal.damaged_lines:
        yield f"{lines} damaged line{'s' * (lines > 1)} of the journal had to be skipped"
    if lost := ledger.journal.lost_refusals:
        yield f"{lost} refused call{'s' * (lost > 1)} came while the disk was full, and have no row"


def behind(follower: Follower) -> str:
    if follower is gateway().ledger.analytics.follower and follower.attempts.failing:
        return "the analytics file is damaged or cannot be written (see the log); the journal keeps the calls"
    return f"what reads the journal is behind (see the log): {follower.name}"
