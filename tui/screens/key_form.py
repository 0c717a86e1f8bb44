"""The form of a key's fields: a new key, and a change of one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import datetime
from typing import ClassVar, TypeVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, VerticalScroll
from textual.content import Content
from textual.widgets import Input, Label, Static

from gatekeeper.client.admin_api import Client
from gatekeeper.client.api_errors import ApiError
from gatekeeper.client.columns import TextRole
from gatekeeper.client.key_text import budget_cell
from gatekeeper.client.key_types import Key, NewKey
from tui.key_fields import FIELDS, Field, Unreadable, read_changes, texts_of
from tui.screens.dialog import ChangeDialog, key_help
from tui.terminal import styled_text, update

T = TypeVar("T")
Change = Callable[[dict[str, object]], Awaitable[object]]
Clock = Callable[[], datetime]


class KeyForm(ChangeDialog[T]):
    """One line for each field, which also show what the gateway rejects."""

    BINDINGS: ClassVar[list[BindingType]] = [
        # With priority they take effect at once, so that text typed right after them is in the next field.
        Binding("tab,down", "app.focus_next", show=False, priority=True),
        Binding("shift+tab,up", "app.focus_previous", show=False, priority=True),
    ]
    DEFAULT_CSS = """
    KeyForm > VerticalScroll {
        width: 78;
        padding: 0 2;
    }
    KeyForm Horizontal { height: 1; }
    KeyForm Horizontal Label { width: 17; text-style: dim; }
    KeyForm Input { width: 1fr; }
    KeyForm .error { margin: 0; }
    """

    def __init__(self, before: dict[Field, str], clock: Clock, verb: str, command: str) -> None:
        """`before`: the text of each field at first; `verb`: what enter does; `command` has all fields."""
        super().__init__()
        self._before = before
        self._clock = clock
        self._verb = verb
        self._command = command
        self._filled = {field for field, text in before.items() if text}
        self._confirmed = False

    def compose(self) -> ComposeResult:
        with VerticalScroll(can_focus=False):
            yield Static(self._title(), classes="title")
            for field, text in self._before.items():
                with Horizontal():
                    yield Label(field.title)
                    yield Input(text, placeholder=field.hint, id=field.name)
            yield Static(classes="missing-limits")
            yield Static(classes="error")
            keys = key_help(enter=self._verb, tab="next", esc="cancel")
            yield Static(Content.assemble(keys, (f"   more: {self._command}", "dim")), classes="keys")

    def on_mount(self) -> None:
        self._show_missing_limits()

    def _title(self) -> Content:
        raise NotImplementedError

    async def _send(self, changes: dict[str, object]) -> T:
        """Has the gateway do it. Raises ApiError."""
        raise NotImplementedError

    def _input(self, field: Field) -> Input:
        return self.query_one(f"#{field.name}", Input)

    def _typed(self) -> dict[Field, str]:
        return {field: self._input(field).value for field in self._before}

    @on(Input.Changed)
    def _changed(self) -> None:
        self._confirmed = False
        self._filled.update(field for field, text in self._typed().items() if text)
        self._show_missing_limits()

    def _show_missing_limits(self) -> None:
        """Shows what the key may do without the empty fields, before it is made."""
        missing = [field.without for field, text in self._typed().items() if field.is_limit and not text]
        text = styled_text(" · ".join(missing), TextRole.WARNING)
        update(self.query_one(".missing-limits", Static), text)

    @on(Input.Submitted)
    def _submitted(self) -> None:
        """Sends what was changed. Cleared fields need a second enter."""
        typed = self._typed()
        try:
            changes = read_changes(self._before, typed, self._clock())
        except Unreadable as error:
            self._show_error_of(error.field.name, str(error))
            return
        gone = [field for field, text in typed.items() if not text and field in self._filled]
        if gone and not self._confirmed:
            self._confirmed = True
            cleared = "; ".join(f"{field.title} was cleared: {field.without}" for field in gone)
            self._show_error_of(None, f"{cleared}. Press enter again to confirm.")
        else:
            self.change(self._send(changes))

    async def refused(self, error: ApiError) -> None:
        self._show_error_of(error.problem.field, str(error))

    def _show_error_of(self, name: str | None, text: str) -> None:
        """Shows an error, and leads to its field if it is one of the form's."""
        for field in self._before:
            if field.name == name:
                self.set_focus(self._input(field))
        self.show_error(text)
        # On a small screen it is below what is visible.
        self.call_after_refresh(self.query_one(".error").scroll_visible, animate=False)


class NewKeyDialog(KeyForm[NewKey | None]):
    """Creates a key."""

    def __init__(self, client: Client, clock: Clock) -> None:
        super().__init__(dict.fromkeys(FIELDS, ""), clock, "create", "gatekeeper keys create")
        self._client = client

    def _title(self) -> Content:
        return Content("New key")

    async def _send(self, changes: dict[str, object]) -> NewKey:
        return (await self._client.key_generate(changes)).value


class EditDialog(KeyForm[Sequence[str] | None]):
    """Changes a key; the result has the titles of the changed fields.

    The gateway refuses a change of what somebody else has changed meanwhile: then the fields that were not
    touched show what they are now, and those that were keep what was typed.
    """

    # What is changed most often.
    AUTO_FOCUS = "#max_budget"

    def __init__(
        self,
        key: Key,
        fields: Iterable[Field],
        clock: Clock,
        change: Change,
        read: Callable[[], Awaitable[Key]],
        command: str = "gatekeeper keys edit",
    ) -> None:
        """`change` sends the changed fields, `read` loads the key again."""
        super().__init__(texts_of(key, fields), clock, "save", command)
        self._key = key
        self._change = change
        self._read = read

    def _title(self) -> Content:
        spent, _ = budget_cell(self._key)
        return Content.assemble(styled_text(self._key.label), styled_text(f"   spent {spent}", TextRole.DIM))

    async def _send(self, changes: dict[str, object]) -> Sequence[str]:
        if changes:
            expected = {"updated_at": self._key.updated_at} if self._key.updated_at else {}
            await self._change({**changes, **expected})
        return [field.title for field in self._before if field.name in changes]

    async def refused(self, error: ApiError) -> None:
        if error.problem.field != "updated_at":
            await super().refused(error)
            return
        try:
            self._reload(await self._read())
        except ApiError as failed:
            self.show_error(str(failed))

    def _reload(self, key: Key) -> None:
        """Shows what the key is now, where nothing else was typed."""
        typed, now = self._typed(), texts_of(key, self._before)
        theirs = [field for field in self._before if now[field] != self._before[field]]
        with self.prevent(Input.Changed):
            for field in theirs:
                if typed[field] == self._before[field]:
                    self._input(field).value = now[field]
        self._key, self._before = key, now
        self._filled = {field for field, text in now.items() if text}
        self._show_missing_limits()
        changed = "; ".join(f"{field.title} is now {now[field] or 'empty'}" for field in theirs)
        text = f"Somebody else has changed it meanwhile: {changed or 'other fields'}."
        self._show_error_of(None, f"{text} What you typed is kept: enter saves it.")
