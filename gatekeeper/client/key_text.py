"""All that is known of a virtual key, or of another record of limits, as names and values."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime

import msgspec

from gatekeeper.client import formats
from gatekeeper.client.api_types import Key, NewKey
from gatekeeper.client.list_columns import budget_bar, budget_used, key_state
from gatekeeper.client.moments import moment

# Width of the bar of the used budget, in cells.
BAR_WIDTH = 20


def key_details(
    key: Key, now: datetime, written: Callable[[datetime], str] = moment
) -> Iterator[tuple[str, str | None]]:
    """Names and values, with times as `written`; None for a field that is not set."""
    yield "key", key.key if isinstance(key, NewKey) else key.key_name
    yield "old secret", previous_secret(key, written)
    yield "alias", key.key_alias
    yield "id", key.token_id
    yield "state", str(key_state(key, now))
    yield "models", listed(key.models) or "any"
    yield "routes", listed(key.allowed_routes)
    yield "spend", spent(key)
    yield "estimated", estimated(key)
    yield "soft budget", None if key.soft_budget is None else formats.round_money(key.soft_budget)
    yield "resets", written(key.budget_reset_at) if key.budget_reset_at else None
    yield "limits", limits(key)
    yield "tags", listed(key.tags)
    yield "user", key.user_id
    yield "group", key.group
    yield "metadata", msgspec.json.encode(key.metadata).decode() if key.metadata else None
    yield "disconnect", key.on_disconnect
    yield "shared with", {"group": "its group", "all": "all keys"}.get(key.share or "")
    yield "unpriced", "allowed, charged the most that a call can cost" if key.allow_unpriced else None
    yield from policies(key)
    yield "role", key.role
    yield "expires", written(key.expires) if key.expires else "never"
    yield "created", written(key.created_at) if key.created_at else None
    yield "last used", formats.ago(key.last_used_at, now)


def previous_secret(key: Key, written: Callable[[datetime], str]) -> str | None:
    if key.previous_expires is None:
        return None
    return f"{key.previous_key_name} until {written(key.previous_expires)}"


def policies(key: Key) -> Iterator[tuple[str, str | None]]:
    # null and true: any number
    limit = None if key.searches is None or key.searches is True else int(key.searches)
    yield "searches", f"at most {limit} a call" if limit else ("none" if limit == 0 else None)
    yield "storage", "requests must say store: false" if key.store is False else None
    output = key.max_output_tokens
    yield "output", None if output is None else f"at most {formats.count(output)} tokens a request"
    yield "tiers", listed(key.service_tiers)
    yield "addresses", listed(key.allowed_ips)


def listed(texts: tuple[str, ...] | None) -> str | None:
    return ", ".join(texts) if texts else None


def spent(key: Key) -> str:
    """Spend, budget and period, with a bar."""
    used = budget_used(key)
    if used is None or key.max_budget is None:
        return f"{formats.money(key.spend)}, no budget"
    each = f" each {key.budget_duration}" if key.budget_duration else ""
    bar = budget_bar(used, BAR_WIDTH)
    of = f"{formats.money(key.spend)} of {formats.round_money(key.max_budget)}{each}"
    return f"{of}  {bar} {formats.percent(used)}"


def estimated(key: Key) -> str | None:
    """The part of the spend that is estimated, not known."""
    if not key.spend_estimated:
        return None
    return f"{formats.money(key.spend_estimated)} of the spend, for calls whose cost is unknown"


def limits(key: Key) -> str | None:
    known = (
        (key.rpm_limit, "calls a minute"),
        (key.tpm_limit, "tokens a minute"),
        (key.max_parallel_requests, "parallel calls"),
    )
    named = [f"{formats.count(number)} {what}" for number, what in known if number is not None]
    named += [
        f"{formats.round_money(amount)} for {glob}" for glob, amount in (key.model_max_budget or {}).items()
    ]
    of_models = ((key.model_rpm_limit, "calls a minute"), (key.model_tpm_limit, "tokens a minute"))
    for numbers, what in of_models:
        named += [f"{formats.count(number)} {what} for {glob}" for glob, number in (numbers or {}).items()]
    return ", ".join(named) or None
