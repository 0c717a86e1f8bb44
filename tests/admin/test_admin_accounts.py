"""Groups and end users over HTTP, from their making to their end."""

from __future__ import annotations

import pytest
import trio
from rig.cases import cases

from gatekeeper.keys.spend import AccountCharge

KINDS = [("group", "group"), ("user", "user_id")]
both = pytest.mark.parametrize(("kind", "field"), KINDS)


@both
async def test_every_limit_that_is_given_is_answered(admin, kind, field):
    limits = {
        "max_budget": "12.5",
        "budget_duration": "30d",
        "models": ["gemini-2.5*"],
        "rpm_limit": 60,
        "metadata": {"cost_centre": 7},
        "on_disconnect": "finish",
    }
    made = await admin.post(f"/{kind}/generate", {field: "shop", **limits})
    assert made == {**made, field: "shop", **limits, "max_budget": "12.500000000000"}
    assert (made["spend"], made["blocked"]) == ("0.000000000000", False)
    assert made["budget_reset_at"] > made["created_at"]
    assert await admin.get(f"/{kind}/info", **{field: "shop"}) == made


@both
@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"max_budgett": 1}, "max_budgett"), ({"max_budget": -1}, "max_budget"), ({"models": "x"}, "models"),
        ({"max_budget": "NaN"}, "max_budget"), ({"budget_duration": "soon"}, "budget_duration"),
        ({"key_alias": "x"}, "key_alias"),
        ({"role": "admin"}, "role"), ({"duration": "1d"}, "duration"), ({"tags": ["a"]}, "tags"),
    ],
    ids=str,
)  # fmt: skip
async def test_a_fault_names_its_field_and_makes_and_changes_nothing(admin, kind, field, change, named):
    answer = await admin.client.post(f"/{kind}/generate", json={field: "shop", **change})
    assert (answer.status_code, answer.json()["field"]) == (400, named)
    assert (await admin.get(f"/{kind}/list"))[f"{kind}s"] == []
    made = await admin.post(f"/{kind}/generate", {field: "shop", "max_budget": 1})
    answer = await admin.client.post(f"/{kind}/update", json={field: "shop", **change})
    assert (answer.status_code, answer.json()["field"]) == (400, named)
    assert await admin.get(f"/{kind}/info", **{field: "shop"}) == made


@both
@cases("name", [None, "", " ", 7, ["a"], "a\nb", "x" * 201])
async def test_a_name_is_a_printable_text_that_is_not_too_long(admin, kind, field, name):
    answer = await admin.client.post(f"/{kind}/generate", json={field: name})
    assert (answer.status_code, answer.json()["field"]) == (400, field)


@both
@pytest.mark.parametrize("route", ["generate", "update"])
async def test_a_missing_name_is_told_before_the_field_that_stands_for_it(admin, kind, field, route):
    answer = await admin.client.post(f"/{kind}/{route}", json={"name": "shop", "max_budget": 1})
    assert (answer.status_code, answer.json()["field"]) == (400, field)


@both
async def test_a_second_of_the_same_name_is_refused_and_one_that_is_not_there_is_not_found(
    admin, kind, field
):
    made = await admin.post(f"/{kind}/generate", {field: "shop", "rpm_limit": 1})
    again = await admin.client.post(f"/{kind}/generate", json={field: "shop", "rpm_limit": 2})
    assert (again.status_code, again.json()["field"]) == (409, field)
    assert f"`{kind}s edit`" in again.json()["detail"]
    assert await admin.get(f"/{kind}/info", **{field: "shop"}) == made
    for path in ("update", "block", "unblock", "delete"):
        answer = await admin.client.post(f"/{kind}/{path}", json={field: "nobody"})
        assert (answer.status_code, answer.json()["field"]) == (404, field)
    answer = await admin.client.get(f"/{kind}/info", params={field: "nobody"})
    assert (answer.status_code, answer.json()["field"]) == (404, field)
    missing = await admin.client.get(f"/{kind}/info")
    assert (missing.status_code, missing.json()["field"]) == (400, field)


@both
async def test_an_update_sets_what_is_given_and_null_unsets(admin, kind, field):
    await admin.post(f"/{kind}/generate", {field: "shop", "rpm_limit": 5, "max_budget": 1})
    await admin.post(f"/{kind}/update", {field: "shop", "rpm_limit": None, "tpm_limit": 9})
    now = await admin.get(f"/{kind}/info", **{field: "shop"})
    assert (now["rpm_limit"], now["tpm_limit"], now["max_budget"]) == (None, 9, "1.000000000000")
    assert (await admin.post(f"/{kind}/block", {field: "shop"}))["blocked"]
    assert not (await admin.post(f"/{kind}/unblock", {field: "shop"}))["blocked"]


@both
async def test_of_two_updates_by_what_was_read_one_is_refused(admin, kind, field):
    made = await admin.post(f"/{kind}/generate", {field: "shop"})
    answers = []

    async def update(limit: int) -> None:
        body = {field: "shop", "updated_at": made["updated_at"], "rpm_limit": limit}
        answers.append(await admin.client.post(f"/{kind}/update", json=body))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(update, 1)
        nursery.start_soon(update, 2)
    refused, applied = sorted(answers, key=lambda answer: -answer.status_code)
    assert (applied.status_code, refused.status_code, refused.json()["field"]) == (200, 409, "updated_at")
    assert await admin.get(f"/{kind}/info", **{field: "shop"}) == applied.json()
    headers = {"If-Match": f'"{made["updated_at"]}"'}
    late = await admin.client.post(f"/{kind}/update", json={field: "shop", "rpm_limit": 3}, headers=headers)
    assert late.status_code == 409
    headers = {"If-Match": f'"{applied.json()["updated_at"]}"'}
    right = await admin.client.post(f"/{kind}/update", json={field: "shop", "rpm_limit": 3}, headers=headers)
    assert right.json()["rpm_limit"] == 3
    for wrong in ("yesterday", 7, "2026-11-24T13:05:00"):
        answer = await admin.client.post(f"/{kind}/update", json={field: "shop", "updated_at": wrong})
        assert (answer.status_code, answer.json()["field"]) == (400, "updated_at")


@both
async def test_the_list_is_searched_and_paged_by_name(admin, kind, field):
    for name in ("shop", "web", "ops", "web-2"):
        await admin.post(f"/{kind}/generate", {field: name})
    first = await admin.get(f"/{kind}/list", limit=3)
    rest = await admin.get(f"/{kind}/list", limit=3, cursor=first["next_cursor"])
    assert [each[field] for page in (first, rest) for each in page[f"{kind}s"]] == [
        "ops",
        "shop",
        "web",
        "web-2",
    ]
    assert rest["next_cursor"] is None
    assert [each[field] for each in (await admin.get(f"/{kind}/list", q="WEB"))[f"{kind}s"]] == [
        "web",
        "web-2",
    ]


async def test_a_group_that_keys_name_is_deleted_only_by_force(admin):
    await admin.post("/group/generate", {"group": "shop"})
    await admin.post("/key/generate", {"group": "shop", "key_alias": "web"})
    assert (await admin.get("/group/info", group="shop"))["keys"] == 1
    refused = await admin.client.post("/group/delete", json={"group": "shop"})
    assert (refused.status_code, refused.json()["field"]) == (409, "force")
    assert "1 key belongs" in refused.json()["detail"]
    wrong = await admin.client.post("/group/delete", json={"group": "shop", "force": "yes"})
    assert (wrong.status_code, wrong.json()["field"]) == (400, "force")
    assert await admin.post("/group/delete", {"group": "shop", "force": True}) == {"deleted": "shop"}
    assert (await admin.get("/key/info", key="web"))["info"]["group"] == "shop"


@both
async def test_one_that_is_made_anew_has_spent_nothing(admin, kind, field):
    registry = admin.gateway.registry
    made = await admin.post("/key/generate", {"group": "shop"})
    call = AccountCharge(
        made["token_id"], 7, admin.gateway.now_micros() + 1_000_000, group="shop", user="shop", model="m"
    )
    limits = {"max_budget": 1}
    for _ in range(2):
        await admin.post(f"/{kind}/generate", {field: "shop", **limits})
        registry.settle(call)
        assert (await admin.get(f"/{kind}/info", **{field: "shop"}))["spend"] == "0.000000000007"
        await admin.post(f"/{kind}/delete", {field: "shop"} | ({"force": True} if kind == "group" else {}))


@both
async def test_every_change_is_in_the_log(guarded, kind, field):
    await guarded.post(f"/{kind}/generate", {field: "shop", "rpm_limit": 1})
    await guarded.post(f"/{kind}/update", {field: "shop", "rpm_limit": 2})
    await guarded.post(f"/{kind}/block", {field: "shop"})
    await guarded.post(f"/{kind}/delete", {field: "shop"})
    log = (await guarded.get("/audit"))["changes"]
    assert [(change["action"], change["target"], change["by"]) for change in log] == [
        (f"{kind}.{action}", "shop", "master") for action in ("delete", "block", "update", "create")
    ]
    assert log[2]["detail"] == {"rpm_limit": {"from": 1, "to": 2}}
    assert log[3]["detail"]["rpm_limit"] == {"from": None, "to": 1}
    assert log[0]["detail"][kind]["rpm_limit"] == 2


@cases(("path", "ours"), [("/team/new", "/group/"), ("/customer/new", "/user/")])
async def test_what_litellm_calls_otherwise_is_pointed_at(admin, path, ours):
    answer = await admin.client.post(path, json={})
    assert (answer.status_code, ours in answer.json()["detail"]) == (404, True)
