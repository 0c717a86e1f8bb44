"""`/user/…`: limits and budgets of end users."""

from __future__ import annotations

from quart import Blueprint, Response

from gatekeeper.admin import accounts
from gatekeeper.admin.account_documents import USER as DOCUMENTS
from gatekeeper.admin.accounts import USER
from gatekeeper.openapi.operation import describe

blueprint = Blueprint("users", __name__)


@blueprint.post("/user/generate")
@describe(DOCUMENTS.generate)
async def generate() -> Response:
    """Gives limits to the name of a end user. Its spend is counted from now on."""
    return await accounts.generate(USER)


@blueprint.post("/user/update")
@describe(DOCUMENTS.update)
async def update() -> Response:
    """Sets the given fields and no others; null resets a field. With `updated_at` (or the header
    `If-Match`) it is refused if somebody has changed it since then."""
    return await accounts.update(USER)


@blueprint.post("/user/block")
@describe(DOCUMENTS.block)
async def block() -> Response:
    """Refuses its calls from now on."""
    return await accounts.set_blocked(USER, blocked=True)


@blueprint.post("/user/unblock")
@describe(DOCUMENTS.unblock)
async def unblock() -> Response:
    """Accepts its calls again."""
    return await accounts.set_blocked(USER, blocked=False)


@blueprint.post("/user/delete")
@describe(DOCUMENTS.delete)
async def delete() -> Response:
    """Removes its limits and its spend."""
    return await accounts.delete(USER)


@blueprint.get("/user/info")
@describe(DOCUMENTS.info)
async def info() -> Response:
    """Its limits and its spend."""
    return await accounts.info(USER)


@blueprint.get("/user/list")
@describe(DOCUMENTS.list)
async def list_all() -> Response:
    """By name."""
    return await accounts.list_all(USER)
