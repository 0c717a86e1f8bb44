"""The dialog that says what a call would cost."""

from __future__ import annotations

import pytest
from rig.admin_gateway import SAMPLE

from gatekeeper.pricing.tariff import TIERS as KNOWN_TIERS
from tui.screens.quote_dialog import TIERS, completed_name, read_number

CALL = {**SAMPLE["calls"][0], **SAMPLE["detail"]}
MODELS = {
    "seen": [{"model": "gemini-2.5-pro", "priced": True}, {"model": "gemini-9", "priced": False}],
    "priced": ["gemini-2.5-flash", "gemini-2.5-flash-lite", "gemini-2.5-pro", "gemini-2.5-pro-preview-*"],
}


def line(component, quantity, price, usd):
    return {
        "component": component,
        "quantity": str(quantity),
        "unit": "per_1m_tokens",
        "unit_usd": price,
        "usd": usd,
    }


LINES = [
    line("input_text", 50_000, "2.5", "0.125"),
    line("cached_text", 200_000, "0.25", "0.05"),
    line("output_text", 4_000, "15", "0.06"),
]


def quote(request):
    """As a gateway answers."""
    asked = request.body
    if "model" not in asked:
        return 400, {"title": "Bad Request", "detail": "`model` is missing: the model", "field": "model"}
    if not isinstance(asked.get("input"), int):
        return 400, {"title": "Bad Request", "detail": "`input` is a whole number", "field": "input"}
    known = asked["model"].startswith("gemini-2.5")
    notes = [] if known else [f"{asked['model']} is not in the price catalogue of 2026-11-20-1a2b3c4d"]
    return {
        "model": asked["model"],
        "cost_usd": "0.235" if known else None,
        "lines": LINES if known else [],
        "price_version": "2026-11-20-1a2b3c4d",
        "notes": notes,
    }


@pytest.fixture
def answers(sample):
    return {**sample(), "GET /models": MODELS, "POST /prices/quote": quote}


def asked(stage):
    return [request.body for request in stage.gateway.asked("/prices/quote")]


def test_a_question_from_every_main_screen_in_six_key_strokes(play, answers):
    async def script(stage):
        for digit in "12345":
            # At once: a key that is typed while a screen opens is not text of its filter.
            await stage.press(digit, "w")
            await stage.sees("What would it cost?")
            await stage.press("escape")
            await stage.misses("What would it cost?")
        await stage.press("w")
        await stage.until(lambda: stage.app.screen._names["model"], "the models")
        await stage.press("g", "tab", "tab", *"250k", "tab", *"4,000", "enter")
        await stage.sees("$0.235")
        assert asked(stage) == [{"model": "gemini-2.5-pro", "input": 250_000, "output": 4000}]

    play(script, answers)


def test_the_answer_stays_for_the_next_question(play, answers, pictures):
    async def script(stage):
        await stage.sees("6 calls")
        await stage.press("ctrl+p", *"what would", "enter")
        await stage.sees("What would it cost?")
        await stage.until(lambda: stage.app.screen._names["model"], "the models")
        await pictures(stage, "quote-empty")
        await stage.press("g", "tab", "down", *"250000", "down", *"4000", "down", *"200k")
        await stage.press("down", "down", *"fl", "tab", "enter")
        await stage.sees("$0.235")
        whole = {"model": "gemini-2.5-pro", "input": 250_000, "output": 4000, "cached": 200_000}
        assert asked(stage) == [{**whole, "tier": "flex"}]
        await pictures(stage, "quote")
        await stage.press("shift+tab", "up", "up", "up", "up", *"gemini-9")
        await stage.sees("Before the change; enter asks anew:")
        await stage.press("enter")
        await stage.sees("gemini-9 is not in the price catalogue")
        await stage.misses("Before the change")
        assert asked(stage)[1:] == [{**whole, "model": "gemini-9", "tier": "flex"}]
        await pictures(stage, "quote-unknown")

    play(script, answers)


def test_what_is_refused_leads_to_its_field(play, answers):
    async def script(stage):
        await stage.sees("6 calls")
        await stage.press("w", "down", *"many", "enter")
        await stage.sees("`model` is missing")
        assert stage.app.focused.id == "model"
        await stage.press(*"gemini-2.5-pro", "enter")
        await stage.sees("`input` is a whole number")
        assert asked(stage)[-1] == {"model": "gemini-2.5-pro", "input": "many"}
        await stage.press(*"1000", "enter")
        await stage.sees("$0.235")
        await stage.misses("`input` is a whole number")
        stage.gateway.answers["POST /prices/quote"] = (403, {"detail": "That needs the role viewer."})
        await stage.press("enter")
        await stage.sees("That needs the role viewer.")
        await stage.misses("$0.235")

    play(script, answers)


def test_a_call_fills_it_in_and_is_asked_about_at_once(play, answers):
    async def script(stage):
        await stage.sees("6 calls")
        await stage.press("g", "enter")
        await stage.sees(CALL["id"])
        await stage.press("w")
        await stage.sees("What would it cost?")
        await stage.sees("$0.235")
        counts = {"input": 1204, "output": 331, "cached": 980, "thoughts": 81}
        assert asked(stage) == [{"model": "gemini-2.5-flash", **counts, "tier": "standard"}]
        await stage.press(*"gemini-2.5-pro", "enter")
        await stage.until(lambda: len(asked(stage)) == 2, "the second question")
        assert asked(stage)[1] == {"model": "gemini-2.5-pro", **counts, "tier": "standard"}
        await stage.press(*"gemini-9", "enter")
        await stage.sees("gemini-9 is not in the price catalogue")
        await stage.press("escape")
        await stage.sees("more like this")

    play(script, answers)


def test_a_call_without_tokens_is_not_asked_about(play, answers, sample):
    call = {**SAMPLE["calls"][3], "prompt_tokens": None, "output_tokens": None}
    answers |= {"GET /calls": {"calls": [call]}, f"GET /calls/{call['id']}": call}

    async def script(stage):
        await stage.sees("1 call")
        await stage.press("enter")
        await stage.sees("model not allowed")
        await stage.press("w")
        await stage.sees("What would it cost?")
        await stage.sees(call["model"])
        await stage.still()
        assert asked(stage) == []

    play(script, answers)


def test_without_its_models_it_asks_all_the_same(play, answers):
    del answers["GET /models"]

    async def script(stage):
        await stage.sees("6 calls")
        await stage.press("w", *"gemini-2.5", "tab", *"5", "enter")
        await stage.sees("$0.235")
        assert asked(stage) == [{"model": "gemini-2.5", "input": 5}]

    play(script, answers)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("0", 0),
        ("1000", 1000),
        ("1,000", 1000),
        ("250k", 250_000),
        ("1.5M", 1_500_000),
        ("0.0005k", "0.0005k"),
        ("1.5", "1.5"),
        ("-1", "-1"),
        ("1e3", "1e3"),
        ("many", "many"),
        ("9" * 30, "9" * 30),
    ],
)
def test_numbers_are_read_or_left_for_the_gateway(text, number):
    assert read_number(text) == number


def test_a_name_is_completed_to_the_first_that_goes_on(answers):
    names = ["gemini-2.5-pro", "gemini-2.5-flash", "gemini-2.5-flash-lite"]
    assert completed_name("gem", names) == "gemini-2.5-pro"
    assert completed_name("gemini-2.5-f", names) == "gemini-2.5-flash"
    assert completed_name("gemini-2.5-flash-", names) == "gemini-2.5-flash-lite"
    for text in ("", "gemini-2.5-flash", "llama"):
        assert completed_name(text, names) is None


def test_the_tiers_are_those_of_the_prices():
    assert TIERS == KNOWN_TIERS
