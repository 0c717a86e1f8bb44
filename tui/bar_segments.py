"""The edges between the segments of stacked bars, in eighths of a cell from the bottom: of one bar, and of
all bars of a chart, with error diffusion.

A cell is a block character in one colour on a background of another: it can hold one edge, between two
groups or between a group and nothing. Two edges in one cell are moved apart, as little as possible. Without
colour a cell is one group's texture, so that edges lie between cells.

Guarantees for every bar: its height is that of its sum within one eighth. A group above 1/16 of the bar is
shown wherever the bar has room: n cells hold 2n - 1 groups, and one more if the topmost cell is full (without
colour: n); a lower bar leaves out its smallest groups. In a bar with room for all, a group's height is its
share within one eighth if every edge has its own cell, else within two cells (without colour: four).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from math import inf

CELL = 8
# The most that an edge is moved where a cell may hold two groups, in eighths.
MAX_SHIFT = 16
# A group above this share of a bar must be visible.
MIN_VISIBLE_SHARE = 1 / 16
# The cost of leaving out such a group, relative to an error of one eighth.
MISSING_PENALTY = 1000.0
# The cost of exceeding a bound of the bar by one eighth, relative to a squared error of the area.
BOUND_PENALTY = 1e6
# Rounding error of floats, in squared eighths.
EPSILON = 1e-6

# A state of the dynamic programming: the cost of the edges so far, and their positions.
Candidate = tuple[float, list[int]]


@dataclass(frozen=True, slots=True)
class Cell:
    """`level` eighths belong to the group `lower`, the rest to `upper`: group numbers, None for no group."""

    level: int = 0
    lower: int | None = None
    upper: int | None = None


def eighths(amount: float, top: float, rows: int) -> int:
    """The height of a bar where `rows` cells are `top`; at least one eighth for more than 0."""
    if amount <= 0 or top <= 0:
        return 0
    return min(max(round(amount / top * rows * CELL), 1), rows * CELL)


def whole_cell_edges(parts: Sequence[float], height: int) -> list[int]:
    """The upper edge of each part of a bar without colour, between two cells or at the top."""
    total = sum(parts)
    if total <= 0 or height <= 0:
        return [0] * len(parts)
    candidates: dict[int, Candidate] = {0: (0.0, [])}
    for part, edge in zip(parts, accumulate(parts), strict=True):
        positions = between_cells(edge / total * height, height, len(parts))
        candidates = extend_candidates(candidates, part / total * height, height, positions)
    return candidates[height][1]


def is_valid(parts: Sequence[float], edges: Sequence[int]) -> bool:
    """Whether no cell has two edges and every group that must be visible is."""
    least = sum(parts) * MIN_VISIBLE_SHARE
    return not any(
        shares_cell(lower, upper) or (lower == upper and part > least)
        for part, (lower, upper) in zip(parts, pairwise([0, *edges]), strict=True)
    )


def shares_cell(lower: int, upper: int) -> bool:
    """Whether two edges would share a cell."""
    return lower != upper and lower % CELL > 0 and lower // CELL == upper // CELL


def between_cells(edge: float, height: int, parts: int) -> Iterable[int]:
    """The candidate positions of an edge whose exact position is `edge`."""
    reach = CELL * parts
    lowest = max((int(edge) - reach) // CELL * CELL, 0)
    return {*range(lowest, min(int(edge) + reach, height) + 1, CELL), height}


def extend_candidates(
    candidates: dict[int, Candidate], size: float, height: int, positions: Iterable[int]
) -> dict[int, Candidate]:
    """The cheapest candidate for each position of the next edge, of a part whose exact height is `size`."""
    extended: dict[int, Candidate] = {}
    for position in positions:
        steps = (
            (cost + placement_cost(position - before, size, height), [*path, position])
            for before, (cost, path) in candidates.items()
            if before <= position and (size > 0 or before == position)
        )
        if best := min(steps, default=None):
            extended[position] = best
    return extended


def placement_cost(drawn: int, size: float, height: int) -> float:
    """The cost of drawing a part with this height."""
    missing = drawn == 0 and size > height * MIN_VISIBLE_SHARE
    return abs(drawn - size) + (MISSING_PENALTY * size if missing else 0.0)


def cells(edges: Sequence[int], rows: int) -> list[Cell]:
    """A bar's cells from the bottom up, one for each row."""
    return [cell(edges, bottom) for bottom in range(0, rows * CELL, CELL)]


def cell(edges: Sequence[int], bottom: int) -> Cell:
    """The cell that begins at this eighth. It contains at most one edge."""
    lower = group_at(edges, bottom)
    if lower is None:
        return Cell()
    level = min(edges[lower] - bottom, CELL)
    return Cell(level, lower, group_at(edges, bottom + level) if level < CELL else None)


def group_at(edges: Sequence[int], eighth: int) -> int | None:
    """The group of the eighth above this height."""
    return next((number for number, edge in enumerate(edges) if edge > eighth), None)


# Error diffusion: the rounding errors of one bar's segments are carried to the next bars, so that the total
# area of each group is right.
#
# A single bar is off by eighths: edges are whole eighths, and a cell has only two colours. The error of
# each group is added to what the following bars should draw; and while an area is off by more than an eighth,
# bars are drawn again where that reduces the error. The guarantees for every bar still hold; a low bar leaves
# out groups that other bars have shown enough of.
#
# Guarantee for a chart: a group's area is the sum of its shares of the bars' heights, within one eighth, if
# each edge of each bar can be rounded up or down: it has its own cell either way, and no group that must be
# visible is left out. Otherwise too, unless no bar can reduce the error: if a bar could move an eighth from
# one group to another, the errors of the two differ by at most one eighth. What remains is less than a cell
# for each edge that has to make way in a bar without that room: a cell holds two groups, a topmost cell that
# is not full only one. Of four groups, three of them low, in 31 eighths the lowest gets 16 at most.
#
# Only in colour. Without colour an edge moves by whole cells, and steady spend would look like a saw.


def chart_edges(bars: Sequence[Sequence[float]], heights: Sequence[int]) -> list[list[int]]:
    """The edges of all bars of a chart."""
    pairs = list(zip(bars, heights, strict=True))
    residual = [0.0] * len(bars[0])
    drawn: list[list[int]] = []
    for parts, height in pairs:
        residual = [due + size for due, size in zip(residual, shares(parts, height), strict=True)]
        drawn.append(best_edges(parts, height, residual))
        residual = subtract_drawn(residual, drawn[-1])
    refine(pairs, drawn, residual)
    return drawn


def refine(
    bars: Sequence[tuple[Sequence[float], int]], drawn: list[list[int]], residual: list[float]
) -> None:
    """Draws bars again, back and forth, until the areas are right or no bar reduces the error."""
    order = range(len(bars))
    nearer = True
    while nearer:
        order, nearer = order[::-1], False
        for number in order:
            if max(map(abs, residual)) <= 1:
                return
            without = [due + size for due, size in zip(residual, sizes(drawn[number]), strict=True)]
            edges = best_edges(*bars[number], without)
            new_residual = subtract_drawn(without, edges)
            if squared_error(new_residual) < squared_error(residual) - EPSILON:
                drawn[number], residual, nearer = edges, new_residual, True


def best_edges(parts: Sequence[float], height: int, residual: Sequence[float]) -> list[int]:
    """The edges of a bar that minimize the residual, which includes this bar's exact shares."""
    true = shares(parts, height)
    edges = list(accumulate(true))
    valid = is_valid(parts, [round(edge) for edge in edges])
    slack = 1 if valid else MAX_SHIFT
    candidates: dict[int, Candidate] = {0: (0.0, [])}
    for size, edge, due in zip(true, edges, residual, strict=True):
        if size == 0:
            candidates = {
                position: (cost, [*path, position]) for position, (cost, path) in candidates.items()
            }
            continue
        seen = size > height * MIN_VISIBLE_SHARE
        low, high = size - slack, size + slack
        if seen:
            low = max(low, 1)
        else:  # it gets no more than its residual
            high = min(high, max(size, due) + 1)
        positions = adjacent_positions(edge, height) if valid else nearby_positions(edge, height)
        candidates = cheapest(candidates, positions, due, low, high)
    return candidates[height if any(true) else 0][1]


def cheapest(
    candidates: dict[int, Candidate], positions: Iterable[int], residual: float, low: float, high: float
) -> dict[int, Candidate]:
    """The cheapest candidate for each position of the next edge; squares spread the error over groups."""
    extended: dict[int, Candidate] = {}
    for position in positions:
        best, least = -1, inf
        cell = position // CELL
        # No function calls in this loop: it runs some hundred times per bar, and a chart has up to 90 bars.
        for before, (cost, _) in candidates.items():
            size = position - before
            if size < 0 or (size and before % CELL and before // CELL == cell):
                continue
            new_cost = cost + (size - residual) ** 2
            if size < low:
                new_cost += (low - size) * BOUND_PENALTY
            elif size > high:
                new_cost += (size - high) * BOUND_PENALTY
            if new_cost < least:
                best, least = before, new_cost
        if best >= 0:
            extended[position] = (least, [*candidates[best][1], position])
    return extended


def adjacent_positions(edge: float, height: int) -> Iterable[int]:
    """The candidate positions of an edge with its own cell."""
    return range(max(round(edge) - 1, 0), min(round(edge) + 1, height) + 1)


def nearby_positions(edge: float, height: int) -> Iterable[int]:
    """The candidate positions of an edge near others: also at, or next to, the ends of nearby cells."""
    bottom = int(edge) // CELL * CELL
    ends = {end + step for end in range(bottom - CELL, bottom + 3 * CELL, CELL) for step in (-1, 0, 1)}
    return sorted(
        position for position in {height, *adjacent_positions(edge, height), *ends} if 0 <= position <= height
    )


def shares(parts: Sequence[float], height: int) -> list[float]:
    """The exact height of each part."""
    total = sum(parts)
    return [part / total * height if total else 0.0 for part in parts]


def sizes(edges: Sequence[int]) -> list[int]:
    """The drawn height of each part."""
    return [upper - lower for lower, upper in pairwise([0, *edges])]


def subtract_drawn(residual: Sequence[float], edges: Sequence[int]) -> list[float]:
    """The residual after drawing a bar."""
    return [due - size for due, size in zip(residual, sizes(edges), strict=True)]


def squared_error(residual: Sequence[float]) -> float:
    """The sum of the squared errors of the areas."""
    return sum(due * due for due in residual)
