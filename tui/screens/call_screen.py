"""The detail screen of one call."""

from __future__ import annotations

from typing import ClassVar

import msgspec
from textual import getters, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.screen import Screen
from textual.widgets import Static

from gatekeeper.client.api_errors import ApiError
from gatekeeper.client.api_types import CallDetail
from gatekeeper.client.call_text import call_text
from gatekeeper.client.formats import TextRole
from tui.session import Session
from tui.terminal import ClipboardApp, lines, styled_text
from tui.widgets.filter_line import ShowCalls, similar_calls_filter
from tui.widgets.frame import Footer

RELOAD_SECONDS = 1.0


class CallScreen(Screen[None]):
    """Loads the call when opened, and every second while it is in flight."""

    app = getters.app(ClipboardApp)

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "copy_id", "copy id"),
        Binding("u", "usage", "raw usage"),
        Binding("m", "similar", "more like this"),
        Binding("escape", "app.pop_screen", "back"),
        Binding("j,down", "scroll(1)", "down", show=False),
        Binding("k,up", "scroll(-1)", "up", show=False),
        Binding("g,home", "scroll_home", "top", show=False),
        Binding("G,end", "scroll_end", "end", show=False),
    ]
    DEFAULT_CSS = """
    CallScreen VerticalScroll { padding: 1 1 0 1; scrollbar-size: 0 0; }
    CallScreen Static { height: auto; }
    """

    def __init__(self, session: Session, id: str) -> None:  # noqa: A002 - the API's name
        super().__init__()
        self._session = session
        self._call_id = id
        self._call: CallDetail | None = None
        self._raw = False

    def compose(self) -> ComposeResult:
        with VerticalScroll():
            yield Static(Content.styled("◌ loading the call…", "$secondary"))
        yield Footer()

    def on_mount(self) -> None:
        self._read()

    @work(exclusive=True)
    async def _read(self) -> None:
        try:
            self._call = (await self._session.client.call(self._call_id)).value
        except ApiError as error:
            self._show_error(error)
            return
        self._update_text(self._call)
        # A finished call does not change any more.
        if self._call.outcome is None:
            self.set_timer(RELOAD_SECONDS, self._read)

    def _show_error(self, error: ApiError) -> None:
        if self._call:
            self.query_one(Footer).show_status(f"✗ {error}", TextRole.ERROR)
        else:
            self.query_one(Static).update(styled_text(f"✗ {error}", TextRole.ERROR))

    def _update_text(self, call: CallDetail) -> None:
        # Without the padding on both sides.
        width = max(self.size.width - 2, 1)
        text = lines(call_text(call, width, self._session.clock()))
        if self._raw:
            text = Content("\n").join(
                [text, Content.styled("usage as Google sent it", "dim"), raw_usage(call)]
            )
        self.query_one(Static).update(text)

    def on_resize(self) -> None:
        if self._call:
            self._update_text(self._call)

    def action_usage(self) -> None:
        self._raw = not self._raw
        self.on_resize()
        if self._raw:
            self.query_one(VerticalScroll).scroll_end(animate=False)

    @work
    async def action_copy_id(self) -> None:
        self.query_one(Footer).show_status(f"✓ id {await self.app.copy(self._call_id)}", TextRole.SUCCESS)

    def action_similar(self) -> None:
        if self._call:
            self.post_message(ShowCalls(similar_calls_filter(self._call)))
            self.dismiss()

    def action_scroll(self, by: int) -> None:
        self.query_one(VerticalScroll).scroll_relative(y=by, animate=False)

    def action_scroll_home(self) -> None:
        self.query_one(VerticalScroll).scroll_home(animate=False)

    def action_scroll_end(self) -> None:
        self.query_one(VerticalScroll).scroll_end(animate=False)


def raw_usage(call: CallDetail) -> Content:
    """The usage as indented JSON."""
    if call.usage is None:
        return Content("none")
    return Content(msgspec.json.format(msgspec.json.encode(call.usage), indent=2).decode())
