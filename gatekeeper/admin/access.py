"""Authentication and authorization of requests to the admin API.

With a master key, a request must have it or a virtual key as its bearer token; wrong ones are counted and
delayed by address (`keys.secrets`). A virtual key with a role may do what the role permits (`permissions`),
one without may only read its own data. Without a master key, in open mode, no key is needed; `_check_browser`
rejects cross-site requests.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import NamedTuple, cast

from quart import current_app, g, request

from gatekeeper.addresses import cross_site_reason
from gatekeeper.admin.permissions import ROUTES, Open, permission_of
from gatekeeper.admin.problems import Problem
from gatekeeper.gateway import Gateway
from gatekeeper.keys.account import Account
from gatekeeper.keys.audit import Actor
from gatekeeper.keys.policies import address_refusal
from gatekeeper.keys.secrets import hash_secret, matches_master
from gatekeeper.keys.virtual_key import KeyRecord, KeyState, Role
from gatekeeper.public_url import client_address

NAME = "gatekeeper"


def current_gateway() -> Gateway:
    """The gateway of the current request."""
    return cast("Gateway", current_app.extensions[NAME])


class Caller(NamedTuple):
    """The authenticated caller. `role` is None for a virtual key that may only read its own data; `key` is
    None for the master key and in open mode."""

    actor: Actor
    role: Role | None
    key: KeyState | None = None
    secret_hash: str = ""

    @property
    def own_id(self) -> str | None:
        """The id of the only key whose data this caller may read; None: all keys."""
        return self.key.record.token_id if self.key and self.role is None else None

    @property
    def is_admin(self) -> bool:
        return self.role is Role.ADMIN


def current_caller() -> Caller:
    """The caller of the current request, whose route must require authentication."""
    return cast("Caller", g.caller)


def revalidation() -> Callable[[], bool]:
    """A function that returns whether the current caller is still authorized, for a long response: its key
    may have been deleted, blocked, rotated, expired, or given another role."""
    caller, gateway = current_caller(), current_gateway()
    key = caller.key

    def is_allowed() -> bool:
        if key is None:
            return True
        record = key.record
        # Looked up by its secret, like each request: a rotation ends the stream when the grace period is
        # over.
        is_same = gateway.registry.by_hash(caller.secret_hash) is key and record.role == caller.role
        has_expired = record.expires_at is not None and record.expires_at <= gateway.now_micros()
        return is_same and not record.blocked and not has_expired

    return is_allowed


async def check_access() -> None:
    """Raises Problem (401, 403) if the request is not authorized."""
    needed = permission_of(request.method, request.url_rule.rule if request.url_rule else None)
    if needed is Open.TO_ALL:
        return
    caller = g.caller = await _identify()
    role = caller.role
    # A key with any role may read of all keys what one without a role may read of itself.
    if not (needed is Open.TO_OWN_KEY if role is None or isinstance(needed, Open) else role.includes(needed)):
        raise _forbidden(role, needed)


async def _identify() -> Caller:
    gateway = current_gateway()
    address = client_address(request.scope, gateway.settings)
    if gateway.settings.master_key is None:
        _check_browser()
        return Caller(Actor("open", role=Role.ADMIN, address=address), Role.ADMIN)
    secret = _bearer_token()
    if matches_master(secret, gateway.settings.master_key):
        return Caller(Actor("master", role=Role.ADMIN, address=address), Role.ADMIN)
    # An existing virtual key is not a guess, so it does not count as a failure.
    digest = hash_secret(secret)
    if state := gateway.registry.by_hash(digest):
        record = state.record
        _check_usable(record, gateway.now_micros())
        # The `allowed_ips` of its group and of the gateway apply, too, as on /gemini.
        _check_address(gateway.registry.accounts.of(state, None), address)
        return Caller(
            Actor(record.token_id, record.key_alias, record.role, address), record.role, state, digest
        )
    # Delays the response, so that only the address that guesses has to wait.
    await gateway.proxy.context.auth_failures.throttle(address)
    raise _unauthorised(
        "This is neither the master key (GATEKEEPER_MASTER_KEY at the start of serve) nor a virtual key of "
        "this gateway"
    )


def _bearer_token() -> str:
    scheme, _, token = request.headers.get("Authorization", "").strip().partition(" ")
    # Names of schemes are case-insensitive (RFC 9110, 11.1).
    if scheme.lower() == "bearer" and (secret := token.strip()):
        return secret
    raise _unauthorised(
        "The admin API needs the master key, or a virtual key with a role: send the header "
        "Authorization: Bearer KEY"
    )


def _check_usable(record: KeyRecord, now: int) -> None:
    """Raises Problem for a key that is blocked or has expired."""
    if record.blocked:
        raise Problem(HTTPStatus.FORBIDDEN, f"The key {record.display_name} is blocked")
    if record.expires_at is not None and record.expires_at <= now:
        raise Problem(HTTPStatus.FORBIDDEN, f"The key {record.display_name} has expired")


def _check_address(accounts: Iterable[Account], address: str) -> None:
    """Raises Problem if one of the accounts does not allow this address."""
    for account in accounts:
        if refusal := address_refusal(account, address):
            raise Problem(HTTPStatus.FORBIDDEN, refusal.message)


def _forbidden(role: Role | None, needed: Role | Open) -> Problem:
    asked = f"{request.method} {request.path}"
    needs = needed.value if isinstance(needed, Role) else Role.VIEWER.value
    if role is None:
        own = ", ".join(route for route, permission in ROUTES.items() if permission is Open.TO_OWN_KEY)
        detail = (
            f"This is a virtual key without a role: it may call /gemini, and see its own data by {own}. "
            f"{asked} needs the role `{needs}`, or the master key"
        )
    else:
        detail = f"The role of this key is `{role}`: {asked} needs the role `{needs}`"
    return Problem(HTTPStatus.FORBIDDEN, detail, needs=needs)


def _unauthorised(detail: str) -> Problem:
    return Problem(HTTPStatus.UNAUTHORIZED, detail, headers={"WWW-Authenticate": 'Bearer realm="gatekeeper"'})


def _check_browser() -> None:
    headers = request.headers
    # Without a key, a page of another site could send requests from its visitor's browser (CSRF, DNS
    # rebinding).
    if why := cross_site_reason(
        headers.get("Host", ""), headers.get("Origin"), headers.get("Sec-Fetch-Site")
    ):
        raise Problem(HTTPStatus.FORBIDDEN, why)
