"""The fields of keys in LiteLLM's API that do not exist here, and what to use instead.

A script written for LiteLLM must never get a key without an intended limit: such a field is refused, and the
message says how to set the same limit. A value without effect is accepted: null or empty (LiteLLM's clients
send unset fields), or one that is the only behaviour here. `team_id` is mapped in `admin.key_requests`, the
names of models and routes below.
"""

from __future__ import annotations

from typing import NamedTuple


class UnsupportedField(NamedTuple):
    """A field that does not exist here: what to use `instead`, and the values that are accepted (`taken`)
    because they have no effect. `is_limit`: without it the key may do more than intended."""

    instead: str
    taken: tuple[object, ...] = ()
    is_limit: bool = True


_BUDGET = "give `max_budget` and `budget_duration` to the key, or to its group"
_GROUP = "use `group`"
_ESTIMATED = UnsupportedField("what is reserved is estimated from the request: leave it out", is_limit=False)
_NO_TOOLS = "this gateway passes requests on unread: `models` and `allowed_routes` say what a key may call"
_TEMPORARY = UnsupportedField(
    "send POST /key/update with another `max_budget`, and again to undo it", is_limit=False
)

LITELLM_FIELDS: dict[str, UnsupportedField] = {
    "access_group_ids": UnsupportedField("list the models in `models`, as globs if you like"),
    "agent_id": UnsupportedField("use `tags` or `metadata`"),
    "aliases": UnsupportedField(
        "clients name Google's models themselves; `models` says which a key may use", is_limit=False
    ),
    "allowed_cache_controls": UnsupportedField("nothing is cached here: leave it out", is_limit=False),
    "allowed_passthrough_routes": UnsupportedField("use `allowed_routes`"),
    "allowed_vector_store_indexes": UnsupportedField(_NO_TOOLS),
    "api_key": UnsupportedField("a secret of your own is `key`"),
    "auto_rotate": UnsupportedField(
        "have a timer of your own send POST /key/regenerate", taken=(False,), is_limit=False
    ),
    "budget_fallbacks": UnsupportedField(
        "a call beyond a budget is refused: let the client choose another model", is_limit=False
    ),
    "budget_id": UnsupportedField(_BUDGET),
    "budget_limits": UnsupportedField(
        "a key has one budget: `max_budget` with `budget_duration`; give another to its group"
    ),
    "config": UnsupportedField("there is no configuration by key: see `gatekeeper config`", is_limit=False),
    "default_estimated_output_tokens": _ESTIMATED,
    "default_estimated_output_tokens_per_model": _ESTIMATED,
    "denied_passthrough_routes": UnsupportedField("name what is allowed, in `allowed_routes`"),
    "disable_global_guardrails": UnsupportedField(
        "there are no guardrails here: leave it out", taken=(True, False), is_limit=False
    ),
    "enable_prompt_caching": UnsupportedField(
        "requests are not changed here: leave it out", taken=(False,), is_limit=False
    ),
    "end_user_budget_id": UnsupportedField(_BUDGET),
    "enforced_params": UnsupportedField("requests are not changed here: leave it out"),
    "grace_period": UnsupportedField("use `grace` of POST /key/regenerate"),
    "guardrails": UnsupportedField(
        "there are no guardrails here: leave it out, and set safetySettings in requests"
    ),
    "key_type": UnsupportedField(
        "a key that administers has a `role`: `operator` changes keys and may call /gemini, too, `viewer` "
        "reads everything",
        taken=("llm_api", "default"),
    ),
    "mcp_rpm_limit": UnsupportedField("use `rpm_limit`"),
    "new_key": UnsupportedField("the gateway makes the new secret"),
    "new_master_key": UnsupportedField("set GATEKEEPER_MASTER_KEY and restart"),
    "object_permission": UnsupportedField(_NO_TOOLS),
    "organization_id": UnsupportedField(_GROUP),
    "permissions": UnsupportedField("use `models` and `allowed_routes`", is_limit=False),
    "policies": UnsupportedField("there are no guardrails here: leave it out"),
    "project_id": UnsupportedField(f"{_GROUP} or `tags`"),
    "prompts": UnsupportedField(_NO_TOOLS),
    "rotation_interval": UnsupportedField(
        "have a timer of your own send POST /key/regenerate", is_limit=False
    ),
    "router_settings": UnsupportedField("requests are not routed by key here: leave it out", is_limit=False),
    "rpm_limit_type": UnsupportedField(
        "`rpm_limit` is never exceeded: leave it out", taken=("best_effort_throughput",), is_limit=False
    ),
    "send_invite_email": UnsupportedField(
        "no mails are sent: hand out the secret of the response", taken=(False,), is_limit=False
    ),
    "spend": UnsupportedField(
        "it is what its calls have cost, and cannot be set; `gatekeeper import litellm` brings what LiteLLM "
        "has counted"
    ),
    "tag_rpm_limit": UnsupportedField("use `rpm_limit`, and a key for each tag"),
    "temp_budget_expiry": _TEMPORARY,
    "temp_budget_increase": _TEMPORARY,
    "throttle_on_budget_exceeded": UnsupportedField(
        "calls beyond `max_budget` are refused: leave it out", taken=(False,), is_limit=False
    ),
    "tpd_limit": UnsupportedField("use `tpm_limit`, or `max_budget` with `budget_duration` 1d"),
    "tpm_limit_type": UnsupportedField(
        "`tpm_limit` is never exceeded: leave it out", taken=("best_effort_throughput",), is_limit=False
    ),
}
"""By LiteLLM's name (release 1.110)."""

# LiteLLM's names for groups of models or routes, which would match nothing here, and those for all of them.
MODEL_GROUPS = ("all-team-models", "no-default-models")
ALL_MODELS = "all-proxy-models"
ROUTE_GROUPS = (
    "management_routes", "info_routes", "openai_routes", "anthropic_routes",
    "google_routes", "mcp_routes", "agent_routes", "spend_tracking_routes", "public_routes",
    "global_spend_tracking_routes",
)  # fmt: skip
ALL_ROUTES = "llm_api_routes"

PROVIDERS = ("gemini/", "vertex_ai/", "vertex_ai_beta/")
"""The prefixes of Google's models in LiteLLM."""
GEMINI_PATH = "/gemini"
"""The prefix of Google's paths, in LiteLLM as here."""


def is_unset(name: str, value: object) -> bool:
    """Whether this is a field of LiteLLM's with a value that has no effect here."""
    field = LITELLM_FIELDS.get(name)
    if field is None or value in (None, {}, []):
        return field is not None
    # Compares types, too: in Python 0 == False.
    return any(isinstance(value, type(taken)) and value == taken for taken in field.taken)


def google_name(model: str) -> str:
    """A model or glob without LiteLLM's provider prefix."""
    return next((model.removeprefix(prefix) for prefix in PROVIDERS if model.startswith(prefix)), model)


def google_names(models: tuple[str, ...]) -> tuple[str, ...]:
    """`google_name` for a list; empty if it allows all models."""
    return () if ALL_MODELS in models else tuple(dict.fromkeys(map(google_name, models)))


def google_paths(routes: tuple[str, ...]) -> tuple[str, ...]:
    """A list of routes as paths after /gemini; empty if it allows all routes."""
    if ALL_ROUTES in routes:
        return ()
    inside = f"{GEMINI_PATH}/"
    found = [route.removeprefix(GEMINI_PATH) if route.startswith(inside) else route for route in routes]
    return tuple(dict.fromkeys(found))
