"""The dialog that gives a key a new secret."""

from __future__ import annotations

from datetime import datetime

from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.widgets import Input, Label, Static

from gatekeeper.client.admin_api import Client
from gatekeeper.client.columns import TextRole
from gatekeeper.client.formats import timestamp
from gatekeeper.client.key_types import Key, NewKey
from tui.screens.dialog import ChangeDialog, key_help
from tui.terminal import styled_text

# Long enough for a deployment on the next morning.
GRACE = "24h"


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
