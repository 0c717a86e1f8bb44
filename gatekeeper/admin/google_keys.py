"""The gateway's own Google keys: `/google_key/…`. Their secrets are accepted but never returned."""

from __future__ import annotations

from collections.abc import Awaitable
from http import HTTPStatus

import msgspec
from quart import Blueprint, Response

from gatekeeper.admin.access import current_gateway
from gatekeeper.admin.keys import change_context
from gatekeeper.admin.problems import Problem, invalid
from gatekeeper.admin.requests import json_response, read_fields, read_query
from gatekeeper.google_key import (
    GLOB,
    LABEL,
    MAX_PER_MINUTE,
    MAX_WEIGHT,
    SECRET,
    GoogleKeyError,
    read_google_key,
)
from gatekeeper.keys.google_key_changes import GoogleKeyConflict, GoogleKeyNotFound
from gatekeeper.ledger.call import Document
from gatekeeper.openapi.document import Operation, describe
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

blueprint = Blueprint("google_keys", __name__)

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


@blueprint.post("/google_key/add")
@describe(ADD)
async def add() -> Response:
    """Adds a key to the pool. It is stored in the data folder, readable by the folder's owner only, and so
    used after a restart, too."""
    body = await read_fields()
    try:
        key = read_google_key(body, {"key": str})
    except GoogleKeyError as error:
        raise invalid(error.member, f"`{error.member}` cannot be {error.shown}", error.allowed) from None
    await try_change(current_gateway().google_keys.add(key, **change_context()))
    return json_response(google_key_document(key.label))


@blueprint.post("/google_key/drain")
@describe(DRAIN)
async def drain() -> Response:
    """Drains a key: it gets no new calls, except those about resources (such as files) that only its project
    has."""
    label = await read_label()
    await try_change(current_gateway().google_keys.drain(label, **change_context()))
    return json_response(google_key_document(label))


@blueprint.post("/google_key/resume")
@describe(RESUME)
async def resume() -> Response:
    """Resumes a key: its draining ends, and earlier errors from Google about it and its project's quotas are
    forgotten."""
    label = await read_label()
    await try_change(current_gateway().google_keys.resume(label, **change_context()))
    return json_response(google_key_document(label))


@blueprint.post("/google_key/remove")
@describe(REMOVE)
async def remove() -> Response:
    """No more calls are made with it; those that run go on. One of the settings is back after a restart."""
    label = await read_label()
    roster = current_gateway().google_keys
    # Determined before the removal, after which it is never stored.
    returns = not roster.is_stored(label)
    await try_change(roster.remove(label, **change_context()))
    return json_response({"removed": label, "returns_at_restart": returns})


@blueprint.get("/google_key/list")
@describe(LIST)
async def list_google_keys() -> Response:
    """All keys with their health."""
    read_query()
    return json_response({"google_keys": google_key_documents()})


def google_key_documents() -> list[Document]:
    roster = current_gateway().google_keys
    return [
        {**msgspec.to_builtins(each), "source": "api" if roster.is_stored(each.label) else "settings"}
        for each in roster.pool.health(current_gateway().now_micros())
    ]


def google_key_document(label: str) -> Document:
    return next(document for document in google_key_documents() if document["label"] == label)


async def try_change(change: Awaitable[None]) -> None:
    """Awaits a change, and raises Problem (404, 409) if it cannot be made."""
    try:
        await change
    except GoogleKeyNotFound as error:
        raise Problem(HTTPStatus.NOT_FOUND, str(error), field="label") from None
    except GoogleKeyConflict as error:
        raise Problem(HTTPStatus.CONFLICT, str(error), field=error.field) from None


async def read_label() -> str:
    """Raises Problem."""
    label = (await read_fields()).get("label")
    if not isinstance(label, str) or not label:
        raise invalid("label", "`label` names one Google key", "a text; GET /google_key/list has them")
    return label
