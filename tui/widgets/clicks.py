"""Text that stands for a key: a click on it is a press of the key."""

from __future__ import annotations

from textual import events, getters
from textual.content import Content
from textual.style import Style
from textual.widget import Widget

from tui.shell import Shell

KEY = "key"


class Keyed(Widget):
    """A widget with such texts."""

    app = getters.app(Shell)

    def on_click(self, event: events.Click) -> None:
        key = event.style.meta.get(KEY)
        if isinstance(key, str):
            self.app.simulate_key(key)


def clickable(text: Content, key: str) -> Content:
    """The same text, standing for a key."""
    return text.stylize(Style.from_meta({KEY: key}))
