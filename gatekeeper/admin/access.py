"""Who may use the admin API.

With a master key: whoever shows it, as a bearer token and in no other way; wrong ones are counted and slowed
(`keys.secrets`). Without one, in open mode, nobody is asked, and `browser` keeps other sites' pages out.
"""

from __future__ import annotations

from http import HTTPStatus

from quart import request

from gatekeeper.addresses import foreign
from gatekeeper.admin.gateway import gateway
from gatekeeper.admin.problems import Problem
from gatekeeper.keys.secrets import hash_secret, matches_master

UNGUARDED = frozenset({"/", "/healthz", "/readyz"})


async def check_access() -> None:
    """Raises Problem (401, 403) for a request that may not go on."""
    if request.path in UNGUARDED:
        return
    master = gateway().settings.master_key
    if master is None:
        _check_browser()
    else:
        await _check_bearer(master)


async def _check_bearer(master: str) -> None:
    scheme, _, token = request.headers.get("Authorization", "").strip().partition(" ")
    secret = token.strip() if scheme.lower() == "bearer" else ""
    if not secret:
        raise _unauthorised(
            "The admin API needs the master key: send the header Authorization: Bearer MASTER"
        )
    if matches_master(secret, master):
        return
    if gateway().registry.by_hash(hash_secret(secret)):
        raise Problem(
            HTTPStatus.FORBIDDEN,
            "This is a virtual key: it may call /gemini, the admin API takes the master key only",
        )
    await gateway().proxy.context.failures.hold_back(request.remote_addr or "")
    raise _unauthorised("This is not the master key: it is what GATEKEEPER_MASTER_KEY was when serve started")


def _unauthorised(detail: str) -> Problem:
    return Problem(HTTPStatus.UNAUTHORIZED, detail, headers={"WWW-Authenticate": 'Bearer realm="gatekeeper"'})


def _check_browser() -> None:
    headers = request.headers
    if why := foreign(headers.get("Host", ""), headers.get("Origin"), headers.get("Sec-Fetch-Site")):
        raise Problem(HTTPStatus.FORBIDDEN, why)
