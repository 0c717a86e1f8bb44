"""What scripts for LiteLLM's proxy send, as it documents it: it works, or the answer names what does."""

from __future__ import annotations

from itertools import cycle
from pathlib import Path
from typing import Any

from gatekeeper.admin.litellm import LITELLM_PARAMETERS, LITELLM_ROUTES, moved_route
from gatekeeper.keys.fields import FIELDS
from gatekeeper.keys.litellm_fields import LITELLM_FIELDS, MODEL_GROUPS, ROUTE_GROUPS

DOCUMENT = Path(__file__).parents[2].joinpath("docs/litellm.md").read_text(encoding="utf-8")

# The fields of a request for a key of LiteLLM 1.110 (`GenerateKeyRequest`, `UpdateKeyRequest`,
# `RegenerateKeyRequest`), and `api_key`, which its own client sends.
FIELDS_OF_LITELLM = [
    "key_alias",
    "duration",
    "models",
    "spend",
    "max_budget",
    "user_id",
    "team_id",
    "agent_id",
    "max_parallel_requests",
    "metadata",
    "tpm_limit",
    "rpm_limit",
    "budget_duration",
    "budget_limits",
    "allowed_cache_controls",
    "config",
    "permissions",
    "model_max_budget",
    "budget_fallbacks",
    "model_rpm_limit",
    "model_tpm_limit",
    "mcp_rpm_limit",
    "tag_rpm_limit",
    "guardrails",
    "policies",
    "prompts",
    "blocked",
    "aliases",
    "object_permission",
    "key",
    "tpd_limit",
    "default_estimated_output_tokens",
    "default_estimated_output_tokens_per_model",
    "budget_id",
    "end_user_budget_id",
    "tags",
    "disable_global_guardrails",
    "enable_prompt_caching",
    "throttle_on_budget_exceeded",
    "enforced_params",
    "allowed_routes",
    "allowed_passthrough_routes",
    "denied_passthrough_routes",
    "allowed_vector_store_indexes",
    "rpm_limit_type",
    "tpm_limit_type",
    "router_settings",
    "access_group_ids",
    "soft_budget",
    "send_invite_email",
    "key_type",
    "auto_rotate",
    "rotation_interval",
    "organization_id",
    "project_id",
    "temp_budget_increase",
    "temp_budget_expiry",
    "new_key",
    "new_master_key",
    "grace_period",
    "api_key",
]
MODEL_LIMITS = {"model_max_budget", "model_rpm_limit", "model_tpm_limit"}
PARAMETERS_OF_LIST = [
    "page",
    "size",
    "user_id",
    "team_id",
    "organization_id",
    "key_hash",
    "key_alias",
    "search",
    "return_full_object",
    "include_team_keys",
    "include_created_by_keys",
    "sort_by",
    "sort_order",
    "expand",
    "status",
    "project_id",
    "access_group_id",
    "agent_id",
    "substring_matching",
    "expires",
]


def table(name: str) -> list[tuple[str, str]]:
    block = DOCUMENT.split(f"<!-- {name} -->\n")[1].split("\n\n")[0].rstrip()
    rows = [line.strip("| ").split(" | ") for line in block.splitlines()[2:]]
    return [(name.strip("`"), instead) for name, instead in rows]


def test_the_document_has_the_tables_of_the_code() -> None:
    assert table("fields") == list(LITELLM_FIELDS.items())
    assert table("parameters") == list(LITELLM_PARAMETERS.items())
    assert table("routes") == [tuple(moved) for moved in LITELLM_ROUTES]


def test_each_field_of_litellm_is_here_or_has_something_instead() -> None:
    known = FIELDS.keys() | LITELLM_FIELDS.keys() | MODEL_LIMITS
    assert set(FIELDS_OF_LITELLM) <= known
    assert not FIELDS.keys() & LITELLM_FIELDS.keys(), "a field that is here has nothing instead"
    assert set(LITELLM_FIELDS) <= set(FIELDS_OF_LITELLM)


async def test_a_field_that_is_not_here_is_never_ignored(admin) -> None:
    made = await admin.post("/key/generate", {"key_alias": "web"})
    values = cycle((1, "x", {"a": 1}, ["a"], True, 0, False))  # seven, so that each path gets each of them
    for name, instead in LITELLM_FIELDS.items():
        for path, key in (("generate", {}), ("update", {"key": "web"}), ("block", {"key": "web"})):
            value = next(values)
            answer = await admin.client.post(f"/key/{path}", json={**key, name: value})
            problem = answer.json()
            assert (answer.status_code, problem["field"]) == (400, name), (path, value)
            assert instead in problem["detail"]
    (key,) = (await admin.get("/key/list"))["keys"]
    assert key["token_id"] == made["token_id"]


async def test_a_field_of_litellm_that_sets_nothing_is_taken(admin) -> None:
    nothing: dict[str, Any] = dict.fromkeys(LITELLM_FIELDS, None)
    made = await admin.post("/key/generate", {"key_alias": "web", **nothing, "aliases": {}, "guardrails": []})
    updated = await admin.post("/key/update", {"key": "web", **nothing, "permissions": {}})
    assert updated == {**made, "key": made["token_id"], "updated_at": updated["updated_at"]}


SPELLINGS_OF_LIMITS: list[dict[str, Any]] = [
    {"models": [name]} for name in (*MODEL_GROUPS, "gemini/gemini-2.5-pro", "openai/*", "gemini 2.5")
] + [
    {"allowed_routes": [name]} for name in (*ROUTE_GROUPS, "chat/completions", "generate content")
] + [
    {"max_budget": "50 USD"}, {"max_budget": -1}, {"max_budget": "1e3"}, {"budget_duration": "monthly"},
    {"duration": "-1"}, {"duration": "permanent"}, {"rpm_limit": 0}, {"tpm_limit": "1000"},
    {"blocked": "true"},
    {"budget": 5}, {"maxBudget": 5}, {"max_budget_usd": 5}, {"budget_usd": 5}, {"limit": 5}, {"rpm": 5},
    {"tpm": 5}, {"requests_per_minute": 5}, {"model": "gemini-2.5-pro"}, {"expires": "2030-01-01"},
    {"max_tokens": 5}, {"ttl": "1d"}, {"budget_reset_at": "2030-01-01"}, {"key_name": "x"},
    {"model_max_budget": {"gemini-2.5-pro": {"budget_limit": 0.0005, "time_period": "30d"}}},
    {"model_max_budget": {"gemini/gemini-2.5-pro": 5}}, {"model_rpm_limit": {"gemini-2.5-pro": "5"}},
]  # fmt: skip


async def test_a_limit_in_another_spelling_makes_no_key(admin) -> None:
    for fields in SPELLINGS_OF_LIMITS:
        answer = await admin.client.post("/key/generate", json=fields)
        assert (answer.status_code, answer.json()["field"]) == (400, *fields)
        assert (await admin.get("/key/list"))["keys"] == [], fields


async def test_a_parameter_of_key_list_is_answered_with_what_there_is(admin) -> None:
    for name in PARAMETERS_OF_LIST:
        answer = await admin.client.get("/key/list", params={name: "1"})
        assert (answer.status_code, answer.json()["field"]) == (400, name)
        assert LITELLM_PARAMETERS[name] in answer.json()["detail"]


ROUTES = sorted({moved.route for moved in LITELLM_ROUTES})


async def test_a_route_of_litellm_is_answered_with_the_one_here_and_without_the_key(admin) -> None:
    secret = "sk-of/somebody-or-other"
    for route in ROUTES:
        path = route.replace("{key}", secret)
        for name in ("{action}", "{by}", "{version}", "{probe}"):
            path = path.replace(name, "info")
        answer = await admin.client.post(path, json={})
        assert answer.status_code == 404, route
        moved = moved_route(path)
        assert moved, route
        assert moved.instead in answer.json()["detail"]
        assert secret not in answer.text


async def test_no_route_that_is_here_is_called_litellms(admin) -> None:
    for rule in admin.app.url_map.iter_rules():
        assert moved_route(rule.rule) is None, rule.rule


async def test_the_documented_requests_for_keys(admin) -> None:
    """The examples of LiteLLM's pages on virtual keys, budgets and spend, with our models."""
    made = await admin.post(
        "/key/generate",
        {
            "models": ["gemini-2.5-flash", "gemini-2.5-pro"],
            "duration": "20m",
            "metadata": {"user": "ann@example.com", "team": "core-infra"},
            "user_id": "core-infra@example.com",
            "max_budget": 10,
            "budget_duration": "10s",
            "soft_budget": 8.5,
            "max_parallel_requests": 10,
            "tpm_limit": 20,
            "rpm_limit": 4,
            "tags": ["tag1"],
            "key_alias": "prod",
            "key": "sk-of-the-callers-own",
        },
    )
    assert (made["key"], made["key_alias"], made["rpm_limit"]) == ("sk-of-the-callers-own", "prod", 4)
    changes = {"max_budget": 20, "budget_duration": "30d"}
    updated = await admin.post("/key/update", {"key": made["key"], **changes})
    assert updated["max_budget"] == "20.000000000000"
    info = await admin.get("/key/info", key=made["key"])
    assert info["info"]["spend"] == "0.000000000000"
    assert (await admin.post("/key/block", {"key": made["key"]}))["blocked"] is True
    assert (await admin.post("/key/unblock", {"key": made["key"]}))["blocked"] is False
    fresh = await admin.post("/key/regenerate", {"key": made["key"]})
    assert fresh["key"] != made["key"]
    assert len((await admin.get("/key/list"))["keys"]) == 1
    deleted = await admin.post("/key/delete", {"keys": [fresh["key"]]})
    assert deleted == {"deleted_keys": [made["token_id"]]}


async def test_litellms_client_deletes_by_alias_only_where_it_says_so(admin) -> None:
    """It sends both fields, one of them null."""
    first = await admin.post("/key/generate", {"key_alias": "first"})
    answer = await admin.client.post("/key/delete", json={"keys": None, "key_aliases": [first["token_id"]]})
    assert answer.status_code == 404
    deleted = await admin.post("/key/delete", {"keys": None, "key_aliases": ["first"]})
    assert deleted["deleted_keys"] == [first["token_id"]]
    second = await admin.post("/key/generate")
    deleted = await admin.post("/key/delete", {"keys": [second["key"]], "key_aliases": None})
    assert deleted["deleted_keys"] == [second["token_id"]]


async def test_the_documented_requests_for_spend(admin) -> None:
    made = await admin.post("/key/generate")
    call = admin.priced(key_id=made["token_id"], tags=["jobID:1"], user_id="ann")
    for params in (
        {},
        {"api_key": made["key"]},
        {"user_id": "ann"},
        {"request_id": call.id},
        {"start_date": "2025-06-25", "end_date": "2025-06-25", "summarize": "false"},
    ):
        (log,) = await admin.get("/spend/logs", **params)
        assert (log["request_id"], log["spend"]) == (call.id, 0.0011887)
    assert await admin.get("/spend/logs", start_date="2025-06-26", end_date="2025-06-27") == []
    (tag,) = await admin.get("/spend/tags")
    assert tag == {"individual_request_tag": "jobID:1", "log_count": 1, "total_spend": 0.0011887}
    for params in ({"api_key": ""}, {"start_date": ""}, {"summarize": "true"}, {"team_id": "x"}):
        answer = await admin.client.get("/spend/logs", params=params)
        assert (answer.status_code, answer.json()["field"]) == (400, *params)
