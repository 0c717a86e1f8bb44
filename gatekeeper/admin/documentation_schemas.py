"""The documents of the API's description as schemas."""

from __future__ import annotations

from gatekeeper.openapi.operation import Operation
from gatekeeper.openapi.schema import anything, text

OPENAPI = Operation(
    "Describe the API", anything("An OpenAPI 3.1 document.", {"openapi": "3.1.0"}) | {"type": "object"}
)
PAGE = Operation("Show the description", text("A page.", "<!doctype html>"), media_type="text/html")
CSS = Operation("Its style", text("A style sheet.", "body {}"), media_type="text/css")
