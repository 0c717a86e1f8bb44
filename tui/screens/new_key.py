"""Makes a key: the dialog with its limits, and the one moment in which its secret is shown."""

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
from gatekeeper.client.api_types import STORED, NewKey
from gatekeeper.client.formats import Tone
from gatekeeper.client.list_columns import of_one
from tui.screens.dialog import Dialog, key_help
from tui.terminal import Shell, told

# An alias is free text: what could lead out of the folder is not for a file's name.
UNSAFE = re.compile(r"[^\w.-]+")
NUMBER = re.compile(r"[0-9]+(\.[0-9]+)?")


def words(text: str) -> object:
    """A list, separated by commas or blanks."""
    return [word for word in re.split(r"[\s,]+", text) if word]


def number(text: str) -> object:
    """A JSON number as it was typed, no float in between; anything else is left for the gateway to refuse."""
    return msgspec.Raw(text.encode()) if NUMBER.fullmatch(text) else text


def plain(text: str) -> object:
    """Text as it is."""
    return text


@dataclass(frozen=True, slots=True)
class Field:
    """One line of the form: the contract's field, what it is called here, an example, how it is read, and
    what the key may do without it."""

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
    Field("rpm_limit", "calls a minute", f"a number: 600 ({STORED})", number),
    Field("tags", "tags", "none, or several: checkout eu", words),
    Field("duration", "expires in", "never, or a time: 90d", plain, "never expires"),
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
    NewKeyDialog .meaning { margin: 1 0 0 0; }
    """

    def __init__(self, client: Client) -> None:
        super().__init__()
        self._client = client
        self._filled: set[str] = set()
        self._asked = False

    def compose(self) -> ComposeResult:
        with Vertical():
            yield Static(Content("New key"), classes="title")
            for field in FIELDS:
                with Horizontal():
                    yield Label(field.title)
                    yield Input(placeholder=field.hint, id=field.name)
            yield Static(classes="meaning")
            yield Static(classes="fault")
            yield Static(key_help(enter="make it", tab="next field", esc="cancel"), classes="keys")

    def on_mount(self) -> None:
        self.query(Input).first().focus()
        self._tell_meaning()

    def _typed(self) -> dict[Field, str]:
        return {field: self.query_one(f"#{field.name}", Input).value for field in FIELDS}

    @on(Input.Changed)
    def _changed(self, event: Input.Changed) -> None:
        self._asked = False
        if event.value:
            self._filled.add(event.input.id or "")
        self._tell_meaning()

    def _tell_meaning(self) -> None:
        """What the key may do without the fields that are empty, said before it is made."""
        free = [field.without for field, text in self._typed().items() if field.without and not text]
        self.query_one(".meaning", Static).update(told(" · ".join(free), Tone.LIMIT))

    @on(Input.Submitted)
    def _submitted(self) -> None:
        """Makes the key. Blanks are no value, and a limit that was there and is gone is asked about once."""
        typed = self._typed()
        blank = next((field for field, text in typed.items() if text and not text.strip(", \t")), None)
        gone = [
            field
            for field, text in typed.items()
            if not text and field.without and field.name in self._filled
        ]
        if blank:
            self.query_one(f"#{blank.name}", Input).focus()
            self.refuse(f"{blank.title}: there are only blanks; fill it in, or clear it ({blank.hint}).")
        elif gone and not self._asked:
            self._asked = True
            cleared = "; ".join(f"{field.title} was cleared: {field.without}" for field in gone)
            self.refuse(f"{cleared}. enter again makes it so.")
        else:
            self._make({field.name: field.read(text.strip()) for field, text in typed.items() if text})

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
            yield Static(told(of_one(self._key), Tone.LIMIT))
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
            path = save_secret(self._key, self._folder or Path.cwd())
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
            # The next esc is meant.
            self._kept = True
            self._tell("It is neither copied nor saved. esc again closes, and it is gone.", "$warning")


def save_secret(key: NewKey, folder: Path) -> Path:
    """Writes the secret to `ALIAS.key` in the folder, mode 0600. Never over a file that is there already.

    Raises OSError where the file exists or the folder takes none.
    """
    path = folder / f"{UNSAFE.sub('-', key.label).strip('.-') or 'gatekeeper'}.key"
    # Created with its final mode: at no moment can others read it.
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(f"{key.key}\n")
    return path
