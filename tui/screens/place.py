"""What the main screens have in common: header, banner, footer, and how they say what went wrong."""

from __future__ import annotations

from typing import ClassVar

from textual import getters, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import Screen

from gatekeeper.client.api_errors import ApiError
from gatekeeper.client.formats import Tone
from tui.session import Session
from tui.shell import Shell
from tui.widgets.banner import Banner
from tui.widgets.filter_line import FilterLine
from tui.widgets.footer import Footer
from tui.widgets.header import Header


class Place(Screen[None]):
    """A main screen, reached by its digit. `NAME` is the one that the session's list of places has."""

    app = getters.app(Shell)

    NAME: ClassVar[str] = ""
    BINDINGS: ClassVar[list[BindingType]] = [Binding("slash", "filter", "filter", priority=True)]
    DEFAULT_CSS = """
    Place .blank {
        height: 1fr;
        padding: 1 1;
        display: none;
    }
    Place .blank.-told { display: block; }
    """

    def __init__(self, session: Session) -> None:
        super().__init__()
        self.session = session

    def compose(self) -> ComposeResult:
        yield Header(self.session, self.NAME)
        yield Banner()
        yield from self.body()
        yield Footer()

    def body(self) -> ComposeResult:
        """What stands between banner and footer."""
        raise NotImplementedError

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:  # noqa: ARG002
        """A slash within a filter is a slash."""
        return action != "filter" or not self.query_one(FilterLine).is_open

    def action_filter(self) -> None:
        self.query_one(FilterLine).open()

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

    def say(self, text: str, tone: Tone = Tone.FINE) -> None:
        """A line at the bottom, for a while."""
        self.query_one(Footer).say(text, tone)

    def fault(self, error: ApiError) -> None:
        """An error, as the same kind of line."""
        self.say(f"✗ {error}", Tone.ERROR)

    @work
    async def copy(self, text: str, what: str) -> None:
        """To the clipboard, and says so."""
        self.say(f"✓ {what} {await self.app.copy(text)}")
