"""The documents of the gateway's state, and of its errors, as schemas."""

from __future__ import annotations

from gatekeeper.admin.google_key_schemas import STATES
from gatekeeper.openapi.operation import Operation
from gatekeeper.openapi.schema import (
    array,
    boolean,
    choice,
    component,
    integer,
    mapping,
    members,
    nullable,
    number,
    text,
    texts,
    time,
)

REASONS = texts("Why it takes no calls.")
WARNINGS = texts("Other problems.")

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

SETTINGS = component(
    "Settings",
    members(
        "What the gateway runs with.",
        {
            "time": time("The time of its clock."),
            "settings": mapping(
                "The settings in effect, by name.",
                members(
                    "One of them.",
                    {
                        "value": {
                            "type": ["string", "number", "boolean", "null"],
                            "description": "Its value; of a secret only that it is set; null: not set.",
                            "examples": ["127.0.0.1"],
                        },
                        "source": text("A flag, an environment variable, a file, or default.", "--host"),
                    },
                ),
                {"host": {"value": "127.0.0.1", "source": "default"}},
            ),
        },
    ),
)

SHOW_ROOT = Operation("Show the gateway", ROOT)
HEALTHZ = Operation("Liveness", HEALTH)
METRICS = Operation("Metrics", text("Metrics as text.", "gatekeeper_ready 1.0"), media_type="text/plain")
SHOW_SETTINGS = Operation("Show the settings", SETTINGS)
READYZ = Operation("Readiness", READINESS, problems=(503,))
