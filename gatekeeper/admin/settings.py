"""`/settings`: the settings in effect. Of a secret it only shows whether it is set."""

from __future__ import annotations

from pathlib import Path

from quart import Blueprint, Response

from gatekeeper.admin.access import current_gateway
from gatekeeper.admin.requests import json_response, read_query
from gatekeeper.openapi.document import Operation, describe
from gatekeeper.openapi.schema import (
    component,
    mapping,
    members,
    text,
    time,
)
from gatekeeper.setting_definitions import SETTINGS, Setting
from gatekeeper.settings import Settings, masked
from gatekeeper.times import iso

blueprint = Blueprint("settings", __name__)

HIDDEN = "…"
_SETTINGS = component(
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
SHOW_SETTINGS = Operation("Show the settings", _SETTINGS)


@blueprint.get("/settings")
@describe(SHOW_SETTINGS)
async def show() -> Response:
    """The settings in effect, and the source of each: a flag, an environment variable, a file, or `default`.
    Paths are those on the gateway's machine. A secret is not shown, only whether it is set."""
    read_query()
    gateway = current_gateway()
    settings = gateway.settings
    return json_response(
        {
            "time": iso(gateway.now_micros()),
            "settings": {
                setting.name: {
                    "value": setting_value(settings, setting),
                    "source": settings.sources[setting.name],
                }
                for setting in SETTINGS
            },
        }
    )


def setting_value(settings: Settings, setting: Setting) -> str | float | bool | None:
    """The value as JSON: numbers and booleans as such, everything else as a string; null if it is not set."""
    match getattr(settings, setting.name):
        case None:
            return None
        # Before the cases that use the value.
        case _ if setting.secret:
            return HIDDEN
        case bool() | int() | float() as plain:
            return plain
        case Path() as path:
            return str(path.absolute())
        case value:
            return masked(setting, value)
