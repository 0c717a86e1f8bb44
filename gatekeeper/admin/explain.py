"""`/key/explain`: whether a call would be admitted now."""

from __future__ import annotations

from ipaddress import ip_address
from typing import cast

import msgspec
from quart import Blueprint, Response

from gatekeeper.admin.access import current_gateway
from gatekeeper.admin.gemini_path import REFUSAL
from gatekeeper.admin.key_requests import find_key
from gatekeeper.admin.key_schemas import KEY_NAME
from gatekeeper.admin.problems import invalid
from gatekeeper.admin.requests import Document, json_response, read_count, read_fields, read_text
from gatekeeper.keys.explanation import HypotheticalCall, explanation_document
from gatekeeper.openapi.document import Operation, describe
from gatekeeper.openapi.schema import (
    Schema,
    array,
    boolean,
    component,
    integer,
    mapping,
    members,
    money,
    nullable,
    text,
    texts,
)

blueprint = Blueprint("explain", __name__)

FOUR_BYTES = "and "  # about one token, as in an English prompt on average
MAX_TOKENS = 2_097_152  # the longest prompt that a model accepts
DEFAULT_ACTION = "generateContent"

_CALL: dict[str, Schema] = {
    "model": nullable(text("The model that would be called.", "gemini-2.5-flash", minLength=1)),
    "action": nullable(
        text("What would be called; without it generateContent.", "generateContent", minLength=1)
    ),
    "max_output_tokens": nullable(
        integer("The limit that the body would have.", 1024, minimum=0, maximum=2_097_152)
    ),
    "input_tokens": nullable(
        integer(
            "How long the prompt is; each token is taken for four bytes.", 2000, minimum=0, maximum=2_097_152
        )
    ),
    "path": nullable(
        text("Instead of model and action: the path after /gemini.", "/v1beta/interactions", minLength=1)
    ),
    "method": nullable(text("The method; without it POST.", "POST", minLength=1)),
    "body": nullable(mapping("The JSON object that would be sent.", {}, {"model": "gemini-2.5-flash"})),
    "tags": nullable(texts("Tags of the call.", "checkout")),
    "user_id": nullable(text("Its end user.", "user-17", minLength=1)),
    "address": nullable(text("The address that it would come from.", "192.0.2.7", minLength=1)),
}
QUESTION = component(
    "ExplainRequest",
    members(
        "A key and a call.",
        {"key": KEY_NAME, **_CALL},
        optional=_CALL,
        additionalProperties=False,
        examples=[{"key": "web-frontend", "model": "gemini-2.5-flash", "max_output_tokens": 1024}],
    ),
)


def _amount(meaning: str, example: str) -> Schema:
    return {"type": ["string", "integer"], "description": meaning, "examples": [example]}


_LEFT = members(
    "What is left of a limit.",
    {
        "whose": text("Whose limit it is.", "The key web-frontend"),
        "limit": text("Its name.", "max_budget"),
        "value": _amount("The limit: USD as a decimal string, or a count.", "50.000000000000"),
        "used": _amount("What is used of it, reservations of running calls included.", "1.204500000000"),
        "left": _amount("What is left.", "48.795500000000"),
        "resets_at": nullable(
            text("When it begins anew.", "2026-12-01T00:00:00.000000Z", format="date-time")
        ),
    },
)
EXPLANATION = component(
    "Explanation",
    members(
        "Whether the call would be admitted.",
        {
            "admitted": boolean("Whether it would.", example=True),
            "action": nullable(text("What is called.", "generateContent")),
            "model": nullable(text("The model, from the path or the body.", "gemini-2.5-flash")),
            "refusal": {
                **nullable(REFUSAL),
                "description": "The error that it would get; null if it is admitted.",
                "examples": [None],
            },
            "waits": boolean(
                "Whether it would first wait, some seconds at most, for other calls that hold what is left "
                "of a budget.",
                example=False,
            ),
            "reserves": nullable(
                money(
                    "What it would reserve of budgets (null: nothing, or not known yet), in",
                    "0.002860000000",
                )
            ),
            "left": array("What is left of each limit that it counts for.", _LEFT),
        },
    ),
)
EXPLAIN = Operation("Explain whether a call is admitted", EXPLANATION, QUESTION, problems=(404, 503))


@blueprint.post("/key/explain")
@describe(EXPLAIN)
async def explain() -> Response:
    """Whether this key's call would be admitted now, by the same rules as a real one; if not, the error that
    it would get; what it would reserve, and how much is left of each limit that applies to it: of the key,
    its group, its end user and the gateway. Nothing is sent, written or reserved.

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
