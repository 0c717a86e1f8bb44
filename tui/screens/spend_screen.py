"""Spend: where the money goes, over time and by tag, model, key or user."""

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
from gatekeeper.client.api_types import UNPRICED, Spend, SpendRow
from gatekeeper.client.formats import Cell, Tone
from tui.screens.main_screen import EmptyState, TableScreen
from tui.session import Session, Tab
from tui.spending import GROUPS, SPANS, Picture, Question, ask, group_of, spend_columns
from tui.terminal import toned
from tui.widgets import filter_line
from tui.widgets.bars import Bars, bars_as_one
from tui.widgets.filter_line import FilterLine, ShowCalls
from tui.widgets.rows import Rows, Table


class SpendScreen(TableScreen):
    """Asks anew when the question changes, too."""

    TAB = Tab("3", "spend", "Spend", "Spend by tag")
    HINT = "narrow:  key:ALIAS  model:gemini-2.5*  tag:a,b  user:U"
    AGAIN_SECONDS = 30
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("b", "group(1)", "by tag·model·key·user"),
        Binding("B", "group(-1)", "back", show=False),
        Binding("left_square_bracket", "span(-1)", "shorter range", show=False),
        Binding("right_square_bracket", "span(1)", "range", key_display="[ ]"),
        Binding("u", "unpriced", "calls without a price", show=False),
        Binding("escape", "clear", "clear the filter", show=False),
    ]
    DEFAULT_CSS = """
    SpendScreen #question { height: 1; padding: 0 1; }
    SpendScreen Bars { height: 40%; min-height: 11; max-height: 20; border-bottom: solid $border; }
    SpendScreen #warning { height: auto; padding: 0 1; color: $warning; display: none; }
    SpendScreen #warning.-told { display: block; }
    SpendScreen.-empty Bars, SpendScreen.-empty Table { display: none; }
    """

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self.table: Table[SpendRow] = Table(self._identity)
        self._question = Question()
        self._picture: Picture | None = None
        self._chosen: dict[str, object] = {}

    def body(self) -> ComposeResult:
        yield Static(id="question")
        yield EmptyState()
        yield Bars()
        yield self.table
        yield Static(id="warning")

    @property
    def rows(self) -> Rows:
        return self.table

    @property
    def is_loaded(self) -> bool:
        return self._picture is not None

    def on_mount(self) -> None:
        self._tell(Content.styled("◌ adding up…", "$secondary"))

    def reload(self) -> None:
        self.load(self._question)

    @property
    def _shown(self) -> Question:
        """The question whose answer is on the screen; the one asked last may still be on its way."""
        return self._picture.question if self._picture else self._question

    def _identity(self, row: SpendRow) -> object:
        return self._shown.by, group_of(row, self._shown.by), row.other

    @work(exclusive=True)
    async def load(self, question: Question) -> None:
        """Shows the answer to a question; what was shown stays if there is none."""
        try:
            picture = await ask(self.session.client, question, self.session.clock(), self.session.zone)
        except ApiError as error:
            self.not_read(error)
        else:
            self._show(picture)

    def show_fault(self, error: ApiError) -> None:
        super().show_fault(error)
        self._show_question()

    def _show(self, picture: Picture) -> None:
        # Each way to group keeps its own line, and has it again when one comes back.
        self._chosen[self._shown.by] = self.table.chosen
        self._picture, self._question = picture, picture.question
        self.filter_line.settle(picture.question.q)
        self.query_one(Bars).chart = picture.chart()
        self.table.show(picture.rows, lambda width: spend_columns(picture, width))
        self.table.choose(self._chosen.get(picture.question.by))
        counts = ((picture.ranking.total.calls, "call"), (picture.groups, "group"))
        self.filter_line.find(" in ".join(formats.counted(number, noun) for number, noun in counts))
        self._warn(picture)
        self._tell(
            Content(
                "Nothing was called in this time." + (" esc clears the filter" if picture.question.q else "")
            )
        )

    def _warn(self, picture: Picture) -> None:
        line = self.query_one("#warning", Static)
        warnings = list(shortcomings(picture.ranking))
        line.update("\n".join(warnings))
        line.set_class(bool(warnings), "-told")

    def _tell(self, otherwise: Content) -> None:
        """The question on top, and what to say where there is nothing to draw."""
        self.show_empty(self._picture is None or not self._picture.ranking.rows, otherwise)
        self._show_question()

    def _headline(self) -> Content:
        question = self._shown
        left = f"Spend by {question.by} · {question.span.title} · per {self._bar()}"
        room = self.size.width - 2 - len(left)
        nothing: list[Cell] = []
        # The most that there is room for.
        right = next((line for line in sums(self._picture) if length(line) + 2 <= room), nothing)
        return toned([(left, Tone.PLAIN), (" " * (room - length(right)), Tone.PLAIN), *right])

    def _bar(self) -> str:
        """What one bar stands for, and by whose clock where it is not the one on the wall."""
        bars = self.query_one(Bars)
        size = bars_as_one(len(bars.chart.bars), bars.content_size.width or self.size.width)
        unit = self._shown.span.unit
        zone = self.session.other_zone
        return (unit if size == 1 else f"{size} {unit}s") + (f" ({zone})" if zone else "")

    def on_resize(self) -> None:
        self._show_question()

    def _show_question(self) -> None:
        self.query_one("#question", Static).update(self._headline())

    def action_group(self, by: int) -> None:
        group = GROUPS[(GROUPS.index(self._question.by) + by) % len(GROUPS)]
        self._ask(replace(self._question, by=group))

    def action_span(self, by: int) -> None:
        number = SPANS.index(self._question.span) + by
        self._ask(replace(self._question, span=SPANS[max(min(number, len(SPANS) - 1), 0)]))

    def _ask(self, question: Question) -> None:
        """At once: the next key already means the next question."""
        self._question = question
        self.load(question)

    def action_clear(self) -> None:
        if self._question.q:
            self.load(replace(self._question, q=""))

    def action_unpriced(self) -> None:
        self._drill(UNPRICED)

    @on(FilterLine.Applied)
    def _filter(self, message: FilterLine.Applied) -> None:
        self.table.focus()
        self.load(replace(self._question, q=message.text))

    @on(Table.Opened)
    def _open(self) -> None:
        row = self.table.selected
        if row and row.other:
            self.say(f"These are many {self._shown.by}s: / narrows what is added up.", Tone.LIMIT)
        elif row:
            self._drill(filter_line.group(self._shown.by, group_of(row, self._shown.by)))

    def _drill(self, term: str) -> None:
        """To the calls behind a sum: the very same ones."""
        if self._picture:
            self.post_message(ShowCalls(self._picture.found_by(term)))


def sums(picture: Picture | None) -> Iterator[list[Cell]]:
    """The total and how it compares to as long a time before, from all of it to the least."""
    if picture is None:
        return
    total, before = picture.ranking.total.known_cost, picture.before.spent
    least: list[Cell] = [("total ", Tone.FAINT), (formats.money(total), Tone.ACCENT)]
    if before > 0 and total is not None:
        change = float(total / before) - 1
        sign = "▲" if change >= 0 else "▼"
        span = picture.question.span.title.removeprefix("last ")
        compared = f"  {sign} {formats.percent(abs(change))}"
        yield [*least, (f"{compared} to the {span} before", Tone.FAINT)]
        yield [*least, (compared, Tone.FAINT)]
    yield least


def shortcomings(ranking: Spend) -> Iterator[str]:
    """What the sums leave out."""
    if ranking.partial:
        yield "? older calls are missing: another program has the analytics file"
    if ranking.total.unpriced_calls:
        calls = formats.counted(ranking.total.unpriced_calls, "call")
        yield f"? {calls} without a known price, in no sum: u shows them"


def length(cells: list[Cell]) -> int:
    return sum(len(text) for text, _ in cells)
