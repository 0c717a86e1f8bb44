"""The Overview screen: health and cost."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import ClassVar, TypeVar

from rich.segment import Segment
from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, VerticalScroll
from textual.content import Content
from textual.reactive import reactive
from textual.widget import Widget
from textual.widgets import Static

from gatekeeper.client.api_errors import ApiError
from gatekeeper.client.columns import Cell, TextRole
from gatekeeper.client.health_text import Finding, findings
from gatekeeper.client.key_types import Key
from gatekeeper.client.spend import UNPRICED, SpendRow
from tui.overview import PERIODS, TOPS, OverviewData, OverviewRequest, load_health, load_overview
from tui.overview_text import budget_columns, comparison_line, hour_charts, top_columns, verdict
from tui.screens.dialog import ScrolledDialog
from tui.screens.screen import EmptyState, TableScreen, curl, welcome
from tui.session import Session, Tab
from tui.spend.periods import utc_timestamp
from tui.terminal import lines, styled_cells, update
from tui.widgets.filter_line import FilterLine, ShowCalls, ShowKeys, group_filter
from tui.widgets.rows import Rows, Table

T = TypeVar("T")

# From how many cells and rows on there is room for more.
WIDE, TALL, TALLER = 120, 36, 52
# Seconds between two loads while calls go on.
SETTLE_SECONDS = 10.0
# Who is no virtual key.
NO_KEYS = (None, "open", "master")


class Panel(Table[T]):
    """One of several lists: only the one with the focus shows its cursor."""

    def on_focus(self) -> None:
        self.refresh()

    def on_blur(self) -> None:
        self.refresh()

    def _marked(self, index: int) -> list[Segment]:
        return super()._marked(index) if self.has_focus else [Segment(" "), *self.row_segments(index)]


class HourCharts(Widget):
    """The charts of the last hour."""

    data: reactive[OverviewData | None] = reactive(None)

    def render(self) -> Content:
        size = self.content_size
        return lines(hour_charts(self.data, size.width, size.height)) if self.data else Content("")


class HealthDialog(ScrolledDialog):
    """All that is known of the gateway's health."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,q,enter,i", "dismiss", "back")]

    def __init__(self, found: list[Finding]) -> None:
        super().__init__()
        self._found = found

    def compose(self) -> ComposeResult:
        with VerticalScroll():
            yield Static(lines([[("health", TextRole.DIM)], [], *finding_lines(self._found)]))


class OverviewScreen(TableScreen):
    """Reloads when calls have ended, and otherwise only the gateway's health."""

    TAB = Tab("1", "overview", "Overview", "Overview")
    HINT = "filter:  key:ALIAS  model:gemini-2.5*  tag:a,b  user:U"
    RELOAD_SECONDS = 2
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("tab,right,l", "panel(1)", "next list", key_display="tab"),
        Binding("shift+tab,left,h", "panel(-1)", "list before", show=False),
        Binding("right_square_bracket", "period(1)", "today · month", key_display="[ ]"),
        Binding("left_square_bracket", "period(-1)", "today · month", show=False),
        Binding("i", "health", "health"),
        Binding("u", "unpriced", "calls without a price", show=False),
        Binding("y", "copy", "copy"),
        Binding("escape", "clear", "clear the filter", show=False),
    ]
    DEFAULT_CSS = """
    OverviewScreen #verdict { height: auto; max-height: 1; padding: 0 1; }
    OverviewScreen #spend { height: 2; padding: 0 1; }
    OverviewScreen HourCharts { height: 4; padding: 0 1; border-top: solid $border; }
    OverviewScreen HourCharts { border-title-color: $foreground; border-title-style: dim; }
    OverviewScreen #tops { height: 2fr; min-height: 6; border-top: solid $border; }
    OverviewScreen #tops Panel { width: 1fr; padding: 0 1 0 0; }
    OverviewScreen #lowest { height: 1fr; border-top: solid $border; }
    OverviewScreen #lowest Panel { width: 2fr; }
    OverviewScreen #health { width: 1fr; height: 1fr; padding: 0 1; display: none; }
    OverviewScreen.-wide #health { display: block; border-left: solid $border; }
    OverviewScreen.-tall HourCharts { height: 10; }
    OverviewScreen.-taller HourCharts { height: 11; }
    """

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self.tops: dict[str, Panel[SpendRow]] = {
            by: Panel(lambda row, by=by: (row.group(by), row.other), id=by) for by in TOPS
        }
        self.budgets: Panel[Key] = Panel(lambda key: key.token_id, id="budgets")
        self._request = OverviewRequest()
        self._data: OverviewData | None = None
        self._found: list[Finding] = []
        self._seen = 0
        self._loaded_at = session.clock()

    def body(self) -> ComposeResult:
        # Before the widgets are styled.
        self._note_size(styled=False)
        yield Static(id="verdict")
        yield EmptyState()
        yield Static(id="spend")
        yield HourCharts()
        with Horizontal(id="tops"):
            yield from self.tops.values()
        with Horizontal(id="lowest"):
            yield self.budgets
            yield Static(id="health")

    @property
    def panels(self) -> list[Rows]:
        return [*self.tops.values(), self.budgets]

    @property
    def rows(self) -> Rows:
        return next((panel for panel in self.panels if panel.has_focus), self.panels[0])

    @property
    def hidden_if_empty(self) -> Iterable[Widget]:
        names = ("#spend", "#tops", "#lowest")
        return (self.query_one(HourCharts), *(self.query_one(name, Widget) for name in names))

    @property
    def is_loaded(self) -> bool:
        return self._data is not None

    def on_mount(self) -> None:
        self.query_one(HourCharts).border_title = "last hour, by minute"
        self.show_empty(empty=True, otherwise=Content.styled("◌ loading…", "$secondary"))

    def on_resize(self) -> None:
        self._note_size()
        self._show_texts()

    def _note_size(self, styled: bool = True) -> None:
        width, height = self.app.size
        sizes = {"-wide": width >= WIDE, "-tall": height >= TALL, "-taller": height >= TALLER}
        self.update_classes(sizes, styled)

    def reload(self) -> None:
        """Loads everything at first and if calls have ended, at most every `SETTLE_SECONDS`; the first call
        ever at once. Otherwise only the gateway's health is asked for."""
        now = self.session.clock()
        data = self._data
        waited = data is None or not data.called or (now - self._loaded_at).total_seconds() >= SETTLE_SECONDS
        if not waited:
            return
        if data is None or self._seen != self.session.finished_calls or self._is_another_day(data, now):
            self.load(self._request)
        else:
            self._load_health(data, now)

    def _is_another_day(self, data: OverviewData, now: datetime) -> bool:
        return now.astimezone(data.now.tzinfo).date() != data.now.date()

    @work(exclusive=True, group="load")
    async def load(self, request: OverviewRequest) -> None:
        """Loads and shows everything; what was shown stays on an error."""
        self._seen, self._loaded_at = self.session.finished_calls, self.session.clock()
        try:
            data = await load_overview(self.session.client, request, self._loaded_at)
        except ApiError as error:
            self.show_load_error(error)
        else:
            self.filter_line.set_applied(request.q)
            self._show(data)

    @work(exclusive=True, group="load")
    async def _load_health(self, data: OverviewData, now: datetime) -> None:
        elapsed, self._loaded_at = now - self._loaded_at, now
        later = data.later(elapsed, await load_health(self.session.client))
        if later.shows_the_same_as(data):
            self._data = later
        else:
            self._show(later)

    def _show(self, data: OverviewData) -> None:
        self._data, self._request = data, data.request
        self._found = findings(data.health, data.keys, data.by_minute.total, data.longest.current)
        self.query_one(HourCharts).data = data
        for by, panel in self.tops.items():
            panel.show(data.tops[by].rows, lambda width, by=by: top_columns(data, by, width))
        keys: Sequence[Key] = () if isinstance(data.keys, ApiError) else data.keys
        self.budgets.show(keys, lambda width: budget_columns(len(keys), width, self.session.clock))
        self.show_empty(not data.called, welcome(self.session))
        self._show_texts()

    def _show_texts(self) -> None:
        """What depends on the width."""
        if self._data is None:
            return
        width = self.size.width - 2
        spend = [comparison_line(each, width) for each in self._data.comparisons]
        update(self.query_one("#spend", Static), lines(spend))
        update(self.query_one("#verdict", Static), styled_cells(verdict(self._found, width)))
        update(self.query_one("#health", Static), lines(finding_lines(self._found)))

    def action_panel(self, by: int) -> None:
        panels = self.panels
        at = next((number for number, panel in enumerate(panels) if panel.has_focus), -1)
        panels[(at + by) % len(panels)].focus()

    def action_period(self, by: int) -> None:
        self._load(replace(self._request, period=(self._request.period + by) % len(PERIODS)))

    def _load(self, request: OverviewRequest) -> None:
        """Set at once: the next key press applies to this request."""
        self._request = request
        self.load(request)

    def action_clear(self) -> None:
        if self._request.q:
            self._load(replace(self._request, q=""))

    @on(FilterLine.Applied)
    def _filter(self, message: FilterLine.Applied) -> None:
        self.rows.focus()
        self.load(replace(self._request, q=message.text))

    def action_health(self) -> None:
        self.app.push_screen(HealthDialog(self._found))

    def action_unpriced(self) -> None:
        if self._data:
            self._show_calls(self._data.longest.period.since, UNPRICED)

    def action_copy(self) -> None:
        if self._data and not self._data.called:
            self.copy(curl(self.session), "the command")
        elif name := self._selected_name():
            self.copy(name, name)

    def _selected_name(self) -> str | None:
        """The name under the cursor; None where there is none."""
        if self.rows is self.budgets:
            return self.budgets.selected.label if self.budgets.selected else None
        row = self.tops[by].selected if (by := self.rows.id) else None
        return row.group(by) if row and by else None

    @on(Table.RowActivated)
    def _open(self, message: Table.RowActivated) -> None:
        by = message.rows.id or ""
        if message.rows is self.budgets:
            if key := self.budgets.selected:
                self.post_message(ShowKeys(key.label))
        elif row := self.tops[by].selected:
            self._open_group(by, row)

    def _open_group(self, by: str, row: SpendRow) -> None:
        """A key leads to its limits, all else to its calls of the period."""
        name = row.group(by)
        if row.other:
            self.show_status(f"This row sums many {by}s: 3 Spend has them all.", TextRole.WARNING)
        elif by == "key" and name not in NO_KEYS:
            self.post_message(ShowKeys(name or ""))
        elif self._data:
            self._show_calls(self._data.period.since, group_filter(by, name))

    def _show_calls(self, since: datetime, term: str) -> None:
        words = (self._request.q, term, f"since:{utc_timestamp(since)}")
        self.post_message(ShowCalls(" ".join(filter(None, words))))


def finding_lines(found: list[Finding]) -> list[list[Cell]]:
    return [[(str(finding), finding.role)] for finding in found]
