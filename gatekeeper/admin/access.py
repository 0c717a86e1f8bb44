"""Who may use the admin API.

With a master key: whoever shows it, as a bearer token and in no other way. Without one, in open mode, nobody
is asked. The gateway then listens on loopback only, but the browser on this machine is there too, running
other people's pages. Two checks keep those out: a page that had its own name resolve to 127.0.0.1 (DNS
rebinding) sends that name as `Host`, and any other page's form or script sends its `Origin`.
"""

from __future__ import annotations

import ipaddress
from http import HTTPStatus
from urllib.parse import urlsplit

from quart import request

from gatekeeper.admin.gateway import gateway
from gatekeeper.admin.problems import Problem
from gatekeeper.keys.secrets import hash_secret, matches_master
from gatekeeper.settings import is_loopback

UNGUARDED = frozenset({"/", "/healthz", "/readyz"})


async def check_access() -> None:
    """Raises Problem (401, 403) for a request that may not go on."""
    if request.path in UNGUARDED:
        return
    master = gateway().settings.master_key
    if master is None:
        _check_browser()
    else:
        _check_bearer(master)


def _check_bearer(master: str) -> None:
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
    raise _unauthorised("This is not the master key: it is what GATEKEEPER_MASTER_KEY was when serve started")


def _unauthorised(detail: str) -> Problem:
    return Problem(HTTPStatus.UNAUTHORIZED, detail, headers={"WWW-Authenticate": 'Bearer realm="gatekeeper"'})


def _check_browser() -> None:
    host = request.headers.get("Host", "")
    if not _is_local_name(_hostname(f"//{host}")):
        raise _stranger(
            f"The Host {host!r} is neither an IP address nor localhost",
            "a page on the web can make its own name point to this machine",
        )
    origin = request.headers.get("Origin")
    if origin is not None and not is_loopback(_hostname(origin)):
        raise _stranger(
            f"The Origin {origin!r} is not of this machine", "a page on the web can send requests here"
        )


def _stranger(what: str, why: str) -> Problem:
    remedy = "Use http://127.0.0.1 from this machine, or set GATEKEEPER_MASTER_KEY and send it"
    return Problem(HTTPStatus.FORBIDDEN, f"{what}. Without a master key that is refused: {why}. {remedy}")


def _hostname(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def _is_local_name(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return host == "localhost"
    return True
