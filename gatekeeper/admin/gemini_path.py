"""`/gemini/{rest}` in the OpenAPI document. Its requests are those of Google's API, so it is described only
once per method: the credentials, and the gateway's own errors."""

from __future__ import annotations

from itertools import groupby

from gatekeeper.openapi.schema import Document, array, choice, component, integer, mapping, members, text
from gatekeeper.refusals import STATUS

METHODS = ("get", "post", "put", "patch", "delete")
MEANING = """Google's Gemini API: the same method, path, query and body go to
https://generativelanguage.googleapis.com/{rest}, the same response comes back. Google's documentation says
what there is: https://ai.google.dev/api. `rest` is the whole path with its slashes, such as
`v1beta/models/gemini-2.5-flash:generateContent`. A WebSocket there is a session of the Live API."""

_EXAMPLE = {"contents": [{"parts": [{"text": "Hello"}]}]}

REFUSAL = component(
    "Refusal",
    members(
        "An error of the gateway in Google's form.",
        {
            "error": members(
                "As Google's errors.",
                {
                    "code": integer("The HTTP status.", 429),
                    "message": text(
                        "What is wrong, whose limit it is, what to do.", "The key web has spent …"
                    ),
                    "status": text("The name of google.rpc.Code.", "RESOURCE_EXHAUSTED"),
                    "details": array(
                        "The first has the reason; one of google.rpc.RetryInfo, when waiting helps.",
                        members(
                            "A google.rpc.ErrorInfo.",
                            {
                                "@type": text("", "type.googleapis.com/google.rpc.ErrorInfo"),
                                "reason": choice("Why.", STATUS),
                                "domain": text("Always gatekeeper.", "gatekeeper"),
                                "metadata": mapping(
                                    "The values.", {"type": "string"}, {"token_id": "key_01"}
                                ),
                            },
                            optional=("reason", "domain", "metadata"),
                        ),
                    ),
                },
            )
        },
    ),
)

SECURITY: list[dict[str, list[str]]] = [{"googleKeyHeader": []}, {"googleKeyQuery": []}, {"bearer": []}]
SECURITY_SCHEMES: Document = {
    "googleKeyHeader": {
        "type": "apiKey",
        "in": "header",
        "name": "x-goog-api-key",
        "description": "A virtual key, in Google's header.",
    },
    "googleKeyQuery": {
        "type": "apiKey",
        "in": "query",
        "name": "key",
        "description": "A virtual key, in Google's parameter.",
    },
}

_HEADERS = {
    "tags": "Tags of the call, joined by commas; also `x-gatekeeper-tags`, `x-litellm-tags`. Stays here.",
    "x-gatekeeper-user": "Its end user; also `x-litellm-end-user-id`. Stays here.",
}


def gemini_paths() -> Document:
    """The path item."""
    rest = {
        "name": "rest",
        "in": "path",
        "required": True,
        "description": "The path of Google's API.",
        "schema": {"type": "string", "examples": ["v1beta/models/gemini-2.5-flash:generateContent"]},
    }
    headers = [
        {"name": name, "in": "header", "description": meaning, "schema": {"type": "string"}}
        for name, meaning in _HEADERS.items()
    ]
    return {
        "/gemini/{rest}": {
            "summary": "Google's API",
            "description": MEANING,
            "parameters": [rest, *headers],
            **{method: _operation(method) for method in METHODS},
        }
    }


def _operation(method: str) -> Document:
    body = {"requestBody": {"content": {"application/json": {"schema": {}, "example": _EXAMPLE}}}}
    return {
        "operationId": f"gemini.{method}",
        "tags": ["gemini"],
        "summary": f"Call Google's API ({method.upper()})",
        "security": SECURITY,
        "responses": _responses(),
        **(body if method in ("post", "put", "patch") else {}),
    }


def _responses() -> Document:
    by_code = groupby(
        sorted(STATUS, key=lambda reason: STATUS[reason].code), lambda reason: STATUS[reason].code
    )
    refused = {
        str(code): {
            "description": f"Google's own error, or the gateway's: {', '.join(reasons)}.",
            "content": {"application/json": {"schema": REFUSAL}},
        }
        for code, reasons in by_code
    }
    ok = {"description": "Google's response, byte for byte.", "headers": {"x-gatekeeper-call-id": _CALL_ID}}
    return {"2XX": ok, **refused, "default": {"description": "Google's response."}}


_CALL_ID = {"description": "The `id` of the call.", "schema": {"type": "string", "format": "uuid"}}
