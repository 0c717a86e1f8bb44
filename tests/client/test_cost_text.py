"""The arithmetic of a cost as a person reads it."""

from __future__ import annotations

from decimal import Decimal

from rig.cases import cases

from gatekeeper.client.api_types import Cost, CostLine
from gatekeeper.client.call_types import CallDetail
from gatekeeper.client.cost_text import cost_lines, cost_text, quantity, token_lines
from gatekeeper.pricing.price_components import UNITS


def shown(call: CallDetail) -> list[str]:
    return ["".join(text for text, _ in line) for line in cost_text(call)]


def line(component: str, quantity: str, unit: str, price: str, usd: str) -> CostLine:
    return CostLine(component, Decimal(quantity), unit, Decimal(price), Decimal(usd))


def test_each_unit_is_in_words_and_the_columns_are_aligned() -> None:
    found = Cost(
        cost_usd=Decimal("9.25"),
        lines=(
            line("input_text", "1204", "per_1m_tokens", "0.3", "0.0003612"),
            line("grounding_search_query", "2", "per_1k", "14", "0.028"),
            line("output_video_second_1080p", "8", "per_second", "0.4", "3.2"),
            line("image_each", "3", "each", "0.04", "0.12"),
            line("cache_storage_token_hour", "1000000.5", "per_1m_token_hours", "1", "1.0000005"),
        ),
        price_version="2026-11-28",
        notes=("1 of 3 searches are within Google's free allowance",),
    )
    assert {line.unit for line in found.lines or ()} == set(UNITS)
    assert shown(CallDetail(id="x", outcome="ok", cost_usd=Decimal("9.25"), cost=found)) == [
        "  cost",
        "  input text                      1,204   $0.000361200000  at $0.30 per 1M tokens",
        "  grounding search query              2   $0.028000000000  at $14.00 per 1k searches",
        "  output video second 1080p           8   $3.200000000000  at $0.40 per second",
        "  image each                          3   $0.120000000000  at $0.04 each",
        "  cache storage token hour  1,000,000.5   $1.000000500000  at $1.00 per 1M token-hours",
        "  total                                   $9.250000000000  prices 2026-11-28",
        "  1 of 3 searches are within Google's free allowance",
    ]


def test_a_row_with_another_cost_than_the_prices_in_force_give_shows_both() -> None:
    found = Cost(cost_usd=Decimal(2), price_version="new", notes=("why",))
    call = CallDetail(id="x", outcome="ok", cost_usd=Decimal(1), price_version="old", cost=found)
    assert shown(call)[1:] == [
        "  total                              $1.000000000000  prices old",
        "  would be                           $2.000000000000  by the prices in force, new",
        "  why",
    ]


def test_a_free_call_says_why() -> None:
    found = Cost(cost_usd=Decimal(0), price_version="new", notes="calls of countTokens cost nothing")
    assert shown(CallDetail(id="x", outcome="ok", cost_usd=Decimal(0), cost=found))[1:] == [
        "  total                              $0.000000000000  prices new",
        "  calls of countTokens cost nothing",
    ]


@cases(
    ("number", "text"),
    [
        (None, "–"),
        (Decimal(1204), "1,204"),
        (Decimal("277.777777777777"), "277.777777777777"),
        (Decimal("1277.7777777777778"), "1,277.777777777777…"),
    ],
)
def test_a_quantity(number: Decimal | None, text: str) -> None:
    assert quantity(number) == text


PENDING, PARTIAL = "the charge is pending: batches/b will tell it", "the response ended early"


@cases(
    ("call", "said"),
    [
        # Known by the note alone
        (CallDetail(id="x", outcome="ok", usage_note=PENDING), ["cost", "total", PENDING]),
        # The gateway says it, too
        (
            CallDetail(id="x", outcome="ok", usage_note=PENDING, cost=Cost(notes=(PENDING,))),
            ["cost", "total", PENDING],
        ),
        # About tokens
        (
            CallDetail(id="x", outcome="ok", prompt_tokens=1, usage_note=PARTIAL),
            ["tokens", "prompt", PARTIAL, "cost", "total"],
        ),
        (
            CallDetail(id="x", outcome="ok", total_tokens=1, usage_note=PENDING, cost=Cost(notes=(PENDING,))),
            ["tokens", "total", "cost", "total", PENDING],
        ),
        # Its end may tell more
        (CallDetail(id="x", usage_note=PARTIAL), []),
    ],
)
def test_a_note_is_read_once_where_it_belongs(call: CallDetail, said: list[str]) -> None:
    lines = ["".join(text for text, _ in line).strip() for line in [*token_lines(call), *cost_lines(call)]]
    assert [line if line in said else line.split()[0] for line in lines] == said
