"""`gatekeeper prices`: the catalogue of this installation, and the exact cost of one call by it."""

from __future__ import annotations

import json
import os
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from gatekeeper.startup import load_catalogue

USAGE = {"promptTokenCount": 1042, "candidatesTokenCount": 318, "totalTokenCount": 1360}
CALL = {
    "model": "gemini-2.5-flash",
    "at": "2026-10-20T09:00:00Z",
    "tier": "standard",
    "action": "generateContent",
    "usage": USAGE,
}
VERSION = load_catalogue().version
UNIT = {"unit": "per_1m_tokens"}
LINES = [
    {"component": "input_text", "quantity": "1042", "unit_usd": "0.3", "usd": "0.0003126", **UNIT},
    {"component": "output_text", "quantity": "318", "unit_usd": "2.5", "usd": "0.000795", **UNIT},
]
RECORDINGS = os.environ.get("GATEKEEPER_RECORDINGS", "")


def grounded(metadata: dict[str, Any] | None) -> dict[str, Any]:
    return {"candidates": [{"groundingMetadata": metadata}]}


def test_a_quote_shows_its_arithmetic(cli: Any) -> None:
    ended = cli(
        "prices", "quote", "gemini-2.5-flash", "--usage", "-", "--at", "2026-10-20", typed=json.dumps(USAGE)
    )
    assert (ended.status, ended.err) == (0, "")
    assert ended.out == (
        f"gemini-2.5-flash  prices of {VERSION}\n"
        "1,042 input_text  × $0.30 / 1M = $0.000312600000\n"
        "  318 output_text × $2.50 / 1M = $0.000795000000\n"
        "total $0.001107600000\n"
    )


def test_a_quote_as_json(cli: Any, tmp_path: Path) -> None:
    (tmp_path / "usage.json").write_text(json.dumps(USAGE))
    ended = cli(
        "prices", "quote", "models/gemini-2.5-flash", "--usage", "usage.json", "--at", "2026-10-20", "--json"
    )
    assert ended.document == {
        "model": "gemini-2.5-flash",
        "cost_usd": "0.0011076",
        "lines": LINES,
        "price_version": VERSION,
        "notes": [],
    }


@pytest.mark.parametrize(
    ("change", "cost", "said"),
    [
        ({}, "0.0011076", ""),
        ({"tier": None}, "0.0011076", ""),
        ({"tier": None, "request": {"serviceTier": "flex"}}, "0.0005538", ""),
        ({"tier": "batch", "action": "batchGenerateContent"}, "0.0005538", ""),
        ({"model_version": "gemini-2.5-pro"}, "0.0044825", ""),
        ({"model": "gemini-9"}, None, "gemini-9 is not in the price catalogue"),
        ({"usage": None}, None, "no usage"),
        ({"usage": [USAGE, USAGE]}, None, "no price for live_input_text"),
        ({"action": "predict"}, None, "what it made"),
        ({"status": 200}, "0.0011076", ""),
        ({"status": 429}, "0", "429"),
        ({"action": "countTokens", "usage": {"totalTokens": 9}}, "0", "countTokens"),
        ({"action": "files.upload", "usage": None}, "0", "files.upload"),
        ({"action": "cachedContents.list", "usage": None}, "0", "cachedContents.list"),
        ({"action": "cachedContents.create", "usage": None}, None, "cachedContents.create"),
        ({"action": "models.nix", "usage": None}, None, "models.nix"),
        ({"response": grounded({"webSearchQueries": ["", ""]})}, "0.0011076", ""),
        (
            {"action": "cachedContents", "request": {"ttl": "5400s"}, "usage": {"totalTokenCount": 10**6}},
            "1.5", "",
        ),
        ({"action": "cachedContents", "request": {"ttl": "1 h"}, "usage": USAGE}, None, "cachedContents"),
        ({"response": grounded({"webSearchQueries": ["x"]})}, "0.0361076", ""),
        (
            {"response": grounded({"webSearchQueries": ["x"]}), "request": {"free_searches_left": 3}},
            "0.0011076", "1 of 1 searches are within Google's free allowance",
        ),
        ({"response": [{}, grounded({"groundingChunks": [{"maps": {}}]})]}, "0.0261076", ""),
        ({"response": grounded(None)}, "0.0011076", ""),
    ],
    ids=str,
)  # fmt: skip
def test_a_whole_call(cli: Any, change: dict[str, Any], cost: str | None, said: str) -> None:
    document = cli("prices", "quote", "--call", "-", "--json", typed=json.dumps(CALL | change)).document
    assert document["cost_usd"] == cost
    assert said in " ".join(document["notes"])
    assert (document["lines"] == []) == (cost in (None, "0"))


def test_an_unknown_cost_is_no_failure(cli: Any) -> None:
    ended = cli("prices", "quote", "gemini-9", "--usage", "-", typed=json.dumps(USAGE))
    assert ended.status == 0
    assert "total unknown\n" in ended.out
    assert "note: gemini-9 is not in the price catalogue" in ended.out


@pytest.mark.parametrize("option", ["--usage", "--call"])
@pytest.mark.parametrize("typed", ["", "{", "[]", '"x"', '{"usage": 5', "\ufeff", '{"model": 5}'])
def test_what_is_no_such_json(cli: Any, option: str, typed: str) -> None:
    model = ["gemini-2.5-flash"] if option == "--usage" else []
    ended = cli("prices", "quote", *model, option, "-", typed=typed)
    if option == "--usage" and typed == '{"model": 5}':
        assert ended.status == 0
    else:
        assert (ended.status, ended.out) == (6, "")
        assert "the JSON is not as expected" in ended.err


@pytest.mark.parametrize("at", ["soon", "2026-13-01"])
def test_a_call_at_no_time(cli: Any, at: str) -> None:
    ended = cli("prices", "quote", "--call", "-", typed=json.dumps(CALL | {"at": at}))
    assert ended.status == 6
    assert at in ended.err


@pytest.mark.skipif(not RECORDINGS, reason="GATEKEEPER_RECORDINGS names no folder of recordings")
def test_the_worked_calls_beside_the_recordings(cli: Any) -> None:
    found = 0
    for example in json.loads((Path(RECORDINGS).parent / "price_examples.json").read_text()):
        expected = example.pop("expect")["cost_usd"]
        cost = cli("prices", "quote", "--call", "-", "--json", typed=json.dumps(example)).document["cost_usd"]
        assert cost is None or Decimal(cost) == Decimal(expected), example["id"]
        found += cost is not None
    assert found >= 17


# Show


def test_show_has_what_holds_today(cli: Any) -> None:
    out = cli("prices", "show").out
    assert f"catalogue  {VERSION}" in out
    assert {"gemini-2.5-flash", "gemini-2.5-pro", "gemini-embedding-001"} <= {
        line.split()[0] for line in out.splitlines() if line
    }


def test_show_of_a_model_has_all_that_it_ever_cost(cli: Any) -> None:
    lines = cli("prices", "show", "models/gemini-2.5-pro").out.splitlines()
    rows = [line.split("  ") for line in lines if line.startswith("gemini-2.5-pro")]
    assert {row[1].strip() for row in rows} == {"standard", "flex", "priority", "batch"}
    assert any("before 2025-10-15" in line for line in lines)
    assert any("valid (UTC)" in line for line in lines)
    assert any("above 200k" in line and "$15.00" in line for line in lines)


def test_show_as_json(cli: Any) -> None:
    document = cli("prices", "show", "gemini-2.5-pro", "--json").document
    assert document["version"] == VERSION
    assert [model["ids"] for model in document["models"]] == [["gemini-2.5-pro"]]
    assert len(cli("prices", "show", "--json").document["models"]) == len(load_catalogue().models())


def test_a_model_that_the_catalogue_does_not_have(cli: Any) -> None:
    ended = cli("prices", "show", "gemini-9")
    assert (ended.status, ended.out) == (5, "")
    assert "gemini-9" in ended.err


def test_a_catalogue_that_is_gone(cli: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gatekeeper.startup.BUILT_IN_PRICES", Path("gone/prices.toml"))
    ended = cli("prices", "show")
    assert ended.status == 1
    assert "prices.toml is missing" in ended.err


HEAD = b'version = "1"\nchecked = "2026-11-28"\ncurrency = "USD"\n'
ROW = b'prices = [{ tier = "standard", input = "0.30" }]'


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"version = 1\nmodels = x\n", "line 2"),
        (b"version = '1'\xff", "utf-8"),
        (b"version = 1" + b"0" * 5000, "digits"),
        (b"", "version"),
        (HEAD + b"[[models]]\nids = ['gemini-x']\nsource = ''", "model 1 (['gemini-x'])"),
        (HEAD + b"[[models]]\nids = ['x']\nsource = ''\n" + ROW.replace(b"0.30", b"3,0"), "price row 1"),
        (HEAD + b"[[models]]\nids = ['Gemini X']\nsource = ''\n" + ROW, "model 'Gemini X'"),
    ],
)
@pytest.mark.parametrize(
    "command", [["serve", "--sandbox"], ["prices", "show"], ["doctor", "--sandbox"]], ids=" ".join
)
def test_a_catalogue_with_an_error(
    cli: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes, said: str, command: list[str]
) -> None:
    """One line with the entry; `serve` has not touched anything by then."""
    file = tmp_path / "prices.toml"
    file.write_bytes(content)
    monkeypatch.setattr("gatekeeper.startup.BUILT_IN_PRICES", file)
    monkeypatch.setattr("gatekeeper.serve.listening_sockets", None)
    ended = cli(*command)
    if command[0] == "doctor":
        (line,) = [line for line in ended.out.splitlines() if line.startswith("✗") and "prices" in line]
    else:
        assert (ended.out, ended.err.count("\n")) == ("", 1)
        line = ended.err
    assert ended.status == (7 if command[0] == "doctor" else 2)
    assert f"{file}: " in line
    assert said in line
    assert [path.name for path in tmp_path.iterdir()] == ["prices.toml"]
