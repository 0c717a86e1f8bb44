"""What costs what, over HTTP."""

from __future__ import annotations

from decimal import Decimal


async def test_models_that_were_asked_for_and_whether_they_have_a_price(admin):
    admin.priced()
    admin.finish(model="gemini-99-ultra", cost_pico=None)
    models = await admin.get("/models")
    seen = {model["model"]: model for model in models["seen"]}
    assert (seen["gemini-2.5-flash"]["priced"], seen["gemini-99-ultra"]["priced"]) == (True, False)
    assert seen["gemini-2.5-flash"]["calls"] == 1
    assert seen["gemini-99-ultra"]["unpriced_calls"] == 1
    assert "gemini-2.5-flash" in models["priced"]
    assert models["price_version"] == admin.gateway.catalogue.version


async def test_the_catalogue_in_force(admin):
    prices = await admin.get("/prices")
    assert prices["version"] == admin.gateway.catalogue.version
    assert prices["currency"] == "USD"
    (flash,) = (model for model in prices["models"] if "gemini-2.5-flash" in model["ids"])
    assert flash["source"]
    now = [row for row in flash["prices"] if row["tier"] == "standard" and row["to"] is None]
    assert [Decimal(row["per_1m_tokens"]["output_text"]) for row in now] == [Decimal("2.5")]


async def test_prices_of_long_prompts_have_their_bounds(admin):
    prices = await admin.get("/prices")
    (pro,) = (model for model in prices["models"] if "gemini-2.5-pro" in model["ids"])
    bounds = {
        (row["prompt_above"], row["prompt_up_to"]) for row in pro["prices"] if row["tier"] == "standard"
    }
    assert bounds == {(None, 200_000), (200_000, None)}


async def test_aliases_say_what_they_meant_from_when_on(admin):
    steps = (await admin.get("/prices"))["aliases"]["gemini-flash-latest"]
    assert all(set(step) == {"from", "model"} for step in steps)
    assert [step["from"] for step in steps] == sorted(step["from"] for step in steps)
