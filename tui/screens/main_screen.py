"""What the main screens have in common: what is around their list, and how they say what went wrong.

A main screen is a `MainScreen` with its `TAB` and its `body`, and stands in the application's list of them.
What is shown where there is nothing yet is an `EmptyState`: on the first start, how to send the first call.
"""

from __future__ import annotations

from typing import ClassVar

from textual import getters, on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.screen import Screen
from textual.widgets import Static

from gatekeeper.client.api_errors import ApiError, Refused
from gatekeeper.client.formats import Tone
from tui.session import Session, Tab
from tui.terminal import Shell, told
from tui.widgets.filter_line import FilterLine
from tui.widgets.frame import Banner, Footer, Header
from tui.widgets.rows import Rows

# What the first call calls.
PATH = "/gemini/v1beta/models/gemini-2.5-flash:generateContent"


class EmptyState(Static):
    """Stands in the place of a list that holds nothing, and says why. Hidden while there is one."""

    DEFAULT_CSS = """
    EmptyState {
        height: 1fr;
        padding: 1 1;
        display: none;
    }
    EmptyState.-told { display: block; }
    """


class MainScreen(Screen[None]):
    """A main screen, reached by the digit of its tab. `HINT` is shown in a filter line that is empty."""

    app = getters.app(Shell)

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
        """What stands between filter line and footer: the list, and an `EmptyState` in its place."""
        raise NotImplementedError

    @property
    def rows(self) -> Rows:
        """The list."""
        raise NotImplementedError

    @property
    def is_loaded(self) -> bool:
        """Whether something has been read, which stays when it cannot be read again."""
        raise NotImplementedError

    @property
    def filter_line(self) -> FilterLine:
        return self.query_one(FilterLine)

    def on_mount(self) -> None:
        self.rows.focus()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:  # noqa: ARG002
        """A slash within a filter is a slash."""
        # Given up here, so that the key goes on to the line, where it is text.
        return action != "filter" or not self.filter_line.is_open

    def action_filter(self) -> None:
        self.filter_line.open()

    @on(FilterLine.Left)
    def _leave_filter(self) -> None:
        self.rows.focus()

    def on_screen_resume(self) -> None:
        self.show_link()

    def show_link(self) -> None:
        """Brings header and banner to what the session knows of the connection."""
        self.query_one(Header).refresh()
        banner = self.query_one(Banner)
        if self.session.trouble:
            banner.tell(self.session.trouble)
        else:
            banner.clear()

    def show_empty(self, empty: bool, otherwise: Content) -> None:
        """`otherwise` in the place of the list, where that is empty."""
        self.set_class(empty, "-empty")
        state = self.query_one(EmptyState)
        state.set_class(empty, "-told")
        state.update(otherwise)

    def say(self, text: str, tone: Tone = Tone.FINE) -> None:
        """A line at the bottom, for a while."""
        self.query_one(Footer).say(text, tone)

    def fault(self, error: ApiError) -> None:
        """An error, as the same kind of line."""
        self.say(f"✗ {error}", Tone.ERROR)

    def not_read(self, error: ApiError) -> None:
        """What was to be shown cannot be read: points at a filter that is none; what was shown stays."""
        if isinstance(error, Refused):
            self.filter_line.refuse(error.problem, str(error))
        elif self.is_loaded:
            self.fault(error)
        else:
            self.show_fault(error)

    def show_fault(self, error: ApiError) -> None:
        """The reason in the place of the list, where there is nothing else to show."""
        self.show_empty(empty=True, otherwise=told(f"✗ {error}", Tone.ERROR))

    @work
    async def copy(self, text: str, what: str) -> None:
        """To the clipboard, and says so."""
        self.say(f"✓ {what} {await self.app.copy(text)}")


class TableScreen(MainScreen):
    """Reads its table anew when it is shown, and every `AGAIN_SECONDS`."""

    AGAIN_SECONDS: ClassVar[float]

    def reload(self) -> None:
        """Reads what is asked for now."""
        raise NotImplementedError

    def on_mount(self) -> None:
        self.set_interval(self.AGAIN_SECONDS, self._again)

    def on_screen_resume(self) -> None:
        self.reload()

    def _again(self) -> None:
        # While the link is down the stream's own tries are enough, and the banner tells of it.
        if self.is_current and not self.session.trouble:
            self.reload()


def curl(session: Session) -> str:
    """A call that works as it stands in open mode; else with a key put in."""
    # In open mode any key is taken.
    key = "anything" if session.gateway.mode == "open" else "YOUR_KEY"
    return (
        f"curl -H 'x-goog-api-key: {key}' -H 'Content-Type: application/json' \\\n"
        """  -d '{"contents":[{"parts":[{"text":"Hello"}]}]}' \\\n"""
        f"  {session.client.url}{PATH}"
    )


def welcome(session: Session) -> Content:
    """The empty log."""
    return Content.assemble(
        "No calls yet. Send one:\n\n",
        (curl(session), "$accent"),
        "\n\nIt will appear here at once.   ",
        ("y", "bold $accent"),
        " copy the command   ",
        ("4", "bold $accent"),
        " make a key first   ",
        ("?", "bold $accent"),
        " help",
    )
