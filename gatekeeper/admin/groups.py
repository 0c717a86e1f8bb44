"""`/group/…`: limits and budgets of groups."""

from __future__ import annotations

from quart import Blueprint, Response

from gatekeeper.admin import accounts
from gatekeeper.admin.account_documents import GROUP as DOCUMENTS
from gatekeeper.admin.accounts import GROUP
from gatekeeper.openapi.operation import describe

blueprint = Blueprint("groups", __name__)


@blueprint.post("/group/generate")
@describe(DOCUMENTS.generate)
async def generate() -> Response:
    """Gives limits to the name of a group. Its spend is counted from now on."""
    return await accounts.generate(GROUP)


@blueprint.post("/group/update")
@describe(DOCUMENTS.update)
async def update() -> Response:
    """Sets the given fields and no others; null resets a field. With `updated_at` (or the header
    `If-Match`) it is refused if somebody has changed it since then."""
    return await accounts.update(GROUP)


@blueprint.post("/group/block")
@describe(DOCUMENTS.block)
async def block() -> Response:
    """Refuses its calls from now on."""
    return await accounts.set_blocked(GROUP, blocked=True)


@blueprint.post("/group/unblock")
@describe(DOCUMENTS.unblock)
async def unblock() -> Response:
    """Accepts its calls again."""
    return await accounts.set_blocked(GROUP, blocked=False)


@blueprint.post("/group/delete")
@describe(DOCUMENTS.delete)
async def delete() -> Response:
    """Removes its limits and its spend. A group that keys name is kept, unless `force` is true."""
    return await accounts.delete(GROUP)


@blueprint.get("/group/info")
@describe(DOCUMENTS.info)
async def info() -> Response:
    """Its limits and its spend."""
    return await accounts.info(GROUP)


@blueprint.get("/group/list")
@describe(DOCUMENTS.list)
async def list_all() -> Response:
    """By name."""
    return await accounts.list_all(GROUP)
