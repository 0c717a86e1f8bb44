"""What a key, a group and an end user have in common, as the API returns it."""

from __future__ import annotations

from gatekeeper.keys.account import Account
from gatekeeper.money import usd
from gatekeeper.times import iso


def limits_document(account: Account, on_disconnect: str | None = None) -> dict[str, object]:
    """Limits and spend, JSON-ready. `on_disconnect` is shown for an account that has none of its own. `spend`
    is that of the account's window: roll the window first."""
    record = account.record
    return {
        "blocked": record.blocked,
        "models": list(record.models),
        "max_budget": _money(record.max_budget_pico),
        "model_max_budget": {glob: usd(pico) for glob, pico in record.model_max_budget_pico.items()},
        "soft_budget": _money(record.soft_budget_pico),
        "budget_duration": record.budget_duration,
        "budget_reset_at": None if account.budget_reset_at is None else iso(account.budget_reset_at),
        # Decimal strings with all their places: a JSON number would pass through a float.
        "spend": usd(account.spend_pico),
        "spend_estimated": usd(account.estimated_pico),
        "tpm_limit": record.tpm_limit,
        "rpm_limit": record.rpm_limit,
        "model_rpm_limit": record.model_rpm_limit,
        "model_tpm_limit": record.model_tpm_limit,
        "max_parallel_requests": record.max_parallel_requests,
        "allowed_routes": list(record.allowed_routes),
        "on_disconnect": record.on_disconnect.value if record.on_disconnect else on_disconnect,
        "allow_unpriced": record.allow_unpriced,
        # As they are set: false for none, and null for no limit.
        "searches": False if record.max_searches == 0 else record.max_searches,
        "store": False if record.only_unstored else None,
        "max_output_tokens": record.max_output_tokens,
        "service_tiers": list(record.service_tiers),
        "allowed_ips": list(record.allowed_ips),
    }


def _money(pico: int | None) -> str | None:
    return None if pico is None else usd(pico)
