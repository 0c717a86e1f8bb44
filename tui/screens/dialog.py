"""Modal screens: the base of dialogs, two confirmations, and a dialog that scrolls."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import ClassVar, TypeVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from gatekeeper.client.api_errors import ApiError
from gatekeeper.client.columns import TextRole
from gatekeeper.client.formats import sanitized
from tui.bindings import key_of_label
from tui.terminal import StyledOnce, clickable, styled_text, update

T = TypeVar("T")
# Then it is said that the gateway has not answered yet.
SLOW_SECONDS = 0.5


class Dialog(StyledOnce, ModalScreen[T]):
    """A frame in the middle of the screen; esc cancels, and q where it is not text."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss", "cancel"),
        Binding("q", "back", show=False),
    ]
    DEFAULT_CSS = """
    Dialog { align: center middle; background: transparent; }
    Dialog > Vertical, Dialog > VerticalScroll {
        width: 76;
        max-width: 100%;
        height: auto;
        max-height: 100%;
        padding: 1 2;
        border: solid $accent;
        background: $background;
        scrollbar-size: 0 0;
    }
    Dialog Static { height: auto; }
    Dialog .title { text-style: bold; margin: 0 0 1 0; }
    Dialog .keys { margin: 1 0 0 0; }
    Dialog Input, Dialog Input:focus { height: 1; border: none; padding: 0; background: transparent; }
    Dialog .error { color: $error; margin: 1 0 0 0; display: none; }
    """

    async def action_back(self) -> None:
        await self.app.go_back()

    def show_error(self, text: str) -> None:
        """Shows an error, and stays open."""
        self.show_in_error_line(styled_text(f"✗ {text}"))

    def show_in_error_line(self, content: Content) -> None:
        """Shows the line alone: for a class of the dialog all its fields would be styled again."""
        line = self.query_one(".error", Static)
        update(line, content)
        line.display = True

    def hide_error(self) -> None:
        self.query_one(".error", Static).display = False


class ChangeDialog(Dialog[T]):
    """A dialog that makes the gateway change something. It stays open until the gateway has responded,
    because the response may have a secret that is shown only once, and if the gateway refuses."""

    def __init__(self) -> None:
        super().__init__()
        self._is_sent = False

    @work
    async def change(self, sent: Coroutine[object, object, T]) -> None:
        """Returns the response as the dialog's result. Sent once, even if enter is pressed again."""
        if self._is_sent:
            sent.close()
            self._say_it_is_sent()
            return
        self._is_sent = True
        waiting = self.set_timer(SLOW_SECONDS, self._say_it_is_sent)
        try:
            result = await sent
        except ApiError as error:
            self._is_sent = False
            await self.refused(error)
        else:
            self.dismiss(result)
        finally:
            waiting.stop()

    async def refused(self, error: ApiError) -> None:
        """Shows why."""
        self.show_error(str(error))

    async def action_dismiss(self, result: T | None = None) -> None:
        if self._is_sent:
            self._say_it_is_sent()
        else:
            await super().action_dismiss(result)

    def _say_it_is_sent(self) -> None:
        told = "◌ Sent. This dialog stays open until the gateway answers."
        self.show_in_error_line(styled_text(told, TextRole.PENDING))


def key_help(**keys: str) -> Content:
    """The line of a dialog that shows its keys, which can be clicked."""
    parts = (
        clickable(Content.assemble((key, "bold $accent"), f" {what}"), key_of_label(key))
        for key, what in keys.items()
    )
    return Content("   ").join(parts)


class Confirm(Dialog[bool]):
    """Asks for confirmation by `y`."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "dismiss(True)", "yes"),
        Binding("n", "dismiss(False)", "no"),
    ]

    def __init__(self, question: str, consequence: str) -> None:
        super().__init__()
        self._question = question
        self._consequence = consequence

    def compose(self) -> ComposeResult:
        with Vertical():
            yield Static(styled_text(self._question), classes="title")
            yield Static(styled_text(self._consequence))
            yield Static(key_help(y="yes", esc="no"), classes="keys")


class TypeToConfirm(Dialog[bool]):
    """Asks to type the name, for what cannot be undone."""

    DEFAULT_CSS = """
    TypeToConfirm Input, TypeToConfirm Input:focus { margin: 1 0 0 0; }
    """

    def __init__(self, question: str, consequence: str, name: str) -> None:
        super().__init__()
        self._question = question
        self._consequence = consequence
        self._expected = name

    def compose(self) -> ComposeResult:
        with Vertical():
            yield Static(styled_text(self._question), classes="title")
            yield Static(styled_text(self._consequence))
            yield Static(Content.assemble("Type ", (sanitized(self._expected), "bold"), " to confirm:"))
            yield Input()
            yield Static(classes="error")
            yield Static(key_help(enter="delete", esc="cancel"), classes="keys")

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        if event.value == self._expected:
            self.dismiss(True)
        else:
            self.show_error("The name does not match: nothing was deleted.")


class ScrolledDialog(Dialog[None]):
    """Something to read, which scrolls where the screen is too low for all of it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j,down", "scroll(1)", show=False),
        Binding("k,up", "scroll(-1)", show=False),
        Binding("pagedown,ctrl+d", "page(1)", show=False),
        Binding("pageup,ctrl+u", "page(-1)", show=False),
        Binding("g,home", "page(-100)", show=False),
        Binding("G,end", "page(100)", show=False),
    ]
    DEFAULT_CSS = """
    ScrolledDialog > VerticalScroll {
        margin: 1 0;
        scrollbar-size: 1 1;
        scrollbar-color: $border;
        scrollbar-background: $background;
        border-title-color: $accent;
        border-title-style: bold;
        border-subtitle-color: $foreground;
    }
    """

    def action_scroll(self, by: int) -> None:
        self.query_one(VerticalScroll).scroll_relative(y=by, animate=False, immediate=True)

    def action_page(self, by: int) -> None:
        self.action_scroll(by * self.query_one(VerticalScroll).size.height)
