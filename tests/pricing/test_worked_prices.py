"""Calls worked by hand from Google's published prices: the shipped catalogue gives them to the last digit."""

from __future__ import annotations

import json
import os
from datetime import datetime
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from rig.cases import cases

from gatekeeper.gemini.response_parser import ResponseParser
from gatekeeper.gemini.token_usage import Usage
from gatekeeper.gemini.usage import read_usage
from gatekeeper.pricing.catalogue import Catalogue
from gatekeeper.pricing.price_documents import quote_document
from gatekeeper.pricing.quote import quote
from gatekeeper.startup import load_catalogue

RECORDINGS = os.environ.get("GATEKEEPER_RECORDINGS", "")


@cache
def shipped() -> Catalogue:
    return load_catalogue()


class Worked(NamedTuple):
    """A call, its cost and its lines. `used` is the usage, with modalities after the count they split."""

    day: str
    model: str
    used: str
    cost: str | None
    lines: str = ""
    action: str = "generateContent"
    tier: str = "standard"
    served: str | None = None


FIELDS = {
    "prompt": ("promptTokenCount", "promptTokensDetails"),
    "embedded": ("promptTokenCount", "promptTokenDetails"),
    "cached": ("cachedContentTokenCount", "cacheTokensDetails"),
    "output": ("candidatesTokenCount", "candidatesTokensDetails"),
    "thoughts": ("thoughtsTokenCount", ""),
    "tool": ("toolUsePromptTokenCount", "toolUsePromptTokensDetails"),
    "total": ("totalTokenCount", ""),
}


def usage(used: str) -> Usage | None:
    members: dict[str, Any] = {}
    details = ""
    for word, count in zip(*[iter(used.split())] * 2, strict=True):
        if word in FIELDS:
            name, details = FIELDS[word]
            members[name] = int(count)
        else:
            members.setdefault(details, []).append({"modality": word, "tokenCount": int(count)})
    return read_usage(json.dumps(members).encode())


WORKED = {
    "4 Carbon on the last day of its introductory price": Worked(
        day="2026-11-30",
        model="gemini-4-carbon",
        used="prompt 2000 TEXT 2000 cached 500 TEXT 500 output 300 thoughts 700 total 3000",
        cost="0.01305",
        lines="input_text 1500 x 2, cached_text 500 x 0.1, output_text 1000 x 10",
    ),
    "4 Carbon a day later": Worked(
        day="2026-12-01",
        model="gemini-4-carbon",
        used="prompt 2000 TEXT 2000 cached 500 TEXT 500 output 300 thoughts 700 total 3000",
        cost="0.0261",
        lines="input_text 1500 x 4, cached_text 500 x 0.2, output_text 1000 x 20",
    ),
    "4 Argon doubles on the same day": Worked(
        day="2026-12-01",
        model="gemini-4-argon",
        used="prompt 1000 output 100 total 1100",
        cost="0.0108",
        lines="input_text 1000 x 7.2, output_text 100 x 36",
        tier="priority",
    ),
    "4 Hydrogen": Worked(
        day="2026-11-28",
        model="gemini-4-hydrogen",
        used="prompt 1000 AUDIO 1000 cached 400 AUDIO 400 output 100 total 1100",
        cost="0.00168",
        lines="input_audio 600 x 1.5, cached_audio 400 x 0.075, output_text 100 x 7.5",
    ),
    "4 Neon in a batch": Worked(
        day="2026-11-28",
        model="gemini-4-neon",
        used="prompt 1000 output 100 total 1100",
        cost="0.00225",
        lines="input_text 1000 x 1.5, output_text 100 x 7.5",
        action="batchGenerateContent",
        tier="batch",
    ),
    "plain": Worked(
        day="2026-10-20",
        model="gemini-2.5-flash",
        used="prompt 1042 TEXT 1042 output 318 total 1360",
        cost="0.0011076",
        lines="input_text 1042 x 0.3, output_text 318 x 2.5",
    ),
    "cached tokens instead of input": Worked(
        day="2026-06-15",
        model="gemini-2.5-flash",
        used="prompt 5120 TEXT 5120 cached 4096 TEXT 4096 output 210 total 5330",
        cost="0.00095508",
        lines="input_text 1024 x 0.3, cached_text 4096 x 0.03, output_text 210 x 2.5",
    ),
    "thoughts are output": Worked(
        day="2026-10-20",
        model="gemini-2.5-pro",
        used="prompt 812 TEXT 812 output 405 thoughts 1390 total 2607",
        cost="0.018965",
        lines="input_text 812 x 1.25, output_text 1795 x 10",
        action="streamGenerateContent",
    ),
    "exactly 200,000": Worked(
        day="2026-10-20",
        model="gemini-2.5-pro",
        used="prompt 200000 TEXT 200000 output 1000 total 201000",
        cost="0.26",
        lines="input_text 200000 x 1.25, output_text 1000 x 10",
    ),
    "200,001": Worked(
        day="2026-10-20",
        model="gemini-2.5-pro",
        used="prompt 200001 TEXT 200001 cached 150000 TEXT 150000 output 1000 total 201001",
        cost="0.1775025",
        lines="input_text 50001 x 2.5, cached_text 150000 x 0.25, output_text 1000 x 15",
    ),
    "audio": Worked(
        day="2026-10-20",
        model="gemini-2.5-flash",
        used="prompt 1944 TEXT 24 AUDIO 1920 output 156 thoughts 88 total 2188",
        cost="0.0025372",
        lines="input_text 24 x 0.3, input_audio 1920 x 1, output_text 244 x 2.5",
    ),
    "tool use": Worked(
        day="2026-07-01",
        model="gemini-2.5-flash",
        used="prompt 31 TEXT 31 output 12 thoughts 48 tool 981 TEXT 981 total 1072",
        cost="0.0004536",
        lines="input_text 1012 x 0.3, output_text 60 x 2.5",
    ),
    "batch": Worked(
        day="2026-10-20",
        model="gemini-2.5-flash",
        used="prompt 9000 TEXT 9000 cached 6144 TEXT 6144 output 700 thoughts 300 total 10000",
        cost="0.00186272",
        lines="input_text 2856 x 0.15, cached_text 6144 x 0.03, output_text 1000 x 1.25",
        action="batchGenerateContent",
        tier="batch",
    ),
    "flex": Worked(
        day="2026-10-20",
        model="gemini-2.5-flash",
        used="prompt 3000 TEXT 3000 output 500 thoughts 250 total 3750",
        cost="0.0013875",
        lines="input_text 3000 x 0.15, output_text 750 x 1.25",
        tier="flex",
    ),
    "priority": Worked(
        day="2026-10-20",
        model="gemini-3.8-flash",
        used="prompt 3000 TEXT 3000 output 500 thoughts 250 total 3750",
        cost="0.0091125",
        lines="input_text 3000 x 1.35, output_text 750 x 6.75",
        tier="priority",
    ),
    "embedding of text and a picture": Worked(
        day="2026-10-20",
        model="gemini-embedding-2",
        used="embedded 261 TEXT 3 IMAGE 258",
        cost="0.0001167",
        lines="embedding_input_text 3 x 0.2, embedding_input_image 258 x 0.45",
        action="batchEmbedContents",
    ),
    "unknown model": Worked(
        day="2026-10-20", model="gemini-9-ultra", used="prompt 100 output 10 total 110", cost=None
    ),
    "dated preview that thought": Worked(
        day="2025-06-01",
        model="gemini-2.5-flash-preview-05-20",
        used="prompt 1000 TEXT 1000 output 200 thoughts 600 total 1800",
        cost="0.00295",
        lines="input_text 1000 x 0.15, output_text_thinking 800 x 3.5",
    ),
    "alias, as the model that served": Worked(
        day="2025-12-01",
        model="gemini-flash-latest",
        served="gemini-2.5-flash-preview-09-2025",
        used="prompt 500 TEXT 500 output 120 total 620",
        cost="0.00045",
        lines="input_text 500 x 0.3, output_text 120 x 2.5",
    ),
    "after the introductory price": Worked(
        day="2027-01-15",
        model="gemini-3.8-flash",
        used="prompt 10000 TEXT 10000 cached 8000 TEXT 8000 output 500 total 10500",
        cost="0.00795",
        lines="input_text 2000 x 1.5, cached_text 8000 x 0.15, output_text 500 x 7.5",
    ),
    "thoughts only in the total": Worked(
        day="2026-05-01",
        model="gemini-2.5-flash",
        used="prompt 10 TEXT 10 output 24 total 431",
        cost="0.0010555",
        lines="input_text 10 x 0.3, output_text 421 x 2.5",
    ),
    "countTokens": Worked(day="2026-10-20", model="gemini-2.5-pro", used="", cost="0", action="countTokens"),
    "free model": Worked(
        day="2026-03-02",
        model="gemma-3-27b-it",
        used="prompt 700 TEXT 700 output 90 total 790",
        cost="0",
        lines="input_text 700 x 0, output_text 90 x 0",
    ),
    "pictures have a price of their own": Worked(
        day="2026-05-10",
        model="gemini-2.5-flash-image",
        used="prompt 280 TEXT 22 IMAGE 258 output 1302 IMAGE 1290 total 1582",
        cost="0.038814",
        lines="input_text 22 x 0.3, input_image 258 x 0.3, output_image 1290 x 30, output_text 12 x 2.5",
    ),
}


@cases("worked", WORKED.values(), ids=WORKED)
def test_worked_calls(worked: Worked) -> None:
    found = quote_document(
        quote(
            shipped(),
            model=worked.model,
            model_version=worked.served,
            usage=usage(worked.used),
            at=datetime.fromisoformat(f"{worked.day}T09:00:00Z"),
            tier=worked.tier,
            action=worked.action,
        )
    )
    lines = [f"{line['component']} {line['quantity']} x {line['unit_usd']}" for line in found["lines"]]
    assert found["cost_usd"] == worked.cost
    assert ", ".join(lines) == worked.lines
    assert sum(Decimal(line["usd"]) for line in found["lines"]) == Decimal(worked.cost or 0)


# Paid by something other than the tokens of generateContent and embeddings: a right figure or none.
UNPRICED = frozenset({"imagen", "veo"})


def billed_units(example: dict[str, Any]) -> dict[str, int | None]:
    tally = ResponseParser()
    tally.read(json.dumps(example.get("response") or {}).encode())
    return tally.summary(complete=True, truncated=False).billed_units


def plain(document: dict[str, Any]) -> Any:
    """Cost and lines with their amounts as decimals, for "2.5" and "2.50" are the same."""
    cost = document["cost_usd"]
    amounts = ("quantity", "unit_usd", "usd")
    return cost and Decimal(cost), [
        {name: Decimal(value) if name in amounts else value for name, value in line.items()}
        for line in document["lines"]
    ]


@pytest.mark.skipif(not RECORDINGS, reason="GATEKEEPER_RECORDINGS names no folder of recordings")
def test_the_examples_beside_the_recordings() -> None:
    examples = json.loads((Path(RECORDINGS).parent / "price_examples.json").read_text("utf-8"))
    found: dict[str, Any] = {}
    expected: dict[str, Any] = {}
    for example in examples:
        found[example["id"]] = plain(
            quote_document(
                quote(
                    shipped(),
                    model=example["model"],
                    model_version=example.get("model_version"),
                    usage=read_usage(json.dumps(example["usage"]).encode()),
                    at=datetime.fromisoformat(example["at"]),
                    tier=example["tier"],
                    action=example["action"],
                    billed_units=billed_units(example),
                )
            )
        )
        expected[example["id"]] = (None, []) if example["id"] in UNPRICED else plain(example["expect"])
    assert found == expected
    assert len(found) - len(UNPRICED) >= 18
