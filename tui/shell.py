"""The application as its screens know it, apart from which screens there are."""

from __future__ import annotations

from textual.app import App

from tui.clipboard import copy


class Shell(App[None]):
    """Shows screens, and copies for them."""

    async def copy(self, text: str) -> str:
        """Copies, and says in a few words where to."""
        return await copy(text, self.copy_to_clipboard)
