"""A virtual key in words, for `keys show` and for what changes one."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

import msgspec

from gatekeeper.cli.output import moment
from gatekeeper.client import formats
from gatekeeper.client.api_types import Key, NewKey
from gatekeeper.client.list_columns import budget_used, key_state

BAR = 20


def key_facts(key: Key, now: datetime) -> Iterator[tuple[str, str | None]]:
    """Names and values; None for what does not limit it."""
    yield "key", key.key if isinstance(key, NewKey) else key.key_name
    yield "alias", key.key_alias
    yield "id", key.token_id
    yield "state", str(key_state(key, now))
    yield "models", listed(key.models) or "any"
    yield "routes", listed(key.allowed_routes)
    yield "spend", spend(key)
    yield "estimated", estimated(key)
    yield "soft budget", None if key.soft_budget is None else formats.round_money(key.soft_budget)
    yield "resets", moment(key.budget_reset_at) if key.budget_reset_at else None
    yield "limits", limits(key)
    yield "stored only", not_enforced(key)
    yield "tags", listed(key.tags)
    yield "user", key.user_id
    yield "group", key.group
    yield "metadata", msgspec.json.encode(key.metadata).decode() if key.metadata else None
    yield "disconnect", key.on_disconnect
    yield "expires", moment(key.expires) if key.expires else "never"
    yield "created", moment(key.created_at) if key.created_at else None
    yield "last used", formats.ago(key.last_used_at, now)


def listed(texts: tuple[str, ...] | None) -> str | None:
    return ", ".join(texts) if texts else None


def spend(key: Key) -> str:
    """What it spent, of how much, in what time, with a bar."""
    used = budget_used(key)
    if used is None or key.max_budget is None:
        return f"{formats.money(key.spend)}, no budget"
    each = f" each {key.budget_duration}" if key.budget_duration else ""
    bar = formats.bar(used, BAR).replace(" ", "░")
    of = f"{formats.money(key.spend)} of {formats.round_money(key.max_budget)}{each}"
    return f"{of}  {bar} {formats.percent(used)}"


def estimated(key: Key) -> str | None:
    """What of the spend is no known cost."""
    if not key.spend_estimated:
        return None
    return f"{formats.money(key.spend_estimated)} of the spend, for calls whose cost is unknown"


def not_enforced(*keys: Key) -> str | None:
    """Which limits of these keys do nothing yet."""
    names = dict.fromkeys(name for key in keys for name in key.not_enforced)
    return f"not enforced yet: {', '.join(names)}" if names else None


def limits(key: Key) -> str | None:
    known = (
        (key.rpm_limit, "calls a minute"),
        (key.tpm_limit, "tokens a minute"),
        (key.max_parallel_requests, "calls at a time"),
    )
    return (
        ", ".join(f"{formats.count(number)} {what}" for number, what in known if number is not None) or None
    )
