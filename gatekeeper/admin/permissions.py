"""The role that each route of the admin API requires. A route that is missing here requires `admin`."""

from __future__ import annotations

from enum import Enum

from gatekeeper.keys.virtual_key import Role


class Open(Enum):
    """Permissions of routes that require no role."""

    TO_ALL = "all"
    """No authentication."""
    TO_OWN_KEY = "own"
    """Any key: one without a role reads its own data, one with a role everything."""


Permission = Role | Open

ROUTES: dict[str, Permission] = {
    "GET /": Open.TO_ALL,
    "GET /healthz": Open.TO_ALL,
    "GET /readyz": Open.TO_ALL,
    "GET /metrics": Open.TO_ALL,
    "GET /openapi.json": Open.TO_ALL,
    "GET /docs": Open.TO_ALL,
    "GET /docs.css": Open.TO_ALL,
    "GET /key/info": Open.TO_OWN_KEY,
    "GET /calls": Open.TO_OWN_KEY,
    "GET /calls/<call_id>": Open.TO_OWN_KEY,
    "GET /calls/stream": Open.TO_OWN_KEY,
    "GET /spend": Open.TO_OWN_KEY,
    "GET /key/list": Role.VIEWER,
    "GET /spend/tags": Role.VIEWER,
    "GET /spend/logs": Role.VIEWER,
    "GET /models": Role.VIEWER,
    "GET /prices": Role.VIEWER,
    "POST /prices/quote": Role.VIEWER,  # changes nothing
    "GET /settings": Role.VIEWER,
    "GET /audit": Role.VIEWER,
    "POST /sql": Role.VIEWER,  # one SELECT
    "POST /key/explain": Role.VIEWER,  # changes nothing
    "POST /key/generate": Role.OPERATOR,
    "POST /key/bulk": Role.OPERATOR,
    "POST /key/update": Role.OPERATOR,
    "POST /key/block": Role.OPERATOR,
    "POST /key/unblock": Role.OPERATOR,
    "POST /key/regenerate": Role.OPERATOR,
    "POST /key/end_grace": Role.OPERATOR,
    "POST /key/delete": Role.OPERATOR,
    "GET /group/info": Role.VIEWER,
    "GET /group/list": Role.VIEWER,
    "POST /group/generate": Role.OPERATOR,
    "POST /group/update": Role.OPERATOR,
    "POST /group/block": Role.OPERATOR,
    "POST /group/unblock": Role.OPERATOR,
    "POST /group/delete": Role.OPERATOR,
    "GET /user/info": Role.VIEWER,
    "GET /user/list": Role.VIEWER,
    "POST /user/generate": Role.OPERATOR,
    "POST /user/update": Role.OPERATOR,
    "POST /user/block": Role.OPERATOR,
    "POST /user/unblock": Role.OPERATOR,
    "POST /user/delete": Role.OPERATOR,
    "GET /google_key/list": Role.VIEWER,
    "POST /google_key/add": Role.ADMIN,
    "POST /google_key/drain": Role.ADMIN,
    "POST /google_key/resume": Role.ADMIN,
    "POST /google_key/remove": Role.ADMIN,
    "POST /import": Role.ADMIN,  # it sets the spend
    "POST /sql/lend": Role.ADMIN,  # whoever has the file may change it
    "POST /sql/return": Role.ADMIN,
}


def permission_of(method: str, rule: str | None) -> Permission:
    """The permission for a method and the URL rule that matches the path. `rule` None: there is none, and a
    caller who may read everything gets the 404."""
    if rule is None or method == "OPTIONS":
        return Role.VIEWER
    return ROUTES.get(f"{'GET' if method == 'HEAD' else method} {rule}", Role.ADMIN)
