"""Changing a key's fields and its secret."""

from __future__ import annotations

import pytest

from tui.screens.dialog import Dialog
from tui.screens.keys_screen import KeysScreen

WEB = "0193f000-0000-7000-8000-000000000001"
CHANGED_AT = "2026-11-20T10:00:00.000001Z"
SECRET = "sk-0123456789abcdefghijklmnopqrstuvwxyz-_ABCDEF"
CONFLICT = (409, {"title": "Conflict", "detail": "It was changed meanwhile", "field": "updated_at"})


@pytest.fixture
def answers(sample):
    """With a key whose every field is set."""
    found = sample()
    found["GET /key/list"]["keys"][2] |= {
        "updated_at": CHANGED_AT,
        "soft_budget": "700.000000000000",
        "tags": ["checkout", "a, b"],
        "tpm_limit": 250000,
        "max_parallel_requests": 8,
        "group": "shop",
        "user_id": "alice",
        "allowed_routes": ["generateContent"],
        "expires": "2026-12-31T17:00:00Z",
        "previous_key_name": "sk-...0000",
        "previous_expires": "2026-11-25T08:00:00Z",
        "previous_used_at": "2026-11-24T13:04:00Z",
    }
    return found


async def editing(stage, *keys):
    await stage.press("4")
    await stage.sees("old-script")
    await stage.press("j", "j")
    await stage.misses("loading its calls")
    if keys:
        await stage.press(keys[0])
        await stage.until(lambda: isinstance(stage.app.screen, Dialog), "the dialog")
        await stage.press(*keys[1:])


def updates(stage):
    return [request.body for request in stage.gateway.asked("/key/update")]


def test_a_budget_is_raised_and_nothing_else_is_sent(play, answers):
    async def script(stage):
        await editing(stage, "e", *"900", "enter")
        await stage.sees("✓ web-frontend: budget changed")
        assert updates(stage) == [{"key": WEB, "max_budget": "900", "updated_at": CHANGED_AT}]

    play(script, {**answers, "POST /key/update": {}})


def test_what_is_saved_unchanged_is_not_sent(play, answers):
    async def script(stage):
        await editing(stage, "e")
        await stage.sees("spent $612.40 of $800/1mo")
        await stage.press("end", *".00", "enter")
        await stage.sees("web-frontend: nothing was changed")
        await stage.press("e")
        await stage.sees("spent $612")
        await stage.press("escape")
        await stage.misses("spent $612")
        assert updates(stage) == []

    play(script, answers)


def test_a_cleared_field_is_reset_after_a_second_enter(play, answers):
    async def script(stage):
        await editing(stage, "e", "backspace", "enter")
        await stage.sees("✗ budget was cleared: no budget: it can spend without limit.")
        assert updates(stage) == []
        await stage.press(*["down"] * 7, "backspace", "enter")
        await stage.sees("cleared: no tags.")
        await stage.press("enter")
        await stage.sees("✓ web-frontend: budget, tags changed")
        assert updates(stage) == [{"key": WEB, "max_budget": None, "tags": None, "updated_at": CHANGED_AT}]

    play(script, {**answers, "POST /key/update": {}})


def test_what_somebody_else_changed_meanwhile_is_shown_and_what_was_typed_kept(play, answers):
    theirs = {
        **answers["GET /key/list"]["keys"][2],
        "max_budget": "850.000000000000",
        "rpm_limit": 60,
        "updated_at": "2026-11-24T13:07:00Z",
    }
    answers["GET /key/info"] = {"key": WEB, "info": theirs}

    async def script(stage):
        await editing(stage, "e", *"900", "enter")
        await stage.sees("✗ Somebody else has changed it meanwhile: budget is now 850; calls a")
        assert [stage.app.screen.query_one(f"#{name}").value for name in ("max_budget", "rpm_limit")] == [
            "900",
            "60",
        ]
        stage.gateway.answers["POST /key/update"] = {}
        await stage.press("enter")
        await stage.sees("✓ web-frontend: budget changed")
        assert updates(stage)[1:] == [{"key": WEB, "max_budget": "900", "updated_at": "2026-11-24T13:07:00Z"}]

    play(script, {**answers, "POST /key/update": CONFLICT})


def test_a_refused_value_leads_to_its_field(play, answers):
    async def script(stage):
        await editing(stage, "e", "tab", *"ever", "up", "enter")
        await stage.sees('✗ `budget_duration` cannot be "ever"')
        assert stage.app.focused.id == "budget_duration"
        assert stage.app.focused.value == "ever"
        await stage.press("up", "escape")
        await stage.misses("budget_duration")

    refusal = {"detail": '`budget_duration` cannot be "ever": give 30d', "field": "budget_duration"}
    play(script, {**answers, "POST /key/update": (400, refusal)})


def test_a_key_is_rotated_with_a_grace(play, answers):
    async def script(stage):
        await editing(stage, "r")
        await stage.sees("The old secret (sk-...9f2c) works for 24h more, beside the new one.")
        await stage.sees("The one before it (sk-...0000) is refused at once.")
        await stage.press("enter")
        await stage.sees(SECRET)
        await stage.sees("The old one (sk-...9f2c) works until 2026-11-25 14:07+01:00.")
        asked = stage.gateway.asked("/key/regenerate")
        assert asked[0].body == {"key": WEB, "grace": "24h"}
        await stage.press("y")
        await stage.sees("✓ copied")
        await stage.press("escape")
        await stage.sees("✓ web-frontend is rotated")

    rotated = {"key": SECRET, "token_id": WEB, "key_alias": "web-frontend"}
    rotated["previous_expires"] = "2026-11-25T13:07:32Z"
    play(script, {**answers, "POST /key/regenerate": rotated})


def test_a_key_is_rotated_at_once(play, answers):
    async def script(stage):
        await editing(stage, "r", "escape")
        await stage.misses("Rotate web-frontend")
        await stage.press("r")
        await stage.sees("Rotate web-frontend")
        await stage.press("backspace")
        await stage.sees("(sk-...9f2c) is refused at once, wherever it is in use.")
        await stage.press("enter")
        await stage.sees("✗ Not now.")
        stage.gateway.answers["POST /key/regenerate"] = {"key": SECRET, "token_id": WEB, "key_alias": "w"}
        await stage.press("enter")
        await stage.sees("The old one (sk-...9f2c) is refused from now on.")
        assert stage.gateway.asked("/key/regenerate")[-1].body == {"key": WEB}

    play(script, {**answers, "POST /key/regenerate": (400, {"detail": "Not now."})})


def test_an_old_secret_can_be_refused_before_its_time(play, answers):
    async def script(stage):
        await editing(stage)
        await stage.sees("x end grace")
        await stage.press("x")
        await stage.sees("Refuse the old secret of web-frontend?")
        await stage.sees("sk-...0000 works until 2026-11-25 09:00+01:00. Its last use: 3 min.")
        await stage.press("n")
        await stage.misses("Refuse the old secret of")
        await stage.press("x")
        await stage.sees("Refuse the old secret of web-frontend?")
        await stage.press("y")
        await stage.sees("✓ the old secret of web-frontend is refused")
        assert stage.gateway.asked("/key/end_grace")[0].body == {"key": WEB}
        await stage.press("j", "x")
        await stage.misses("x end grace")
        assert len(stage.gateway.asked("/key/end_grace")) == 1

    play(script, {**answers, "POST /key/end_grace": {}}, size=(150, 24))


def test_dialogs(play, answers, pictures):
    async def script(stage):
        await editing(stage, "n")
        await stage.sees("New key")
        await pictures(stage, "key-new")
        await stage.press("escape")
        await stage.misses("New key")
        await stage.press("e")
        await stage.sees("spent $612.40")
        await pictures(stage, "key-edit")
        await stage.press("backspace", "enter")
        await stage.sees("confirm.")
        await pictures(stage, "key-edit-cleared")
        await stage.press("escape")
        await stage.misses("confirm.")
        await stage.press("r")
        await stage.sees("Rotate web-frontend")
        await pictures(stage, "key-rotate")
        await stage.press("enter")
        await stage.sees(SECRET)
        await pictures(stage, "key-secret")

    rotated = {"key": SECRET, "token_id": WEB, "key_alias": "web-frontend"}
    rotated["previous_expires"] = "2026-11-25T13:07:32Z"
    play(script, {**answers, "POST /key/regenerate": rotated}, size=(120, 40))


def test_pages_are_loaded_as_they_are_scrolled_to(play, sample):
    keys = [{"token_id": f"key_{number:03}", "key_alias": f"k{number:03}"} for number in range(450)]

    def listed(request):
        start, limit = int(request.query.get("cursor", 0)), int(request.query["limit"])
        end = start + limit
        return {"keys": keys[start:end], "next_cursor": str(end) if end < len(keys) else None}

    async def script(stage):
        await stage.press("4")
        await stage.sees("first 200 keys, more below by budget used")
        await stage.press("G")
        await stage.sees("first 400 keys, more below")
        await stage.press("G")
        await stage.sees("450 keys by budget used")
        await stage.press("G")
        await stage.sees("k449")
        await stage.press("2", "4")
        await stage.until(lambda: len(stage.gateway.asked("/key/list")) > 3, "the keys to be loaded again")
        await stage.sees("450 keys")
        await stage.press("s")
        await stage.sees("keys, more below by spend")

    play(script, {**sample(), "GET /key/list": listed})


def test_the_order_is_chosen_and_shown(play, sample):
    async def script(stage):
        await editing(stage)
        for name in ("spend", "last used", "name", "budget used"):
            await stage.press("s")
            await stage.sees(f"5 keys by {name}")
        asked = [request.query["sort"] for request in stage.gateway.asked("/key/list")]
        assert asked == ["-budget_used", "-spend", "-last_used_at", "key_alias", "-budget_used"]
        assert stage.app.screen.table.cursor == 0

    play(script, sample())


MADE = {"key": SECRET, "token_id": "key_9", "key_alias": "new"}
WORDS = {
    "NAME": "web-frontend",
    "BUDGET": "900",
    "FIFTY": "50",
    "MONTH": "1mo",
    "ROLE": "viewer",
    "NEW": "anna",
}


# Raise a budget; a key with $50 a month; stop that key; rotate; a read-only colleague.
OFTEN = [
    (
        "4 / NAME enter e BUDGET enter",
        "/key/update",
        {"key": WEB, "max_budget": "900", "updated_at": CHANGED_AT},
    ),
    (
        "4 n NEW tab FIFTY tab MONTH enter",
        "/key/generate",
        {"key_alias": "anna", "max_budget": "50", "budget_duration": "1mo"},
    ),
    ("4 / NAME enter b y", "/key/block", {"key": WEB}),
    ("4 / NAME enter r enter", "/key/regenerate", {"key": WEB, "grace": "24h"}),
    ("4 n NEW up ROLE enter", "/key/generate", {"key_alias": "anna", "role": "viewer"}),
]


def test_what_is_done_often_takes_six_strokes_beside_typing(play, answers):
    keys = answers["GET /key/list"]["keys"]
    answers["GET /key/list"] = lambda request: {
        "keys": [key for key in keys if request.query.get("q", "") in (key["key_alias"] or "")]
    }
    changes = {f"POST /key/{verb}": {} for verb in ("update", "block")}
    secrets = {f"POST /key/{verb}": MADE for verb in ("generate", "regenerate")}

    async def script(stage):
        async def done(strokes, path, body):
            await stage.reopen(KeysScreen)
            stage.gateway.requests.clear()
            for stroke in strokes.split():
                await stage.press(*(WORDS.get(stroke) or [{"/": "slash"}.get(stroke, stroke)]))
                if stroke in ("4", "NAME", "enter"):
                    await stage.still()
                if stroke in ("n", "e", "b", "r"):
                    await stage.until(lambda: isinstance(stage.app.screen, Dialog), "the dialog")
            await stage.until(lambda: stage.gateway.asked(path), "the change")
            assert [request.body for request in stage.gateway.asked(path)] == [body]

        await stage.each(OFTEN, done)

    assert all(sum(stroke not in WORDS for stroke in strokes.split()) <= 6 for strokes, _, _ in OFTEN)
    play(script, {**answers, **changes, **secrets})
