"""The long decode that a call is part of, hop by hop, as lines of styled text."""

from __future__ import annotations

from gatekeeper.client import formats
from gatekeeper.client.api_types import Call, CallDetail, ChainTotal
from gatekeeper.client.formats import Cell, TextRole, padded

WIDE = 100  # cells of a screen that has room for whole ids
ID_WIDTH = 36
TOKENS_WIDTH, DOLLARS_WIDTH = 13, 18
HERE = "▸ "


def chain_lines(call: CallDetail, width: int) -> list[list[Cell]]:
    """Each hop with its tokens, cost and end, and their sum; nothing for a call that is alone."""
    if not call.chain:
        return []
    place = next((number for number, hop in enumerate(call.chain, 1) if hop.id == call.id), None)
    title = f"  long decode, hop {place or '?'} of {len(call.chain)}"
    hops = [hop_line(number, hop, call, width) for number, hop in enumerate(call.chain, 1)]
    total = [total_line(call.chain_total, width)] if call.chain_total else []
    return [[(title, TextRole.DIM)], *hops, *total]


def hop_line(number: int, hop: Call, call: CallDetail, width: int) -> list[Cell]:
    """One hop; the call itself is marked."""
    here = hop.id == call.id
    name = f"{number}  {hop.id if width >= WIDE else formats.short_id(hop.id)}"
    end = hop.finish_reason if hop.outcome == "ok" else hop.outcome
    return [
        (HERE if here else "  ", TextRole.ACCENT),
        (padded(name, name_width(width), right=False), TextRole.ACCENT if here else TextRole.PLAIN),
        *sums(hop.prompt_tokens, hop.output_tokens),
        (
            padded(formats.exact_money(hop.cost_usd), DOLLARS_WIDTH, right=True),
            TextRole.WARNING if hop.cost_usd is None else TextRole.PLAIN,
        ),
        (f"  {end or ''}", TextRole.DIM),
    ]


def total_line(total: ChainTotal, width: int) -> list[Cell]:
    """The sum, and how many hops of unknown cost it lacks."""
    lacking = formats.pluralized(total.unpriced_calls, "hop") if total.unpriced_calls else ""
    return [
        ("  ", TextRole.PLAIN),
        (padded("total", name_width(width), right=False), TextRole.PLAIN),
        *sums(total.prompt_tokens, total.output_tokens),
        (padded(formats.exact_money(total.cost_usd), DOLLARS_WIDTH, right=True), TextRole.ACCENT),
        (f"  without {lacking} of unknown cost" if lacking else "", TextRole.DIM),
    ]


def sums(prompt: int | None, output: int | None) -> list[Cell]:
    """The tokens in and out."""
    shown = (f"{formats.count(prompt)} in", f"{formats.count(output)} out")
    return [(padded(text, TOKENS_WIDTH, right=True), TextRole.PLAIN) for text in shown]


def name_width(width: int) -> int:
    """Cells for the number and the id of a hop."""
    return ID_WIDTH + 4 if width >= WIDE else 18
