"""The dialog that chooses a range of time: one key for each."""

from __future__ import annotations

from datetime import datetime, tzinfo
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Static

from tui.screens.dialog import Dialog, key_help
from tui.spend.periods import RANGES, Range
from tui.terminal import clickable


class RangeDialog(Dialog[Range]):
    """Returns the chosen range; None where it was cancelled."""

    BINDINGS: ClassVar[list[BindingType]] = [
        *(Binding(key, f"choose('{key}')", show=False) for key in RANGES),
    ]
    DEFAULT_CSS = """
    RangeDialog > Vertical { width: 46; }
    """

    def __init__(self, current: Range, now: datetime, zone: tzinfo) -> None:
        super().__init__()
        self._current, self._now, self._zone = current, now, zone

    def compose(self) -> ComposeResult:
        with Vertical():
            yield Static("Range of time", classes="title")
            yield Static(self._lines())
            yield Static(key_help(esc="cancel"), classes="keys")

    def _lines(self) -> Content:
        return Content("\n").join(self._line(key, one) for key, one in RANGES.items())

    def _line(self, key: str, one: Range) -> Content:
        sign = "▶" if one == self._current else " "
        title = one.title(self._now, self._zone)
        return clickable(Content.assemble(f"{sign} ", (key, "bold $accent"), f"  {title}"), key)

    def action_choose(self, key: str) -> None:
        self.dismiss(RANGES[key])
