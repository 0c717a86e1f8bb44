"""The Logs screen and a call's detail, key by key."""

from __future__ import annotations

import pytest
from rig.admin_gateway import SAMPLE
from textual.events import MouseScrollDown, MouseScrollUp

CALLS, STARTED = SAMPLE["calls"], SAMPLE["started"]
FINISHED = {**STARTED, "outcome": "ok", "status": 200, "duration_ms": 900.0, "cost_usd": "0.5"}
TICK = {"calls": 1, "errors": 0, "in_flight": 0, "tokens": 0, "cost_usd": "0"}


def many(count):
    """So many calls, newest first, as a page of the API."""
    calls = [
        {**CALLS[0], "id": f"01a20dab-0000-7c40-9d0a-{number:012x}", "key_alias": f"key{number}"}
        for number in range(count)
    ]
    return calls[::-1]


def marked(stage):
    """The line under the cursor."""
    return next((line for line in stage.text().splitlines() if line.startswith("▶")), "")


def lines_of(stage, text):
    return [line for line in stage.text().splitlines() if text in line]


def test_calls_appear_run_and_end_on_one_line(play):
    async def script(stage):
        await stage.sees("● live")
        stage.gateway.publish("call.started", STARTED)
        await stage.sees("◌ 2.1s")
        stage.gateway.publish("call.finished", FINISHED)
        await stage.sees("$0.5000")
        assert len(lines_of(stage, "checkout us")) == 1
        await stage.sees("7 calls")

    play(script)


def test_the_cursor_moves_and_following_pauses(play, sample):
    async def script(stage):
        await stage.sees("key59")
        assert "key59" in marked(stage)
        await stage.press("k", "up")
        assert "key57" in marked(stage)
        await stage.sees("❚❚ paused  0 new  (G follows)")
        stage.gateway.publish("call.finished", FINISHED)
        await stage.sees("❚❚ paused  1 new")
        assert "key57" in marked(stage)
        await stage.press("j", "down")
        assert "key59" in marked(stage)
        await stage.press("g")
        assert "key0 " in marked(stage)
        await stage.press("pagedown")
        assert "key17" in marked(stage)
        await stage.press("pageup")
        assert "key0 " in marked(stage)
        await stage.press("G")
        await stage.misses("paused")
        assert "checkout us" in marked(stage)
        await stage.press("f")
        await stage.sees("❚❚ paused")
        stage.gateway.publish(
            "call.finished", {**FINISHED, "id": f"{FINISHED['id'][:-1]}9", "tags": ["later"]}
        )
        await stage.sees("1 new")
        assert "checkout us" in marked(stage)
        await stage.press("f")
        await stage.misses("paused")
        assert "later" in marked(stage)

    play(script, {**sample(), "GET /calls": {"calls": many(60), "next_cursor": None}}, size=(120, 24))


def test_days_are_told_apart_and_passed_over(play, sample):
    earlier = {**CALLS[0], "id": "01a20000-0000-7c40-9d0a-5f1d9c1c0001", "key_alias": "earlier"}

    async def script(stage):
        await stage.sees("7 calls")
        await stage.sees("── Sat 21 Nov ───")
        await stage.sees("── Tue 24 Nov ───")
        await stage.press(*"kkkkk")
        assert "14:07:21" in marked(stage)
        await stage.press("k")
        assert "earlier" in marked(stage)
        await stage.press("k")
        assert "earlier" in marked(stage)
        await stage.press("j")
        assert "14:07:21" in marked(stage)
        await stage.press("g")
        assert "earlier" in marked(stage)

    answers = {**sample(), "GET /calls": {"calls": [*CALLS[::-1], earlier], "next_cursor": None}}
    play(script, answers)


def test_why_a_call_failed_is_told_beside_its_status_and_first_in_its_detail(play):
    async def script(stage):
        await stage.sees("⊘ 403    0.3ms  0.3ms model not allowed: This key may not use ge…")
        await stage.sees("✗ 429     18ms   18ms Google: quota exceeded         checkout")
        await stage.press("g", "j", "j", "enter")
        await stage.sees("✗ 429  refused or failed by Google")
        first = next(line for line in stage.text().splitlines() if line.strip())
        assert first.startswith(" ✗ Google: quota exceeded")
        await stage.sees("You exceeded your current quota. (quota GenerateRequestsPerMinutePerProjectPer")
        await stage.press("escape")
        await stage.resize(80, 24)
        await stage.sees("⊘ 403   model not allowed")

    play(script)


def test_the_wheel_pauses_and_follows(play, sample):
    async def script(stage):
        await stage.sees("key59")
        log = stage.app.screen.log_view
        await stage.pilot._post_mouse_events([MouseScrollUp], log, button=0)
        await stage.sees("❚❚ paused")
        top = log.top
        stage.gateway.publish("call.finished", FINISHED)
        await stage.sees("1 new")
        assert log.top == top
        for _ in range(8):
            await stage.pilot._post_mouse_events([MouseScrollDown], log, button=0)
        await stage.misses("paused")

    play(script, {**sample(), "GET /calls": {"calls": many(60), "next_cursor": None}}, size=(120, 24))


def test_clicks_choose_and_open(play):
    async def script(stage):
        await stage.sees("6 calls")
        await stage.pilot.click("LogView", offset=(20, 3))
        assert "nightly-eval" in marked(stage)
        await stage.pilot.click("LogView", offset=(20, 3))
        await stage.sees("$12.402100000000")
        await stage.pilot.click("Footer", offset=(50, 1))
        await stage.press("escape")
        await stage.pilot.click("Header", offset=(34, 0))
        await stage.sees("Spend by tag")

    play(script)


def test_older_calls_are_read_when_one_looks_for_them(play, sample):
    pages = {
        None: {"calls": many(300)[:200], "next_cursor": "more"},
        "more": {"calls": many(300)[200:], "next_cursor": None},
    }

    async def script(stage):
        await stage.sees("newest 200 calls")
        await stage.press("g")
        await stage.press("k")
        await stage.sees("300 calls")
        assert "key100 " in marked(stage)
        await stage.press("g")
        assert "key0 " in marked(stage)

    play(script, {**sample(), "GET /calls": lambda request: pages[request.query.get("cursor")]})


def filtered(request):
    q = request.query.get("q")
    if q and "nofield" in q:
        return 400, {
            "title": "Bad filter",
            "detail": "column 10: there is no field nofield; key, model, tag…",
        }
    found = [call for call in CALLS[::-1] if not q or q.partition(":")[2] in (call["tags"] or [])]
    return {"calls": found, "next_cursor": None}


def test_a_filter_narrows_the_list_and_the_stream(play, sample):
    async def script(stage):
        await stage.sees("6 calls")
        await stage.press("slash", *"tag:eval", "enter")
        await stage.sees("2 calls")
        await stage.misses("intern-bot")
        await stage.until(
            lambda: stage.gateway.asked("/calls/stream")[-1].query == {"q": "tag:eval"}, "a stream of these"
        )
        await stage.press("slash", *"x", "enter")
        await stage.sees("No call matches this filter")
        await stage.press("escape")
        await stage.sees("6 calls")

    play(script, {**sample(), "GET /calls": filtered})


def test_a_filter_that_is_none_is_pointed_at(play, sample):
    async def script(stage):
        await stage.sees("6 calls")
        await stage.press("slash", *"tag:eval nofield:1", "enter")
        await stage.sees("no field nofield")
        pointer, typed = lines_of(stage, "no field nofield")[0], lines_of(stage, "/ tag:eval nofield")[0]
        assert typed[pointer.index("^")] == "n"
        await stage.sees("6 calls")
        await stage.resize(60, 24)
        await stage.press("enter")
        await stage.sees("key, model, tag")
        await stage.press("escape")
        await stage.misses("no field nofield")
        await stage.misses("tag:eval nofield")
        await stage.press("k")
        await stage.sees("paused")

    play(script, {**sample(), "GET /calls": filtered})


def test_ids_are_copied_and_calls_like_one_are_found(play):
    async def script(stage):
        await stage.sees("6 calls")
        await stage.press("y")
        await stage.sees("✓ id 01a20dab…0006 copied to the clipboard")
        assert stage.app.clipboard == CALLS[-1]["id"]
        await stage.press("g", "j", "j", "m")
        await stage.sees("/ key:web-frontend model:gemini-2.5-flash outcome:upstream_error")
        await stage.press("escape")
        await stage.sees("/ key:ALIAS")
        await stage.press("g", "enter")
        await stage.sees("tokens")
        await stage.press("m")
        await stage.sees("/ key:web-frontend model:gemini-2.5-flash ")

    play(script)


def test_a_call_in_full(play):
    async def script(stage):
        await stage.sees("6 calls")
        await stage.press("g", "enter")
        await stage.sees("$0.001126600000")
        assert "promptTokenCount" not in stage.text()
        await stage.press("u")
        await stage.sees('"promptTokenCount": 1204')
        await stage.press("u")
        await stage.misses("promptTokenCount")
        await stage.press("y")
        await stage.sees("✓ id copied")
        assert stage.app.clipboard == CALLS[0]["id"]
        await stage.resize(80, 24)
        await stage.press("G")
        await stage.sees("Google key 1")
        await stage.press("up", "g")
        await stage.sees(CALLS[0]["id"])
        await stage.press("down", "down")
        await stage.misses(CALLS[0]["id"])
        await stage.press("escape")
        await stage.sees("6 calls")

    play(script, size=(120, 40))


@pytest.mark.usefixtures("soon")
def test_an_open_call_is_read_again_until_it_ends(play, sample):
    ended = []
    answers = {**sample(), f"GET /calls/{STARTED['id']}": lambda _: FINISHED if ended else STARTED}

    async def script(stage):
        await stage.sees("● live")
        stage.gateway.publish("call.started", STARTED)
        await stage.sees("7 calls")
        await stage.press("enter")
        await stage.sees("in flight")
        ended.append(True)
        await stage.sees("$0.500000000000")

    play(script, answers)


@pytest.mark.usefixtures("soon")
def test_a_running_call_shows_how_far_it_has_come(play, sample):
    come = {**STARTED, "first_byte_ms": 198.0, "gateway_ms": 1.0, "prompt_tokens": 811, "output_tokens": 57}
    come |= {"request_bytes": 2104, "response_bytes": 18_211}
    answers = {**sample(), f"GET /calls/{STARTED['id']}": STARTED}

    async def script(stage):
        await stage.sees("● live")
        stage.gateway.publish("call.started", STARTED)
        await stage.sees("7 calls")
        await stage.press("enter")
        await stage.sees("no byte of the response yet")
        assert "0 B" not in stage.text()
        stage.gateway.answers[f"GET /calls/{STARTED['id']}"] = come
        await stage.sees(
            "first byte after 198ms   gateway 1.0ms   waiting for Google 197ms   still streaming"
        )
        await stage.sees("tokens so far")
        await stage.sees("2.1 kB up, 18 kB down so far")
        await stage.press("escape")
        await stage.sees("◌ 2.1s   198ms      …    811      –     57   …")
        stage.gateway.publish("call.finished", FINISHED)
        await stage.sees("$0.5000")

    play(script, answers)


@pytest.mark.parametrize(("mode", "key"), [("open", "anything"), ("master key", "YOUR_KEY")])
def test_the_first_command_can_be_copied(play, empty, mode, key):
    async def script(stage):
        await stage.sees(f"x-goog-api-key: {key}'")
        await stage.press("y")
        await stage.sees("✓ the command copied")
        assert stage.app.clipboard.startswith(f"curl -H 'x-goog-api-key: {key}'")
        assert f"{stage.gateway.url}/gemini/v1beta/models/" in stage.app.clipboard
        await stage.press("m")
        await stage.sees("There is no call under the cursor.")
        stage.gateway.publish("call.finished", FINISHED)
        await stage.sees("1 call")
        await stage.misses("No calls yet")

    play(script, {**empty(), "GET /": {"mode": mode}})


def test_missing_older_calls_are_told_with_the_reason(play, sample):
    async def script(stage):
        await stage.sees("older calls unavailable · 6 calls")
        await stage.press("3")
        await stage.sees("older calls are missing: the analytics file is damaged or cannot be written")

    answers = sample()
    answers["GET /calls"]["partial"] = True
    sums = answers["GET /spend"]
    partial = {"partial": True, "partial_reason": "the analytics file is damaged or cannot be written"}
    play(script, {**answers, "GET /spend": lambda request: {**sums(request), **partial}})


def test_a_ledger_that_cannot_be_read(play, sample):
    async def script(stage):
        await stage.sees("The ledger is locked.")
        await stage.sees("● live")
        stage.gateway.publish("call.finished", FINISHED)
        await stage.sees("$0.5000")

    play(script, {**sample(), "GET /calls": (500, {"detail": "The ledger is locked."})})


@pytest.mark.usefixtures("soon")
def test_a_lost_gateway_is_told_and_found_again_without_loss_or_double(play, sample):
    calls = CALLS[:3]

    async def script(stage):
        await stage.sees("● live")
        await stage.sees("3 calls")
        stage.gateway.publish("call.started", STARTED)
        await stage.sees("4 calls")
        await stage.gateway.stop()
        await stage.sees("✗ offline")
        await stage.sees("Trying again.")
        calls.extend([*CALLS[3:], {**FINISHED, "outcome": "interrupted", "status": None}])
        await stage.gateway.start()
        await stage.sees("● live")
        await stage.sees("7 calls")
        await stage.misses("Trying again.")
        await stage.sees("disconnected 14:07:32 to 14:07:32")
        await stage.sees("✗ crash")
        assert stage.gateway.asked("/calls/stream")[-1].headers["last-event-id"] == "1"
        assert all(len(lines_of(stage, mark)) == 1 for mark in ("✗ crash", "✗ 429", "⊘ 403", "↯ abort"))

    answers = {**sample(), "GET /calls": lambda _: {"calls": calls[::-1], "next_cursor": None}}
    answers[f"GET /calls/{STARTED['id']}"] = {**FINISHED, "outcome": "interrupted", "status": None}
    play(script, answers)


def test_a_running_call_that_the_gateway_forgot_goes(play, sample):
    async def script(stage):
        await stage.sees("● live")
        stage.gateway.publish("call.started", STARTED)
        await stage.sees("7 calls")
        stage.gateway.publish("gap", {"missed": 1204})
        await stage.sees("┄┄ 1,204 events of the stream were missed here")
        stage.gateway.publish("gap", {"missed": None})
        await stage.sees("6 calls")
        await stage.misses("checkout us")

    answers = sample()
    del answers[f"GET /calls/{STARTED['id']}"]
    play(script, answers)


@pytest.mark.usefixtures("soon")
def test_no_gateway_at_all(play):
    async def script(stage):
        await stage.gateway.stop()
        await stage.sees("Start one with `gatekeeper")

    async def later(stage):
        await script(stage)
        await stage.gateway.start()
        await stage.sees("6 calls")

    play(later, held=True)


def test_the_detail_of_a_hop_shows_its_long_decode(play, sample):
    answers, call = sample(), CALLS[0]
    hops = [
        {"id": hop, "outcome": "ok", "finish_reason": end, "prompt_tokens": 9, "cost_usd": "0.5"}
        for hop, end in (("01a20dab-0000-7000-8000-000000000001", "CONTINUATION"), (call["id"], "STOP"))
    ]
    path = f"GET /calls/{call['id']}"
    answers[path] = {**answers[path], "chain": hops, "chain_total": {"calls": 2, "cost_usd": "1.0"}}

    async def script(stage):
        await stage.sees("web-frontend")
        await stage.press("g", "enter")
        await stage.sees("long decode, hop 2 of 2")
        await stage.sees("▸ 2")
        await stage.sees("$1.000000000000")

    play(script, answers, size=(120, 50))
