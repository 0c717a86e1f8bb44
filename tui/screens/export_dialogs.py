"""The dialogs that ask for the file of an export; that for calls also writes it."""

from __future__ import annotations

import asyncio
from pathlib import Path

from textual import on, work
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Input, Static

from gatekeeper.client.api_errors import ApiError
from gatekeeper.client.call_pages import FORMATS, CallLines, read_page
from gatekeeper.client.formats import pluralized
from tui.export_file import new_file, suggested_name
from tui.screens.dialog import Dialog, key_help
from tui.session import Session
from tui.terminal import styled_text


class Incomplete(Exception):
    """The gateway cannot reach all of the calls; the text says why."""


class ExportCalls(Dialog[str]):
    """Asks for the file's name; its extension chooses the format. The result says what was written."""

    DEFAULT_CSS = """
    ExportCalls .note { margin: 1 0 0 0; }
    """

    def __init__(self, session: Session, q: str) -> None:
        super().__init__()
        self._session = session
        self._q = q

    def compose(self) -> ComposeResult:
        of = f"that match {self._q}" if self._q else "of the ledger"
        with Vertical():
            yield Static(styled_text(f"Export all finished calls {of}"), classes="title")
            yield Static(Content("File (.csv or .ndjson), new, readable by you only:"))
            yield Input(suggested_name("calls", self._session.clock(), "csv"), select_on_focus=False)
            yield Static(classes="note")
            yield Static(classes="error")
            yield Static(key_help(enter="write", esc="cancel"), classes="keys")

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        path = Path(event.value.strip()).expanduser()
        if path.suffix.removeprefix(".") not in FORMATS:
            self.show_error(f"The name must end with .{' or .'.join(FORMATS)}.")
        else:
            self.hide_error()
            self._export(path)

    @work(exclusive=True)
    async def _export(self, path: Path) -> None:
        try:
            count = await self._write(path)
        except FileExistsError:
            self.show_error(f"{path} exists already, and was not changed: choose another name.")
        except OSError as error:
            self.show_error(f"{path} cannot be written: {error.strerror}. Choose another name.")
        except Incomplete as error:
            self.show_error(f"{error}, so the file would be incomplete: try again later.")
        except ApiError as error:
            self.show_error(str(error))
        else:
            self.dismiss(f"{pluralized(count, 'call')} written to {path}, readable by you only")

    async def _write(self, path: Path) -> int:
        lines, count, cursor, more = CallLines(path.suffix.removeprefix(".")), 0, None, True
        with new_file(path) as file:
            while more:
                page = await read_page(self._session.client, self._q or None, cursor)
                if page.missing:
                    raise Incomplete(page.missing)
                # In a thread: a page takes longer than a key press may wait.
                file.write(await asyncio.to_thread(lines.of, page.calls))
                count, cursor = count + len(page.calls), page.next_cursor
                more = cursor is not None
                self.query_one(".note", Static).update(f"◌ {pluralized(count, 'call')} written…")
        return count


class ExportDialog(Dialog[Path]):
    """Its result is the path of a file that does not exist yet."""

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
