"""A line under the header: what stands between us and the gateway, and what to do. It goes by itself."""

from __future__ import annotations

from textual.widgets import Static

from gatekeeper.client.formats import Tone
from tui.theme import told


class Banner(Static):
    """Hidden while there is nothing to say."""

    DEFAULT_CSS = """
    Banner {
        height: auto;
        padding: 0 1;
        display: none;
    }
    Banner.-told { display: block; }
    """

    def tell(self, text: str) -> None:
        """Shows a fault, until `clear`."""
        self.update(told(f"✗ {text}", Tone.ERROR))
        self.add_class("-told")

    def clear(self) -> None:
        """Nothing stands between any more."""
        self.remove_class("-told")
