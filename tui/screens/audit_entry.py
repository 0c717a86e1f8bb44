"""The detail screen of one change of the audit log."""

from __future__ import annotations

from typing import ClassVar

import msgspec
from textual import getters, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import Screen
from textual.widgets import Static

from gatekeeper.client.audit_text import changed_thing
from gatekeeper.client.audit_types import AuditChange
from gatekeeper.client.formats import TextRole
from tui.audit_columns import entry_lines
from tui.session import Session
from tui.terminal import ClipboardApp, lines
from tui.widgets.filter_line import ShowCalls, ShowKeys, term
from tui.widgets.frame import Footer


class AuditEntry(Screen[None]):
    """All of a change; it never changes, so nothing is loaded."""

    app = getters.app(ClipboardApp)

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "copy", "copy", tooltip="copy the change as JSON"),
        Binding("o", "key", "its key", tooltip="show the changed key among the keys"),
        Binding("c", "calls", "its calls", tooltip="show the calls of the changed key"),
        Binding("escape", "app.pop_screen", "back"),
        Binding("j,down", "scroll(1)", "down", show=False),
        Binding("k,up", "scroll(-1)", "up", show=False),
        Binding("g,home", "scroll_home", "top", show=False),
        Binding("G,end", "scroll_end", "end", show=False),
    ]
    DEFAULT_CSS = """
    AuditEntry VerticalScroll { padding: 1 1 0 1; scrollbar-size: 0 0; }
    AuditEntry Static { height: auto; }
    """

    def __init__(self, session: Session, change: AuditChange) -> None:
        super().__init__()
        self._session = session
        self._change = change

    def compose(self) -> ComposeResult:
        with VerticalScroll():
            yield Static(lines(entry_lines(self._change)))
        yield Footer()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:  # noqa: ARG002
        """Only a key can be shown, and has calls."""
        return action not in ("key", "calls") or self._change.token_id is not None

    @work
    async def action_copy(self) -> None:
        text = msgspec.json.format(msgspec.json.encode(self._change)).decode()
        copied = await self.app.copy(text)
        self.query_one(Footer).show_status(f"✓ change {self._change.id} {copied}", TextRole.SUCCESS)

    def action_key(self) -> None:
        self.post_message(ShowKeys(changed_thing(self._change)))
        self.dismiss()

    def action_calls(self) -> None:
        self.post_message(ShowCalls(term("key", self._change.token_id)))
        self.dismiss()

    def action_scroll(self, by: int) -> None:
        self.query_one(VerticalScroll).scroll_relative(y=by, animate=False, immediate=True)

    def action_scroll_home(self) -> None:
        self.query_one(VerticalScroll).scroll_home(animate=False)

    def action_scroll_end(self) -> None:
        self.query_one(VerticalScroll).scroll_end(animate=False)
