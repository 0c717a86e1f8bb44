"""The detail screen of one change of the audit log."""

from __future__ import annotations

from typing import ClassVar

import msgspec
from textual import work
from textual.binding import Binding, BindingType
from textual.content import Content

from gatekeeper.client.audit import AuditChange, changed_thing
from tui.audit_columns import entry_lines
from tui.screens.detail_screen import DetailScreen
from tui.session import Session
from tui.terminal import lines
from tui.widgets.filter_line import ShowCalls, ShowKeys, term


class AuditEntry(DetailScreen):
    """All of a change; it never changes, so nothing is loaded."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "copy", "copy", tooltip="copy the change as JSON"),
        Binding("o", "key", "its key", tooltip="show the changed key among the keys"),
        Binding("c", "calls", "its calls", tooltip="show the calls of the changed key"),
        Binding("j", "scroll(1)", "down", show=False),
        Binding("k", "scroll(-1)", "up", show=False),
    ]

    def __init__(self, session: Session, change: AuditChange) -> None:
        super().__init__()
        self._session = session
        self._change = change

    def first_text(self) -> Content:
        return lines(entry_lines(self._change))

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:  # noqa: ARG002
        """Only a key can be shown, and has calls."""
        return action not in ("key", "calls") or self._change.token_id is not None

    @work
    async def action_copy(self) -> None:
        text = msgspec.json.format(msgspec.json.encode(self._change)).decode()
        copied = await self.app.copy(text)
        self.show_status(f"✓ change {self._change.id} {copied}")

    def action_key(self) -> None:
        self.post_message(ShowKeys(changed_thing(self._change)))
        self.dismiss()

    def action_calls(self) -> None:
        self.post_message(ShowCalls(term("key", self._change.token_id)))
        self.dismiss()
