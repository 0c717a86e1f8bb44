"""Keys, groups and end users of another gateway: by digest, with what they have spent, and only once."""

from __future__ import annotations

from datetime import UTC, datetime

from litellm.rows import SECRETS, recorded_texts
from rig.cases import cases

from gatekeeper.keys.secrets import hash_secret, key_name
from gatekeeper.litellm.models import ModelNames
from gatekeeper.litellm.plan import make_plan
from gatekeeper.litellm.tables import read_tables
from gatekeeper.times import iso

SECRET = "sk-of-a-client-that-moves"
HOUR = 3_600_000_000


def key(secret=SECRET, **fields):
    return {"secret_hash": hash_secret(secret), "key_name": key_name(secret), **fields}


def before(secret):
    """The members of a secret before the last rotation."""
    return {"previous_secret_hash": hash_secret(secret), "previous_expires": "2030-01-01T00:00:00Z"}


def everything(now):
    return {
        "keys": [
            key(
                key_alias="web",
                group="shop",
                max_budget="50",
                budget_duration="1d",
                spend="12.5",
                budget_reset_at=iso(now + HOUR),
                expires=iso(now + 48 * HOUR),
                tags=["a"],
            ),
            key("sk-another-one-of-them", blocked=True, spend=0.25),
        ],
        "groups": [
            {"group": "shop", "max_budget": 100, "spend": "70", "metadata": {"litellm": {"was": "team 1"}}}
        ],
        "users": [{"user_id": "ann", "rpm_limit": 3, "metadata": {"litellm": {"was": "end user ann"}}}],
    }


async def test_clients_keep_their_secrets_and_budgets_what_was_spent(guarded):
    now = guarded.gateway.now_micros()
    body = everything(now)
    assert await guarded.post("/import", body) == {"groups": 1, "users": 1, "keys": 2, "skipped": []}
    info = (await guarded.as_key("GET", "/key/info", SECRET)).json()["info"]
    wanted = {
        "key_alias": "web", "key_name": "sk-...oves", "group": "shop", "spend": "12.500000000000",
        "max_budget": "50.000000000000", "budget_reset_at": iso(now + HOUR), "expires": iso(now + 48 * HOUR),
        "tags": ["a"], "blocked": False, "role": None,
    }  # fmt: skip
    assert {name: info[name] for name in wanted} == wanted
    blocked = await guarded.get("/key/info", key="sk-another-one-of-them")
    assert (blocked["info"]["blocked"], blocked["info"]["spend"]) == (True, "0.250000000000")
    group = await guarded.get("/group/info", group="shop")
    assert (group["spend"], group["keys"]) == ("70.000000000000", 1)
    assert (await guarded.get("/user/info", user_id="ann"))["rpm_limit"] == 3
    log = (await guarded.get("/audit"))["changes"]
    assert [change["action"] for change in log] == ["user.import", "group.import", "import", "import"]
    assert log[3]["detail"]["spend"] == {"from": "0.000000000000", "to": "12.500000000000"}
    # The whole again: nothing changes, and each is named.
    again = await guarded.post("/import", body)
    reasons = {(each["list"], each["index"]): each["reason"] for each in again.pop("skipped")}
    assert again == {"groups": 0, "users": 0, "keys": 0}
    assert reasons == {
        ("groups", 0): "it was imported before",
        ("users", 0): "it was imported before",
        ("keys", 0): "the key web has its secret already",
        ("keys", 1): "the key sk-...them has its secret already",
    }
    assert len((await guarded.get("/audit"))["changes"]) == 4


async def test_what_was_imported_survives_a_restart(guarded):
    now = guarded.gateway.now_micros()
    await guarded.post("/import", everything(now))
    loaded = guarded.gateway.registry._store.load()
    assert {state.record.key_name: (state.spend_pico, state.budget_reset_at) for state in loaded.states} == {
        "sk-...oves": (12_500_000_000_000, now + HOUR),
        "sk-...them": (250_000_000_000, None),
    }
    spent = {account.id.name: account.spend_pico for account in loaded.accounts}
    assert spent == {"shop": 70_000_000_000_000, "ann": 0}


async def test_a_period_that_was_over_begins_with_nothing_spent(guarded):
    past = iso(guarded.gateway.now_micros() - HOUR)
    await guarded.post("/import", {"keys": [key(spend=5, budget_duration="1d", budget_reset_at=past)]})
    info = (await guarded.get("/key/info", key=SECRET))["info"]
    assert (info["spend"], info["budget_reset_at"] > past) == ("0.000000000000", True)


async def test_a_key_that_was_deleted_or_rotated_here_does_not_come_back(guarded):
    other = "sk-another-one-of-them"
    body = {"keys": [key(), key(other)]}
    await guarded.post("/import", body)
    await guarded.post("/key/delete", {"key": SECRET})
    await guarded.post("/key/regenerate", {"key": other})
    again = await guarded.post("/import", body)
    assert (again["keys"], len(again["skipped"])) == (0, 2)
    assert "deleted here, or has another secret" in again["skipped"][0]["reason"]
    for secret in (SECRET, other):
        assert (await guarded.as_key("GET", "/key/info", secret)).status_code == 401


async def test_a_secret_before_a_rotation_is_valid_until_its_end(guarded):
    old, older = "sk-the-one-before-that", "sk-one-that-is-over"
    now = guarded.gateway.now_micros()
    body = {
        "keys": [
            key(previous_secret_hash=hash_secret(old), previous_expires=iso(now + HOUR)),
            key(
                "sk-another-one-of-them",
                previous_secret_hash=hash_secret(older),
                previous_expires=iso(now - HOUR),
            ),
        ]
    }
    await guarded.post("/import", body)
    info = (await guarded.as_key("GET", "/key/info", old)).json()["info"]
    assert (info["key_name"], info["previous_key_name"]) == ("sk-...oves", "sk-...????")
    assert (await guarded.as_key("GET", "/key/info", older)).status_code == 401
    assert len((await guarded.post("/import", body))["skipped"]) == 2


async def test_the_master_key_becomes_no_key(guarded):
    answer = await guarded.post("/import", {"keys": [key("master-of-the-tests"), key()]})
    assert answer["keys"] == 1
    assert answer["skipped"] == [{"list": "keys", "index": 0, "reason": "it is this gateway's master key"}]


async def test_a_dry_run_checks_and_imports_nothing(guarded):
    body = {**everything(guarded.gateway.now_micros()), "dry_run": True}
    assert await guarded.post("/import", body) == {"groups": 1, "users": 1, "keys": 2, "skipped": []}
    assert (await guarded.get("/key/list"))["keys"] == (await guarded.get("/group/list"))["groups"] == []


FAULTS = [
    ({"keys": [key(), {"key_name": "sk-...abcd"}]}, 400, [("keys", 1, "secret_hash")]),
    ({"keys": [{"secret_hash": hash_secret("x")}]}, 400, [("keys", 0, "key_name")]),
    ({"keys": [{"secret_hash": SECRET, "key_name": "sk-..."}]}, 400, [("keys", 0, "secret_hash")]),
    ({"keys": [key(key_name=SECRET)]}, 400, [("keys", 0, "key_name")]),
    ({"keys": [key(role="admin")]}, 400, [("keys", 0, "role")]),
    ({"keys": [key(key="s" * 16)]}, 400, [("keys", 0, "key")]),
    ({"keys": [key(expires="2030-01-01T00:00:00")]}, 400, [("keys", 0, "expires")]),
    ({"keys": [key(spend="-1")]}, 400, [("keys", 0, "spend")]),
    ({"keys": [key(budget_reset_at="2030-01-01T00:00:00Z")]}, 400, [("keys", 0, "budget_reset_at")]),
    ({"keys": [key(), key()]}, 409, [("keys", 1, "secret_hash")]),
    ({"keys": [key(key_alias="there")]}, 409, [("keys", 0, "key_alias")]),
    ({"keys": [key(key_alias=SECRET)]}, 400, [("keys", 0, "key_alias")]),
    ({"keys": [key(previous_secret_hash="1" * 64)]}, 400, [("keys", 0, "previous_expires")]),
    ({"keys": [key(previous_expires="2030-01-01T00:00:00Z")]}, 400, [("keys", 0, "previous_secret_hash")]),
    ({"keys": [key(**before(SECRET))]}, 409, [("keys", 0, "previous_secret_hash")]),
    ({"keys": [key(), key("sk-another-one-of-them", **before(SECRET))]}, 409,
     [("keys", 1, "previous_secret_hash")]),
    ({"keys": [key(**before("sk-of-a-key-that-is-here"))]}, 409, [("keys", 0, "previous_secret_hash")]),
    ({"groups": [{}]}, 400, [("groups", 0, "group")]),
    ({"groups": [{"group": "a"}, {"group": "a"}]}, 409, [("groups", 1, "group")]),
    ({"groups": [{"group": "made here"}]}, 409, [("groups", 0, "group")]),
    (
        {"groups": [{"group": "made here", "metadata": {"litellm": {"was": "team 1"}}}]},
        409,
        [("groups", 0, "group")],
    ),
    ({"users": [{"user_id": "a", "tags": ["b"]}], "keys": [key(rpm_limit=0)]}, 400,
     [("users", 0, "tags"), ("keys", 0, "rpm_limit")]),
]  # fmt: skip


async def test_one_fault_keeps_all_from_being_imported(guarded):
    await guarded.post("/key/generate", {"key_alias": "there", "key": "sk-of-a-key-that-is-here"})
    await guarded.post("/group/generate", {"group": "made here"})
    for body, status, faults in FAULTS:
        for dry_run in (True, False):
            answer = await guarded.client.post("/import", json={**body, "dry_run": dry_run})
            problem = answer.json()
            found = [(each["list"], each["index"], each["field"]) for each in problem["faults"]]
            assert (answer.status_code, found) == (status, faults), body
            assert SECRET not in answer.text
            assert "`key`" not in problem["detail"] or faults[0][2] == "key"
    assert len((await guarded.get("/key/list"))["keys"]) == 1
    assert len((await guarded.get("/group/list"))["groups"]) == 1


@cases(
    ("body", "field"),
    [
        ({"keys": {}}, "keys"), ({"groups": ["a"]}, "groups"), ({"dry_run": 1}, "dry_run"),
        ({"users": [{}] * 10_001}, "users"), ({"teams": []}, "teams"),
    ],
)  # fmt: skip
async def test_a_request_in_another_form_is_refused(guarded, body, field):
    answer = await guarded.client.post("/import", json=body)
    assert (answer.status_code, answer.json()["field"]) == (400, field)


async def test_rows_of_litellm_arrive_as_a_whole(guarded):
    """From its tables to a client that uses its old secret."""
    plan = make_plan(read_tables(recorded_texts()), ModelNames(), datetime(2026, 11, 29, 14, tzinfo=UTC))
    lists = {f"{kind}s": [item.document for item in plan.coming(kind)] for kind in ("group", "user", "key")}
    assert await guarded.post("/import", lists) == {"groups": 3, "users": 2, "keys": 4, "skipped": []}
    info = (await guarded.as_key("GET", "/key/info", SECRETS["web-frontend"])).json()["info"]
    wanted = {
        "key_alias": "web-frontend", "models": ["gemini-2.5-pro", "gemini-2.5-flash"], "group": "shop",
        "max_budget": "50.000000000000", "spend": "12.400000000000", "budget_duration": "1mo",
    }  # fmt: skip
    assert {name: info[name] for name in wanted} == wanted
    group = await guarded.get("/group/info", group="shop")
    assert (group["spend"], group["keys"]) == ("123.456000000000", 2)
    made = await guarded.post("/key/generate", {"team_id": "9f1d2c3b-team"})
    assert made["group"] == "shop"
    again = await guarded.post("/import", lists)
    assert (again["keys"], len(again["skipped"])) == (0, 9)
