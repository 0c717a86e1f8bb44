"""Makes a key: the dialog with its limits, and the one moment in which its secret is shown."""

from __future__ import annotations

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

from tui import secret_file
from tui.client import Client
from tui.documents import NewKey
from tui.errors import ApiError
from tui.screens.dialog import Dialog, key_help
from tui.shell import Shell
from tui.theme import told

NUMBER = re.compile(r"\d+(\.\d+)?")


def words(text: str) -> object:
    """A list, separated by commas or blanks."""
    return re.split(r"[\s,]+", text)


def number(text: str) -> object:
    """A JSON number as it was typed, no float in between; anything else is left for the gateway to refuse."""
    return msgspec.Raw(text.encode()) if NUMBER.fullmatch(text) else text


def plain(text: str) -> object:
    """Text as it is."""
    return text


@dataclass(frozen=True, slots=True)
class Field:
    """One line of the form: the contract's field, what it is called here, an example, how it is read."""

    name: str
    title: str
    hint: str
    read: Callable[[str], object] = plain


FIELDS = (
    Field("key_alias", "alias", "web-frontend"),
    Field("models", "models", "any, or globs: gemini-2.5-flash* gemini-2.5-pro", words),
    Field("max_budget", "budget", "none, or dollars: 20", number),
    Field("budget_duration", "budget per", "ever, or a time: 30d 1mo"),
    Field("rpm_limit", "calls a minute", "as many as come, or a number: 600", number),
    Field("tags", "tags", "none, or several: checkout eu", words),
    Field("duration", "expires in", "never, or a time: 90d"),
)


class NewKeyDialog(Dialog[NewKey]):
    """Stays open with the gateway's reason when the gateway refuses."""

    BINDINGS: ClassVar[list[BindingType]] = [
        # With priority they move at once, so that what is typed right behind them is in the next field.
        Binding("tab,down", "app.focus_next", show=False, priority=True),
        Binding("shift+tab,up", "app.focus_previous", show=False, priority=True),
    ]
    DEFAULT_CSS = """
    NewKeyDialog Horizontal { height: 1; }
    NewKeyDialog Horizontal Label { width: 16; text-style: dim; }
    """

    def __init__(self, client: Client) -> None:
        super().__init__()
        self._client = client

    def compose(self) -> ComposeResult:
        with Vertical():
            yield Static(Content("New key"), classes="title")
            for field in FIELDS:
                with Horizontal():
                    yield Label(field.title)
                    yield Input(placeholder=field.hint, id=field.name)
            yield Static(classes="fault")
            yield Static(key_help(enter="make it", tab="next field", esc="cancel"), classes="keys")

    def on_mount(self) -> None:
        self.query(Input).first().focus()

    @on(Input.Submitted)
    def _submitted(self) -> None:
        self._make(self._fields())

    def _fields(self) -> dict[str, object]:
        """What was filled in; the rest is left to the gateway's defaults."""
        typed = {field: self.query_one(f"#{field.name}", Input).value.strip() for field in FIELDS}
        return {field.name: field.read(text) for field, text in typed.items() if text}

    @work(exclusive=True)
    async def _make(self, fields: dict[str, object]) -> None:
        try:
            self.dismiss((await self._client.key_generate(fields)).value)
        except ApiError as error:
            self.refuse(str(error))


class SecretDialog(Dialog[None]):
    """Shows a new secret, once. It can be copied or saved; leaving without either takes a second esc."""

    app = getters.app(Shell)

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "close", "close"),
        Binding("y", "copy", "copy"),
        Binding("s", "save", "save"),
    ]
    DEFAULT_CSS = """
    SecretDialog .secret { color: $accent; text-style: bold; margin: 0 0 1 0; }
    SecretDialog .told { margin: 1 0 0 0; }
    """

    def __init__(self, key: NewKey, folder: Path | None = None) -> None:
        """`folder` is where `s` saves to; the current one if None."""
        super().__init__()
        self._key = key
        self._folder = folder
        self._kept = False

    def compose(self) -> ComposeResult:
        with Vertical():
            yield Static(told(f"The secret of {self._key.label}"), classes="title")
            yield Static(Content(self._key.key), classes="secret")
            yield Static(
                Content("It is shown here and now only: the gateway keeps nothing that could tell it again.")
            )
            yield Static(classes="told")
            yield Static(key_help(y="copy", s="save to a file", esc="close"), classes="keys")

    def _tell(self, text: str, style: str) -> None:
        self.query_one(".told", Static).update(Content.styled(text, style))

    @work
    async def action_copy(self) -> None:
        told = await self.app.copy(self._key.key)
        self._kept = True
        self._tell(f"✓ {told}", "$success")

    def action_save(self) -> None:
        try:
            path = secret_file.save(self._key, self._folder or Path.cwd())
        except FileExistsError as error:
            self._tell(f"✗ {error.filename} is there already and was left alone: copy it instead.", "$error")
        except OSError as error:
            self._tell(f"✗ It could not be saved ({error.strerror}): copy it instead.", "$error")
        else:
            self._kept = True
            self._tell(f"✓ saved to {path}, for you alone to read", "$success")

    def action_close(self) -> None:
        if self._kept:
            self.dismiss()
        else:
            self._kept = True
            self._tell("It is neither copied nor saved. esc again closes, and it is gone.", "$warning")
