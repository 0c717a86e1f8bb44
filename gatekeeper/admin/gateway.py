"""How a request finds the gateway that it is about."""

from __future__ import annotations

from typing import cast

from quart import current_app

from gatekeeper.gateway import Gateway

NAME = "gatekeeper"


def current_gateway() -> Gateway:
    """The gateway of the current request."""
    return cast("Gateway", current_app.extensions[NAME])
