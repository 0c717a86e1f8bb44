"""The dialog that shows a new secret, once."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import ClassVar

from textual import getters, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Static

from gatekeeper.client.key_types import NewKey
from tui.screens.dialog import Dialog, key_help
from tui.terminal import ClipboardApp, styled_text

# An alias is free text: characters that could lead out of the folder are replaced in a file name.
UNSAFE = re.compile(r"[^\w.-]+")


class SecretDialog(Dialog[None]):
    """Shows a new secret, once. It can be copied or saved; closing without either needs a second esc."""

    app = getters.app(ClipboardApp)

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "close", "close"),
        Binding("y", "copy", "copy"),
        Binding("s", "save", "save"),
    ]
    DEFAULT_CSS = """
    SecretDialog .secret { color: $accent; text-style: bold; margin: 0 0 1 0; }
    SecretDialog .note { margin: 1 0 0 0; }
    """

    def __init__(self, key: NewKey, folder: Path | None = None, old: str = "") -> None:
        """`folder` is where `s` saves to; None for the current one. `old`: what has become of the secret
        before it."""
        super().__init__()
        self._key = key
        self._old = old
        self._folder = folder
        self._may_close = False

    def compose(self) -> ComposeResult:
        with Vertical():
            yield Static(styled_text(f"The secret of {self._key.label}"), classes="title")
            yield Static(Content(self._key.key), classes="secret")
            yield Static(Content("It is shown only once: the gateway stores only its hash."))
            if self._old:
                yield Static(styled_text(self._old))
            yield Static(classes="note")
            yield Static(key_help(y="copy", s="save to a file", esc="close"), classes="keys")

    def _show_note(self, text: str, style: str) -> None:
        self.query_one(".note", Static).update(Content.styled(text, style))

    @work
    async def action_copy(self) -> None:
        copied = await self.app.copy(self._key.key)
        self._may_close = True
        self._show_note(f"✓ {copied}", "$success")

    def action_save(self) -> None:
        try:
            path = save_secret(self._key, self._folder or Path.cwd())
        except FileExistsError as error:
            self._show_note(
                f"✗ {error.filename} exists already and was not changed: copy it instead.", "$error"
            )
        except OSError as error:
            self._show_note(f"✗ It could not be saved ({error.strerror}): copy it instead.", "$error")
        else:
            self._may_close = True
            self._show_note(f"✓ saved to {path}, readable by you only", "$success")

    def action_close(self) -> None:
        if self._may_close:
            self.dismiss()
        else:
            # The next esc closes the dialog.
            self._may_close = True
            self._show_note("It is neither copied nor saved. esc again closes, and it is gone.", "$warning")


def save_secret(key: NewKey, folder: Path) -> Path:
    """Writes the secret to `ALIAS.key` in the folder, mode 0600. Never overwrites a file.

    Raises OSError where the file exists or cannot be created.
    """
    path = folder / f"{UNSAFE.sub('-', key.label).strip('.-') or 'gatekeeper'}.key"
    # Created with its final mode: at no moment can others read it.
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(f"{key.key}\n")
    return path
