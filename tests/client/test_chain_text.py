"""A long decode as `calls show` and the terminal application show it."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from gatekeeper.client.call_text import call_text
from gatekeeper.client.call_types import Call, CallDetail, ChainTotal
from gatekeeper.client.cost_text import chain_lines

IDS = [f"01a20dab-04ca-7c40-9d0a-5f1d9c1c000{number}" for number in range(3)]
COSTS = (Decimal("0.1"), Decimal("0.25"), Decimal("0.000000000001"))
ENDS = ("CONTINUATION", "CONTINUATION", "STOP")


def hop(number: int, **fields: Any) -> Call:
    known: dict[str, Any] = {
        "id": IDS[number],
        "outcome": "ok",
        "finish_reason": ENDS[number],
        "prompt_tokens": 1000 + number,
        "output_tokens": 32_768,
        "cost_usd": COSTS[number],
    }
    return Call(**known | fields)


def detail(at: int = 1, *, unpriced: int = 0, **fields: Any) -> CallDetail:
    sums = {"prompt_tokens": 3003, "output_tokens": 98_304, "cost_usd": sum(COSTS, Decimal(0))}
    total = ChainTotal(calls=3, unpriced_calls=unpriced, **sums)
    known: dict[str, Any] = {"id": IDS[at], "outcome": "ok", "chain_total": total}
    return CallDetail(**known | {"chain": tuple(map(hop, range(3)))} | fields)


def shown(call: CallDetail, width: int = 100) -> list[str]:
    return ["".join(text for text, _ in line).rstrip() for line in chain_lines(call, width)]


def test_the_hops_in_order_with_their_sum() -> None:
    assert shown(detail()) == [
        "  long decode, hop 2 of 3",
        f"  1  {IDS[0]}      1,000 in   32,768 out   $0.100000000000  CONTINUATION",
        f"▸ 2  {IDS[1]}      1,001 in   32,768 out   $0.250000000000  CONTINUATION",
        f"  3  {IDS[2]}      1,002 in   32,768 out   $0.000000000001  STOP",
        f"  total{' ' * 40}3,003 in   98,304 out   $0.350000000001",
    ]


@pytest.mark.parametrize("width", [80, 100, 140])
def test_no_line_is_wider_than_the_screen(width: int) -> None:
    assert max(map(len, shown(detail(), width))) <= width
    assert ("01a20dab…0001" in shown(detail(), width)[2]) is (width < 100)


def test_what_is_unknown_is_said() -> None:
    broken = hop(1, outcome="upstream_broken", finish_reason=None, cost_usd=None, output_tokens=None)
    lines = shown(detail(0, unpriced=1, chain=(hop(0), broken)))
    assert lines[2].split()[2:] == ["1,001", "in", "–", "out", "?", "upstream_broken"]
    assert lines[3].endswith("$0.350000000001  without 1 hop of unknown cost")


def test_a_call_beyond_the_first_thousand_is_in_none_of_the_lines() -> None:
    lines = shown(detail(2, chain=(hop(0), hop(1)), chain_total=None))
    assert lines[0] == "  long decode, hop ? of 2"
    assert not any(line.startswith("▸") for line in lines)


def test_it_is_part_of_the_call() -> None:
    now = datetime(2026, 11, 24, tzinfo=UTC)
    with_chain = call_text(detail(), 100, now)
    assert all(line in with_chain for line in chain_lines(detail(), 100))
    assert chain_lines(CallDetail(id="x"), 100) == []
