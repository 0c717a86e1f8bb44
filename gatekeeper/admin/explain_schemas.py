"""The documents of `/key/explain` as schemas."""

from __future__ import annotations

from gatekeeper.admin.gemini_path import REFUSAL
from gatekeeper.admin.key_schemas import KEY_NAME
from gatekeeper.openapi.operation import Operation
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
