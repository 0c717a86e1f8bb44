"""Where the borders in a stacked bar lie, in eighths of a cell from its foot.

A cell is a block in one colour on a ground of another: it can hold one border, between two groups or between
a group and nothing. Two borders that fall into one cell are moved apart, as little as it takes. Without
colour a cell is one group's texture, so that borders lie between cells.

What holds of every bar: its height is its sum's within one eighth. A group above 1/16 of the bar is in it
wherever the bar has room: n cells hold 2n - 1 groups, and one more where the topmost cell is full (without
colour: n); a lower bar leaves out its smallest. In a bar with room for all a group is as high as its share
within one eighth where every border has a cell of its own, else within two cells (without colour: four).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

CELL = 8
REACH = 16  # eighths that a border is moved at most, where a cell may be two groups'
LEAST = 1 / 16  # of a bar: a group above it is to be seen
MISSING = 1000.0  # what leaving out such a group costs, beside an eighth that is somebody else's

Way = tuple[float, list[int]]  # what the borders so far cost, and where they are


@dataclass(frozen=True, slots=True)
class Cell:
    """`level` eighths of it are `lower`'s, the rest is `upper`'s: numbers of groups, None is nobody's."""

    level: int = 0
    lower: int | None = None
    upper: int | None = None


def eighths(amount: float, top: float, rows: int) -> int:
    """The height of a bar in `rows` cells that mean `top`; more than nothing is at least an eighth."""
    if amount <= 0 or top <= 0:
        return 0
    return min(max(round(amount / top * rows * CELL), 1), rows * CELL)


def borders(parts: Sequence[float], height: int, shared: bool = True) -> list[int]:
    """The upper border of each part of a bar, from its foot; `shared`: whether a cell may be two parts'."""
    total = sum(parts)
    if total <= 0 or height <= 0:
        return [0] * len(parts)
    true = [edge / total * height for edge in accumulate(parts)]
    rounded = [round(edge) for edge in true]
    if shared and is_sound(parts, rounded):
        return rounded
    ways: dict[int, Way] = {0: (0.0, [])}
    for part, edge in zip(parts, true, strict=True):
        places = near(edge, height) if shared else between_cells(edge, height, len(parts))
        ways = extended(ways, part / total * height, height, places)
    return ways[height][1]


def is_sound(parts: Sequence[float], edges: Sequence[int]) -> bool:
    """Whether no cell has two borders and no group is missing that is to be seen."""
    least = sum(parts) * LEAST
    return not any(
        crowded(lower, upper) or (lower == upper and part > least)
        for part, (lower, upper) in zip(parts, pairwise([0, *edges]), strict=True)
    )


def crowded(lower: int, upper: int) -> bool:
    """Whether two borders would share a cell."""
    return lower != upper and lower % CELL > 0 and lower // CELL == upper // CELL


def near(edge: float, height: int) -> Iterable[int]:
    """Where a border may go whose true place is `edge`."""
    return range(max(int(edge) - REACH, 0), min(int(edge) + REACH, height) + 1)


def between_cells(edge: float, height: int, parts: int) -> Iterable[int]:
    """The same where it may only go between two cells, or to the top."""
    reach = CELL * parts
    lowest = max((int(edge) - reach) // CELL * CELL, 0)
    return {*range(lowest, min(int(edge) + reach, height) + 1, CELL), height}


def extended(ways: dict[int, Way], size: float, height: int, places: Iterable[int]) -> dict[int, Way]:
    """The cheapest way to each place for the next border, that of a part whose true height is `size`."""
    longer: dict[int, Way] = {}
    for place in places:
        steps = (
            (cost + price(place - before, size, height), [*path, place])
            for before, (cost, path) in ways.items()
            if before <= place and not crowded(before, place) and (size > 0 or before == place)
        )
        if best := min(steps, default=None):
            longer[place] = best
    return longer


def price(drawn: int, size: float, height: int) -> float:
    """How wrong it is to draw a part so high."""
    missing = drawn == 0 and size > height * LEAST
    return abs(drawn - size) + (MISSING * size if missing else 0.0)


def cells(edges: Sequence[int], rows: int) -> list[Cell]:
    """A bar's cells from its foot up, as many as there are rows."""
    return [cell(edges, foot) for foot in range(0, rows * CELL, CELL)]


def cell(edges: Sequence[int], foot: int) -> Cell:
    """The cell that begins at this eighth. At most one border lies within it."""
    lower = owner(edges, foot)
    if lower is None:
        return Cell()
    level = min(edges[lower] - foot, CELL)
    return Cell(level, lower, owner(edges, foot + level) if level < CELL else None)


def owner(edges: Sequence[int], eighth: int) -> int | None:
    """Whose the eighth above this height is."""
    return next((number for number, edge in enumerate(edges) if edge > eighth), None)
