"""The Spend screen: cost over time, and by tag, model, key or user."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.widgets import Static

from gatekeeper.client import formats
from gatekeeper.client.api_errors import ApiError
from gatekeeper.client.formats import Cell, TextRole
from gatekeeper.client.spend_types import UNPRICED, Spend, SpendRow, unpriced_text
from tui.screens.main_screen import EmptyState, TableScreen
from tui.session import Session, Tab
from tui.spending import GROUPS, SPANS, SpendData, SpendRequest, group_of, load_spend, spend_columns
from tui.terminal import styled_cells
from tui.widgets import filter_line
from tui.widgets.bars import Bars, bars_as_one
from tui.widgets.filter_line import FilterLine, ShowCalls
from tui.widgets.rows import Rows, Table


class SpendScreen(TableScreen):
    """Also reloads when the request changes."""

    TAB = Tab("3", "spend", "Spend", "Spend by tag")
    HINT = "filter:  key:ALIAS  model:gemini-2.5*  tag:a,b  user:U"
    RELOAD_SECONDS = 30
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("b", "group(1)", "by tag·model·key·user"),
        Binding("B", "group(-1)", "back", show=False),
        Binding("left_square_bracket", "span(-1)", "shorter range", show=False),
        Binding("right_square_bracket", "span(1)", "range", key_display="[ ]"),
        Binding("u", "unpriced", "calls without a price", show=False),
        Binding("escape", "clear", "clear the filter", show=False),
    ]
    DEFAULT_CSS = """
    SpendScreen #headline { height: 1; padding: 0 1; }
    SpendScreen Bars { height: 40%; min-height: 11; max-height: 20; border-bottom: solid $border; }
    SpendScreen #warning { height: auto; padding: 0 1; color: $warning; display: none; }
    SpendScreen #warning.-visible { display: block; }
    SpendScreen.-empty Bars, SpendScreen.-empty Table { display: none; }
    """

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self.table: Table[SpendRow] = Table(self._identity)
        self._request = SpendRequest()
        self._data: SpendData | None = None
        self._selections: dict[str, object] = {}

    def body(self) -> ComposeResult:
        yield Static(id="headline")
        yield EmptyState()
        yield Bars()
        yield self.table
        yield Static(id="warning")

    @property
    def rows(self) -> Rows:
        return self.table

    @property
    def is_loaded(self) -> bool:
        return self._data is not None

    def on_mount(self) -> None:
        self._show_empty_text(Content.styled("◌ loading…", "$secondary"))

    def reload(self) -> None:
        self.load(self._request)

    @property
    def _shown(self) -> SpendRequest:
        """The request whose data is shown; the latest one may still be loading."""
        return self._data.request if self._data else self._request

    def _identity(self, row: SpendRow) -> object:
        return self._shown.by, group_of(row, self._shown.by), row.other

    @work(exclusive=True)
    async def load(self, request: SpendRequest) -> None:
        """Loads and shows the data of a request; what was shown stays on an error."""
        try:
            data = await load_spend(self.session.client, request, self.session.clock(), self.session.zone)
        except ApiError as error:
            self.show_load_error(error)
        else:
            self._show(data)

    def show_empty_error(self, error: ApiError) -> None:
        super().show_empty_error(error)
        self._show_headline()

    def _show(self, data: SpendData) -> None:
        # Each grouping keeps its own selected row.
        self._selections[self._shown.by] = self.table.selected_identity
        self._data, self._request = data, data.request
        self.filter_line.set_applied(data.request.q)
        self.query_one(Bars).chart = data.chart()
        self.table.show(data.rows, lambda width: spend_columns(data, width))
        self.table.select(self._selections.get(data.request.by))
        counts = ((data.ranking.total.calls, "call"), (data.groups, "group"))
        self.filter_line.show_found(" in ".join(formats.pluralized(number, noun) for number, noun in counts))
        self._warn(data)
        self._show_empty_text(
            Content("No calls in this period." + (" esc clears the filter" if data.request.q else ""))
        )

    def _warn(self, data: SpendData) -> None:
        line = self.query_one("#warning", Static)
        warnings = list(missing_data(data.ranking, self.size.width - 2))
        line.update("\n".join(warnings))
        line.set_class(bool(warnings), "-visible")

    def _show_empty_text(self, otherwise: Content) -> None:
        """Shows the headline, and `otherwise` where there is no data."""
        self.show_empty(self._data is None or not self._data.ranking.rows, otherwise)
        self._show_headline()

    def _headline(self) -> Content:
        request = self._shown
        left = f"Spend by {request.by} · {request.span.title} · per {self._bar()}"
        room = self.size.width - 2 - len(left)
        nothing: list[Cell] = []
        # The longest that fits.
        right = next((line for line in sums(self._data) if length(line) + 2 <= room), nothing)
        return styled_cells([(left, TextRole.PLAIN), (" " * (room - length(right)), TextRole.PLAIN), *right])

    def _bar(self) -> str:
        """The time that one bar covers, with the zone if it differs from the local one."""
        bars = self.query_one(Bars)
        size = bars_as_one(len(bars.chart.bars), bars.content_size.width or self.size.width)
        unit = self._shown.span.unit
        zone = self.session.other_zone
        return (unit if size == 1 else f"{size} {unit}s") + (f" ({zone})" if zone else "")

    def on_resize(self) -> None:
        self._show_headline()
        if self._data:
            self._warn(self._data)

    def _show_headline(self) -> None:
        self.query_one("#headline", Static).update(self._headline())

    def action_group(self, by: int) -> None:
        group = GROUPS[(GROUPS.index(self._request.by) + by) % len(GROUPS)]
        self._load(replace(self._request, by=group))

    def action_span(self, by: int) -> None:
        number = SPANS.index(self._request.span) + by
        self._load(replace(self._request, span=SPANS[max(min(number, len(SPANS) - 1), 0)]))

    def _load(self, request: SpendRequest) -> None:
        """Set at once: the next key press applies to this request."""
        self._request = request
        self.load(request)

    def action_clear(self) -> None:
        if self._request.q:
            self.load(replace(self._request, q=""))

    def action_unpriced(self) -> None:
        self._show_calls_of(UNPRICED)

    @on(FilterLine.Applied)
    def _filter(self, message: FilterLine.Applied) -> None:
        self.table.focus()
        self.load(replace(self._request, q=message.text))

    @on(Table.RowActivated)
    def _open(self) -> None:
        row = self.table.selected
        if row and row.other:
            self.show_status(f"This row sums many {self._shown.by}s: / filters the calls.", TextRole.WARNING)
        elif row:
            self._show_calls_of(filter_line.group_filter(self._shown.by, group_of(row, self._shown.by)))

    def _show_calls_of(self, term: str) -> None:
        """Shows exactly the calls of a sum."""
        if self._data:
            self.post_message(ShowCalls(self._data.drill_down_filter(term)))


def sums(data: SpendData | None) -> Iterator[list[Cell]]:
    """The total and its change from the preceding period, from the longest form to the shortest."""
    if data is None:
        return
    total, preceding = data.ranking.total.known_cost, data.preceding.spent
    least: list[Cell] = [("total ", TextRole.DIM), (formats.money(total), TextRole.ACCENT)]
    if preceding > 0 and total is not None:
        change = float(total / preceding) - 1
        sign = "▲" if change >= 0 else "▼"
        span = data.request.span.title.removeprefix("last ")
        compared = f"  {sign} {formats.percent(abs(change))}"
        yield [*least, (f"{compared} to the {span} before", TextRole.DIM)]
        yield [*least, (compared, TextRole.DIM)]
    yield least


SIGN, SHOW_UNPRICED = "? ", " · u shows them"


def missing_data(ranking: Spend, width: int) -> Iterator[str]:
    """Warnings about calls that the sums leave out, for lines of so many cells."""
    if ranking.partial:
        yield f"? older calls are missing: {ranking.partial_reason}"
    if unpriced := unpriced_text(ranking, width - len(SIGN + SHOW_UNPRICED)):
        yield f"{SIGN}{unpriced}{SHOW_UNPRICED}"


def length(cells: list[Cell]) -> int:
    return sum(len(text) for text, _ in cells)
