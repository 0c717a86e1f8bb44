"""`/group/…` and `/user/…`: limits and budgets of groups and end users."""

from __future__ import annotations

from quart import Blueprint, Response

from gatekeeper.admin import account_schemas, accounts
from gatekeeper.admin.account_schemas import Operations
from gatekeeper.admin.accounts import GROUP, USER, Kind
from gatekeeper.openapi.operation import describe


def routes_of(kind: Kind, documents: Operations) -> Blueprint:
    """The routes of one kind of account; `documents` describe them."""
    blueprint, root = Blueprint(f"{kind.name}s", __name__), f"/{kind.name}"

    @blueprint.post(f"{root}/generate")
    @describe(documents.generate)
    async def generate() -> Response:
        """Gives limits to a name. Its spend is counted from now on."""
        return await accounts.generate(kind)

    @blueprint.post(f"{root}/update")
    @describe(documents.update)
    async def update() -> Response:
        """Sets the given fields and no others; null resets a field. With `updated_at` (or the header
        `If-Match`) it is refused if somebody has changed it since then."""
        return await accounts.update(kind)

    @blueprint.post(f"{root}/block")
    @describe(documents.block)
    async def block() -> Response:
        """Refuses its calls from now on."""
        return await accounts.set_blocked(kind, blocked=True)

    @blueprint.post(f"{root}/unblock")
    @describe(documents.unblock)
    async def unblock() -> Response:
        """Accepts its calls again."""
        return await accounts.set_blocked(kind, blocked=False)

    @blueprint.post(f"{root}/delete")
    @describe(documents.delete)
    async def delete() -> Response:
        """Removes its limits and its spend. A group that keys name is kept, unless `force` is true."""
        return await accounts.delete(kind)

    @blueprint.get(f"{root}/info")
    @describe(documents.info)
    async def info() -> Response:
        """Its limits and its spend."""
        return await accounts.info(kind)

    @blueprint.get(f"{root}/list")
    @describe(documents.list)
    async def list_all() -> Response:
        """By name."""
        return await accounts.list_all(kind)

    return blueprint


groups = routes_of(GROUP, account_schemas.GROUP)
users = routes_of(USER, account_schemas.USER)
