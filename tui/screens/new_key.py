"""Creates a key: the dialog with its fields, and the dialog that shows its secret once."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import msgspec
from textual import getters, on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.widgets import Input, Label, Static

from gatekeeper.client.admin_api import Client
from gatekeeper.client.api_errors import ApiError
from gatekeeper.client.api_types import NewKey
from gatekeeper.client.formats import TextRole
from tui.screens.dialog import Dialog, key_help
from tui.terminal import ClipboardApp, styled_text

# An alias is free text: characters that could lead out of the folder are replaced in a file name.
UNSAFE = re.compile(r"[^\w.-]+")
NUMBER = re.compile(r"[0-9]+(\.[0-9]+)?")


def words(text: str) -> object:
    """A list, separated by commas or spaces."""
    return [word for word in re.split(r"[\s,]+", text) if word]


def number(text: str) -> object:
    """A JSON number as typed, without conversion to float; other text is left for the gateway to reject."""
    return msgspec.Raw(text.encode()) if NUMBER.fullmatch(text) else text


def plain(text: str) -> object:
    """The text unchanged."""
    return text


@dataclass(frozen=True, slots=True)
class Field:
    """A field of the form: the API's name, its label, an example, how it is parsed, and what the key may
    do without it."""

    name: str
    title: str
    hint: str
    read: Callable[[str], object] = plain
    without: str = ""


FIELDS = (
    Field("key_alias", "alias", "web-frontend"),
    Field("models", "models", "any, or globs: gemini-2.5-flash* gemini-2.5-pro", words, "any model"),
    Field(
        "max_budget",
        "budget",
        "none, or dollars: 20",
        number,
        "no budget: this key can spend without limit",
    ),
    Field("budget_duration", "budget per", "ever, or a time: 30d 1mo"),
    Field("rpm_limit", "calls a minute", "no limit, or a number: 600", number),
    Field("tags", "tags", "none, or several: checkout eu", words),
    Field("duration", "expires in", "never, or a time: 90d", plain, "never expires"),
)


class NewKeyDialog(Dialog[NewKey]):
    """Stays open and shows the gateway's error where the gateway rejects the fields."""

    BINDINGS: ClassVar[list[BindingType]] = [
        # With priority they take effect at once, so that text typed right after them is in the next field.
        Binding("tab,down", "app.focus_next", show=False, priority=True),
        Binding("shift+tab,up", "app.focus_previous", show=False, priority=True),
    ]
    DEFAULT_CSS = """
    NewKeyDialog Horizontal { height: 1; }
    NewKeyDialog Horizontal Label { width: 16; text-style: dim; }
    NewKeyDialog .missing-limits { margin: 1 0 0 0; }
    """

    def __init__(self, client: Client) -> None:
        super().__init__()
        self._client = client
        self._filled: set[str] = set()
        self._confirmed = False

    def compose(self) -> ComposeResult:
        with Vertical():
            yield Static(Content("New key"), classes="title")
            for field in FIELDS:
                with Horizontal():
                    yield Label(field.title)
                    yield Input(placeholder=field.hint, id=field.name)
            yield Static(classes="missing-limits")
            yield Static(classes="error")
            yield Static(key_help(enter="create", tab="next field", esc="cancel"), classes="keys")

    def on_mount(self) -> None:
        self.query(Input).first().focus()
        self._show_missing_limits()

    def _typed(self) -> dict[Field, str]:
        return {field: self.query_one(f"#{field.name}", Input).value for field in FIELDS}

    @on(Input.Changed)
    def _changed(self, event: Input.Changed) -> None:
        self._confirmed = False
        if event.value:
            self._filled.add(event.input.id or "")
        self._show_missing_limits()

    def _show_missing_limits(self) -> None:
        """Shows what the key may do without the empty fields, before it is created."""
        missing = [field.without for field, text in self._typed().items() if field.without and not text]
        self.query_one(".missing-limits", Static).update(styled_text(" · ".join(missing), TextRole.WARNING))

    @on(Input.Submitted)
    def _submitted(self) -> None:
        """Creates the key. Blank values are rejected, and cleared limits need a second enter."""
        typed = self._typed()
        blank = next((field for field, text in typed.items() if text and not text.strip(", \t")), None)
        gone = [
            field
            for field, text in typed.items()
            if not text and field.without and field.name in self._filled
        ]
        if blank:
            self.query_one(f"#{blank.name}", Input).focus()
            self.show_error(f"{blank.title}: there are only spaces; fill it in, or clear it ({blank.hint}).")
        elif gone and not self._confirmed:
            self._confirmed = True
            cleared = "; ".join(f"{field.title} was cleared: {field.without}" for field in gone)
            self.show_error(f"{cleared}. Press enter again to confirm.")
        else:
            self._create({field.name: field.read(text.strip()) for field, text in typed.items() if text})

    @work(exclusive=True)
    async def _create(self, fields: dict[str, object]) -> None:
        try:
            self.dismiss((await self._client.key_generate(fields)).value)
        except ApiError as error:
            self.show_error(str(error))


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

    def __init__(self, key: NewKey, folder: Path | None = None) -> None:
        """`folder` is where `s` saves to; None for the current one."""
        super().__init__()
        self._key = key
        self._folder = folder
        self._may_close = False

    def compose(self) -> ComposeResult:
        with Vertical():
            yield Static(styled_text(f"The secret of {self._key.label}"), classes="title")
            yield Static(Content(self._key.key), classes="secret")
            yield Static(Content("It is shown only once: the gateway stores only its hash."))
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
