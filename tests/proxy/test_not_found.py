"""Base URLs that are not quite right: each is told the right ones, and leaves no invented action behind."""

from __future__ import annotations

import json

from rig.cases import cases
from rig.gateway import Running
from rig.standin import StandIn
from rig.wire import exchange

from gatekeeper.admin.app import BLUEPRINTS, AdminApi
from gatekeeper.proxy.not_found import base_url_refusal, is_gemini_path

GENERATE = "models/gemini-2.5-flash:generateContent"

# A path, and what its message says is wrong with it
INSIDE = {
    f"/gemini/{GENERATE}": "not a version and a method",
    "/gemini/models": "not a version and a method",
    "/gemini/": "not a version and a method",
    "/gemini/v1beta": "not a version and a method",
    f"/gemini/v1beta/v1beta/{GENERATE}": "two versions, v1beta and v1beta",
    f"/gemini/v1beta/v1/{GENERATE}": "two versions, v1beta and v1",
    f"/gemini/gemini/v1beta/{GENERATE}": "`gemini` twice",
    f"/gemini/v1beta/gemini/v1beta/{GENERATE}": "`gemini` twice",
    "/gemini/v1beta/upload/v1beta/files": "two versions",
    "/gemini/chat/completions": "without `openai/`",
    "/gemini/v1/chat/completions": "without `openai/`",
    "/gemini/v1beta/embeddings": "without `openai/`",
    "/gemini/openai/chat/completions": "not a version and a method",
    "/gemini/v1beta/openai/v1/chat/completions": "two versions",
}
OUTSIDE = {
    f"/v1beta/{GENERATE}": "does not begin with `/gemini`",
    f"//v1beta/{GENERATE}": "does not begin with `/gemini`",
    f"/{GENERATE}": "does not begin with `/gemini`",
    "/models/gemini-2.5-flash": "does not begin with `/gemini`",
    "/v1/models": "does not begin with `/gemini`",
    "/upload/v1beta/files": "does not begin with `/gemini`",
    "/v1beta/openai/chat/completions": "does not begin with `/gemini`",
    "/v1/chat/completions": "without `openai/`",
    "/chat/completions": "without `openai/`",
    "/gemini": "not a version and a method",
    f"/Gemini/v1beta/{GENERATE}": "does not begin with `/gemini`",
    f"//gemini/v1beta/{GENERATE}": "not a version and a method",
}


@cases("path", INSIDE | OUTSIDE)
async def test_a_wrong_base_url_is_told_the_right_one(gateway: Running, google: StandIn, path: str) -> None:
    answer = await exchange(gateway.url, f"POST {path}?key=k", body=b"{}")
    error = json.loads(answer.body)["error"]
    assert (answer.status, error["status"], answer.reason) == (404, "NOT_FOUND", "GATEKEEPER_NOT_FOUND")
    assert (INSIDE | OUTSIDE)[path] in error["message"]
    assert "http://localhost/gemini for clients" in error["message"]
    assert google.asked == []
    if path in INSIDE:
        row = await gateway.row()
        assert (row["id"], row["status"], row["outcome"]) == (
            answer.headers["x-gatekeeper-call-id"], 404, "refused",
        )  # fmt: skip
        assert (row["action"], row["model"], row["reason"]) == (None, None, "GATEKEEPER_NOT_FOUND")
    else:
        assert "x-gatekeeper-call-id" not in answer.headers
        assert await gateway.rows() == []


def test_the_base_url_is_the_one_that_the_client_reached() -> None:
    base = "https://gw.example/llm/gemini"
    refusal = base_url_refusal(b"/gemini/models", "https://gw.example/llm")
    assert refusal.metadata == {"base_url": base}
    assert f"{base}/v1beta/openai/ for OpenAI-style" in refusal.message


@cases("slashes", ["//", "///"])
async def test_a_base_url_with_a_slash_at_its_end_works(
    gateway: Running, google: StandIn, slashes: str
) -> None:
    answer = await exchange(gateway.url, f"POST /gemini{slashes}v1beta/{GENERATE}?key=k", body=b"{}")
    assert answer.status == 200
    assert google.asked[-1].target == f"/v1beta/{GENERATE}".encode()
    row = await gateway.row()
    assert (row["action"], row["path"]) == ("generateContent", f"/v1beta/{GENERATE}")


@cases(
    ("line", "action", "model"),
    [
        ("GET /gemini/v1beta/openai/models/models/gemini-2.5-flash", "openai.models.get", "gemini-2.5-flash"),
        ("POST /gemini/v1beta/models/gemini/g-3:generateContent", "generateContent", "gemini/g-3"),
        ("GET /gemini/v1beta/models/google/g-3", "models.get", "google/g-3"),
        ("POST /gemini/v1beta/openai/batches/b-1/cancel", "openai.batches.cancel", None),
    ],
)
async def test_ids_with_a_slash_are_no_part_of_an_action(
    gateway: Running, line: str, action: str, model: str | None
) -> None:
    await exchange(gateway.url, line, body=b"")
    row = await gateway.row()
    assert (row["action"], row["model"]) == (action, model)


async def test_the_admin_api_is_not_shadowed(gateway: Running) -> None:
    rules = list(AdminApi(gateway.gateway).url_map.iter_rules())
    assert len(rules) > len(BLUEPRINTS)
    assert not [rule.rule for rule in rules if is_gemini_path(rule.rule.encode())]
    assert (await gateway.client.get("/models")).status_code == 200
    assert (await gateway.client.get("/nowhere")).headers["content-type"] == "application/problem+json"


@cases("authority", ["localhost", "user:word@127.0.0.1:4000", "LOCALHOST:80"])
async def test_a_request_in_absolute_form_is_the_same_as_in_origin_form(
    gateway: Running, google: StandIn, authority: str
) -> None:
    line = f"POST http://{authority}/gemini/v1beta/{GENERATE}?key=k"
    assert (await exchange(gateway.url, line, body=b"{}")).status == 200
    assert google.asked[-1].target == f"/v1beta/{GENERATE}".encode()
    assert (await gateway.row())["action"] == "generateContent"
    assert (await exchange(gateway.url, f"GET HTTP://{authority}/healthz")).status == 200
    assert (await exchange(gateway.url, f"GET http://{authority}")).status == 200


async def test_the_host_of_a_request_in_absolute_form_is_the_one_in_it(gateway: Running) -> None:
    answer = await exchange(gateway.url, f"POST http://evil.example/gemini/v1beta/{GENERATE}", body=b"{}")
    assert (answer.status, answer.reason) == (403, "GATEKEEPER_POLICY")


@cases("method", ["BREW", "POSTS", "PROPFIND", "X" * 300])
async def test_a_method_that_google_has_not_is_refused(
    gateway: Running, google: StandIn, method: str
) -> None:
    answer = await exchange(gateway.url, f"{method} /gemini/v1beta/files", body=b"")
    assert (answer.status, answer.reason) == (400, "GATEKEEPER_BAD_REQUEST")
    assert b"DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT" in answer.body
    assert (await gateway.row())["action"] is None
    assert google.asked == []


@cases("way", ["%2e%2e", "..", "%252e%252e", "v1beta/../..", "v1beta\\..\\%2e%2e", "x/.%2e/.."])
async def test_a_path_that_leads_out_of_the_upstreams_prefix_is_refused(
    gateway: Running, google: StandIn, way: str
) -> None:
    answer = await exchange(gateway.url, f"GET /gemini/{way}/v1beta/files?key=k")
    assert (answer.status, answer.reason) == (400, "GATEKEEPER_BAD_REQUEST")
    assert b"too many `..` segments" in answer.body
    assert google.asked == []
