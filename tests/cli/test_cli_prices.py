"""`gatekeeper prices`: the catalogue of this installation, and the exact cost of one call by it."""

from __future__ import annotations

import json
import os
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from rig.cases import cases

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


@cases(
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


@cases(
    ("numbers", "cost", "components"),
    [
        ({"input": 1000, "output": 500}, "0.00155", {"input_text": "1000", "output_text": "500"}),
        ({"input": 1000}, "0.0003", {"input_text": "1000"}),
        ({"output": 500, "thoughts": 100}, "0.0015", {"output_text": "600"}),
        (
            {"input": 1000, "cached": 400, "output": 0},
            "0.000192",
            {"input_text": "600", "cached_text": "400"},
        ),
        ({"input": 0}, "0", {}),
        (
            {"input": 1000, "output": 500, "tier": "batch"},
            "0.000775",
            {"input_text": "1000", "output_text": "500"},
        ),
    ],
)
def test_a_quote_by_numbers_of_tokens(
    cli: Any, numbers: dict[str, Any], cost: str, components: dict[str, str]
) -> None:
    """As that of the usage that an answer with so many tokens would report."""
    given = [word for name, value in numbers.items() for word in (f"--{name}", str(value))]
    ended = cli("prices", "quote", "gemini-2.5-flash", *given, "--at", "2026-10-20", "--json")
    assert (ended.status, ended.err) == (0, "")
    assert ended.document["cost_usd"] == cost
    assert {line["component"]: line["quantity"] for line in ended.document["lines"]} == components
    assert ended.document.keys() == {"model", "cost_usd", "lines", "price_version", "notes"}


def test_a_mistyped_model_is_suggested(cli: Any) -> None:
    quoted = cli("prices", "quote", "gemini-2.5-flsh", "--input", "5", "--json")
    assert (quoted.status, quoted.document["cost_usd"]) == (0, None)
    assert quoted.document["notes"][-1] == "did you mean gemini-2.5-flash?"
    shown = cli("prices", "show", "models/gemini-2.5-flsh")
    assert (shown.status, shown.out) == (5, "")
    assert shown.err.endswith("; did you mean gemini-2.5-flash?\n")
    assert "did you mean" not in cli("prices", "show", "llama").err


def test_a_whole_response_is_no_usage(cli: Any) -> None:
    response = json.dumps({"candidates": [], "usageMetadata": USAGE})
    ended = cli("prices", "quote", "gemini-2.5-flash", "--usage", "-", typed=response)
    assert (ended.status, ended.out) == (6, "")
    assert "give the object in its usageMetadata" in ended.err


@cases("option", ["--usage", "--call"])
@cases("typed", ["", "{", "[]", '"x"', '{"usage": 5', "\ufeff", '{"model": 5}'])
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
    assert f"catalogue   {VERSION}\nown prices  none (there is no data/prices.toml)\n" in out
    assert {"gemini-2.5-flash", "gemini-2.5-pro", "gemini-embedding-001"} <= {
        line.split()[0] for line in out.splitlines() if line
    }


def test_show_of_a_model_has_all_that_it_costs_in_each_tier_and_what_it_cost_before(cli: Any) -> None:
    lines = cli("prices", "show", "models/gemini-2.5-pro").out.splitlines()
    assert {"prompts of ≤200k tokens", "prompts of >200k tokens", "before and after"} <= set(lines)
    rows = [line.split() for line in lines]
    assert ["component", "unit", "standard", "flex", "priority", "batch"] in rows
    assert ["input_text", "1M", "$1.25", "$0.625~", "$2.25~", "$0.625"] in rows
    assert ["cache_storage_token_hour", "1M", "h", "$4.50", "$4.50", "$4.50", "$4.50"] in rows
    assert ["grounding_search_request", "1k", *["$35.00"] * 4] in rows
    assert ["cached_audio", "batch", ">200k", "2025-10-15", "$0.625"] in rows


@cases(
    ("model", "at", "row"),
    [
        ("gemini-2.5-pro", "2025-10-14", "cached_text 1M $0.31 $0.125~ $0.225~ $0.31?"),
        ("veo-3.1-fast-generate-preview", "2026-04-06", "output_video_second_4k s $0.35"),
        ("veo-3.1-fast-generate-preview", "2026-04-07", "output_video_second_4k s $0.30"),
        ("imagen-4.0-generate-001", "2026-04-07", "image_each each $0.04"),
        ("gemini-flash-latest", "2026-08-12", "output_text 1M $7.50~"),
        ("gemini-flash-latest", "2026-08-12", "alias gemini-flash-latest stands for gemini-3.6-flash"),
        ("gemini-flash-latest", "2026-08-13", "output_text 1M $3.75 $1.875~ $6.75~ $1.875"),
        ("gemini-4-neon", "2026-11-17", "no price on 2026-11-17"),
    ],
)
def test_show_at_a_day_has_what_held_then(cli: Any, model: str, at: str, row: str) -> None:
    ended = cli("prices", "show", model, "--at", at)
    assert row in [" ".join(line.split()) for line in ended.out.splitlines()]
    assert "before and after" not in ended.out
    assert ("\nalias " in ended.out) is model.endswith("-latest")
    assert ("~ likely" in ended.err) is ("~" in ended.out)


def test_every_table_of_prices_fits_into_80_columns(cli: Any) -> None:
    facts = ("models ", "source ", "note ")
    for model in ((), *((model.ids[0],) for model in load_catalogue().models())):
        lines = cli("prices", "show", *model).out.splitlines()
        assert [line for line in lines if len(line) > 80 and not line.startswith(facts)] == []


def test_show_of_a_day_as_json(cli: Any) -> None:
    document = cli("prices", "show", "gemini-2.5-flash", "--at", "2025-10-14", "--json").document
    assert {row["to"] for row in document["models"][0]["prices"] if row["tier"] == "batch"} == {"2025-10-15"}


def test_show_at_no_day(cli: Any) -> None:
    ended = cli("prices", "show", "--at", "soon")
    assert ended.status == 2
    assert "soon" in ended.err


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


HEAD = b'checked = "2026-11-28"\n'
MODEL = b"[[models]]\nids = ['gemini-x']\nsource = ''\n"


def row(prices: bytes = b'input = "0.30"') -> bytes:
    return b"prices = [{ tier = 'standard', " + prices + b" }]\n"


@cases(
    ("content", "faults"),
    [
        (b"version = 1\nmodels = x\n", ["line 2: not valid TOML"]),
        (b"version = '1'\n\n\xff", ["line 3: it is not UTF-8"]),
        (b"version = 1" + b"0" * 5000, ["line 1: not valid TOML"]),
        (HEAD + MODEL, ["line 2: prices is no list"]),
        (HEAD + MODEL + row(b'input = "3,0"'), ["line 5: input is '3,0'"]),
        (HEAD + MODEL + row() + MODEL.replace(b"-x", b" X") + row(b'imput = "1"'),
         ["line 7: 'gemini X' is no id", "line 9: unknown key 'imput'; did you mean input?"]),
    ],
)  # fmt: skip
@cases("place", ["built in", "own"])
@cases("command", [["serve", "--sandbox"], ["prices", "show"], ["doctor", "--sandbox"]])
def test_a_catalogue_with_faults(
    cli: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    content: bytes,
    faults: list[str],
    place: str,
    command: list[str],
) -> None:
    """A line for each; `serve` has not touched anything by then."""
    file = tmp_path / "prices.toml"
    file.write_bytes(content)
    if place == "built in":
        monkeypatch.setattr("gatekeeper.startup.BUILT_IN_PRICES", file)
    monkeypatch.setattr("gatekeeper.serve.listening_sockets", None)
    ended = cli(*command, *(["--data", str(tmp_path)] if place == "own" else []))
    if command[0] == "doctor":
        lines = [line for line in ended.out.splitlines() if line.startswith("✗") and "prices.toml" in line]
    else:
        assert ended.out == ""
        lines = ended.err.splitlines()
    assert ended.status == (7 if command[0] == "doctor" else 2)
    assert len(lines) == len(faults)
    assert all(f"{file}, {fault}" in line for fault, line in zip(faults, lines, strict=True))
    assert [path.name for path in tmp_path.iterdir()] == ["prices.toml"]


# The user's own prices

OWN = """
[[models]]
ids = ["gemini-2.5-flash"]
source = "contract"
prices = [
  { tier = "standard", from = "2026-11-01", input_text = "0.20" },
  { tier = "batch", to = "2026-01-01", output = "1.25" },
]
[[models]]
ids = ["gemini-9"]
prices = [{ tier = "standard", image_each = "0.04" }]
[aliases]
gemini-flash-latest = [{ from = "2026-11-20", model = "gemini-9" }]
nine = [{ from = "2026-11-20", model = "gemini-9" }]
"""


def test_own_prices_in_the_data_folder_are_shown_and_quoted(cli: Any, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "prices.toml").write_text(OWN)
    quoted = ("prices", "quote", "gemini-2.5-flash", "--usage", "-", "--json")
    costs = [
        cli(*quoted, "--at", day, *more, typed=json.dumps(USAGE)).document["cost_usd"]
        for day, more in (("2026-10-31", ()), ("2026-11-01", ()), ("2026-11-01", ("--data", "elsewhere")))
    ]
    assert costs == ["0.0011076", "0.0010034", "0.0011076"]
    ended = cli("prices", "show", "gemini-2.5-flash", "--at", "2026-11-28", "--data", "data")
    assert ["input_text", "1M", "$0.20*", "$0.15~", "$0.54~", "$0.15"] in [
        line.split() for line in ended.out.splitlines()
    ]
    assert "own prices: contract" in ended.out
    assert "* your own price" in ended.err
    (model,) = cli("prices", "show", "nine", "--json").document["models"]
    assert (model["ids"], model["prices"][0]["own"]) == (["gemini-9"], ["image_each"])


def test_prices_that_are_set_are_read_instead_of_those_of_the_data_folder(
    cli: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By flag, environment or file; every command that shows prices says which file it has read."""
    (tmp_path / "mine.toml").write_text(OWN)
    quoted = ("prices", "quote", "gemini-2.5-flash", "--usage", "-", "--at", "2026-11-01", "--json")
    assert cli(*quoted, "--prices", "mine.toml", typed=json.dumps(USAGE)).document["cost_usd"] == "0.0010034"
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "prices.toml").write_text(OWN.replace("0.20", "7"))
    monkeypatch.setenv("GATEKEEPER_PRICES", "mine.toml")
    assert cli(*quoted, typed=json.dumps(USAGE)).document["cost_usd"] == "0.0010034"
    told = "mine.toml (data/prices.toml is not read)\n"
    assert f"own prices  {told}" in cli("prices", "show").out
    assert f", with those of {told}" in cli("doctor", "--sandbox", "--data", "data").out
    assert cli("prices", "show", "--json").document["own_file"] == str(tmp_path / "mine.toml")
    assert cli("config", "--json").document["settings"]["prices"]["value"] == "mine.toml"


@pytest.mark.parametrize("command", [["prices", "show"], ["serve", "--sandbox"]], ids=" ".join)
def test_prices_that_are_set_and_missing_are_an_error(cli: Any, command: list[str]) -> None:
    """Unlike those of the data folder: without them costs would be wrong, and nobody told."""
    ended = cli(*command, "--prices", "nix.toml")
    assert (ended.status, ended.out) == (2, "")
    told = "gatekeeper: nix.toml, line 1: it is missing: change the setting `prices`, or unset it"
    assert ended.err.rstrip(".\n") == told


def test_doctor_tells_of_own_prices(cli: Any, tmp_path: Path) -> None:
    (tmp_path / "prices.toml").write_text(OWN)
    out = cli("doctor", "--sandbox", "--data", str(tmp_path)).out
    assert f"with those of {tmp_path / 'prices.toml'}" in out
    assert f"of {VERSION}" not in out


def test_check_shows_what_a_file_changes(cli: Any, tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(OWN)
    ended = cli("prices", "check", "mine.toml")
    assert (ended.status, ended.err) == (0, "")
    assert [" ".join(line.split()) for line in ended.out.splitlines()] == [
        "mine.toml: adds 1 model, changes 1 price, adds 1 price, sets 2 aliases",
        "",
        "gemini-2.5-flash",
        "component tier from built in own",
        "input_text standard 2026-11-01 $0.30 $0.20",
        "",
        "gemini-9 (new)",
        "component tier built in own",
        "image_each standard – $0.04",
        "",
        "gemini-flash-latest from 2026-11-20: gemini-9, not gemini-3.8-flash",
        "nine from 2026-11-20: gemini-9",
    ]


def test_check_as_json(cli: Any, tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(OWN)
    document = cli("prices", "check", "mine.toml", "--json").document
    assert document.pop("version") != document["built_in_version"] == VERSION
    assert document == {
        "built_in_version": VERSION,
        "models_added": ["gemini-9"],
        "prices": [
            {
                "models": ["gemini-2.5-flash"],
                "component": "input_text",
                "tier": "standard",
                "from": "2026-11-01",
                "to": None,
                "prompt_above": None,
                "prompt_up_to": None,
                "unit": "per_1m_tokens",
                "old_usd": "0.300000000000",
                "new_usd": "0.200000000000",
            },
            {
                "models": ["gemini-9"],
                "component": "image_each",
                "tier": "standard",
                "from": None,
                "to": None,
                "prompt_above": None,
                "prompt_up_to": None,
                "unit": "each",
                "old_usd": None,
                "new_usd": "0.040000000000",
            },
        ],
        "aliases": [
            {
                "alias": "gemini-flash-latest",
                "from": "2026-11-20",
                "old": "gemini-3.8-flash",
                "new": "gemini-9",
            },
            {"alias": "nine", "from": "2026-11-20", "old": "nine", "new": "gemini-9"},
        ],
    }


@cases("content", ["", "\ufeff", "# Nothing.\n", '\ufeffchecked = "2026-12-24"\r\n'])
def test_check_of_a_file_that_changes_nothing(cli: Any, tmp_path: Path, content: str) -> None:
    (tmp_path / "mine.toml").write_text(content)
    assert cli("prices", "check", "mine.toml").out == "mine.toml: changes nothing\n"


def test_check_rejects_a_faulty_file_with_a_line_for_each_fault(cli: Any, tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(OWN.replace("image_each", "imag_each").replace('"batch"', '"bach"'))
    ended = cli("prices", "check", "mine.toml", "--json")
    assert (ended.status, ended.out) == (6, "")
    first, second = ended.err.splitlines()
    assert first.startswith("gatekeeper: mine.toml, line 7: tier is 'bach'; did you mean batch?")
    assert second.startswith(
        "gatekeeper: mine.toml, line 11: unknown key 'imag_each'; did you mean image_each?"
    )
    assert second.endswith("?")


def test_check_of_no_file(cli: Any) -> None:
    ended = cli("prices", "check", "mine.toml")
    assert (ended.status, ended.err) == (5, "gatekeeper: there is no file mine.toml.\n")
