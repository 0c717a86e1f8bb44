"""The documentation of the admin API: `/openapi.json`, and `/docs` as a page. Both need no key: they contain
the same as the project's documentation, and nothing about this gateway except its version. The page is HTML
and CSS without scripts, so it works offline and under any content security policy.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.resources import files

from quart import Blueprint, Quart, Response, current_app, request

from gatekeeper import __version__
from gatekeeper.admin.access import current_gateway
from gatekeeper.admin.gemini_path import SECURITY_SCHEMES, gemini_paths
from gatekeeper.admin.parameters import HEADERS, PARAMETERS, PATH_PARAMETERS
from gatekeeper.admin.permissions import Open, Permission, permission_of
from gatekeeper.admin.requests import json_response, read_query
from gatekeeper.admin.status import REASONS, WARNINGS
from gatekeeper.keys.virtual_key import Role
from gatekeeper.openapi.document import (
    ApiDescription,
    Document,
    Operation,
    Route,
    describe,
    openapi_document,
    operation_of,
)
from gatekeeper.openapi.page import html_page
from gatekeeper.openapi.schema import (
    anything,
    array,
    boolean,
    component,
    integer,
    members,
    text,
)
from gatekeeper.public_url import public_base

blueprint = Blueprint("documentation", __name__)

CONTENT_POLICY = (
    "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
TAGS = {
    "status": "The gateway, and whether it is well.",
    "settings": "What the gateway runs with.",
    "keys": "Virtual keys.",
    "key_bulk": "Many virtual keys at once.",
    "groups": "Limits and budgets of groups of keys.",
    "users": "Limits and budgets of end users.",
    "google_keys": "The gateway's own Google keys.",
    "imports": "Keys of another gateway.",
    "audit": "Who changed what.",
    "explain": "Whether a call would be admitted.",
    "calls": "Calls to `/gemini`, and queries on them.",
    "spend": "What calls cost, and prices.",
    "quotes": "What a call would cost.",
    "documentation": "This description.",
    "gemini": "Google's API, with a virtual key.",
}
"""The descriptions of the blueprints."""
_PATH_PARAMETER = re.compile(r"<(?:\w+:)?(\w+)>")

FAULT = members(
    "What is wrong with one of several.",
    {
        "list": text("Of /import: the list.", "keys"),
        "index": integer("Its place in the list, counted from 0.", 3),
        "field": text("The field.", "max_budget"),
        "detail": text("What is wrong, and what is allowed.", "`max_budget` cannot be -1"),
    },
    optional=("list",),
)
PROBLEM = component(
    "Problem",
    members(
        "An error: a problem document (RFC 9457).",
        {
            "type": text("Always about:blank.", "about:blank"),
            "title": text("The phrase of the status.", "Bad Request"),
            "status": integer("The HTTP status.", 400),
            "detail": text(
                "What is wrong, and what is allowed.", "`limit`: give a whole number from 1 to 1000"
            ),
            "field": text("The field, parameter or header that is meant.", "limit"),
            "allowed": {
                "type": ["string", "array"],
                "items": {"type": "string"},
                "description": "What is allowed there.",
                "examples": ["give a whole number from 1 to 1000"],
            },
            "column": integer("Where a filter does not parse, counted from 1.", 7),
            "needs": text("The role that may do it.", "operator"),
            "faults": array("Of /key/bulk and /import: what is wrong with which.", FAULT),
            "ready": boolean("Of /readyz.", example=False),
            "reasons": REASONS,
            "warnings": WARNINGS,
        },
        optional=("field", "allowed", "column", "needs", "faults", "ready", "reasons", "warnings"),
    ),
)
OPENAPI = Operation(
    "Describe the API", anything("An OpenAPI 3.1 document.", {"openapi": "3.1.0"}) | {"type": "object"}
)
PAGE = Operation("Show the description", text("A page.", "<!doctype html>"), media_type="text/html")
CSS = Operation("Its style", text("A style sheet.", "body {}"), media_type="text/css")


@blueprint.get("/openapi.json")
@describe(OPENAPI)
async def openapi() -> Response:
    """This document, generated from the tables that requests are validated with."""
    read_query()
    return json_response(api_document(current_app))


@blueprint.get("/docs")
@describe(PAGE)
async def docs() -> Response:
    """The OpenAPI document as an HTML page, without scripts."""
    read_query()
    response = Response(
        html_page(api_document(current_app), "docs.css"), content_type="text/html; charset=utf-8"
    )
    response.headers["Content-Security-Policy"] = CONTENT_POLICY
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response


@blueprint.get("/docs.css")
@describe(CSS)
async def stylesheet() -> Response:
    """The style sheet of that page."""
    read_query()
    return Response(
        files("gatekeeper.openapi").joinpath("page.css").read_bytes(), content_type="text/css; charset=utf-8"
    )


def api_document(app: Quart) -> Document:
    api = ApiDescription(
        info={
            "title": "gatekeeper",
            "version": __version__,
            "license": {"name": "Apache 2.0", "identifier": "Apache-2.0"},
            "description": (
                "The admin API of gatekeeper, and its way to Google's Gemini API. Money is a string with the "
                "exact decimal, null is unknown and never 0. Times are ISO 8601 in UTC. An unknown field or "
                "parameter is an error that names it."
            ),
        },
        security=[{"bearer": []}],
        security_schemes={
            "bearer": {
                "type": "http",
                "scheme": "bearer",
                "description": (
                    "The master key, or a virtual key with a role; one without a role sees its own data. "
                    "None in open mode. On /gemini a virtual key."
                ),
            },
            **SECURITY_SCHEMES,
        },
        parameters={name: parameter.schema for name, parameter in PARAMETERS.items()},
        headers=HEADERS,
        path_parameters=PATH_PARAMETERS,
        problem=PROBLEM,
        statuses=(400,),
        guarded_statuses=(401, 403),
        body_statuses=(408, 413),
        paths=gemini_paths(),
        tags=TAGS,
    )
    base = public_base(request.scope, current_gateway().settings)
    return {**openapi_document(api, described_routes(app)), "servers": [{"url": base}]}


def described_routes(app: Quart) -> Iterator[Route]:
    """The routes of the app. Raises LookupError for one without a description."""
    for rule in app.url_map.iter_rules():
        view = app.view_functions[rule.endpoint]
        operation = operation_of(view)
        if operation is None:
            raise LookupError(f"{rule.rule} has no description: give its view one (`describe`)")
        names = tuple(_PATH_PARAMETER.findall(rule.rule))
        # HEAD and OPTIONS are implied.
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
            path = _PATH_PARAMETER.sub(r"{\1}", rule.rule)
            access = _access(permission_of(method, rule.rule))
            yield Route(path, names, method, rule.endpoint, view, operation, access)


def _access(permission: Permission) -> str | None:
    match permission:
        case Open.TO_ALL:
            return None
        case Open.TO_OWN_KEY:
            return "A virtual key without a role sees its own data only."
        case Role():
            return f"Needs the master key, or a key with the role `{permission}`."
