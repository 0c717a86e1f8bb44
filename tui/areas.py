"""How the bars of a chart make up for each other, so that the area of each group is right.

A bar alone is off by eighths: its borders lie between eighths, and a cell has only two colours. What a bar
draws too little or too much of a group is therefore made up by the bars that follow; and for as long as an
area is off by more than an eighth, bars are drawn anew where that brings the areas nearer. What holds of
every bar goes on holding (see `stacks`); a low bar leaves out whom others have shown enough of.

What holds of a chart: a group's area is what its shares of the bars' heights add up to, within one eighth,
where each border of each bar may be rounded up or down: it has a cell of its own either way, and nobody who
is to be seen is left out. Elsewhere too, unless no bar can help: if one could give an eighth of one group to
another, the two are not more than an eighth apart in what they are off. What no bar can give stays off, by
less than a cell for each bar without that room: a cell is two groups', a topmost one that is not full, one's.

Only in colour. Without it a border moves by whole cells, and steady spend would look like a saw.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import accumulate, pairwise
from math import inf

from tui.stacks import CELL, LEAST, REACH, Way, borders, is_sound

WRONG = 1e6  # what it costs to pass a bound of the bar's by an eighth, beside an eighth in a wrong bar
TINY = 1e-6  # of an eighth squared: what floats are off


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
        ways = extended(ways, places, due, low, high)
    return ways[height if any(true) else 0][1]


def extended(
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
