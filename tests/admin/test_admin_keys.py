"""Keys over HTTP, from their making to their end."""

from __future__ import annotations

import trio
from rig.cases import cases

from gatekeeper.keys.spend import AccountCharge

SECRET = "sk-chosen-by-somebody"


async def test_a_key_without_wishes_is_made_from_an_empty_body(admin):
    key = await admin.post("/key/generate")
    assert key["key"].startswith("sk-")
    assert key["key_name"] == f"sk-...{key['key'][-4:]}"
    assert key["token_id"].startswith("key_")
    assert (key["key_alias"], key["expires"], key["spend"]) == (None, None, "0.000000000000")


async def test_a_body_is_json_whatever_its_content_type_says(admin):
    for kind in (None, "application/json", "application/x-www-form-urlencoded", "multipart/form-data"):
        headers = {"Content-Type": kind} if kind else {}
        answer = await admin.client.post("/key/generate", content=b' {"user_id": "ann"} ', headers=headers)
        assert answer.json()["user_id"] == "ann"


async def test_every_field_of_a_new_key_is_answered(admin):
    wishes = {
        "key": SECRET,
        "key_alias": "web",
        "models": ["gemini-2.5*"],
        "max_budget": "12.5",
        "budget_duration": "30d",
        "rpm_limit": 60,
        "tags": ["eu"],
        "metadata": {"team": {"name": "Ä"}},
        "user_id": "u-1",
        "allowed_routes": ["generateContent"],
        "blocked": False,
        "group": "g",
        "on_disconnect": "finish",
    }
    key = await admin.post("/key/generate", wishes)
    assert key["max_budget"] == "12.500000000000"
    assert key["budget_reset_at"].endswith("Z")
    assert {**wishes, "max_budget": key["max_budget"]}.items() <= key.items()


async def test_a_key_answers_to_its_secret_its_id_and_its_alias_and_never_shows_the_secret_again(admin):
    made = await admin.post("/key/generate", {"key": SECRET, "key_alias": "web"})
    for name in (SECRET, made["token_id"], "web"):
        answer = await admin.client.get("/key/info", params={"key": name})
        assert answer.json()["key"] == answer.json()["info"]["token_id"] == made["token_id"]
        assert SECRET not in answer.text
    for path in ("/key/list", "/audit"):
        assert SECRET not in (await admin.client.get(path)).text


async def test_an_update_sets_what_is_given_and_no_more(admin):
    made = await admin.post("/key/generate", {"key_alias": "web", "rpm_limit": 5, "tags": ["a"]})
    updated = await admin.post("/key/update", {"key": "web", "rpm_limit": None, "key_alias": "front"})
    assert updated["updated_at"] > made["updated_at"]
    changed = {
        "rpm_limit": None,
        "key_alias": "front",
        "updated_at": updated["updated_at"],
    }
    assert updated == {**made, "key": made["token_id"], **changed}
    assert (await admin.get("/key/info", key="front"))["info"]["rpm_limit"] is None


@cases(
    "field",
    [
        {"models": []}, {"models": ""}, {"models": [""]}, {"allowed_routes": []}, {"allowed_routes": [" "]},
        {"max_budget": ""}, {"rpm_limit": ""}, {"duration": ""}, {"budget_duration": ""},
        {"model_rpm_limit": {}}, {"model_max_budget": {}},
    ],
)  # fmt: skip
async def test_an_empty_value_takes_no_limit_away(admin, field):
    limits = {"models": ["gemini-2.5*"], "allowed_routes": ["generateContent"], "max_budget": 1}
    made = await admin.post(
        "/key/generate", {**limits, "rpm_limit": 5, "model_rpm_limit": {"*": 5}, "duration": "1h"}
    )
    answer = await admin.client.post("/key/update", json={"key": made["token_id"], **field})
    assert (answer.status_code, answer.json()["field"]) == (400, *field)
    info = (await admin.get("/key/info", key=made["token_id"]))["info"]
    assert info == {name: made[name] for name in info}


async def test_a_name_of_one_key_is_no_name_of_another(admin):
    chosen = "a-secret-without-prefix"
    first = await admin.post("/key/generate", {"key": chosen, "key_alias": "alias-of-the-first"})
    other = await admin.post("/key/generate")
    for path, field, body in (
        ("generate", "key_alias", {"key_alias": first["token_id"]}),
        ("generate", "key_alias", {"key_alias": chosen}),
        ("generate", "key", {"key": "alias-of-the-first"}),
        ("generate", "key", {"key": first["token_id"]}),
        ("update", "key_alias", {"key": other["token_id"], "key_alias": chosen}),
        ("update", "key_alias", {"key": other["token_id"], "key_alias": other["key"]}),
    ):
        answer = await admin.client.post(f"/key/{path}", json=body)
        assert (answer.status_code, answer.json()["field"]) == (400, field)
        assert chosen not in answer.text
        assert other["key"] not in answer.text
    for name in (chosen, first["token_id"], "alias-of-the-first"):
        assert (await admin.get("/key/info", key=name))["key"] == first["token_id"]


async def test_several_keys_change_at_once(admin):
    ids = [(await admin.post("/key/generate"))["token_id"] for _ in range(2)]
    blocked = (await admin.post("/key/block", {"keys": [*ids, ids[0]]}))["keys"]
    assert [(key["token_id"], key["blocked"]) for key in blocked] == [(ids[0], True), (ids[1], True)]
    tagged = (await admin.post("/key/update", {"keys": ids, "tags": ["x"]}))["keys"]
    assert [key["tags"] for key in tagged] == [["x"], ["x"]]
    assert [key["blocked"] for key in (await admin.post("/key/unblock", {"keys": ids}))["keys"]] == [
        False
    ] * 2


async def test_a_batch_with_one_unknown_key_changes_nothing(admin):
    made = await admin.post("/key/generate", {"key_alias": "web"})
    for verb in ("update", "block", "regenerate", "delete"):
        answer = await admin.client.post(f"/key/{verb}", json={"keys": ["web", "nobody"]})
        assert answer.status_code == 404
        assert "nobody" in answer.json()["detail"]
    assert (await admin.get("/key/info", key=made["key"]))["info"]["blocked"] is False


async def test_the_master_key_is_no_name_of_a_virtual_key(guarded):
    """Whoever has it is the administrator, whatever limits a key of that name was given."""
    await guarded.post("/key/generate", {"key_alias": "ci"})
    master = guarded.gateway.settings.master_key
    for path, body, field in (
        ("/key/generate", {"key": master, "max_budget": 1}, "key"),
        ("/key/generate", {"key_alias": master}, "key_alias"),
        ("/key/bulk", {"keys": [{}, {"key": master}]}, "keys[1].key"),
        ("/key/update", {"key": "ci", "key_alias": master}, "key_alias"),
    ):
        answer = await guarded.client.post(path, json=body)
        assert (answer.status_code, answer.json()["field"]) == (400, field)
        assert "the gateway's master key" in answer.json()["detail"]
        assert master not in answer.text
    assert [key["key_alias"] for key in (await guarded.get("/key/list"))["keys"]] == ["ci"]


async def test_regenerate_ends_the_old_secret_and_keeps_the_rest(admin):
    made = await admin.post("/key/generate", {"key_alias": "web"})
    fresh = await admin.post("/key/regenerate", {"key": "web"})
    assert fresh["key"] != made["key"]
    assert fresh["token_id"] == made["token_id"]
    assert (await admin.client.get("/key/info", params={"key": made["key"]})).status_code == 404
    assert (await admin.get("/key/info", key=fresh["key"]))["key"] == made["token_id"]


async def test_deleted_keys_are_told_by_id_and_gone(admin):
    made = await admin.post("/key/generate", {"key_alias": "web"})
    assert await admin.post("/key/delete", {"key": made["key"]}) == {"deleted_keys": [made["token_id"]]}
    assert (await admin.get("/key/list"))["keys"] == []
    await admin.post("/key/generate", {"key_alias": "web"})  # the alias is free again


async def test_the_list_is_searched_sorted_and_paged(admin):
    for alias in ("ann", "bob", "cid"):
        await admin.post("/key/generate", {"key_alias": alias, "tags": ["eu"] if alias != "bob" else []})

    async def listed(**params):
        page = await admin.get("/key/list", **params)
        return [key["key_alias"] for key in page["keys"]], page["next_cursor"]

    assert (await listed())[0] == ["cid", "bob", "ann"]
    assert (await listed(q="EU", sort="key_alias"))[0] == ["ann", "cid"]
    first, cursor = await listed(sort="key_alias", limit=2)
    second, end = await listed(sort="key_alias", limit=2, cursor=cursor)
    assert (first, second, end) == (["ann", "bob"], ["cid"], None)


async def test_what_a_key_spends_shows_at_once(admin):
    made = await admin.post("/key/generate", {"key_alias": "web"})
    admin.gateway.registry.settle(AccountCharge(made["token_id"], 1_500, 1_000_000))
    (key,) = (await admin.get("/key/list"))["keys"]
    assert (key["spend"], key["last_used_at"]) == ("0.000000001500", "1970-01-01T00:00:01.000000Z")


async def test_what_a_name_is_can_be_said(admin):
    made = await admin.post("/key/generate", {"key_alias": "web"})
    for name in ({"token_id": made["token_id"]}, {"alias": "web"}, {"key": "web"}):
        assert (await admin.post("/key/block", name))["token_id"] == made["token_id"]
    for names in ({"token_ids": [made["token_id"]]}, {"key_aliases": ["web"]}):
        assert (await admin.post("/key/unblock", names))["keys"][0]["token_id"] == made["token_id"]
    for wrong in ({"token_id": "web"}, {"alias": made["token_id"]}, {"alias": made["key"]}):
        answer = await admin.client.post("/key/delete", json=wrong)
        assert (answer.status_code, answer.json()["field"]) == (404, "key")
    assert (await admin.client.post("/key/delete", json={"key": "web", "alias": "web"})).status_code == 400


async def test_of_two_updates_by_what_was_read_one_is_refused(admin):
    made = await admin.post("/key/generate", {"key_alias": "web"})
    answers = []

    async def update(limit: int) -> None:
        body = {"key": "web", "updated_at": made["updated_at"], "rpm_limit": limit}
        answers.append(await admin.client.post("/key/update", json=body))

    async with trio.open_nursery() as nursery:
        for limit in range(5):
            nursery.start_soon(update, limit + 1)
    applied = [answer for answer in answers if answer.status_code == 200]
    refused = [answer.json()["field"] for answer in answers if answer.status_code == 409]
    assert (len(applied), refused) == (1, ["updated_at"] * 4)
    info = (await admin.get("/key/info", key="web"))["info"]
    assert info["rpm_limit"] == applied[0].json()["rpm_limit"]
    headers = {"If-Match": f'"{info["updated_at"]}"'}
    assert (
        await admin.client.post("/key/update", json={"key": "web", "tags": ["a"]}, headers=headers)
    ).is_success
    late = await admin.client.post("/key/update", json={"key": "web", "tags": ["b"]}, headers=headers)
    assert late.status_code == 409
    both = [made["token_id"], (await admin.post("/key/generate"))["token_id"]]
    several = {"keys": both, "updated_at": info["updated_at"], "tags": ["b"]}
    answer = await admin.client.post("/key/update", json=several)
    assert (answer.status_code, answer.json()["field"]) == (400, "updated_at")


async def test_updates_at_once_of_other_fields_are_all_applied(admin):
    await admin.post("/key/generate", {"key_alias": "web"})
    changes = [{"rpm_limit": 1}, {"tpm_limit": 2}, {"user_id": "u"}, {"tags": ["a"]}]
    async with trio.open_nursery() as nursery:
        for change in changes:
            nursery.start_soon(admin.post, "/key/update", {"key": "web", **change})
    info = (await admin.get("/key/info", key="web"))["info"]
    assert all(info[name] == value for change in changes for name, value in change.items())


async def test_a_rotation_with_grace_leaves_the_old_secret_valid_for_so_long(guarded):
    made = await guarded.post("/key/generate", {"key_alias": "web"})
    fresh = await guarded.post("/key/regenerate", {"key": "web", "grace": "24h"})
    assert (fresh["previous_key_name"], fresh["key_name"][-4:]) == (made["key_name"], fresh["key"][-4:])
    assert fresh["previous_expires"] > fresh["updated_at"]
    for secret in (made["key"], fresh["key"]):
        assert (await guarded.as_key("GET", "/key/info", secret)).json()["key"] == made["token_id"]
    assert (await guarded.get("/key/info", key="web"))["info"]["previous_used_at"]
    ended = await guarded.post("/key/end_grace", {"key": "web"})
    assert ended["previous_expires"] is None
    assert (await guarded.as_key("GET", "/key/info", made["key"])).status_code == 401
    actions = [change["action"] for change in (await guarded.get("/audit"))["changes"]]
    assert actions == ["end_grace", "regenerate", "create"]


@cases("grace", ["", "soon", 7, "0s", "91d", "-1h", True])
async def test_a_grace_is_a_duration_of_at_most_90_days(admin, grace):
    made = await admin.post("/key/generate")
    answer = await admin.client.post("/key/regenerate", json={"key": made["token_id"], "grace": grace})
    assert (answer.status_code, answer.json()["field"]) == (400, "grace")
    assert (await admin.get("/key/info", key=made["key"]))["key"] == made["token_id"]
