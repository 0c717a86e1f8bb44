"""The chart of spend: what is drawn, read back cell by cell, against the sums it was drawn from."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from itertools import accumulate, pairwise, permutations
from math import ceil, floor

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from rig.examples import examples

from gatekeeper.client.formats import LEVELS
from gatekeeper.client.spend import Spend, SpendRow
from tui.bar_segments import CELL, MIN_VISIBLE_SHARE, cells, chart_edges, eighths, whole_cell_edges
from tui.spend import periods
from tui.spend.periods import ROLLING, Interval
from tui.spend.ranking import Ranking
from tui.spend.sums import SpendData, SpendRequest, scaled_to_total
from tui.widgets.bars import (
    AXIS,
    NAMED,
    OMITTED_NOTE,
    SERIES_STYLES,
    SMALL_CHART_GROUPS,
    TALL_ROWS,
    WIDE,
    Bar,
    Chart,
    axis_maximum,
    bars_as_one,
    condensed,
    draw,
    round_number,
    sparkline,
)

NOW = datetime(2026, 11, 24, 13, 7, 32, tzinfo=UTC)
SIZES = [(78, 10), (118, 15), (198, 19), (30, 7)]
COLOURS = [paint.colour for paint in SERIES_STYLES]
TEXTURES = [paint.texture for paint in SERIES_STYLES]

money = st.integers(0, 4).flatmap(lambda power: st.integers(0, 10**power)).map(lambda n: Decimal(n) / 10**4)


@st.composite
def pictures(draw):
    """A gateway's documents for a span: sums by group and time, of calls that may have several tags."""
    span = draw(st.sampled_from(ROLLING))
    unit = draw(st.sampled_from(span.units))
    covered = Interval(span.start(NOW, UTC), NOW)
    axis = [periods.bar_label(start, unit, UTC) for start in periods.axis(unit, covered, UTC)]
    groups = draw(st.lists(st.sampled_from([*"abcdefg", None]), min_size=1, unique=True))
    spent = {
        label: [draw(money) for _ in groups]
        for label in draw(st.lists(st.sampled_from(axis), unique=True, max_size=12))
    }
    both = [
        SpendRow(**{unit: label}, tag=tag, cost_usd=cost)
        for label, costs in spent.items()
        for tag, cost in zip(groups, costs, strict=True)
    ]
    by_time = []
    for label, costs in spent.items():
        once = draw(st.sampled_from([1, Decimal("0.5"), Decimal("0.9")]))  # of what the tags add up to
        by_time.append(SpendRow(**{unit: label}, cost_usd=max(sum(costs) * once, max(costs))))
    ranking = [
        SpendRow(tag=tag, cost_usd=sum((costs[number] for costs in spent.values()), Decimal(0)))
        for number, tag in enumerate(groups)
    ]
    ranked = Ranking("tag", "", covered, Spend(tuple(ranking)), Spend(), "")
    request = SpendRequest("tag", span, unit)
    return SpendData(request, UTC, axis, covered, ranked, Spend(tuple(by_time)), Spend(tuple(both)))


def true_bars(data, width, named):
    """What each bar is to show: for each of its groups, and the others, its share of the total."""
    rows = sorted(data.ranking.spend.rows, key=lambda row: -row.cost_usd)
    leaders = [row.tag for row in rows[:named] if row.cost_usd]
    bars = []
    for label in data.axis:
        total = sum(row.cost_usd for row in data.by_time.rows if label in (row.day, row.week, row.hour))
        sums = {
            row.tag: row.cost_usd
            for row in data.by_time_and_group.rows
            if label in (row.day, row.week, row.hour)
        }
        whole = sum(sums.values())
        own = [sums.pop(leader, Decimal(0)) for leader in leaders]
        parts = [*own, *[Decimal(0)] * (NAMED - len(own)), sum(sums.values(), Decimal(0))]
        parts[-1] += max(total - whole, 0)
        bars.append([float(part * total / sum(parts)) if total else 0.0 for part in parts])
    size = bars_as_one(len(bars), width)
    return [list(map(sum, zip(*bars[at : at + size], strict=True))) for at in range(0, len(bars), size)]


def read(drawn, bars):
    """As somebody sees it: the axis' top in dollars, its rows, and each bar's eighths by group."""
    text = drawn.plain.splitlines()
    rows = [number for number, line in enumerate(text) if line[AXIS - 1 : AXIS] in ("│", "┤")]
    top = Decimal(text[rows[0]][: AXIS - 1].strip(" $┤").replace(",", ""))
    step = len(text[rows[-1] + 1].rstrip()[AXIS:]) // bars
    starts = list(accumulate((len(line) + 1 for line in text), initial=0))
    heights = [[0] * len(SERIES_STYLES) for _ in range(bars)]
    for row in rows:
        line = drawn[starts[row] : starts[row] + len(text[row])]
        for bar in range(bars):
            at = AXIS + bar * step
            glyph = text[row].ljust(AXIS + bars * step)[at]
            if glyph != " ":
                add(heights[bar], glyph, style_at(line, at))
    return top, len(rows), heights


def style_at(line, at):
    return next(str(span.style) for span in line.spans if span.start <= at < span.end)


def add(heights, glyph, style):
    """A cell's eighths to those whose they are."""
    fore, _, ground = style.partition(" on ")
    if glyph in TEXTURES:
        heights[COLOURS.index(ground)] += CELL
        return
    level = LEVELS.index(glyph)
    heights[COLOURS.index(fore)] += level
    if ground:
        heights[COLOURS.index(ground)] += CELL - level


@given(pictures(), st.sampled_from(SIZES))
def test_what_is_drawn_in_colour_is_true(data, size):
    """Heights are the totals' within one eighth of a cell. A group has its share of the height within one
    eighth where every edge has a cell of its own, else within two cells, and is there if above 1/16 of it;
    only a bar with fewer than (groups + 1) / 2 cells leaves out its smallest."""
    chart = data.chart()
    drawn = draw(chart, *size)
    top, rows, heights = read(drawn, -(-len(data.axis) // bars_as_one(len(data.axis), size[0])))
    truth = true_bars(data, size[0], NAMED if size[0] >= WIDE and rows >= TALL_ROWS else SMALL_CHART_GROUPS)
    low = False
    for parts, seen in zip(truth, heights, strict=True):
        total = sum(parts)
        scale = rows * CELL / float(top)
        assert abs(sum(seen) - total * scale) <= 1
        if not total:
            continue
        height = sum(seen)
        wanted = [part / total * height for part in parts]
        visible = [number for number, part in enumerate(parts) if part > total * MIN_VISIBLE_SHARE * 1.000001]
        room = 2 * -(-height // CELL) - (height % CELL > 0)
        missing = [number for number in visible if not seen[number]]
        low = low or bool(missing)
        assert not missing or len(visible) > room
        if not missing:
            bound = 1 if apart(wanted) else 2 * CELL
            assert all(abs(a - b) <= bound + 1e-6 for a, b in zip(seen, wanted, strict=True))
    assert (OMITTED_NOTE in drawn.plain) == low


def apart(wanted):
    """Whether every group is to be seen and no two edges fall into one cell."""
    pairs = list(pairwise([0, *(round(edge) for edge in accumulate(wanted))]))
    if any(
        low == high and size > MIN_VISIBLE_SHARE * sum(wanted)
        for size, (low, high) in zip(wanted, pairs, strict=True)
    ):
        return False
    return not any(crowded(low, high) for low, high in pairs)


def crowded(low, high):
    """Whether two edges would be in one cell."""
    return low != high and low % CELL > 0 and low // CELL == high // CELL


@given(pictures(), st.sampled_from(SIZES))
def test_the_area_of_each_group_is_its_share(data, size):
    """What is drawn of a group is what its shares of all bars' heights add up to: see `areas_are_right`."""
    drawn = draw(data.chart(), *size)
    count = -(-len(data.axis) // bars_as_one(len(data.axis), size[0]))
    _, rows, seen = read(drawn, count)
    areas_are_right(
        true_bars(data, size[0], NAMED if size[0] >= WIDE and rows >= TALL_ROWS else SMALL_CHART_GROUPS), seen
    )


amounts = st.one_of(st.just(0.0), st.floats(0.001, 1), st.floats(0.001, 0.1))


@st.composite
def stacks_of_bars(draw):
    """Parts and heights of bars: steady ones too, since there what is off does not even out by chance."""
    groups = draw(st.integers(2, NAMED + 1))
    usual = draw(st.lists(amounts, min_size=groups, max_size=groups).filter(any))
    bars = st.one_of(st.just(usual), st.lists(amounts, min_size=groups, max_size=groups))
    parts = draw(st.lists(bars, min_size=2, max_size=31))
    top, rows = max(map(sum, parts)) * draw(st.sampled_from([1, 1.3])), draw(st.integers(1, 16))
    return parts, [eighths(sum(bar), top, rows) for bar in parts]


@given(stacks_of_bars())
@example(([[1.0, 0.078125, 0.078125, 0.078125]] * 2, [31, 31]))
def test_areas_are_right_where_bars_are_steady(stacks):
    parts, heights = stacks
    drawn = [[high - low for low, high in pairwise([0, *edges])] for edges in chart_edges(parts, heights)]
    assert [sum(bar) for bar in drawn] == heights
    areas_are_right(parts, drawn)


def areas_are_right(bars, seen):
    """Each within one eighth if every bar has room. For each bar that has not, less than a cell more for each
    border that others push into the next cell. And if one is off by more than an eighth, no bar can give
    what a group has too much to another that lacks it."""
    drawn = [(parts, shares(parts, sum(sizes)), sizes) for parts, sizes in zip(bars, seen, strict=True)]
    drawn = [bar for bar in drawn if any(bar[2])]
    if not drawn:
        return
    owed = [sum(column) for column in zip(*(wanted for _, wanted, _ in drawn), strict=True)]
    owed = [
        due - sum(column) for due, column in zip(owed, zip(*(s for *_, s in drawn), strict=True), strict=True)
    ]
    pushed = sum(max(1, sum(map(bool, wanted)) - 2) for _, wanted, _ in drawn if not has_room(wanted))
    assert max(map(abs, owed)) <= 1 + CELL * pushed
    if len(drawn) == 1 or max(map(abs, owed)) <= 1:
        return
    for _, wanted, sizes in drawn:
        for giver, taker in permutations(range(len(sizes)), 2):
            if owed[taker] - owed[giver] > 1 + 1e-3 and sizes[giver]:
                assert not can_give(wanted, sizes, owed, giver, taker)


def shares(parts, height):
    return [part / sum(parts) * height if height else 0.0 for part in parts]


def has_room(wanted):
    """Whether each edge may be rounded up or down: no two fall into one cell, nobody is left out."""
    edges = [0, *accumulate(size for size in wanted if size)]
    pairs = pairwise((floor(edge + 1e-9), ceil(edge - 1e-9)) for edge in edges)
    if any(MIN_VISIBLE_SHARE * sum(wanted) * 0.999 < size < 1 for size in wanted):
        return False
    return not any(crowded(low, high) for lows, highs in pairs for low in lows for high in highs)


def can_give(wanted, sizes, owed, giver, taker):
    """Whether the bar may be drawn with an eighth less of one group and one more of another."""
    after = [size + (group == taker) - (group == giver) for group, size in enumerate(sizes)]
    edges = [0, *accumulate(after)]
    true = [0.0, *accumulate(wanted)]
    alone = apart(wanted)
    for group, (size, wish) in enumerate(zip(after, wanted, strict=True)):
        visible = wish > MIN_VISIBLE_SHARE * sum(wanted)
        if (
            (visible and not size)
            or (not wish and size)
            or abs(size - wish) > (1 if alone else 2 * CELL) - 1e-6
        ):
            return False
        if not visible and size > max(wish, owed[group] + sizes[group]) + 1 - 1e-6:
            return False
    return all(
        edge == edges[-1] or is_near(edge, place, alone) for edge, place in zip(edges, true, strict=True)
    ) and not any(crowded(low, high) for low, high in pairwise(edges))


def is_near(edge, true, alone):
    """An edge is next to its true place or, to make way for another, next to an end of the cells around."""
    if abs(edge - round(true)) <= 1:
        return True
    foot = int(true) // CELL * CELL
    return not alone and any(abs(edge - end) <= 1 for end in range(foot - CELL, foot + 3 * CELL, CELL))


parts = st.lists(st.floats(0, 1e3), min_size=1, max_size=NAMED + 1).filter(any)


@settings(max_examples=examples(40))
@given(parts, st.integers(1, 160))
def test_without_colour_each_cell_is_one_groups(parts, height):
    """A group has its share of the height within four cells, and is there if above 1/16 of it; only a bar of
    fewer cells than groups leaves out its smallest."""
    edges = whole_cell_edges(parts, height)
    drawn = cells(edges, -(-height // CELL))
    assert edges[-1] == height
    assert [cell.level for cell in drawn[:-1]] == [CELL] * (len(drawn) - 1)
    assert all(cell.upper is None for cell in drawn)
    sizes = [high - low for low, high in pairwise([0, *edges])]
    wanted = [part / sum(parts) * height for part in parts]
    visible = [number for number, size in enumerate(wanted) if size > height * MIN_VISIBLE_SHARE * 1.000001]
    missing = [number for number in visible if not sizes[number]]
    assert not missing or len(visible) > len(drawn)
    if not missing:
        assert all(abs(a - b) < 4 * CELL for a, b in zip(sizes, wanted, strict=True))


@pytest.mark.parametrize(
    ("amount", "top", "height"), [(0, 1, 0), (1, 0, 0), (1e-9, 1, 1), (0.5, 1, 12), (1, 1, 24), (2, 1, 24)]
)
def test_heights_in_eighths(amount, top, height):
    assert eighths(amount, top, 3) == height


def test_a_pile_is_as_high_as_its_total():
    assert scaled_to_total([Decimal(2), Decimal(1)], Decimal(6)) == (2, 4)
    assert scaled_to_total([Decimal(2), Decimal(1)], Decimal("1.5")) == (1, Decimal("0.5"))
    assert scaled_to_total([Decimal(0), Decimal(0)], Decimal(0)) == (0, 0)


def test_a_chart_with_its_textures():
    bars = tuple(Bar(f"{day} Nov", (Decimal(day), Decimal(4 - day), Decimal(0))) for day in range(1, 5))
    assert draw(Chart(("a", "b"), bars), 42, 7, colour=False).plain.splitlines() == [
        "                                 █ a   ▓ b",
        "      $4 ┤▓▓▓▓▓▓▓ ▓▓▓▓▓▓▓ ▓▓▓▓▓▓▓ ███████ ",
        "         │▓▓▓▓▓▓▓ ▓▓▓▓▓▓▓ ███████ ███████ ",
        "         │▓▓▓▓▓▓▓ ███████ ███████ ███████ ",
        "         │███████ ███████ ███████ ███████ ",
        "      $0 ┼────────────────────────────────",
        "          1 Nov   2 Nov   3 Nov   4 Nov",
    ]


@pytest.mark.parametrize("colour", [True, False])
def test_the_largest_group_is_in_a_bar_whose_others_are_as_large(colour):
    bars = (Bar("1 Nov", tuple(Decimal(part) for part in (31, 30, 20, 19))),)
    drawn = draw(Chart(("a", "b", "c"), bars), 20, 7, colour)
    assert OMITTED_NOTE not in drawn.plain
    if colour:
        assert read(drawn, 1)[2] == [[10, 10, 6, 0, 0, 6]]
    else:
        assert [line[AXIS] for line in drawn.plain.splitlines()[1:5]] == ["·", "▒", "▓", "█"]


def test_a_low_bar_shows_its_largest_groups_and_says_so():
    bars = (Bar("1 Nov", tuple(map(Decimal, (80, 0, 0)))), Bar("2 Nov", tuple(map(Decimal, (4, 3, 0)))))
    drawn = draw(Chart(("a", "b"), bars), 60, 9)
    assert drawn.plain.startswith("low bars leave some groups out ")
    assert [bar[:2] for bar in read(drawn, 2)[2]] == [[48, 0], [4, 0]]


def test_a_bar_of_less_than_a_cell_is_its_largest_groups_whoever_holds_its_middle():
    bars = (
        Bar("1 Nov", tuple(map(Decimal, (31, 30, 20, 19)))),
        Bar("2 Nov", tuple(map(Decimal, (800, 0, 0, 0)))),
    )
    assert read(draw(Chart(("a", "b", "c"), bars), 60, 8), 2)[2] == [[5, 0, 0, 0, 0, 0], [40, 0, 0, 0, 0, 0]]


def test_a_small_chart_names_fewer_groups():
    bars = (Bar("1 Nov", tuple(map(Decimal, (6, 5, 4, 3, 2, 1)))),)
    chart = Chart(tuple("abcde"), bars)
    assert draw(chart, 120, 12).plain.splitlines()[0].split()[1::2] == [*"abcde", "(others)"]
    assert draw(chart, 78, 12).plain.splitlines()[0].split()[1::2] == [*"abc", "(others)"]


def test_a_note_stands_above_the_bars_where_there_is_room():
    chart = Chart(("a",), (Bar("1 Nov", (Decimal(1), Decimal(0))),), "read this")
    assert draw(chart, 40, 8).plain.splitlines()[1] == "read this"
    assert "read this" not in draw(chart, 40, 6).plain


def test_names_that_do_not_fit_are_cut_and_say_so():
    bars = (Bar("1 Nov", tuple(map(Decimal, (1, 1, 1, 0)))),)
    chart = Chart(("a" * 40, "short", "模型\x1b名称"), bars)
    assert draw(chart, 40, 7).plain.splitlines()[0] == "   █ aaaaaaaaaa…   ▓ short   ▒ 模型·名称"


def test_more_bars_than_cells_are_drawn_together():
    bars = tuple(Bar(f"{number:02}:00", (Decimal(1), Decimal(0))) for number in range(24))
    lines = draw(Chart(("a",), bars), 22, 6).plain.splitlines()
    assert lines[1] == "      $2 ┤████████████"
    assert lines[-1].split() == ["00:00", "14:00"]


@pytest.mark.parametrize(
    ("largest", "top"), [("0", "1"), ("0.037", "0.04"), ("1", "1"), ("5.1", "6"), ("6.1", "7"), ("81", "100")]
)
def test_the_axis_ends_at_a_round_number(largest, top):
    assert axis_maximum(Decimal(largest)) == Decimal(top)


@given(st.decimals("0.000001", "1000000", places=6))
def test_the_highest_bar_has_most_of_the_height(largest):
    top = axis_maximum(largest)
    assert Decimal("0.8") * top <= largest <= top
    assert len(round_number(top / 2).strip("$0.").replace(".", "").replace(",", "").strip("0")) <= 2


def test_nothing_to_draw():
    assert draw(Chart(), 80, 12).plain == ""
    assert draw(Chart(("a",), (Bar("x", (Decimal(1), Decimal(0))),)), 80, 2).plain == ""


def test_sparkline():
    assert sparkline([0, 1, 4, 8, 0.01]) == " ▁▄█▁"
    assert sparkline([]) == ""
    assert sparkline([0, 0]) == "  "


@pytest.mark.parametrize(
    ("values", "most", "fewer"),
    [([], 3, []), ([1, 2, 3], 3, [1, 2, 3]), ([1, 2, 3, 4], 3, [3, 7]), ([1, 2, 3, 4, 5], 2, [6, 9])],
)
def test_a_trend_is_condensed_and_loses_nothing(values, most, fewer):
    assert condensed(values, most) == fewer
