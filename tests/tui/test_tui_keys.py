"""The Keys screen: making, blocking and deleting keys, and the one moment that a secret is shown."""

from __future__ import annotations

import asyncio
import stat

import pytest

from gatekeeper.client.key_types import NewKey
from tui import terminal
from tui.screens.key_dialogs import save_secret

SECRET = "sk-0123456789abcdefghijklmnopqrstuvwxyz"
MADE = {
    "key": SECRET,
    "token_id": "0193f000-0000-7000-8000-000000000009",
    "key_alias": "new/one",
    "key_name": "sk-...wxyz",
}


async def opened(stage):
    """With the cursor on web-frontend."""
    await stage.press("4")
    await stage.sees("old-script")
    await stage.press("j", "j")
    await stage.misses("loading its calls")


def posted(stage, path):
    return [request.body for request in stage.gateway.asked(path)]


def test_a_key_is_made_and_its_secret_shown_once(play, sample, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    async def script(stage):
        await opened(stage)
        await stage.press("n")
        await stage.sees("New key")
        await stage.press(
            *"new/one", "tab", *"$20.50", "down", *"1mo", "down", *"gemini-2.5-flash*, gemini-2.5-pro"
        )
        await stage.press("tab", "tab", *"600", *["tab"] * 3, *'checkout "a, b"', "enter")
        await stage.sees(SECRET)
        assert posted(stage, "/key/generate") == [
            {
                "key_alias": "new/one",
                "models": ["gemini-2.5-flash*", "gemini-2.5-pro"],
                "max_budget": "20.5",
                "budget_duration": "1mo",
                "rpm_limit": 600,
                "tags": ["checkout", "a, b"],
            }
        ]
        await stage.press("y")
        await stage.sees("✓ copied to the clipboard")
        assert stage.app.clipboard == SECRET
        await stage.press("s")
        await stage.sees("✓ saved to")
        assert (tmp_path / "new-one.key").read_text() == f"{SECRET}\n"
        assert stat.S_IMODE((tmp_path / "new-one.key").stat().st_mode) == 0o600
        await stage.press("s")
        await stage.sees("exists already")
        await stage.press("escape")
        await stage.misses(SECRET)
        await stage.sees("old-script")

    play(script, {**sample(), "POST /key/generate": MADE})


@pytest.mark.parametrize(
    ("keys", "path"), [(["n", "x"], "/key/generate"), (["r"], "/key/regenerate")], ids=["new", "rotate"]
)
def test_a_secret_is_not_lost_while_the_gateway_is_slow(play, sample, keys, path):
    async def script(stage):
        await opened(stage)
        stage.gateway.hold()
        await stage.press(*keys, "enter", "enter", "escape")
        await stage.sees("stays open until the gateway answers")
        stage.gateway.released.set()
        await stage.sees(SECRET)
        assert len(posted(stage, path)) == 1

    play(script, {**sample(), f"POST {path}": MADE})


def test_a_secret_is_not_lost_by_one_key(play, sample):
    async def script(stage):
        await opened(stage)
        await stage.press("n")
        await stage.sees("New key")
        await stage.press("enter")
        await stage.sees(SECRET)
        await stage.press("escape")
        await stage.sees("neither copied nor saved")
        await stage.press("escape")
        await stage.misses(SECRET)

    play(script, {**sample(), "POST /key/generate": MADE})


def test_a_refused_key_stays_in_its_dialog(play, sample):
    async def script(stage):
        await opened(stage)
        await stage.press("n")
        await stage.sees("New key")
        await stage.press("down", *"much", "down", "down", "enter")
        await stage.sees("✗ max_budget: 'much' is no amount")
        await stage.sees("New key")
        assert posted(stage, "/key/generate") == [{"max_budget": "much"}]
        await stage.press("escape")
        await stage.misses("New key")

    refusal = (400, {"title": "Invalid value", "detail": "max_budget: 'much' is no amount of dollars"})
    play(script, {**sample(), "POST /key/generate": refusal})


def test_what_a_key_may_do_without_limits_is_said_before_it_is_made(play, sample):
    async def script(stage):
        await opened(stage)
        await stage.press("n")
        await stage.sees("no budget: it can spend without limit")
        await stage.sees("without limit · any model")
        await stage.press("down", *"20", "down", "down", *"x")
        await stage.misses("without limit")
        await stage.misses("any model")
        await stage.sees("never expires")
        await stage.press("up", "up", "backspace", "enter")
        await stage.sees("✗ budget was cleared: no budget: it can spend without limit.")
        await stage.sees("confirm.")
        assert posted(stage, "/key/generate") == []
        await stage.press(*"1", "backspace", "enter")
        await stage.until(lambda: stage.app.screen._confirmed, "to be asked again")
        assert posted(stage, "/key/generate") == []
        await stage.press("enter")
        await stage.sees(SECRET)
        assert posted(stage, "/key/generate") == [{"models": ["x"]}]

    play(script, {**sample(), "POST /key/generate": MADE})


BLANKS = [(3, " ,", "models"), (1, " ", "budget"), (8, '""', "tags"), (12, " ", "expires")]


def test_blanks_are_no_value(play, sample):
    async def script(stage):
        async def typed(downs, text, title):
            await stage.press("escape")
            await stage.misses("New key")
            await stage.press("n")
            await stage.sees("New key")
            await stage.press(*["down"] * downs, *text, *["up"] * downs, "enter")
            await stage.sees(f"✗ {title}")
            await stage.sees("there are only spaces; fill it in, or clear it")
            assert posted(stage, "/key/generate") == []
            assert stage.app.focused.value == text

        await opened(stage)
        await stage.each(BLANKS, typed)

    play(script, {**sample(), "POST /key/generate": MADE})


def test_blocking_and_unblocking_ask_first(play, sample):
    async def script(stage):
        await opened(stage)
        for refusal in ("n", "escape"):
            await stage.press("b")
            await stage.sees("Block web-frontend?")
            await stage.press(refusal)
            await stage.misses("Block web-frontend?")
        assert posted(stage, "/key/block") == []
        await stage.press("b")
        await stage.sees("Block web-frontend?")
        await stage.press("y")
        await stage.sees("✓ web-frontend is blocked")
        assert posted(stage, "/key/block") == [{"key": "0193f000-0000-7000-8000-000000000001"}]
        await stage.press("j", "b")
        await stage.sees("Unblock old-script?")
        await stage.press("y")
        await stage.sees("✓ old-script is unblocked")
        assert posted(stage, "/key/unblock") == [{"key": "0193f000-0000-7000-8000-000000000004"}]

    play(script, {**sample(), "POST /key/block": {}, "POST /key/unblock": {}})


def test_deleting_takes_the_alias(play, sample):
    async def script(stage):
        await opened(stage)
        await stage.press("d")
        await stage.sees("Delete web-frontend?")
        await stage.press(*"web", "enter")
        await stage.sees("nothing was deleted")
        await stage.press(*"-frontend", "enter")
        await stage.sees("✓ web-frontend is deleted")
        assert posted(stage, "/key/delete") == [{"token_ids": ["0193f000-0000-7000-8000-000000000001"]}]

    play(script, {**sample(), "POST /key/delete": {}})


def test_what_cannot_be_done_says_why_and_what_was_read_stays(play, sample):
    async def script(stage):
        await opened(stage)
        await stage.press("b")
        await stage.sees("Block web-frontend?")
        await stage.press("y")
        await stage.sees("✗ No key is called so.")
        stage.gateway.answers["GET /key/list"] = (500, {"detail": "The store is locked."})
        await stage.press("2", "4")
        await stage.sees("The store is locked.")
        await stage.sees("old-script")

    play(script, {**sample(), "POST /key/block": (404, {"detail": "No key is called so."})})


def test_a_key_has_its_id_copied_and_leads_to_its_calls_and_back(play):
    async def script(stage):
        await opened(stage)
        await stage.press("y")
        await stage.sees("✓ id of web-frontend copied")
        assert stage.app.clipboard == "0193f000-0000-7000-8000-000000000001"
        await stage.press("g", "enter")
        await stage.sees("/ key:nightly-eval ")
        await stage.press("escape")
        await stage.sees("old-script")

    play(script)


def test_keys_are_filtered_by_text(play, sample):
    keys = sample()["GET /key/list"]["keys"]

    def found(request):
        q = request.query.get("q", "")
        return {"keys": [key for key in keys if q in (key["key_alias"] or "")], "next_cursor": None}

    async def script(stage):
        await opened(stage)
        await stage.press("slash", *"bot", "enter")
        await stage.sees("1 key")
        await stage.press("slash", *"x", "enter")
        await stage.sees("No key has this text")
        await stage.press("d")
        await stage.sees("There is no key under the cursor.")
        await stage.press("escape")
        await stage.sees("5 keys")

    play(script, {**sample(), "GET /key/list": found})


def test_no_secret_is_written_over_a_file(tmp_path):
    key = NewKey(key=SECRET, token_id="t", key_alias="../../etc/passwd")
    assert save_secret(key, tmp_path) == tmp_path / "etc-passwd.key"
    with pytest.raises(FileExistsError):
        save_secret(key, tmp_path)


@pytest.mark.parametrize(("status", "told"), [(0, "copied to tmux's buffer"), (1, "copied to the clipboard")])
def test_inside_tmux_its_buffer_is_loaded_too(tmp_path, monkeypatch, status, told):
    tmux = tmp_path / "tmux"
    tmux.write_text(f'#!/bin/sh\necho "$@" >{tmp_path}/args\ncat >{tmp_path}/buffer\nexit {status}\n')
    tmux.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setenv("TMUX", "/tmp/tmux/default,1,0")
    asked = []
    assert asyncio.run(terminal.copy(SECRET, asked.append)).startswith(told)
    assert asked == [SECRET]
    assert (tmp_path / "buffer").read_text() == SECRET
    assert SECRET not in (tmp_path / "args").read_text()


def test_tmux_may_be_missing(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("TMUX", "/tmp/tmux/default,1,0")
    assert asyncio.run(terminal.copy("x", lambda _: None)).startswith("copied to the clipboard")


def test_the_gateway_s_google_keys_are_told_where_there_are_several(play, sample):
    pool = [("team-a", "ok"), ("team-b", "cooling"), ("team-c", "refused")]

    async def script(stage):
        await opened(stage)
        await stage.sees("· 3 Google keys: team-b cooling, team-c refused")
        stage.gateway.answers["GET /readyz"] = {"google_keys": [{"label": "team-a", "state": "ok"}]}
        await stage.press("2", "4")
        await stage.misses("Google keys")

    ready = {"ready": True, "google_keys": [{"label": label, "state": state} for label, state in pool]}
    play(script, {**sample(), "GET /readyz": ready})


def test_all_of_a_key_is_shown(play, sample, pictures):
    answers = sample()
    answers["GET /key/list"]["keys"][2] |= {
        "model_max_budget": {"gemini-2.5-pro*": "10"},
        "model_rpm_limit": {"gemini*": 5},
        "max_output_tokens": 8192,
        "searches": 0,
        "store": False,
        "service_tiers": ["standard"],
        "allowed_ips": ["10.0.0.0/8", "2001:db8::/32"],
        "group": "shop",
    }

    async def script(stage):
        await opened(stage)
        await stage.press("i")
        await stage.sees("2001:db8::/32")
        await pictures(stage, "key-details")
        await stage.press("escape")
        await stage.misses("2001:db8::/32")

    play(script, answers, size=(120, 40))
