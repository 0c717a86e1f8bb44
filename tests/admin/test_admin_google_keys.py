"""`/google_key/…`: the gateway's own Google keys are added, drained and removed while it runs."""

from __future__ import annotations

import sqlite3
from typing import Any

import pytest
from rig.cases import cases

from gatekeeper.keys.cool_downs import KeyRequirement

SECRET = "secret-of-the-second-google-key"
FIRST = "secret-of-the-first-google-key"
NEW = {
    "label": "second",
    "key": SECRET,
    "project": "shop",
    "weight": 2,
    "models": ["gemini-2.5-*"],
    "rpm": 60,
}


@pytest.fixture
async def keyed(serve: Any):
    async with serve(GEMINI_API_KEY=FIRST) as gateway:
        yield gateway


async def problem(admin, path: str, body: object, status: int) -> dict[str, Any]:
    answer = await admin.client.post(path, json=body)
    assert answer.status_code == status, answer.text
    assert SECRET not in answer.text
    return answer.json()


async def listed(admin) -> dict[str, dict[str, Any]]:
    keys = (await admin.get("/google_key/list"))["google_keys"]
    return {key["label"]: key for key in keys}


async def test_a_key_is_added_without_a_restart_and_never_shown(keyed, tmp_path) -> None:
    made = await keyed.post("/google_key/add", NEW)
    assert made == {
        "label": "second",
        "project": "shop",
        "state": "ok",
        "detail": None,
        "in_flight": 0,
        "requests_last_minute": 0,
        "input_tokens_last_minute": 0,
        "weight": 2.0,
        "models": ["gemini-2.5-*"],
        "rpm": 60,
        "tpm": None,
        "source": "api",
    }
    assert list(await listed(keyed)) == ["#1", "second"]
    assert (await listed(keyed))["#1"]["source"] == "settings"
    texts = [(await keyed.client.get(path)).text for path in ("/google_key/list", "/readyz", "/audit", "/")]
    assert SECRET not in "".join(texts)
    # It would be in no row, and in no answer.
    context = keyed.gateway.proxy.context
    assert SECRET in context.secrets
    assert context.mask(SECRET.encode()) == b"*" * len(SECRET)
    with sqlite3.connect(tmp_path / "keys.sqlite") as file:
        assert file.execute("SELECT label, draining FROM google_keys").fetchall() == [("second", 0)]
    assert (tmp_path / "keys.sqlite").stat().st_mode & 0o077 == 0


async def test_what_was_added_and_drained_is_so_after_a_restart(serve) -> None:
    async with serve(GEMINI_API_KEY=FIRST) as admin:
        await admin.post("/google_key/add", NEW)
        assert (await admin.post("/google_key/drain", {"label": "second"}))["state"] == "draining"
        await admin.post("/google_key/add", NEW | {"label": "third", "key": "secret-of-the-third"})
        await admin.post("/google_key/remove", {"label": "third"})
    async with serve(GEMINI_API_KEY=FIRST) as admin:
        keys = await listed(admin)
        assert [(key["label"], key["state"], key["source"]) for key in keys.values()] == [
            ("#1", "ok", "settings"),
            ("second", "draining", "api"),
        ]
        assert (await admin.post("/google_key/resume", {"label": "second"}))["state"] == "ok"


async def test_a_stored_key_that_the_settings_have_too_is_theirs(serve) -> None:
    async with serve(GEMINI_API_KEY=FIRST) as admin:
        await admin.post("/google_key/add", NEW)
    async with serve(GEMINI_API_KEY=f"{FIRST},{SECRET}") as admin:
        assert [key["source"] for key in (await listed(admin)).values()] == ["settings", "settings"]


async def test_a_key_of_the_settings_is_removed_until_they_say_it_again(serve) -> None:
    async with serve(GEMINI_API_KEY=f"{FIRST},{SECRET}") as admin:
        answer = await admin.post("/google_key/remove", {"label": "#1"})
        assert answer == {"removed": "#1", "returns_at_restart": True}
        assert list(await listed(admin)) == ["#2"]
        lease = admin.gateway.google_keys.pool.choose(KeyRequirement(), 0, "#1")
        assert lease is not None
        assert lease.key.label == "#2"
    async with serve(GEMINI_API_KEY=f"{FIRST},{SECRET}") as admin:
        assert list(await listed(admin)) == ["#1", "#2"]


async def test_the_last_key_stays(keyed) -> None:
    for path in ("/google_key/drain", "/google_key/remove"):
        told = await problem(keyed, path, {"label": "#1"}, 409)
        assert (told["field"], "no other Google key" in told["detail"]) == ("label", True)
    await keyed.post("/google_key/add", NEW)
    await keyed.post("/google_key/drain", {"label": "#1"})
    await problem(keyed, "/google_key/remove", {"label": "second"}, 409)


@cases(
    ("body", "field", "status"),
    [
        ({}, "label", 400),
        ({"label": "second"}, "key", 400),
        ({"label": "#2", "key": SECRET}, "label", 400),
        ({"label": SECRET, "key": SECRET}, "label", 400),
        ({"label": "second", "key": "with a blank"}, "key", 400),
        (NEW | {"weight": -1}, "weight", 400),
        (NEW | {"models": []}, "models", 400),
        (NEW | {"rpm": "60"}, "rpm", 400),
        (NEW | {"key_env": "HOME"}, "key_env", 400),
        (NEW | {"color": 1}, "color", 400),
        (NEW | {"key": FIRST}, "key", 409),
        (NEW | {"label": "taken"}, "label", 409),
    ],
)
async def test_what_is_no_key_is_refused(keyed, body: dict[str, Any], field: str, status: int) -> None:
    taken = {"label": "taken", "key": "secret-of-another"}
    await keyed.client.post("/google_key/add", json=taken)  # which has it from the first case on
    assert (await problem(keyed, "/google_key/add", body, status))["field"] == field
    assert list(await listed(keyed)) == ["#1", "taken"]


@cases("path", ["drain", "resume", "remove"])
async def test_a_key_that_is_not_there_is_named(keyed, path: str) -> None:
    told = await problem(keyed, f"/google_key/{path}", {"label": "nobody"}, 404)
    assert told["detail"] == "no Google key has the label 'nobody'; there are #1"
    assert (await problem(keyed, f"/google_key/{path}", {"label": 1}, 400))["field"] == "label"


async def test_each_change_is_in_the_audit_log(keyed) -> None:
    await keyed.post("/google_key/add", NEW)
    await keyed.post("/google_key/drain", {"label": "second"})
    await keyed.post("/google_key/resume", {"label": "second"})
    await keyed.post("/google_key/drain", {"label": "#1"})
    await keyed.post("/google_key/remove", {"label": "#1"})
    changes = (await keyed.get("/audit"))["changes"][::-1]
    assert [(change["action"], change["target"], change["by"]) for change in changes] == [
        ("google_key.add", "second", "open"),
        ("google_key.drain", "second", "open"),
        ("google_key.resume", "second", "open"),
        ("google_key.drain", "#1", "open"),
        ("google_key.remove", "#1", "open"),
    ]
    assert changes[0]["detail"]["project"] == "shop"
    assert changes[1]["detail"] == {"draining": {"from": False, "to": True}}


async def test_a_refused_key_is_a_warning_of_readyz(keyed) -> None:
    await keyed.post("/google_key/add", NEW)
    lease = keyed.gateway.google_keys.pool.choose(KeyRequirement(), 0, "second")
    lease.note_refusal("API_KEY_INVALID", 1_000_000)
    ready = await keyed.get("/readyz")
    assert ready["google_keys"] == [{"label": "#1", "state": "ok"}, {"label": "second", "state": "refused"}]
    assert ready["warnings"] == ["Google refuses the Google key second: put a valid one in its place"]
    detail = (await listed(keyed))["second"]["detail"]
    assert detail == "Google has refused it since 1970-01-01T00:00:01.000000Z: API_KEY_INVALID"
    await keyed.post("/google_key/drain", {"label": "#1"})
    assert "no Google key takes calls now" in (await keyed.get("/readyz"))["warnings"][1]
    await keyed.post("/google_key/resume", {"label": "second"})
    assert (await keyed.get("/readyz"))["warnings"] == []
