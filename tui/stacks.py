"""Where the borders in stacked bars lie, in eighths of a cell from the foot: of one bar, and of a chart's
bars, which make up for each other.

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
from math import inf

CELL = 8
# Eighths that a border is moved at most, where a cell may be two groups'.
REACH = 16
# Of a bar: a group above it is to be seen.
LEAST = 1 / 16
# What leaving out such a group costs, beside an eighth that is somebody else's.
MISSING = 1000.0
# What it costs to pass a bound of the bar's by an eighth, beside an eighth in a wrong bar.
WRONG = 1e6
# Of an eighth squared: what floats are off.
TINY = 1e-6

# What the borders so far cost, and where they are.
Way = tuple[float, list[int]]


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


# How the bars of a chart make up for each other, so that the area of each group is right.
#
# A bar alone is off by eighths: its borders lie between eighths, and a cell has only two colours. What a bar
# draws too little or too much of a group is therefore made up by the bars that follow; and for as long as an
# area is off by more than an eighth, bars are drawn anew where that brings the areas nearer. What holds of
# every bar goes on holding; a low bar leaves out whom others have shown enough of.
#
# What holds of a chart: a group's area is what its shares of the bars' heights add up to, within one eighth,
# where each border of each bar may be rounded up or down: it has a cell of its own either way, and nobody
# who is to be seen is left out. Elsewhere too, unless no bar can help: if one could give an eighth of one
# group to another, the two are not more than an eighth apart in what they are off. What no bar can give
# stays off, by less than a cell for each bar without that room: a cell is two groups', a topmost one that is
# not full, one's.
#
# Only in colour. Without it a border moves by whole cells, and steady spend would look like a saw.


def chart_borders(bars: Sequence[Sequence[float]], heights: Sequence[int]) -> list[list[int]]:
    """The borders of bars with these parts. One that is alone has nothing to make up for."""
    pairs = list(zip(bars, heights, strict=True))
    if sum(height > 0 for height in heights) < 2:
        return [borders(parts, height) for parts, height in pairs]
    owed = [0.0] * len(bars[0])
    drawn: list[list[int]] = []
    for parts, height in pairs:
        owed = [due + size for due, size in zip(owed, shares(parts, height), strict=True)]
        drawn.append(nearest(parts, height, owed))
        owed = less(owed, drawn[-1])
    settle(pairs, drawn, owed)
    return drawn


def settle(bars: Sequence[tuple[Sequence[float], int]], drawn: list[list[int]], owed: list[float]) -> None:
    """Draws bars anew, back and forth, until the areas are right or no bar brings them nearer."""
    order = range(len(bars))
    nearer = True
    while nearer:
        order, nearer = order[::-1], False
        for number in order:
            if max(map(abs, owed)) <= 1:
                return
            without = [due + size for due, size in zip(owed, sizes(drawn[number]), strict=True)]
            edges = nearest(*bars[number], without)
            anew = less(without, edges)
            if squares(anew) < squares(owed) - TINY:
                drawn[number], owed, nearer = edges, anew, True


def nearest(parts: Sequence[float], height: int, owed: Sequence[float]) -> list[int]:
    """A bar's borders that come nearest to what its groups are owed, this bar's shares included."""
    true = shares(parts, height)
    edges = list(accumulate(true))
    sound = is_sound(parts, [round(edge) for edge in edges])
    slack = 1 if sound else REACH
    ways: dict[int, Way] = {0: (0.0, [])}
    for size, edge, due in zip(true, edges, owed, strict=True):
        if size == 0:
            ways = {place: (cost, [*path, place]) for place, (cost, path) in ways.items()}
            continue
        seen = size > height * LEAST
        low, high = size - slack, size + slack
        if seen:
            low = max(low, 1)
        else:  # it takes nobody's eighths but those that it is owed
            high = min(high, max(size, due) + 1)
        places = beside(edge, height) if sound else around(edge, height)
        ways = cheapest(ways, places, due, low, high)
    return ways[height if any(true) else 0][1]


def cheapest(
    ways: dict[int, Way], places: Iterable[int], owed: float, low: float, high: float
) -> dict[int, Way]:
    """The cheapest way to each place for the next border: squares share what is off out among all groups."""
    longer: dict[int, Way] = {}
    for place in places:
        best, least = -1, inf
        cell = place // CELL
        # No calls in here: it runs some hundred times a bar, and a chart has up to 90.
        for before, (cost, _) in ways.items():
            size = place - before
            if size < 0 or (size and before % CELL and before // CELL == cell):
                continue
            price = cost + (size - owed) ** 2
            if size < low:
                price += (low - size) * WRONG
            elif size > high:
                price += (size - high) * WRONG
            if price < least:
                best, least = before, price
        if best >= 0:
            longer[place] = (least, [*ways[best][1], place])
    return longer


def beside(edge: float, height: int) -> Iterable[int]:
    """Where a border may go that has a cell of its own."""
    return range(max(round(edge) - 1, 0), min(round(edge) + 1, height) + 1)


def around(edge: float, height: int) -> Iterable[int]:
    """Where one may go that has to make way for others: also to, or next to, the ends of the cells around."""
    foot = int(edge) // CELL * CELL
    ends = {end + step for end in range(foot - CELL, foot + 3 * CELL, CELL) for step in (-1, 0, 1)}
    return sorted(place for place in {height, *beside(edge, height), *ends} if 0 <= place <= height)


def shares(parts: Sequence[float], height: int) -> list[float]:
    """How high each part would be if an eighth could be divided."""
    total = sum(parts)
    return [part / total * height if total else 0.0 for part in parts]


def sizes(edges: Sequence[int]) -> list[int]:
    """How high each part is drawn."""
    return [upper - lower for lower, upper in pairwise([0, *edges])]


def less(owed: Sequence[float], edges: Sequence[int]) -> list[float]:
    """What is owed still when a bar is drawn."""
    return [due - size for due, size in zip(owed, sizes(edges), strict=True)]


def squares(owed: Sequence[float]) -> float:
    """How far the areas are off in all."""
    return sum(due * due for due in owed)
