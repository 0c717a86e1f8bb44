"""What the pages of one thing have in common: a text that scrolls, and the footer."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.screen import Screen
from textual.widgets import Static

from gatekeeper.client.columns import TextRole
from tui.terminal import StyledOnce
from tui.widgets.frame import Footer


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
