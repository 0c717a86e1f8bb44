"""The API key of a request: any is valid but the word `invalid`."""

from __future__ import annotations

from gatekeeper.sandbox.errors import invalid_key, missing_key
from gatekeeper.sandbox.wire import Request

INVALID_KEY = "invalid"


def check_key(request: Request) -> None:
    """Raises GoogleError."""
    if request.key is None:
        raise missing_key()
    if request.key == INVALID_KEY:
        raise invalid_key()
