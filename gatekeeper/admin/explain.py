"""`/key/explain`: whether a call would be admitted now."""

from __future__ import annotations

from ipaddress import ip_address
from typing import cast

import msgspec
from quart import Blueprint, Response

from gatekeeper.admin import explain_schemas
from gatekeeper.admin.field_values import read_count, read_text
from gatekeeper.admin.gateway import current_gateway
from gatekeeper.admin.key_names import find_key
from gatekeeper.admin.problems import invalid
from gatekeeper.admin.requests import Document, json_response, read_fields
from gatekeeper.keys.explanation import HypotheticalCall, explanation_document
from gatekeeper.openapi.operation import describe

blueprint = Blueprint("explain", __name__)

FOUR_BYTES = "and "  # a token, as of a prompt in English on average
MAX_TOKENS = 2_097_152  # the longest prompt that a model takes
DEFAULT_ACTION = "generateContent"


@blueprint.post("/key/explain")
@describe(explain_schemas.EXPLAIN)
async def explain() -> Response:
    """Whether this key's call would be admitted now, by the rules that a real one goes through; if not, the
    error that it would get; what it would reserve, and what is left of each limit that it counts for: the
    key's, its group's, its end user's, the gateway's. Nothing is sent, written or reserved.

    The call is given as `path` and `body`, or by `model` and what matters of its body."""
    fields = await read_fields()
    name = read_text(fields, "key")
    if name is None:
        raise invalid("key", "`key` is missing: a key's secret, token_id or alias", "a text")
    explained = await current_gateway().proxy.explain(find_key("key", name), _question(fields))
    return json_response(explanation_document(explained))


def _question(fields: Document) -> HypotheticalCall:
    return HypotheticalCall(
        method=(read_text(fields, "method") or "POST").upper(),
        path=_path(fields),
        body=_body(fields),
        tags=_tags(fields),
        user_id=read_text(fields, "user_id"),
        address=_address(fields),
    )


def _path(fields: Document) -> str:
    path, model, action = (read_text(fields, name) for name in ("path", "model", "action"))
    if path is not None:
        if model or action:
            raise invalid("path", "`path` has both model and action: give it, or those", "leave one out")
        return path if path.startswith("/") else f"/{path}"
    if model is None:
        raise invalid("model", "`model` is missing: name one, or give the `path` of the call", "a text")
    return f"/v1beta/models/{model.removeprefix('models/')}:{action or DEFAULT_ACTION}"


def _body(fields: Document) -> bytes:
    if (given := fields.get("body")) is not None:
        if "input_tokens" in fields or "max_output_tokens" in fields:
            raise invalid("body", "`body` is the whole request: give it, or the numbers", "leave one out")
        if not isinstance(given, dict):
            raise invalid("body", "`body` is the JSON object that would be sent", "a JSON object")
        return msgspec.json.encode(given)
    limit = read_count(fields, "max_output_tokens", MAX_TOKENS)
    settings = {} if limit is None else {"generationConfig": {"maxOutputTokens": limit}}
    prompt = FOUR_BYTES * (read_count(fields, "input_tokens", MAX_TOKENS) or 0)
    return msgspec.json.encode({"contents": [{"parts": [{"text": prompt}]}], **settings})


def _address(fields: Document) -> str:
    address = read_text(fields, "address")
    try:
        return "" if address is None else str(ip_address(address))
    except ValueError:
        allowed = "an IPv4 or IPv6 address, as 192.0.2.7"
        raise invalid("address", f"`address` is {allowed}", allowed) from None


def _tags(fields: Document) -> tuple[str, ...]:
    value: object = fields.get("tags") or []
    if not isinstance(value, list) or not all(isinstance(tag, str) for tag in cast("list[object]", value)):
        raise invalid("tags", "`tags` is a list of texts", "a list of texts")
    return tuple(cast("list[str]", value))
