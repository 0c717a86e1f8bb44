"""Groups of keys and end users, which the Keys screen shows with `v`."""

from __future__ import annotations

import pytest

from tui.screens.dialog import Dialog

CHANGED_AT = "2026-11-20T10:00:00.000001Z"
SHOP = {
    "group": "shop",
    "keys": 12,
    "max_budget": "500.000000000000",
    "budget_duration": "1mo",
    "budget_reset_at": "2026-12-01T00:00:00Z",
    "spend": "480.120000000000",
    "rpm_limit": 600,
    "models": ["gemini-2.5-flash*"],
    "updated_at": CHANGED_AT,
    "created_at": "2026-10-01T08:00:00Z",
}
LAB = {"group": "lab", "keys": 0, "blocked": True, "spend": "0.000000000000"}
ALICE = {"user_id": "alice", "max_budget": "5.000000000000", "spend": "5.100000000000"}


@pytest.fixture
def answers(sample):
    verbs = ("generate", "update", "block", "unblock", "delete")
    return {
        **sample(),
        "GET /group/list": {"groups": [LAB, SHOP], "next_cursor": None},
        "GET /user/list": {"users": [ALICE], "next_cursor": None},
        **{f"POST /{kind}/{verb}": {} for kind in ("group", "user") for verb in verbs},
    }


async def shown(stage, kind):
    await stage.press("4")
    await stage.sees("old-script")
    await stage.press("v")
    await stage.sees("2 groups by name")
    if kind == "user":
        await stage.press("v")
        await stage.sees("1 end user by name")


async def asked(stage, *keys):
    """After the first of the keys there is a dialog."""
    await stage.press(keys[0])
    await stage.until(lambda: isinstance(stage.app.screen, Dialog), "the dialog")
    await stage.press(*keys[1:])


def bodies(stage, path):
    return [request.body for request in stage.gateway.asked(path)]


@pytest.mark.parametrize("kind", ["group", "user"])
def test_their_limits_and_spend_are_shown(play, answers, pictures, kind):
    async def script(stage):
        await shown(stage, kind)
        await pictures(stage, f"keys-{kind}s")

    play(script, answers)


def test_they_are_limited_like_keys(play, answers):
    async def script(stage):
        await shown(stage, "group")
        await stage.press("j")
        await asked(stage, "e", *"700", "enter")
        await stage.sees("✓ shop: budget changed")
        assert bodies(stage, "/group/update") == [
            {"group": "shop", "max_budget": "700", "updated_at": CHANGED_AT}
        ]
        await asked(stage, "b", "y")
        await stage.sees("✓ shop is blocked")
        assert bodies(stage, "/group/block") == [{"group": "shop"}]
        await asked(stage, "d", *"shop", "enter")
        await stage.sees("✓ shop is deleted")
        assert bodies(stage, "/group/delete") == [{"group": "shop"}]
        await stage.press("k")
        await asked(stage, "b", "y")
        await stage.sees("✓ lab is unblocked")
        # What only keys have.
        await stage.press("r", "x", "s")
        assert not isinstance(stage.app.screen, Dialog)

    play(script, answers)


def test_limits_are_given_to_a_name(play, answers):
    answers["POST /user/generate"] = {"user_id": "bob"}

    async def script(stage):
        await shown(stage, "user")
        await asked(stage, "n", *"bob", "tab", *"5", "enter")
        await stage.sees("✓ bob has limits")
        assert bodies(stage, "/user/generate") == [{"user_id": "bob", "max_budget": "5"}]

    play(script, answers)


def test_what_is_opened_of_them(play, answers):
    async def script(stage):
        await shown(stage, "group")
        await stage.press("j")
        await asked(stage, "i")
        await stage.sees("600 calls a minute")
        await stage.press("escape")
        await stage.misses("600 calls a minute")
        await stage.press("y")
        await stage.sees("✓ group shop copied")
        await stage.press("enter")
        await stage.sees("5 keys by")
        assert stage.gateway.asked("/key/list")[-1].query["q"] == "shop"
        await stage.press("v", "v")
        await stage.sees("1 end user")
        await stage.press("escape")
        await stage.sees("5 keys by")
        await stage.press("v")
        await stage.sees("2 groups")
        await stage.press("v")
        await stage.sees("1 end user")
        await stage.press("enter")
        await stage.sees("/ user:alice")

    play(script, answers)


def test_there_may_be_none(play, answers):
    answers["GET /group/list"] = {"groups": [], "next_cursor": None}

    async def script(stage):
        await stage.press("4")
        await stage.sees("old-script")
        await stage.press("v")
        await stage.sees("n gives limits to one")
        await stage.press("e")
        await stage.sees("There is no group under the cursor.")

    play(script, answers)


def test_a_long_list_has_pages(play, answers):
    users = [{"user_id": f"u{number:03}"} for number in range(250)]

    def listed(request):
        start, limit = int(request.query.get("cursor", 0)), int(request.query["limit"])
        more = str(start + limit) if start + limit < len(users) else None
        return {"users": users[start : start + limit], "next_cursor": more}

    async def script(stage):
        await stage.press("4")
        await stage.sees("old-script")
        await stage.press("v")
        await stage.sees("2 groups")
        await stage.press("v")
        await stage.sees("first 200 end users, more below by name")
        await stage.press("G")
        await stage.sees("250 end users by name")

    play(script, {**answers, "GET /user/list": listed})
