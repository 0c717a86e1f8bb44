"""The dialog that shows all that is known of a key: its limits, policies, rates and spend."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Grid, VerticalScroll
from textual.widgets import Static

from gatekeeper.client.columns import TextRole
from gatekeeper.client.formats import plain_moment
from gatekeeper.client.key_text import key_details
from gatekeeper.client.key_types import Key, LimitedAccount
from tui.screens.dialog import ScrolledDialog, key_help
from tui.terminal import styled_text


class KeyDetails(ScrolledDialog):
    """`now` tells what is over."""

    # Groups and end users have no such things.
    KEYS_ONLY = ("expires", "last used", "tags", "role", "group", "user")

    BINDINGS: ClassVar[list[BindingType]] = [Binding("i,q,enter", "dismiss", "back")]
    DEFAULT_CSS = """
    KeyDetails Grid { grid-size: 2; grid-columns: 12 1fr; grid-rows: auto; height: auto; }
    """

    def __init__(self, key: Key, now: datetime) -> None:
        super().__init__()
        self._key = key
        self._now = now
        self._left_out = self.KEYS_ONLY if isinstance(key, LimitedAccount) else ()

    def compose(self) -> ComposeResult:
        with VerticalScroll():
            yield Static(styled_text(self._key.label), classes="title")
            with Grid():
                for name, value in key_details(self._key, self._now, lambda at: plain_moment(at, self._now)):
                    if value and name != "alias" and name not in self._left_out:
                        yield Static(styled_text(name, TextRole.DIM))
                        yield Static(styled_text(value))
            yield Static(key_help(esc="back", j="down", k="up"), classes="keys")
