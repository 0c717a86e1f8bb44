"""A call's detail: from one to the next, to its key, and back."""

from __future__ import annotations

import pytest
from rig.admin_gateway import SAMPLE

CALLS, STARTED = SAMPLE["calls"], SAMPLE["started"]
FINISHED = {**STARTED, "outcome": "ok", "status": 200, "duration_ms": 900.0, "cost_usd": "0.5"}


def test_next_and_previous_without_leaving(play):
    async def script(stage):
        await stage.sees("6 calls")
        await stage.press("g", "enter")
        await stage.sees(CALLS[0]["id"])
        await stage.press("n")
        await stage.sees(CALLS[1]["id"])
        await stage.misses(CALLS[0]["id"])
        await stage.press("n", "n")
        await stage.sees("model not allowed")
        await stage.press("p", "p", "p")
        await stage.sees(CALLS[0]["id"])
        await stage.press("p")
        await stage.sees("There is no earlier call.")
        await stage.press("n", "q")
        await stage.sees("6 calls")
        line = next(line for line in stage.text().splitlines() if line.startswith("▶"))
        assert "nightly-eval" in line
        await stage.press("G", "enter")
        await stage.sees(CALLS[-1]["id"])
        await stage.press("n")
        await stage.sees("There is no later call.")
        await stage.press("escape")
        await stage.sees("6 calls")

    play(script)


def test_why_it_failed_and_what_to_do_stand_first(play, pictures):
    async def script(stage):
        await stage.sees("6 calls")
        await stage.press("g", "j", "j", "j", "enter")
        await stage.sees("what to do: use a model that the message names")
        await pictures(stage, "call-refused")

    play(script)


def test_k_and_b_block_its_key(play, sample):
    """Within six key strokes from the start: 2, enter, k, b, y."""
    key = next(key for key in SAMPLE["keys"] if key["key_alias"] == "intern-bot")
    call = {**CALLS[3], "key_id": key["token_id"]}
    answers = {**sample(), "GET /calls": {"calls": [call]}, f"GET /calls/{call['id']}": call}
    blocked = []
    answers["POST /key/block"] = lambda request: blocked.append(request.body) or {}

    async def script(stage):
        await stage.press("2")
        await stage.sees("1 call")
        await stage.press("enter")
        await stage.sees("model not allowed")
        await stage.press("k")
        await stage.sees("/ intern-bot")
        await stage.until(
            lambda: any(line.startswith("▶intern-bot") for line in stage.text().splitlines()), "the key"
        )
        await stage.press("b")
        await stage.sees("Block intern-bot?")
        await stage.press("y")
        await stage.until(lambda: blocked, "the key to be blocked")
        assert blocked == [{"key": key["token_id"]}]

    play(script, answers)


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"key_id": "open"}, "The call was made in open mode, without a virtual key."),
        ({"key_id": "master"}, "The call was made with the master key."),
        ({"key_id": None}, "It is not known which key made this call."),
        (
            {"key_id": "key_gone", "key_alias": "web-frontend"},
            "The key web-frontend does not exist any more.",
        ),
    ],
)
def test_a_call_without_a_key_to_go_to(play, sample, fields, told):
    call = {**CALLS[0], **fields}
    answers = {**sample(), "GET /calls": {"calls": [call]}, f"GET /calls/{call['id']}": call}

    async def script(stage):
        await stage.sees("1 call")
        await stage.press("enter")
        await stage.sees(call["id"])
        await stage.press("k")
        await stage.sees(told)

    play(script, answers)


@pytest.mark.usefixtures("soon")
def test_an_open_call_is_found_again_after_a_restart(play, sample):
    answers = {**sample(), f"GET /calls/{STARTED['id']}": STARTED}

    async def script(stage):
        await stage.sees("● live")
        stage.gateway.publish("call.started", STARTED)
        await stage.sees("checkout us")
        await stage.press("G", "enter")
        await stage.sees("in flight")
        await stage.gateway.stop()
        await stage.sees("No gateway responds")
        stage.gateway.answers[f"GET /calls/{STARTED['id']}"] = {**FINISHED, "outcome": "interrupted"}
        await stage.gateway.start()
        await stage.sees("gateway was killed")
        await stage.sees("what to do: repeat it")

    play(script, answers)
