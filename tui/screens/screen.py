"""The common parts of screens: the widgets around a main screen's list, and its errors; and the detail
screen, a text that scrolls.

A main screen is a `MainScreen` with its `TAB` and `HINT`, its `body`, `rows` and `is_loaded`, and an entry in
the application's list of them.
An `EmptyState` takes the place of an empty list: on the first start it shows how to send the first call.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from textual import events, on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.screen import Screen
from textual.widget import Widget
from textual.widgets import Static

from gatekeeper.client.api_errors import ApiError, BadRequest
from gatekeeper.client.columns import TextRole
from tui.session import Session, Tab
from tui.terminal import StyledOnce, styled_text, update
from tui.widgets.filter_line import FilterLine
from tui.widgets.frame import Banner, Footer, Header
from tui.widgets.rows import Rows

# The path of the suggested first call.
PATH = "/gemini/v1beta/models/gemini-2.5-flash:generateContent"


class EmptyState(Static):
    """Takes the place of an empty list and says why it is empty. Hidden otherwise."""

    DEFAULT_CSS = """
    EmptyState {
        height: 1fr;
        padding: 1 1;
        display: none;
    }
    """


class MainScreen(StyledOnce, Screen[None]):
    """A main screen, reached by the digit of its tab. `HINT` is the placeholder of the filter line."""

    # Textual would give it to the filter, which would get the keys that are typed while the screen opens.
    AUTO_FOCUS = ""
    TAB: ClassVar[Tab]
    HINT: ClassVar[str]
    BINDINGS: ClassVar[list[BindingType]] = [Binding("slash", "filter", "filter", priority=True)]

    def __init__(self, session: Session) -> None:
        super().__init__()
        self.session = session

    def compose(self) -> ComposeResult:
        yield Header(self.session, self.TAB)
        yield Banner()
        yield FilterLine(self.HINT)
        yield from self.body()
        yield Footer()

    def body(self) -> ComposeResult:
        """The widgets between filter line and footer: the list and its `EmptyState`."""
        raise NotImplementedError

    @property
    def rows(self) -> Rows:
        """The list."""
        raise NotImplementedError

    @property
    def hidden_if_empty(self) -> Iterable[Widget]:
        """What the `EmptyState` takes the place of."""
        return (self.rows,)

    @property
    def is_loaded(self) -> bool:
        """Whether something was loaded, which stays shown if it cannot be reloaded."""
        raise NotImplementedError

    @property
    def filter_line(self) -> FilterLine:
        return self.query_one(FilterLine)

    def on_mount(self) -> None:
        self.rows.focus()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:  # noqa: ARG002
        """In the filter line a slash is text."""
        # Disabled there, so that the key reaches the input.
        return action != "filter" or not self.filter_line.is_open

    def action_filter(self) -> None:
        self.filter_line.open()

    @on(FilterLine.Cancelled)
    def _leave_filter(self) -> None:
        self.rows.focus()

    @on(events.ScreenResume)
    def _show_present_connection(self) -> None:
        self.show_connection()

    def show_connection(self) -> None:
        """Updates header and banner to the state of the connection."""
        self.query_one(Header).refresh()
        banner = self.query_one(Banner)
        if self.session.connection_error:
            banner.show_error(self.session.connection_error)
        else:
            banner.clear()

    def show_empty(self, empty: bool, otherwise: Content) -> None:
        """Shows `otherwise` in place of an empty list."""
        # Not by a class of the screen, for which all its widgets would be styled again.
        for widget in self.hidden_if_empty:
            widget.display = not empty
        state = self.query_one(EmptyState)
        state.display = empty
        update(state, otherwise)

    def show_status(self, text: str, role: TextRole = TextRole.SUCCESS) -> None:
        """Shows a line in the footer for a few seconds."""
        self.query_one(Footer).show_status(text, role)

    def show_error(self, error: ApiError) -> None:
        """Shows an error in the footer for a few seconds."""
        self.show_status(f"✗ {error}", TextRole.ERROR)

    def show_load_error(self, error: ApiError) -> None:
        """Shows why loading failed: marks an invalid filter; the shown rows stay."""
        if isinstance(error, BadRequest):
            self.filter_line.show_error(error.problem, str(error))
        elif self.is_loaded:
            self.show_error(error)
        else:
            self.show_empty_error(error)

    def show_empty_error(self, error: ApiError) -> None:
        """Shows an error in place of the list."""
        self.show_empty(empty=True, otherwise=styled_text(f"✗ {error}", TextRole.ERROR))

    @work
    async def copy(self, text: str, what: str) -> None:
        """Copies to the clipboard and confirms it in the footer."""
        self.show_status(f"✓ {what} {await self.app.copy(text)}")


class TableScreen(MainScreen):
    """Reloads its table when shown, and every `RELOAD_SECONDS`."""

    RELOAD_SECONDS: ClassVar[float]

    def reload(self) -> None:
        """Loads the rows of the current filter."""
        raise NotImplementedError

    def on_mount(self) -> None:
        self.set_interval(self.RELOAD_SECONDS, self._reload_if_shown)

    @on(events.ScreenResume)
    def _reload_if_resumed(self) -> None:
        self.reload()

    def _reload_if_shown(self) -> None:
        # While disconnected the stream's retries are enough, and the banner shows the error.
        if self.is_current and not self.session.connection_error:
            self.reload()


def curl(session: Session) -> str:
    """A command that works unchanged in open mode; else with a key filled in."""
    # Open mode accepts any key.
    key = "anything" if session.gateway.mode == "open" else "YOUR_KEY"
    return (
        f"curl -H 'x-goog-api-key: {key}' -H 'Content-Type: application/json' \\\n"
        """  -d '{"contents":[{"parts":[{"text":"Hello"}]}]}' \\\n"""
        f"  {session.client.url}{PATH}"
    )


def welcome(session: Session) -> Content:
    """The text of an empty log."""
    return Content.assemble(
        "No calls yet. Send one:\n\n",
        (curl(session), "$accent"),
        "\n\nIt will appear here at once.   ",
        ("y", "bold $accent"),
        " copy the command   ",
        ("4", "bold $accent"),
        " create a key   ",
        ("?", "bold $accent"),
        " help",
    )


class DetailScreen(StyledOnce, Screen[None]):
    """A page whose first text is `first_text`."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("q,escape", "app.pop_screen", "back"),
        Binding("down", "scroll(1)", "down", show=False),
        Binding("up", "scroll(-1)", "up", show=False),
        Binding("g,home", "scroll_home", "top", show=False),
        Binding("G,end", "scroll_end", "end", show=False),
    ]
    DEFAULT_CSS = """
    DetailScreen VerticalScroll { padding: 1 1 0 1; scrollbar-size: 0 0; }
    DetailScreen Static { height: auto; }
    """

    def compose(self) -> ComposeResult:
        with VerticalScroll():
            yield Static(self.first_text())
        yield Footer()

    def first_text(self) -> Content:
        """What is shown first."""
        raise NotImplementedError

    def show_text(self, text: Content) -> None:
        """Shows another text."""
        self.query_one(Static).update(text)

    def show_status(self, text: str, role: TextRole = TextRole.SUCCESS) -> None:
        """Shows a line in the footer for a few seconds."""
        self.query_one(Footer).show_status(text, role)

    def action_scroll(self, by: int) -> None:
        # At once, so that several in a row add up.
        self.query_one(VerticalScroll).scroll_relative(y=by, animate=False, immediate=True)

    def action_scroll_home(self) -> None:
        self.query_one(VerticalScroll).scroll_home(animate=False)

    def action_scroll_end(self) -> None:
        self.query_one(VerticalScroll).scroll_end(animate=False)
