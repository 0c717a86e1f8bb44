"""The probes `/healthz` and `/readyz`. They do not need Quart, so a gateway that only relays calls and is
probed does not load it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from http import HTTPStatus

from hypercorn.typing import ASGISendCallable, HTTPScope

from gatekeeper import runtime
from gatekeeper.admin.problems import Problem, send_document
from gatekeeper.gateway import Gateway
from gatekeeper.keys.google_key_health import KeyHealth
from gatekeeper.ledger.consumers import Subscription

Document = dict[str, object]


def liveness(_: Gateway) -> Document:
    """The liveness probe: the process runs."""
    return {"status": "ok"}


def readiness(gateway: Gateway) -> Document:
    """The readiness probe: the gateway accepts calls. Raises Problem (503) if it does not."""
    reasons, warnings = list(not_ready_reasons(gateway)), list(_warnings(gateway))
    if reasons:
        raise Problem(
            HTTPStatus.SERVICE_UNAVAILABLE,
            "; ".join(reasons),
            ready=False,
            reasons=reasons,
            warnings=warnings,
        )
    told = [{"label": each.label, "state": each.state} for each in _google_key_health(gateway)]
    behind = round(gateway.ledger.analytics.subscription.lag_seconds, 1)
    return {
        "ready": True,
        "reasons": reasons,
        "warnings": warnings,
        "google_keys": told,
        "analytics_lag_seconds": behind,
    }


Probe = Callable[[Gateway], Document]
PROBES: dict[bytes, Probe] = {b"/healthz": liveness, b"/readyz": readiness}
BODY_FIELDS = frozenset((b"content-length", b"transfer-encoding"))


def probe_of(scope: HTTPScope) -> Probe | None:
    """The probe for a request; None if Quart must handle the request."""
    is_plain = scope["method"] in ("GET", "HEAD") and not scope["query_string"]
    if not is_plain or any(name in BODY_FIELDS for name, _ in scope["headers"]):
        return None
    # The undecoded path: Quart handles any other spelling.
    return PROBES.get(scope["raw_path"])


async def answer_probe(probe: Probe, gateway: Gateway, send: ASGISendCallable) -> None:
    """Sends the response that Quart would send."""
    try:
        status, document = HTTPStatus.OK, probe(gateway)
    except Problem as problem:
        status, document = problem.status, problem.document()
    await send_document(status, document, send)


def _google_key_health(gateway: Gateway) -> list[KeyHealth]:
    return gateway.google_keys.pool.health(gateway.now_micros())


def not_ready_reasons(gateway: Gateway) -> Iterator[str]:
    """Why the gateway does not accept calls."""
    if gateway.proxy.context.draining:
        yield "the gateway is stopping and takes no new calls"
    if not runtime.can_open_file():
        yield "the limit of open files is reached: no new connections are taken (raise ulimit -n)"
    if gateway.ledger.journal.error:
        yield "the journal of calls cannot be written (is the disk full?)"
    if stuck := gateway.ledger.analytics.stalled_reason:
        yield stuck


def _warnings(gateway: Gateway) -> Iterator[str]:
    for health in _google_key_health(gateway):
        if health.state == "refused":
            yield f"Google refuses the Google key {health.label}: put a valid one in its place"
    pool = gateway.google_keys.pool
    # A single key is used in any case.
    if len(pool) > 1 and pool.all_out(gateway.now_micros()):
        yield "no Google key takes calls now (GET /google_key/list says why, and until when)"
    ledger = gateway.ledger
    for subscription in ledger.consumers.lagging:
        size, seconds = subscription.lag
        behind = f"{size:,} bytes of the journal behind, for {seconds:.0f} s"
        yield f"{_lag_warning(gateway, subscription)} ({behind})"
    for subscription in ledger.consumers.with_lost_calls:
        calls = f"{subscription.lost} call{'s' * (subscription.lost > 1)}"
        yield f"{subscription.name} lacks {calls}, which the journal deleted before it had consumed them"
    if lines := ledger.journal.damaged_lines:
        yield f"{lines} damaged line{'s' * (lines > 1)} of the journal had to be skipped"
    if lost := ledger.journal.lost_refused_calls:
        yield f"{lost} refused call{'s' * (lost > 1)} came while the disk was full, and have no row"


def _lag_warning(gateway: Gateway, subscription: Subscription) -> str:
    if subscription is gateway.ledger.analytics.subscription and subscription.retries.failing:
        return "the analytics file is damaged or cannot be written (see the log); the journal keeps the calls"
    return f"a consumer of the journal lags behind (see the log): {subscription.name}"
