"""The gateway's own Google keys: `/google_key/…`. Their secrets go in and never come out."""

from __future__ import annotations

from collections.abc import Awaitable
from http import HTTPStatus

import msgspec
from quart import Blueprint, Response

from gatekeeper.admin import google_key_schemas
from gatekeeper.admin.gateway import current_gateway
from gatekeeper.admin.keys import change_context
from gatekeeper.admin.problems import Problem, invalid
from gatekeeper.admin.requests import json_response, read_fields, read_query
from gatekeeper.google_key import GoogleKeyError, read_google_key
from gatekeeper.keys.google_key_changes import GoogleKeyConflict, GoogleKeyNotFound
from gatekeeper.ledger.call import Document
from gatekeeper.openapi.operation import describe

blueprint = Blueprint("google_keys", __name__)


@blueprint.post("/google_key/add")
@describe(google_key_schemas.ADD)
async def add() -> Response:
    """Calls are made with it from now on, also after a restart: it is stored in the data folder, readable by
    the folder's owner only."""
    body = await read_fields()
    try:
        key = read_google_key(body, {"key": str})
    except GoogleKeyError as error:
        raise invalid(error.member, f"`{error.member}` cannot be {error.shown}", error.allowed) from None
    await made(current_gateway().google_keys.add(key, **change_context()))
    return json_response(document_of(key.label))


@blueprint.post("/google_key/drain")
@describe(google_key_schemas.DRAIN)
async def drain() -> Response:
    """No new calls are made with it, but those about files and the like that only its project has."""
    label = await read_label()
    await made(current_gateway().google_keys.drain(label, **change_context()))
    return json_response(document_of(label))


@blueprint.post("/google_key/resume")
@describe(google_key_schemas.RESUME)
async def resume() -> Response:
    """It takes calls again: its draining ends, and what Google has said of it and of its project's quotas is
    forgotten."""
    label = await read_label()
    await made(current_gateway().google_keys.resume(label, **change_context()))
    return json_response(document_of(label))


@blueprint.post("/google_key/remove")
@describe(google_key_schemas.REMOVE)
async def remove() -> Response:
    """No more calls are made with it; those that run go on. One of the settings is back after a restart."""
    label = await read_label()
    roster = current_gateway().google_keys
    # Asked before: afterwards it is stored in no case.
    returns = not roster.is_stored(label)
    await made(roster.remove(label, **change_context()))
    return json_response({"removed": label, "returns_at_restart": returns})


@blueprint.get("/google_key/list")
@describe(google_key_schemas.LIST)
async def list_google_keys() -> Response:
    """Each with its health."""
    read_query()
    return json_response({"google_keys": documents()})


def documents() -> list[Document]:
    roster = current_gateway().google_keys
    return [
        {**msgspec.to_builtins(each), "source": "api" if roster.is_stored(each.label) else "settings"}
        for each in roster.pool.health(current_gateway().now_micros())
    ]


def document_of(label: str) -> Document:
    return next(document for document in documents() if document["label"] == label)


async def made(change: Awaitable[None]) -> None:
    """Raises Problem for a change that cannot be made."""
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
