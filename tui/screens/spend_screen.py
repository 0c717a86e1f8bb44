"""The Spend screen: cost over time, and by tag, model, key or user."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import ClassVar

from textual import getters, on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.widgets import Static

from gatekeeper.client.api_errors import ApiError
from gatekeeper.client.columns import TextRole
from gatekeeper.client.spend import UNPRICED
from tui.screens.range_dialog import RangeDialog
from tui.screens.screen import EmptyState, TableScreen
from tui.session import Session, Tab
from tui.spend.export import write_csv
from tui.spend.periods import Range
from tui.spend.ranking import GROUPS, Ranking, path_filter
from tui.spend.sums import SpendData, SpendRequest, load_bar, load_first, load_range, load_spend
from tui.spend.table import SpendTable
from tui.spend.text import bar_titles, empty_text, found_text, headline, saved_text, sums, titles, warnings
from tui.terminal import update
from tui.widgets.bar_chart import BarChart
from tui.widgets.filter_line import FilterLine, ShowCalls
from tui.widgets.rows import Rows


class SpendScreen(TableScreen):
    """Also reloads when the request changes. The list ranks the groups of the range, or of a bar of it."""

    TAB = Tab("3", "spend", "Spend", "Spend by tag")
    HINT = "filter:  key:ALIAS  model:gemini-2.5*  tag:a,b  user:U"
    RELOAD_SECONDS = 30
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("h", "bar(-1)", "bar", key_display="h l", tooltip="select the bar before"),
        Binding("l", "bar(1)", show=False, tooltip="select the next bar"),
        Binding("comma", "bar(-1)", show=False),
        Binding("full_stop", "bar(1)", show=False),
        Binding("b", "group(1)", "by", tooltip="by tag, model, key or user"),
        Binding("B", "group(-1)", show=False, tooltip="by the group before"),
        Binding("t", "choose_range", "time", tooltip="choose the range of time"),
        Binding("c", "compare", "compare", tooltip="compare with the period before"),
        Binding("i", "unit", "hour·day·week", tooltip="bars of an hour, a day or a week"),
        Binding("right_square_bracket", "range(1)", "range", key_display="[ ]", tooltip="a longer range"),
        Binding("left_square_bracket", "range(-1)", show=False, tooltip="a shorter range, an earlier day"),
        Binding("e", "export", "export", tooltip="export the list as CSV"),
        Binding("u", "unpriced", show=False, tooltip="show the calls without a price"),
        Binding("escape", "back", show=False, tooltip="leave the bar, clear the filter"),
    ]
    DEFAULT_CSS = """
    SpendScreen #headline { height: 1; padding: 0 1; }
    SpendScreen BarChart { height: 40%; min-height: 11; max-height: 20; border-bottom: solid $border; }
    SpendScreen #warning { height: auto; padding: 0 1; color: $warning; display: none; }
    SpendScreen #warning.-visible { display: block; }
    """
    chart = getters.query_one(BarChart)

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self.table = SpendTable()
        self._request: SpendRequest | None = None
        self._data: SpendData | None = None
        self._of_bar: Ranking | None = None  # of the selected bar
        self._compared = False
        self._selections: dict[str, object] = {}

    def body(self) -> ComposeResult:
        yield Static(id="headline")
        yield EmptyState()
        yield BarChart()
        yield self.table
        yield Static(id="warning")

    @property
    def rows(self) -> Rows:
        return self.table

    @property
    def hidden_if_empty(self) -> tuple[BarChart, SpendTable]:
        return self.chart, self.table

    @property
    def is_loaded(self) -> bool:
        return self._data is not None

    def on_mount(self) -> None:
        self._show_empty_text(Content.styled("◌ loading…", "$secondary"))

    def reload(self) -> None:
        self.load(self._request)

    @property
    def _ranking(self) -> Ranking | None:
        return self._of_bar or (self._data.ranking if self._data else None)

    @property
    def _asked(self) -> SpendRequest:
        """The latest request; the data of one before it may still be shown."""
        return self._request or SpendRequest()

    @work(exclusive=True, group="sums")
    async def load(self, request: SpendRequest | None) -> None:
        """Loads and shows the data of a request, by default what fits the ledger. On an error all stays."""
        session, opened = self.session, tuple(self.table.opened)
        args = session.client, session.clock(), session.zone
        try:
            data = await (load_spend(*args, request, opened) if request else load_first(*args))
            bars = self._bars_in(data)
            of_bar = await load_bar(session.client, data, bars, opened) if bars else None
        except ApiError as error:
            self.show_load_error(error)
        else:
            self._request = data.request
            self._show(data, of_bar)
            if opened != tuple(self.table.opened):  # meanwhile
                self.load_ranking()

    @work(exclusive=True, group="ranking")
    async def load_ranking(self) -> None:
        """Loads the list again: of another bar, or with other rows opened."""
        data, bars, opened = self._data, self.chart.selected, tuple(self.table.opened)
        if data is None:
            return
        args = self.session.client, data
        try:
            ranking = await (load_bar(*args, bars, opened) if bars else load_range(*args, opened))
        except ApiError as error:
            self.show_error(error)
            return
        if data is self._data and bars == self.chart.selected:
            self._show(data if bars else replace(data, ranking=ranking), ranking if bars else None)

    def _bars_in(self, data: SpendData) -> tuple[int, int] | None:
        """The selected bars in other data; None if they are not there."""
        return data.bars_of(self._data, self.chart.selected) if self._data else None

    def show_empty_error(self, error: ApiError) -> None:
        super().show_empty_error(error)
        self._show_headline()

    def _show(self, data: SpendData, of_bar: Ranking | None) -> None:
        # Each grouping keeps its own selected row.
        if shown := self._ranking:
            self._selections[shown.by] = self.table.selected_identity
        bars = self._bars_in(data)
        self._data, self._of_bar = data, of_bar if bars else None
        self.filter_line.set_applied(data.request.q)
        self.chart.chart, self.chart.cursor = data.chart(), bars[0] if bars else None
        self._show_rows()
        self.table.select(self._selections.get(data.request.by))
        self._show_empty_text(empty_text(data))
        # Another bar may have been selected meanwhile.
        if bars and not (of_bar and of_bar.covered == data.bar(bars)):
            self.load_ranking()

    def _show_rows(self) -> None:
        """Shows the list, and what is said about it."""
        if self._data and (ranking := self._ranking):
            self.table.show_ranking(ranking, self._data.trend, self._compared)
            self.filter_line.show_found(found_text(ranking))
            self._warn(ranking)

    def _warn(self, ranking: Ranking) -> None:
        line = self.query_one("#warning", Static)
        text = "\n".join(warnings(ranking, self.size.width - 2, bool(ranking.q)))
        update(line, Content(text))
        line.set_class(bool(text), "-visible")

    def _show_empty_text(self, otherwise: Content) -> None:
        """Shows the headline, and `otherwise` where there is no data."""
        self.show_empty(self._data is None or not self._data.ranking.rows, otherwise)
        self._show_headline()

    def _show_headline(self) -> None:
        data, ranking, zone = self._data, self._ranking, self.session.other_zone
        if data and self._of_bar:
            left = bar_titles(data, self._of_bar, zone)
        else:
            request = data.request if data else self._asked
            title = request.range.title(self.session.clock(), data.zone if data else self.session.zone)
            left = titles(request, title, self.chart.bar_size(request.unit), zone)
        line = headline(left, list(sums(ranking)), self.size.width - 2)
        update(self.query_one("#headline", Static), line)

    def on_resize(self) -> None:
        self.call_after_refresh(self._show_headline)
        if ranking := self._ranking:
            self._warn(ranking)

    def action_group(self, by: int) -> None:
        group = GROUPS[(GROUPS.index(self._asked.by) + by) % len(GROUPS)]
        self.table.opened.clear()
        self._load(replace(self._asked, by=group))

    def action_range(self, by: int) -> None:
        self._load_range(self._asked.range.stepped(by))

    @work
    async def action_choose_range(self) -> None:
        dialog = RangeDialog(self._asked.range, self.session.clock(), self.session.zone)
        if chosen := await self.app.push_screen_wait(dialog):
            self._load_range(chosen)

    def _load_range(self, chosen: Range) -> None:
        if chosen != self._asked.range:
            self.chart.cursor = None
            self._load(replace(self._asked, range=chosen, unit=chosen.units[0]))

    def action_unit(self) -> None:
        units = self._asked.range.units
        if len(units) == 1:
            self.show_status(f"This range is shown by {units[0]} only.", TextRole.WARNING)
            return
        self.chart.cursor = None
        unit = units[(units.index(self._asked.unit) + 1) % len(units)]
        self._load(replace(self._asked, unit=unit))

    def _load(self, request: SpendRequest) -> None:
        """Set at once: the next key press applies to this request."""
        self._request = request
        self.load(request)

    def action_compare(self) -> None:
        self._compared = not self._compared
        self._show_rows()

    def action_bar(self, by: int) -> None:
        self.chart.move(by)

    @on(BarChart.Selected)
    def _select_bar(self) -> None:
        self.chart.focus()
        self.load_ranking()

    @on(BarChart.Left)
    def _leave_bar(self) -> None:
        self.table.focus()

    @on(BarChart.Opened)
    def _open_bar(self) -> None:
        if self.chart.selected and self._data:
            self.post_message(ShowCalls(self._data.bar_filter(self.chart.selected)))

    def action_back(self) -> None:
        self.table.focus()
        if self.chart.cursor is not None and self._data:
            self.chart.cursor = None
            self._show(self._data, None)
            # Other rows may have been opened since.
            self.load_ranking()
        elif self._asked.q:
            self._load(replace(self._asked, q=""))

    def action_unpriced(self) -> None:
        self._show_calls_of(UNPRICED)

    @on(FilterLine.Applied)
    def _filter(self, message: FilterLine.Applied) -> None:
        self.table.focus()
        self.load(replace(self._asked, q=message.text))

    def action_open_row(self) -> None:
        if self.table.open_row():
            self.load_ranking()

    def action_close_row(self) -> None:
        if self.table.close_row():
            self.load_ranking()

    @on(SpendTable.RowActivated)
    def _open(self) -> None:
        line = self.table.selected
        if line and line.row.other:
            self.show_status(f"This row sums many {line.by}s: / filters the calls.", TextRole.WARNING)
        elif line and line.gone:
            self.show_status(f"{line.name} has no calls in this period, only before.", TextRole.WARNING)
        elif line:
            self._show_calls_of(path_filter(line.path))

    def _show_calls_of(self, term: str) -> None:
        """Shows exactly the calls of a sum."""
        if ranking := self._ranking:
            self.post_message(ShowCalls(ranking.drill_down_filter(term)))

    def action_export(self) -> None:
        why = "" if self._data and self._data.request == self._asked else ": it is not loaded yet"
        if why or not (self._data and (ranking := self._ranking) and ranking.rows):
            self.show_status(f"There is nothing to export{why}.", TextRole.WARNING)
            return
        try:
            path = write_csv(Path.cwd(), ranking, self._compared, self._data.zone)
        except OSError as error:
            self.show_status(f"✗ It could not be saved: {error.strerror}", TextRole.ERROR)
        else:
            self.show_status(saved_text(path, self.size.width - 2))
