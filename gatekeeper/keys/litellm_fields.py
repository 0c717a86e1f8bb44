"""The fields of LiteLLM's requests for keys that a key has not got here, and what to use instead.

A script that moved here must never get a key without the limit that it meant: such a field is refused, with
what sets the same limit. Only one that sets nothing (null, or empty: so LiteLLM's clients send what nobody
has set) is taken.
"""

from __future__ import annotations

_BUDGET = "give `max_budget` and `budget_duration` to the key, or to its group"
_GROUP = "use `group`"
_ESTIMATED = "what is reserved is estimated from the request: leave it out"
_NO_TOOLS = "this gateway passes requests on unread: `models` and `allowed_routes` say what a key may call"

LITELLM_FIELDS: dict[str, str] = {
    "access_group_ids": "list the models in `models`, as globs if you like",
    "agent_id": "use `tags` or `metadata`",
    "aliases": "clients name Google's models themselves; `models` says which a key may use",
    "allowed_cache_controls": "nothing is cached here: leave it out",
    "allowed_passthrough_routes": "use `allowed_routes`",
    "allowed_vector_store_indexes": _NO_TOOLS,
    "api_key": "a secret of your own is `key`",
    "auto_rotate": "have a timer of your own send POST /key/regenerate",
    "budget_fallbacks": "a call beyond a budget is refused: let the client choose another model",
    "budget_id": _BUDGET,
    "budget_limits": "a key has one budget: `max_budget` with `budget_duration`; give another to its group",
    "config": "there is no configuration by key: see `gatekeeper config`",
    "default_estimated_output_tokens": _ESTIMATED,
    "default_estimated_output_tokens_per_model": _ESTIMATED,
    "denied_passthrough_routes": "name what is allowed, in `allowed_routes`",
    "disable_global_guardrails": "there are no guardrails here: leave it out",
    "enable_prompt_caching": "requests are not changed here: leave it out",
    "end_user_budget_id": _BUDGET,
    "enforced_params": "requests are not changed here: leave it out",
    "grace_period": "use `grace` of POST /key/regenerate",
    "guardrails": "there are no guardrails here: leave it out, and set safetySettings in requests",
    "key_type": "every key is for /gemini; `allowed_routes` says for what there",
    "mcp_rpm_limit": "use `rpm_limit`",
    "new_key": "the gateway makes the new secret",
    "new_master_key": "set GATEKEEPER_MASTER_KEY and restart",
    "object_permission": _NO_TOOLS,
    "organization_id": _GROUP,
    "permissions": "use `models` and `allowed_routes`",
    "policies": "there are no guardrails here: leave it out",
    "project_id": f"{_GROUP} or `tags`",
    "prompts": _NO_TOOLS,
    "rotation_interval": "have a timer of your own send POST /key/regenerate",
    "router_settings": "requests are not routed by key here: leave it out",
    "rpm_limit_type": "`rpm_limit` is never exceeded: leave it out",
    "send_invite_email": "no mails are sent: hand out the secret of the response",
    "spend": "it is what its calls have cost, and cannot be set; a limit is `max_budget`",
    "tag_rpm_limit": "use `rpm_limit`, and a key for each tag",
    "team_id": _GROUP,
    "temp_budget_expiry": "send POST /key/update with another `max_budget`, and again to undo it",
    "temp_budget_increase": "send POST /key/update with another `max_budget`, and again to undo it",
    "throttle_on_budget_exceeded": "calls beyond `max_budget` are refused: leave it out",
    "tpd_limit": "use `tpm_limit`, or `max_budget` with `budget_duration` 1d",
    "tpm_limit_type": "`tpm_limit` is never exceeded: leave it out",
}
"""By LiteLLM's name (release 1.110)."""

# LiteLLM's names for many models or routes, which would match none here.
MODEL_GROUPS = ("all-proxy-models", "all-team-models", "no-default-models")
ROUTE_GROUPS = (
    "llm_api_routes", "management_routes", "info_routes", "openai_routes", "anthropic_routes",
    "google_routes", "mcp_routes", "agent_routes", "spend_tracking_routes", "public_routes",
    "global_spend_tracking_routes",
)  # fmt: skip


def is_unset(name: str, value: object) -> bool:
    """Whether this is a field of LiteLLM's without a value."""
    return name in LITELLM_FIELDS and value in (None, {}, [])
