"""The documents of the gateway's own Google keys as schemas."""

from __future__ import annotations

from gatekeeper.google_key import GLOB, LABEL, MAX_PER_MINUTE, MAX_WEIGHT, SECRET
from gatekeeper.openapi.operation import Operation
from gatekeeper.openapi.schema import (
    array,
    boolean,
    choice,
    component,
    integer,
    members,
    nullable,
    number,
    text,
    texts,
)

STATES = ("ok", "full", "returning", "cooling", "refused", "draining")
SOURCES = ("settings", "api")

_LABEL = text("Its label, which rows of calls have.", "team-a", pattern=f"^{LABEL.pattern}$")
_MODELS = array(
    "Globs of the models that it is used for.",
    {"type": "string", "pattern": f"^{GLOB.pattern}$"},
    minItems=1,
    examples=[["gemini-2.5-*"]],
)
_NEW = {
    "label": _LABEL,
    "key": text("The secret, which is never shown again.", "your-google-key", pattern=f"^{SECRET.pattern}$"),
    "project": text(
        "The Google project that it belongs to: quotas, resources and free searches are the project's. "
        "By default one of its own, named by the label.",
        "shop",
        pattern=f"^{LABEL.pattern}$",
    ),
    "weight": number("Its share of the calls.", 1.0, exclusiveMinimum=0, maximum=MAX_WEIGHT),
    "models": _MODELS,
    "rpm": integer(
        "Requests a minute from which on others are preferred.", 1000, minimum=1, maximum=MAX_PER_MINUTE
    ),
    "tpm": integer(
        "Input tokens a minute from which on others are preferred.",
        1_000_000,
        minimum=1,
        maximum=MAX_PER_MINUTE,
    ),
}
NEW_GOOGLE_KEY = component(
    "NewGoogleKey",
    members(
        "A Google key for the gateway's pool.",
        _NEW,
        optional=[name for name in _NEW if name not in ("label", "key")],
        additionalProperties=False,
        examples=[{"label": "team-a", "key": "your-google-key", "project": "shop"}],
    ),
)
NAMED_GOOGLE_KEY = component(
    "NamedGoogleKey",
    members(
        "One Google key.",
        {"label": text("Its label.", "team-a", minLength=1)},
        additionalProperties=False,
        examples=[{"label": "team-a"}],
    ),
)
GOOGLE_KEY = component(
    "GoogleKey",
    members(
        "A Google key of the gateway's pool, without its secret.",
        {
            "label": text("Its label, which rows of calls have.", "team-a"),
            "project": text("Its Google project.", "shop"),
            "state": choice("Whether calls are made with it.", STATES),
            "detail": nullable(text("Why not, and until when.", "spend cap: all of project shop, until …")),
            "in_flight": integer("Calls that run with it.", 3),
            "requests_last_minute": integer("About how many there were.", 120),
            "input_tokens_last_minute": integer("About how many there were.", 90_000),
            "weight": number("Its share of the calls.", 1.0),
            "models": texts("Globs of the models that it is used for; none: all.", "gemini-2.5-*"),
            "rpm": nullable(integer("Requests a minute from which on others are preferred.", 1000)),
            "tpm": nullable(integer("Input tokens a minute from which on others are preferred.", 1_000_000)),
            "source": choice(
                "Who named it. What is changed of one of the settings holds until a restart.", SOURCES
            ),
        },
    ),
)
GOOGLE_KEYS = component(
    "GoogleKeys", members("The pool.", {"google_keys": array("All of them.", GOOGLE_KEY)})
)
REMOVED = component(
    "RemovedGoogleKey",
    members(
        "What was removed.",
        {
            "removed": text("Its label.", "team-a"),
            "returns_at_restart": boolean("Whether the settings name it.", example=False),
        },
    ),
)
_PROBLEMS = (404, 409, 503)
ADD = Operation("Add a Google key", GOOGLE_KEY, NEW_GOOGLE_KEY, problems=(409, 503))
DRAIN = Operation("Drain a Google key", GOOGLE_KEY, NAMED_GOOGLE_KEY, problems=_PROBLEMS)
RESUME = Operation("Resume a Google key", GOOGLE_KEY, NAMED_GOOGLE_KEY, problems=_PROBLEMS)
REMOVE = Operation("Remove a Google key", REMOVED, NAMED_GOOGLE_KEY, problems=_PROBLEMS)
LIST = Operation("List Google keys", GOOGLE_KEYS)
