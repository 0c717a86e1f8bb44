"""Many keys at once: all of them or none, and what is wrong is told by place and field."""

from __future__ import annotations

import pytest
from rig.cases import cases


async def test_all_are_made_in_order_and_each_works(guarded):
    keys = [{"key_alias": f"k{number}", "rpm_limit": number + 1} for number in range(250)]
    made = (await guarded.post("/key/bulk", {"keys": keys}))["keys"]
    assert [(key["key_alias"], key["rpm_limit"]) for key in made] == [tuple(key.values()) for key in keys]
    assert len({key["key"] for key in made}) == len(keys)
    answer = await guarded.as_key("GET", "/key/info", made[-1]["key"])
    assert answer.json()["key"] == made[-1]["token_id"]
    log = (await guarded.get("/audit", limit=1000))["changes"]
    assert [change["key_alias"] for change in reversed(log)] == [key["key_alias"] for key in keys]


@pytest.mark.parametrize(
    ("keys", "status", "faults"),
    [
        ([{}, {"max_budgett": 1}], 400, [(1, "max_budgett")]),
        ([{"max_budget": -1}, {"key_alias": ""}, {}], 400, [(0, "max_budget"), (1, "key_alias")]),
        ([{"key_alias": "a"}, {"key_alias": "a"}], 409, [(1, "key_alias")]),
        ([{"key": "s" * 16}, {"key": "s" * 16}], 409, [(1, "key")]),
        ([{"key": "s" * 16}, {"key_alias": "s" * 16}], 400, [(1, "key_alias")]),
        ([{"key_alias": "s" * 16}, {"key": "s" * 16}], 400, [(1, "key")]),
        ([{}, {"key_alias": "there"}], 409, [(1, "key_alias")]),
        ([{"key": "secret-of-a-key-that-is-there"}], 409, [(0, "key")]),
    ],
    ids=str,
)
@pytest.mark.parametrize("dry_run", [False, True])
async def test_one_fault_keeps_all_from_being_made(admin, keys, status, faults, dry_run):
    await admin.post("/key/generate", {"key_alias": "there", "key": "secret-of-a-key-that-is-there"})
    answer = await admin.client.post("/key/bulk", json={"keys": keys, "dry_run": dry_run})
    problem = answer.json()
    found = [(each["index"], each["field"]) for each in problem["faults"]]
    assert (answer.status_code, found) == (status, faults)
    index, field = faults[0]
    assert problem["field"] == f"keys[{index}].{field}"
    assert problem["detail"].count("s" * 16) == 0
    assert len((await admin.get("/key/list"))["keys"]) == 1


async def test_a_dry_run_makes_none(admin):
    assert await admin.post("/key/bulk", {"keys": [{}, {"key_alias": "a"}], "dry_run": True}) == {
        "keys": [],
        "valid": 2,
    }
    assert (await admin.get("/key/list"))["keys"] == []


@cases(
    ("body", "field"),
    [
        ({}, "keys"), ({"keys": []}, "keys"), ({"keys": {}}, "keys"), ({"keys": ["a"]}, "keys"),
        ({"key": "a"}, "key"),
        ({"keys": [{}] * 10_001}, "keys"), ({"keys": [{}], "dry_run": 1}, "dry_run"),
    ],
)  # fmt: skip
async def test_what_is_no_list_of_keys_is_refused(admin, body, field):
    answer = await admin.client.post("/key/bulk", json=body)
    assert (answer.status_code, answer.json()["field"]) == (400, field)


async def test_only_an_admin_makes_keys_with_roles(guarded):
    operator = (await guarded.post("/key/generate", {"role": "operator"}))["key"]
    answer = await guarded.as_key("POST", "/key/bulk", operator, {"keys": [{}, {"role": "viewer"}]})
    assert (answer.status_code, answer.json()["field"]) == (403, "keys[1].role")
    assert (await guarded.post("/key/bulk", {"keys": [{"role": "viewer"}]}))["keys"][0]["role"] == "viewer"


async def test_a_body_of_more_than_a_mebibyte_is_taken_there_only(admin):
    keys = [{"metadata": {"text": "x" * 1000}} for _ in range(1200)]
    assert (await admin.post("/key/bulk", {"keys": keys, "dry_run": True}))["valid"] == 1200
    for path, size in (("/key/bulk", 17 << 20), ("/key/generate", 2 << 20)):
        answer = await admin.client.post(path, content=b" " * size)
        assert answer.status_code == 413, path
