"""Tokens and cost as aligned lines of styled text, to the last decimal: of a call, of the hops of its long
decode, and of a quote.

Pure. It computes no sums: every amount comes from the gateway.
"""

from __future__ import annotations

from decimal import Decimal
from itertools import zip_longest
from typing import NamedTuple, cast

from rich.cells import cell_len

from gatekeeper.client import formats
from gatekeeper.client.api_types import Cost, CostLine, Quote
from gatekeeper.client.call_types import Call, CallDetail, ChainTotal
from gatekeeper.client.columns import TextLine, TextRole, padded

INDENT = "  "
DOLLARS_WIDTH = 18
MAX_PLACES = 12
"""Decimals of a quantity: token-hours, of a storage that is charged by the second, may not end."""

# After the price of a line.
UNITS = {
    "per_1m_tokens": "per 1M tokens",
    "per_1m_token_hours": "per 1M token-hours",
    "per_1k": "per 1k searches",
    "per_second": "per second",
    "each": "each",
}
UNKNOWN = "unknown"
NO_PRICE = "no price for this model or kind of call"

# Cells of a text from which the cost stands beside the tokens, and between the two.
SIDE_BY_SIDE, SIDE_GAP = 98, 2
WHOLE_IDS = 100  # cells of a screen that has room for whole ids
ID_WIDTH = 36
TOKENS_WIDTH = 13
HERE = "▸ "


class Widths(NamedTuple):
    """Least widths of a name and a number, in cells."""

    name: int
    number: int


# Where the cost is below the tokens, and where each is beside the other.
STACKED = Widths(22, 10)
SIDE_TOKENS, SIDE_COST = Widths(16, 9), Widths(13, 9)


def cost_text(call: CallDetail, widths: Widths = STACKED) -> list[TextLine]:
    """Lines, totals and notes of a finished call. If the row has another cost than the catalogue in force
    gives, both are totals: that of the row first."""
    arithmetic = call.cost or Cost()
    lines = arithmetic.lines or ()
    names = max([widths.name, *(len(line.component) + 1 for line in lines)])
    numbers = max([widths.number, *(len(quantity(line.quantity)) for line in lines)])
    notes = cost_notes(call)
    text = [[(f"{INDENT}cost", TextRole.DIM)], *(cost_line(line, names, numbers) for line in lines)]
    version = call.price_version or arithmetic.price_version
    if call.cost_usd is None:
        text.append(total_line(None, UNKNOWN if notes else f"{UNKNOWN}: {NO_PRICE}", names + numbers))
    else:
        text.append(total_line(call.cost_usd, f"prices {version}" if version else "", names + numbers))
    if arithmetic.cost_usd is not None and arithmetic.cost_usd != call.cost_usd:
        by = f"by the prices in force, {arithmetic.price_version}"
        text.append(total_line(arithmetic.cost_usd, by, names + numbers, "would be"))
    return [*text, *([(INDENT + note, TextRole.DIM)] for note in notes)]


def cost_notes(call: CallDetail) -> tuple[str, ...]:
    """What the gateway notes of the cost."""
    notes = call.cost.notes if call.cost else None
    return (notes,) if isinstance(notes, str) else tuple(notes or ())


def total_line(
    amount: Decimal | None, said: str, width: int, name: str = "total", dollars: int = DOLLARS_WIDTH
) -> TextLine:
    role = TextRole.WARNING if amount is None else TextRole.ACCENT
    return [
        (INDENT + padded(name, width, right=False), TextRole.PLAIN),
        (padded(formats.exact_money(amount), dollars, right=True), role),
        (f"  {said}", TextRole.DIM),
    ]


def cost_line(line: CostLine, names: int, numbers: int, dollars: int = DOLLARS_WIDTH) -> TextLine:
    """One component: quantity, cost and unit price."""
    unit = UNITS.get(line.unit, line.unit.replace("_", " "))
    return [
        (INDENT + padded(line.component.replace("_", " "), names, right=False), TextRole.PLAIN),
        (padded(quantity(line.quantity), numbers, right=True), TextRole.PLAIN),
        (padded(formats.exact_money(line.usd), dollars, right=True), TextRole.PLAIN),
        (f"  at {formats.price(line.unit_usd)} {unit}", TextRole.DIM),
    ]


def quantity(number: Decimal | None) -> str:
    """With thousands separated; a fraction is cut after `MAX_PLACES`, and `…` says so."""
    if number is None:
        return formats.EMPTY
    whole, point, fraction = f"{number:,f}".partition(".")
    more = "…" if len(fraction) > MAX_PLACES else ""
    return f"{whole}{point}{fraction[:MAX_PLACES]}{more}"


def tokens_and_cost(call: CallDetail, width: int) -> tuple[list[TextLine], ...]:
    """Tokens and cost, beside each other where both have room."""
    right = cost_lines(call, SIDE_COST)
    for left in (token_lines(call, SIDE_TOKENS), token_lines(call, SIDE_TOKENS, notes=False)):
        column = line_width(left) + SIDE_GAP
        if width >= SIDE_BY_SIDE and left and right and column + line_width(right) <= width:
            return (beside(left, right, column),)
    return token_lines(call), cost_lines(call)


def line_width(text: list[TextLine]) -> int:
    return max((sum(cell_len(cell) for cell, _ in line) for line in text), default=0)


def beside(left: list[TextLine], right: list[TextLine], column: int) -> list[TextLine]:
    """Two texts as one, the second from a column on."""
    text: list[TextLine] = []
    for one, other in zip_longest(left, right, fillvalue=cast("TextLine", [])):
        gap = " " * (column - line_width([one])) if other else ""
        text.append([*one, (gap, TextRole.PLAIN), *other])
    return text


def token_lines(call: CallDetail, widths: Widths = STACKED, notes: bool = True) -> list[TextLine]:
    """Tokens by kind, as Google reported them; kinds that it did not report are left out. Then what is noted
    of them."""
    kinds = {
        "prompt": (call.prompt_tokens, ""),
        "of which cached": (call.cached_tokens, ""),
        "output": (call.output_tokens, ""),
        "thoughts": (call.thoughts_tokens, "counted as output"),
        "tool prompts": (call.tool_tokens, ""),
        "total": (call.total_tokens, "as reported by Google"),
    }
    known = [
        number_line(name, formats.count(number), note if notes else "", widths)
        for name, (number, note) in kinds.items()
        if number is not None
    ]
    remarks = [title(call.usage_note)] if call.usage_note and call.usage_note not in cost_notes(call) else []
    so_far = " so far" if call.outcome is None else ""
    return [title(f"tokens{so_far}"), *known, *remarks] if known else []


def title(text: str) -> TextLine:
    return [(INDENT + text, TextRole.DIM)]


def number_line(name: str, number: str, note: str, widths: Widths) -> TextLine:
    """A name, a right-aligned number and a note."""
    cells = [
        (INDENT + padded(name, widths.name, right=False), TextRole.PLAIN),
        (padded(number, widths.number, right=True), TextRole.PLAIN),
    ]
    return [*cells, (f"  {note}", TextRole.DIM)] if note else cells


def cost_lines(call: CallDetail, widths: Widths = STACKED) -> list[TextLine]:
    """The arithmetic of the cost."""
    # In flight the cost is not unknown, only not final.
    if call.outcome is None and call.cost_usd is None:
        return []
    # Without tokens a note is about what else is charged: pictures, films, a result that is awaited.
    note = None if token_lines(call) or call.usage_note in cost_notes(call) else call.usage_note
    return [*cost_text(call, widths), *([title(note)] if note else [])]


def chain_lines(call: CallDetail, width: int) -> list[TextLine]:
    """Each hop with its tokens, cost and end, and their sum; nothing for a call that is alone."""
    if not call.chain:
        return []
    place = next((number for number, hop in enumerate(call.chain, 1) if hop.id == call.id), None)
    title = f"  long decode, hop {place or '?'} of {len(call.chain)}"
    hops = [hop_line(number, hop, call, width) for number, hop in enumerate(call.chain, 1)]
    total = [chain_total_line(call.chain_total, width)] if call.chain_total else []
    return [[(title, TextRole.DIM)], *hops, *total]


def hop_line(number: int, hop: Call, call: CallDetail, width: int) -> TextLine:
    """One hop; the call itself is marked."""
    here = hop.id == call.id
    name = f"{number}  {hop.id if width >= WHOLE_IDS else formats.short_id(hop.id)}"
    end = hop.finish_reason if hop.outcome == "ok" else hop.outcome
    return [
        (HERE if here else "  ", TextRole.ACCENT),
        (padded(name, name_width(width), right=False), TextRole.ACCENT if here else TextRole.PLAIN),
        *token_cells(hop.prompt_tokens, hop.output_tokens),
        (
            padded(formats.exact_money(hop.cost_usd), DOLLARS_WIDTH, right=True),
            TextRole.WARNING if hop.cost_usd is None else TextRole.PLAIN,
        ),
        (f"  {end or ''}", TextRole.DIM),
    ]


def chain_total_line(total: ChainTotal, width: int) -> TextLine:
    """The sum, and how many hops of unknown cost it lacks."""
    lacking = formats.pluralized(total.unpriced_calls, "hop") if total.unpriced_calls else ""
    return [
        ("  ", TextRole.PLAIN),
        (padded("total", name_width(width), right=False), TextRole.PLAIN),
        *token_cells(total.prompt_tokens, total.output_tokens),
        (padded(formats.exact_money(total.cost_usd), DOLLARS_WIDTH, right=True), TextRole.ACCENT),
        (f"  without {lacking} of unknown cost" if lacking else "", TextRole.DIM),
    ]


def token_cells(prompt: int | None, output: int | None) -> TextLine:
    """The tokens in and out."""
    shown = (f"{formats.count(prompt)} in", f"{formats.count(output)} out")
    return [(padded(text, TOKENS_WIDTH, right=True), TextRole.PLAIN) for text in shown]


def name_width(width: int) -> int:
    """Cells for the number and the id of a hop."""
    return ID_WIDTH + 4 if width >= WHOLE_IDS else 18


def quote_text(quote: Quote, tier: str) -> list[TextLine]:
    """The model that was priced, a line for each component, and the total; `?` where it is unknown."""
    names = max([len("total"), *(len(line.component) for line in quote.lines)])
    numbers = 2 + max([0, *(len(quantity(line.quantity)) for line in quote.lines)])
    amounts = [quote.cost_usd, *(line.usd for line in quote.lines)]
    dollars = max(len(formats.exact_money(amount)) for amount in amounts) + 3
    said = UNKNOWN if quote.cost_usd is None else f"prices {quote.price_version}"
    return [
        [(INDENT + quote.model, TextRole.ACCENT), (f"  {tier}", TextRole.DIM)],
        *(cost_line(line, names, numbers, dollars) for line in quote.lines),
        total_line(quote.cost_usd, said, names + numbers, dollars=dollars),
    ]
