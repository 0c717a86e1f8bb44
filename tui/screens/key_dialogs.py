"""The dialogs about one key: all that is known of it, a new secret, and the request for one."""

from __future__ import annotations

import os
import re
from datetime import datetime
from pathlib import Path
from typing import ClassVar

from textual import getters, on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Grid, Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.widgets import Input, Label, Static

from gatekeeper.client.admin_api import Client
from gatekeeper.client.columns import TextRole
from gatekeeper.client.formats import plain_moment, timestamp
from gatekeeper.client.key_text import key_details
from gatekeeper.client.key_types import Key, LimitedAccount, NewKey
from tui.screens.dialog import ChangeDialog, Dialog, ScrolledDialog, key_help
from tui.terminal import ClipboardApp, styled_text

# An alias is free text: characters that could lead out of the folder are replaced in a file name.
UNSAFE = re.compile(r"[^\w.-]+")

# The suggested grace of an old secret: long enough for a deployment on the next morning.
GRACE = "24h"


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


class RotateDialog(ChangeDialog[NewKey | None]):
    """Asks how long the old secret goes on working."""

    DEFAULT_CSS = """
    RotateDialog Horizontal { height: 1; margin: 1 0 0 0; }
    RotateDialog Horizontal Label { width: 26; text-style: dim; }
    RotateDialog Input { width: 1fr; }
    RotateDialog .consequence { margin: 1 0 0 0; }
    """

    def __init__(self, client: Client, key: Key, now: datetime) -> None:
        super().__init__()
        self._client = client
        self._key = key
        self._now = now

    def compose(self) -> ComposeResult:
        with Vertical():
            yield Static(styled_text(f"Rotate {self._key.label}"), classes="title")
            yield Static(styled_text("It gets a new secret, shown once. All else of it stays as it is."))
            with Horizontal():
                yield Label("the old secret works for")
                yield Input(GRACE, placeholder="not at all, or a time up to 90d: 24h")
            yield Static(classes="consequence")
            yield Static(classes="error")
            yield Static(key_help(enter="rotate", esc="cancel"), classes="keys")

    @on(Input.Changed)
    def _show_consequence(self) -> None:
        """Says what becomes of the secrets."""
        grace = self.query_one(Input).value.strip()
        old = f"The old secret ({self._key.key_name})"
        if grace:
            text, role = f"{old} works for {grace} more, beside the new one.", TextRole.PLAIN
        else:
            text, role = f"{old} is refused at once, wherever it is in use.", TextRole.WARNING
        if has_old_secret(self._key, self._now):
            text += f" The one before it ({self._key.previous_key_name}) is refused at once."
        self.query_one(".consequence", Static).update(styled_text(text, role))

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        self.change(self._rotate(event.value.strip() or None))

    async def _rotate(self, grace: str | None) -> NewKey | None:
        return (await self._client.key_regenerate(self._key.token_id, grace)).value


def has_old_secret(key: Key, now: datetime) -> bool:
    """Whether the secret before the last rotation works still."""
    return key.previous_expires is not None and key.previous_expires > now


def old_secret_text(before: Key, after: Key) -> str:
    """What has become of the secret that was replaced."""
    if after.previous_expires:
        return f"The old one ({before.key_name}) works until {timestamp(after.previous_expires, 'minutes')}."
    return f"The old one ({before.key_name}) is refused from now on."
