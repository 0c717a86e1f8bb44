"""The widgets around a main screen: header, banner and footer. Text that names a key can be clicked."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from math import inf

from textual.app import RenderResult
from textual.binding import Binding
from textual.content import Content
from textual.reactive import reactive
from textual.widget import Widget
from textual.widgets import Static

from gatekeeper.client import formats
from gatekeeper.client.columns import TextRole
from tui.bindings import key_label
from tui.session import LIVE, Figures, Session, Tab
from tui.terminal import STYLES, clickable, styled_text

# A sandbox's costs are not real: shown first, and at every width.
SANDBOX = f"{STYLES[TextRole.WARNING]} bold reverse"
STATUS_SECONDS = 5
# Between the keys of the footer.
GAP = "   "
# In less there is no room for the product's name beside five tabs and the figures.
NAME_WIDTH = 100
Note = tuple[str, TextRole]


class Header(Widget):
    """The tabs, and on the right the state of the connection, the figures, the gateway, and the time.

    A click on a tab goes there.
    """

    DEFAULT_CSS = """
    Header {
        height: 1;
        padding: 0 1;
    }
    """

    def __init__(self, session: Session, current: Tab) -> None:
        super().__init__()
        self._session = session
        self._current = current

    def on_mount(self) -> None:
        # Updates the clock and the figures.
        self.set_interval(1, self.refresh)

    def render(self) -> Content:
        return header_line(self._session, self._current, self.content_size.width)


def header_line(session: Session, current: Tab, width: int) -> Content:
    """The header in exactly `width` cells; what matters least is left out first."""
    left = tab_line(session.tabs, current, named=width >= NAME_WIDTH)
    room = width - left.cell_length - 1
    right = next((text for text in status_variants(session) if text.cell_length <= room), Content(""))
    gap = width - left.cell_length - right.cell_length
    return Content.assemble(left, " " * max(gap, 0), right)


def tab_line(tabs: Iterable[Tab], current: Tab, named: bool) -> Content:
    """The tabs, which can be clicked, and before them the product's name if `named`."""
    parts = [Content.styled("gatekeeper ", "bold")] if named else []
    for tab in tabs:
        style = f"{STYLES[TextRole.ACCENT]} reverse" if tab == current else ""
        parts.append(clickable(Content.styled(f" {tab.key} {tab.title} ", style), tab.key))
    return Content("").join(parts)


def status_variants(session: Session) -> Iterator[Content]:
    """The right side of the header, from the longest variant to the shortest."""
    sandbox = Content.styled(" SANDBOX ", SANDBOX) if session.gateway.sandbox else Content("")
    state = Content.styled(str(session.connection), STYLES[session.connection.role])
    address, mode = Content(session.address), Content(session.gateway.mode)
    time = Content.styled(formats.clock(session.clock()), "dim")
    # Those of a lost connection would be old.
    known = session.figures if session.connection == LIVE else None
    words, short, signs, least = figure_variants(known) if known else [Content("")] * 4
    variants = (
        [sandbox, state, words, address, mode, time],
        [sandbox, state, words, address, time],
        [sandbox, state, words, time],
        [sandbox, state, short, time],
        [sandbox, state, short],
        [sandbox, state, signs],
        [sandbox, state, least],
        [sandbox, state],
        [sandbox],
    )
    return (Content("  ").join(part for part in variant if part.plain) for variant in variants)


def figure_variants(figures: Figures) -> list[Content]:
    """Calls and errors per minute and today's spend, from the longest form to the shortest."""
    calls, errors = figures.calls_per_minute, figures.errors_per_minute
    spend = formats.money(figures.spend_today)
    per_minute = f"{formats.tokens(calls)}/min"
    role = STYLES[TextRole.ERROR if errors else TextRole.DIM]
    sign = Content.styled(f"✗ {formats.tokens(errors)}", role)
    today = Content(f"{spend} today")
    words = [
        Content(f"{formats.tokens(calls)} calls/min"),
        Content.styled(f"✗ {formats.tokens(errors)} errors/min", role),
        today,
    ]
    forms = (words, [Content(per_minute), sign, today], [Content(per_minute), sign, Content(spend)])
    return [Content("  ").join(form) for form in (*forms, forms[-1][:2])]


class Banner(Static):
    """The connection error and its remedy. Hidden while there is none."""

    DEFAULT_CSS = """
    Banner {
        height: auto;
        padding: 0 1;
        display: none;
    }
    Banner.-visible { display: block; }
    """

    def show_error(self, text: str) -> None:
        """Shows an error, until `clear`."""
        self.update(styled_text(f"✗ {text}", TextRole.ERROR))
        self.add_class("-visible")

    def clear(self) -> None:
        """Hides the banner."""
        self.remove_class("-visible")


class Footer(Widget):
    """The active keys, or for a few seconds a status.

    Bindings of the application are on the right, those of the screen on the left.
    """

    DEFAULT_CSS = """
    Footer {
        dock: bottom;
        height: 2;
        padding: 0 1;
        border-top: solid $border;
    }
    """

    note: reactive[Note | None] = reactive(None)

    def on_mount(self) -> None:
        # Textual leaves the type of a screen's result unspecified.
        self.screen.bindings_updated_signal.subscribe(  # pyright: ignore[reportUnknownMemberType]
            self,
            lambda _: self.refresh(),  # pyright: ignore[reportUnknownLambdaType]
        )

    def show_status(self, text: str, role: TextRole = TextRole.PLAIN) -> None:
        """Shows a line in place of the keys for a few seconds."""
        self.note = (text, role)
        self.set_timer(STATUS_SECONDS, lambda: self._clear_status(text))

    def _clear_status(self, text: str) -> None:
        # The timer of one line must not clear the next one early.
        if self.note and self.note[0] == text:
            self.note = None

    def render(self) -> RenderResult:
        if self.note:
            return styled_text(*self.note)
        # Bindings of the application are always shown; of the others as many as fit.
        right = key_line(self._keys(of_app=True))
        room = self.content_size.width - right.cell_length - 2
        left = key_line(self._keys(of_app=False), room)
        gap = self.content_size.width - left.cell_length - right.cell_length
        return Content.assemble(left, " " * max(gap, 0), right)

    def _keys(self, of_app: bool) -> list[Binding]:
        active = self.screen.active_bindings.values()
        shown = [item for item in active if item.binding.show and item.enabled]
        chosen = [item.binding for item in shown if isinstance(item.node, Widget) != of_app]
        # One key for each action.
        return list({binding.action: binding for binding in chosen}.values())


def key_line(bindings: Iterable[Binding], room: float = inf) -> Content:
    """Keys with their descriptions, as many as fit into `room` cells; each can be clicked."""
    items: list[Content] = []
    for binding in bindings:
        key = binding.key_display or key_label(binding.key)
        item = Content.assemble((key, STYLES[TextRole.ACCENT]), f" {binding.description}")
        room -= item.cell_length + (len(GAP) if items else 0)
        if room < 0:
            break
        items.append(clickable(item, binding.key))
    return Content(GAP).join(items)
