"""What `/prices/quote` says a call would cost: as `gatekeeper prices quote`, by the prices of the gateway."""

from __future__ import annotations

import json
from typing import Any

from rig.cases import cases

from gatekeeper.cli.main import run
from gatekeeper.startup import load_catalogue

CATALOGUE = load_catalogue()
MODEL = "gemini-2.5-flash"
DAY = {"at": "2026-10-20"}
USAGE = {"promptTokenCount": 1000, "candidatesTokenCount": 500, "totalTokenCount": 1500}
TOKENS = ("input", "output", "cached", "thoughts")

CASES: list[tuple[dict[str, Any], str | None, str]] = [
    ({"input": 1000, "output": 500}, "0.00155", ""),
    ({"input": 1000, "cached": 400, "tier": None}, "0.000192", ""),
    ({"output": 500, "thoughts": 100, "tier": "batch"}, "0.00075", ""),
    ({"input": 0}, "0", ""),
    ({"usage": USAGE}, "0.00155", ""),
    ({"usage": {}}, None, "reports no promptTokenCount"),
    ({"model": "gemini-2.5-flsh", "input": 5}, None, "did you mean gemini-2.5-flash?"),
    ({"model": "gemini-2.5-flsh", "input": 5}, None, "is not in the price catalogue"),
    ({"model": "llama", "usage": USAGE}, None, "is not in the price catalogue"),
]


@cases(("question", "cost", "note"), CASES)
async def test_a_quote_is_that_of_the_command(
    admin, question, cost, note, tmp_path, monkeypatch, capsys
) -> None:
    asked = {"model": MODEL, **DAY, **question}
    quoted = await admin.post("/prices/quote", asked)
    assert quoted["cost_usd"] == cost
    assert note in " ".join(quoted["notes"])
    assert bool(quoted["lines"]) is (cost not in (None, "0"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "usage.json").write_text(json.dumps(question.get("usage", {})))
    given = {name: asked.get(name) for name in (*TOKENS, "at", "tier")}
    given["usage"] = "usage.json" if "usage" in question else None
    options = [f"--{name}={value}" for name, value in given.items() if value is not None]
    assert run(["prices", "quote", asked["model"], *options, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == quoted


async def test_an_action_is_priced_as_what_it_is(admin) -> None:
    for action, cost in (("countTokens", "0"), ("generateContent", "0.00155"), ("nonsense", None)):
        quoted = await admin.post("/prices/quote", {"model": MODEL, "usage": USAGE, "action": action, **DAY})
        assert quoted["cost_usd"] == cost


REFUSED: list[tuple[dict[str, Any], str, str]] = [
    ({"input": 1, "nope": 1}, "nope", "not a field"),
    ({"model": None, "input": 1}, "model", "missing"),
    ({"model": 7, "input": 1}, "model", "not a text"),
    ({}, "input", "missing"),
    ({"cached": 5}, "input", "missing"),
    ({"input": 5, "cached": 6}, "cached", "more than `input`"),
    ({"output": 5, "cached": 6}, "cached", "more than `input`"),
    ({"input": -1}, "input", "0 to"),
    ({"input": 10**15 + 1}, "input", "0 to"),
    ({"input": True}, "input", "0 to"),
    ({"output": "5"}, "output", "0 to"),
    ({"usage": USAGE, "thoughts": 5}, "thoughts", "or `thoughts`"),
    ({"usage": [USAGE]}, "usage", "object"),
    ({"usage": {"candidates": [], "usageMetadata": USAGE}}, "usage", "this is a response"),
    ({"input": 1, "tier": "flx"}, "tier", "did you mean flex?"),
    ({"input": 1, "tier": "gold"}, "tier", "standard, flex, priority, batch"),
    ({"input": 1, "at": "soon"}, "at", '"soon" is not a time'),
    ({"input": 1, "action": ""}, "action", "not a text"),
]


@cases(("question", "field", "told"), REFUSED)
async def test_what_cannot_be_priced_is_refused_and_its_place_named(admin, question, field, told) -> None:
    answer = await admin.client.post("/prices/quote", json={"model": MODEL, **question})
    problem = answer.json()
    assert (answer.status_code, problem["field"]) == (400, field)
    assert told in problem["detail"]


OWN = """
[[models]]
ids = ["{model}"]
[[models.prices]]
tier = "standard"
from = 2020-01-01
input_text = "1.00"
output_text = "2.00"
"""


async def test_own_prices_count_too(admin) -> None:
    for model in (MODEL, "mine"):
        context = admin.gateway.proxy.context
        context.catalogue = CATALOGUE.with_own(OWN.format(model=model))
        quoted = await admin.post("/prices/quote", {"model": model, "input": 1000, "output": 500})
        assert quoted["cost_usd"] == "0.002"
        assert quoted["price_version"] == context.catalogue.version
