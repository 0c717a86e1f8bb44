"""What scripts for LiteLLM's proxy send, as it documents it: it works, or the answer names what does."""

from __future__ import annotations

import json
import re
from itertools import cycle
from pathlib import Path
from typing import Any

from gatekeeper.admin.litellm import LITELLM_PARAMETERS, LITELLM_ROUTES, moved_route
from gatekeeper.keys.fields import FIELDS
from gatekeeper.keys.litellm_fields import LITELLM_FIELDS, MODEL_GROUPS, ROUTE_GROUPS, is_unset
from gatekeeper.keys.spend import AccountCharge

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
MAPPED = {"team_id": ("the id of a team", "it is the `group` of this name, or the one that was imported from "
          "this team; it must have a record, as `POST /group/generate` makes one")}  # fmt: skip
MODEL_LIMITS = {"model_max_budget", "model_rpm_limit", "model_tpm_limit"}
OF_EACH = ("key", "token_id", "key_name", "created_at", "updated_at")
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


def table(name: str) -> list[tuple[str, ...]]:
    block = DOCUMENT.split(f"<!-- {name} -->\n")[1].split("\n\n")[0].rstrip()
    rows = [line.removeprefix("| ").removesuffix(" |").split(" | ") for line in block.splitlines()[2:]]
    return [(name.strip("`"), *(cell.strip() for cell in cells)) for name, *cells in rows]


def field_rows() -> list[tuple[str, ...]]:
    """The table of fields, as the code has it."""
    rows = {name: (said(field.taken), field.instead) for name, field in LITELLM_FIELDS.items()}
    return [(name, *row) for name, row in sorted({**rows, **MAPPED}.items())]


def said(values: tuple[object, ...]) -> str:
    return ", ".join(f"`{value if isinstance(value, str) else json.dumps(value)}`" for value in values)


def test_the_document_has_the_tables_of_the_code() -> None:
    assert table("fields") == field_rows()
    parameters = [(name, said(each.taken), each.instead) for name, each in LITELLM_PARAMETERS.items()]
    assert table("parameters") == parameters
    assert table("routes") == [tuple(moved) for moved in LITELLM_ROUTES]


def test_each_field_of_litellm_is_here_or_has_something_instead() -> None:
    known = FIELDS.keys() | LITELLM_FIELDS.keys() | MODEL_LIMITS | MAPPED.keys()
    assert set(FIELDS_OF_LITELLM) <= known
    assert not FIELDS.keys() & LITELLM_FIELDS.keys(), "a field that is here has nothing instead"
    assert set(LITELLM_FIELDS) <= set(FIELDS_OF_LITELLM)


async def test_a_field_that_is_not_here_is_never_ignored(admin) -> None:
    made = await admin.post("/key/generate", {"key_alias": "web"})
    values = cycle((1, "x", {"a": 1}, ["a"], True, 0, False))  # seven, so that each path gets each of them
    for name, field in LITELLM_FIELDS.items():
        for path, key in (("generate", {}), ("update", {"key": "web"}), ("block", {"key": "web"})):
            value = next(values)
            while is_unset(name, value):
                value = next(values)
            answer = await admin.client.post(f"/key/{path}", json={**key, name: value})
            problem = answer.json()
            assert (answer.status_code, problem["field"]) == (400, name), (path, value)
            assert field.instead in problem["detail"]
    (key,) = (await admin.get("/key/list"))["keys"]
    assert key["token_id"] == made["token_id"]


async def test_a_field_of_litellm_that_sets_nothing_is_taken(admin) -> None:
    nothing: dict[str, Any] = dict.fromkeys(LITELLM_FIELDS, None)
    made = await admin.post("/key/generate", {"key_alias": "web", **nothing, "aliases": {}, "guardrails": []})
    updated = await admin.post("/key/update", {"key": "web", **nothing, "permissions": {}})
    assert updated == {**made, "key": made["token_id"], "updated_at": updated["updated_at"]}


async def test_a_value_that_changes_nothing_here_is_taken(admin) -> None:
    made = await admin.post("/key/generate", {"key_alias": "web"})
    for name, field in LITELLM_FIELDS.items():
        for value in field.taken:
            plain = await admin.post("/key/generate", {name: value})
            assert {**plain, "key_alias": "web", **{f: made[f] for f in OF_EACH}} == made, name
            changed = await admin.post("/key/update", {"key": "web", name: value})
            assert changed["updated_at"] > made["updated_at"]


async def test_a_team_is_the_group_that_stands_for_it(admin) -> None:
    """A team carries limits: a key of one that has none here would do more than meant."""
    answer = await admin.client.post("/key/generate", json={"team_id": "7f3c"})
    assert (answer.status_code, answer.json()["field"]) == (400, "team_id")
    assert "POST /group/generate" in answer.json()["detail"]
    await admin.post("/group/generate", {"group": "7f3c", "max_budget": 5})
    imported = {"metadata": {"litellm": {"was": "team 9a1e"}}}
    await admin.post("/group/generate", {"group": "shop", **imported})
    for team, group in (("7f3c", "7f3c"), ("9a1e", "shop"), ("shop", "shop"), ("", None), (None, None)):
        assert (await admin.post("/key/generate", {"team_id": team}))["group"] == group
    made = await admin.post("/key/bulk", {"keys": [{"key_alias": "a", "team_id": "9a1e"}]})
    assert made["keys"][0]["group"] == "shop"
    assert (await admin.post("/key/update", {"key": "a", "team_id": "7f3c"}))["group"] == "7f3c"
    assert (await admin.post("/key/update", {"key": "a", "team_id": ""}))["group"] == "7f3c"
    for body in ({"team_id": "nobody"}, {"team_id": 7}, {"team_id": "7f3c", "group": "shop"}):
        for path, more in (("generate", {}), ("update", {"key": "a"})):
            answer = await admin.client.post(f"/key/{path}", json={**body, **more})
            assert (answer.status_code, answer.json()["field"]) == (400, "team_id"), body
        answer = await admin.client.post("/key/bulk", json={"keys": [body]})
        assert answer.json()["field"] == "keys[0].team_id"


async def test_names_of_models_and_routes_are_googles(admin) -> None:
    for given, kept in (
        (["gemini/gemini-2.5-pro", "gemini-2.5-pro", "vertex_ai/gemini-2.5-flash"],
         ["gemini-2.5-pro", "gemini-2.5-flash"]),
        (["gemini/*"], ["*"]),
        (["gemini/gemini-2.5-*"], ["gemini-2.5-*"]),
        (["all-proxy-models"], []),
        (["gemini-2.5-pro", "all-proxy-models"], []),
    ):  # fmt: skip
        for path in ("key", "group"):
            named = {"group": f"of {given}"} if path == "group" else {}
            made = await admin.post(f"/{path}/generate", {"models": given, **named})
            assert made["models"] == kept
    made = await admin.post(
        "/key/generate",
        {
            "key_alias": "web",
            "model_max_budget": {"gemini/gemini-2.5-pro": 5},
            "model_rpm_limit": {"vertex_ai/gemini-2.5-pro": 6},
            "allowed_routes": ["/gemini/v1beta/models/*", "/gemini/*"],
        },
    )
    assert made["model_max_budget"] == {"gemini-2.5-pro": "5.000000000000"}
    assert made["model_rpm_limit"] == {"gemini-2.5-pro": 6}
    assert made["allowed_routes"] == ["/v1beta/models/*", "/*"]
    updated = await admin.post("/key/update", {"key": "web", "allowed_routes": ["llm_api_routes", "/v1/*"]})
    assert updated["allowed_routes"] == []


SPELLINGS_OF_LIMITS: list[dict[str, Any]] = [
    {"models": [name]} for name in (*MODEL_GROUPS, "gemini/openai/gpt-4", "openai/*", "gemini 2.5", "gemini/")
] + [
    {"allowed_routes": [name]} for name in (*ROUTE_GROUPS, "chat/completions", "/gemini", "generate content")
] + [
    {"max_budget": "50 USD"}, {"max_budget": -1}, {"max_budget": "1e3"}, {"budget_duration": "monthly"},
    {"duration": "-1"}, {"duration": "permanent"}, {"rpm_limit": 0}, {"tpm_limit": "1000"},
    {"blocked": "true"},
    {"budget": 5}, {"maxBudget": 5}, {"max_budget_usd": 5}, {"budget_usd": 5}, {"limit": 5}, {"rpm": 5},
    {"tpm": 5}, {"requests_per_minute": 5}, {"model": "gemini-2.5-pro"}, {"expires": "2030-01-01"},
    {"max_tokens": 5}, {"ttl": "1d"}, {"budget_reset_at": "2030-01-01"}, {"key_name": "x"},
    {"model_max_budget": {"gemini-2.5-pro": {"budget_limit": 0.0005, "time_period": "30d"}}},
    {"model_max_budget": {"gemini/gemini-2.5-pro": 5, "gemini-2.5-pro": 6}},
    {"model_rpm_limit": {"gemini-2.5-pro": "5"}},
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
        assert LITELLM_PARAMETERS[name].instead in answer.json()["detail"]


async def test_what_litellms_own_client_sends_for_a_list_is_taken(admin) -> None:
    await admin.post("/key/generate", {"key_alias": "web"})
    for value in ("true", "True"):
        query = {"return_full_object": value, "include_team_keys": "false", "include_created_by_keys": value}
        (key,) = (await admin.get("/key/list", **query))["keys"]
        assert key["key_alias"] == "web"
    answer = await admin.client.get("/group/list", params={"return_full_object": "true"})
    assert answer.status_code == 400


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


async def test_what_is_named_in_place_of_litellms_is_there(admin) -> None:
    there = {(method, rule.rule) for rule in admin.app.url_map.iter_rules() for method in rule.methods or ()}
    told = [moved.instead for moved in LITELLM_ROUTES]
    told += [each.instead for each in (*LITELLM_PARAMETERS.values(), *LITELLM_FIELDS.values())]
    named = {found for text in told for found in re.findall(r"(GET|POST) (/[a-z_/]+)", text)}
    assert named - there == set()
    assert len(named) > 10


async def test_in_place_of_a_reset_of_spend_a_key_may_call_with_a_higher_budget(admin) -> None:
    moved = moved_route("/key/web/reset_spend")
    assert moved
    assert "POST /key/update with a higher `max_budget`" in moved.instead
    limits = {"max_budget": "0.000001", "budget_duration": "1d"}
    key = (await admin.post("/key/generate", limits))["token_id"]
    admin.gateway.registry.settle(AccountCharge(key, 10**12, admin.gateway.now_micros()))
    for change, admitted in (({"budget_duration": "30d"}, False), ({"max_budget": 2}, True)):
        changed = await admin.post("/key/update", {"key": key, **change})
        assert changed["spend"] == "1.000000000000"
        call = {"key": key, "model": "gemini-2.5-flash", "max_output_tokens": 9}
        assert (await admin.post("/key/explain", call))["admitted"] is admitted


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
