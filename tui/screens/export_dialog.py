"""Asks for the file to which something is exported."""

from __future__ import annotations

from pathlib import Path

from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.widgets import Input, Static

from tui.screens.dialog import Dialog, key_help
from tui.terminal import styled_text


class ExportDialog(Dialog[Path]):
    """Its result is the path of a file that there is not yet."""

    DEFAULT_CSS = """
    ExportDialog Input, ExportDialog Input:focus { margin: 1 0 0 0; }
    """

    def __init__(self, what: str, suggested: str) -> None:
        super().__init__()
        self._what = what
        self._suggested = suggested

    def compose(self) -> ComposeResult:
        with Vertical():
            yield Static(styled_text(f"Export the {self._what}"), classes="title")
            yield Static(
                styled_text("All that the filter shows, older pages included, to a new file that only")
            )
            yield Static(styled_text("you can read: CSV, or NDJSON if its name ends in .ndjson."))
            yield Input(self._suggested, select_on_focus=False)
            yield Static(classes="error")
            yield Static(key_help(enter="export", esc="cancel"), classes="keys")

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        path = Path(event.value.strip()).expanduser().absolute()
        if path.suffix not in (".csv", ".ndjson"):
            self.show_error("The name has to end in .csv or .ndjson.")
        elif path.exists():
            self.show_error(f"{path} exists already: choose another name.")
        else:
            self.dismiss(path)
