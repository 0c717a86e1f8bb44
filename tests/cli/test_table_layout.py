"""Which columns of a table are shown, and how wide, for a number of cells."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from gatekeeper.cli.table_layout import DROPPED_FIRST, GAP, TableColumn, lay_out
from gatekeeper.client.columns import TextRole

Row = tuple[str, ...]


def column(number: int, title: str = "", width: int = 0, **options: object) -> TableColumn[Row]:
    return TableColumn(title or f"c{number}", width, lambda row: (row[number], TextRole.PLAIN), **options)


TEXTS = st.text(st.sampled_from("ab 東\x1b–0"), max_size=40)
COLUMNS = st.lists(
    st.tuples(st.integers(0, 12), st.booleans(), st.integers(0, 4), st.booleans()), min_size=1, max_size=8
)


@given(COLUMNS, st.integers(1, 120), st.data())
def test_whatever_the_rows_a_table_fits_or_has_only_what_is_never_left_out(
    made: list[tuple[int, bool, int, bool]], width: int, data: st.DataObject
) -> None:
    columns = [
        column(
            number,
            width=least,
            right=right,
            drop=drop,
            short=(lambda _: ("s", TextRole.DIM)) if short else None,
        )
        for number, (least, right, drop, short) in enumerate(made)
    ]
    rows = data.draw(st.lists(st.tuples(*[TEXTS] * len(columns)), max_size=4))
    everything = lay_out(columns, rows, None, foot=False)
    assert (everything.columns, everything.dropped) == (columns, [])
    shown, widths, dropped = lay_out(columns, rows, width, foot=False)
    titles = [each.title for each in shown]
    assert set(titles) >= {each.title for each in columns if not each.drop}
    assert titles == [each.title for each in columns if each.title in titles]
    assert set(dropped).isdisjoint(titles)
    if sum(widths) + len(GAP) * (len(widths) - 1) > width:
        assert not any(each.drop for each in shown)
    for each, size in zip(shown, widths, strict=True):
        longest = max(cell_len(text) for text in (each.title, *(each.cell(row)[0] for row in rows)))
        assert size >= min(longest, each.width or longest, longest)
        if each.right:
            assert size >= longest


def test_ids_and_bars_go_before_a_text_is_cut_others_only_where_that_is_not_enough() -> None:
    rows = [("a" * 10, "id" * 5, "b" * 30, "c" * 4)]
    columns = [
        column(0),
        column(1, "id", drop=DROPPED_FIRST),
        column(2, "text", width=8),
        column(3, "more", drop=2),
    ]
    assert lay_out(columns, rows, 60, foot=False).dropped == []
    assert lay_out(columns, rows, 59, foot=False).dropped == ["id"]
    assert lay_out(columns, rows, 59, foot=False).widths == [10, 30, 4]
    assert lay_out(columns, rows, 30, foot=False)[1:] == ([10, 12, 4], ["id"])
    assert lay_out(columns, rows, 25, foot=False)[1:] == ([10, 13], ["id", "more"])


def test_a_column_that_says_nothing_goes_first_and_is_not_missed() -> None:
    columns = [column(0), column(1, "errors", drop=5), column(2, "tags", drop=2)]
    rows = [("a" * 10, "0", "x" * 10), ("b", "–", "y"), ("total", "3", "")]
    shown = lay_out(columns, rows, 24, foot=True)
    assert ([each.title for each in shown.columns], shown.dropped) == (["c0", "tags"], [])
    assert len(lay_out(columns, rows, 24, foot=False).columns) < 3


def test_a_text_has_its_short_form_only_where_that_makes_room() -> None:
    short = column(0, "at", short=lambda row: (row[0][-5:], TextRole.PLAIN))
    rows = [("2026-11-24 13:07", "x" * 10)]
    columns = [short, column(1, "text")]
    assert lay_out(columns, rows, 28, foot=False).widths == [16, 10]
    assert lay_out(columns, rows, 27, foot=False).widths == [5, 10]
