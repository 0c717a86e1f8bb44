"""What dialogs look like, and the two that ask before something is done."""

from __future__ import annotations

from typing import ClassVar, TypeVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from gatekeeper.client.formats import harmless
from tui.theme import told

T = TypeVar("T")


class Dialog(ModalScreen[T]):
    """A frame in the middle of the screen; esc leaves it with nothing done."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "dismiss", "cancel")]
    DEFAULT_CSS = """
    Dialog { align: center middle; background: transparent; }
    Dialog > Vertical {
        width: 76;
        max-width: 100%;
        height: auto;
        max-height: 100%;
        padding: 1 2;
        border: solid $accent;
        background: $background;
    }
    Dialog Static { height: auto; }
    Dialog .title { text-style: bold; margin: 0 0 1 0; }
    Dialog .keys { margin: 1 0 0 0; }
    Dialog Input, Dialog Input:focus { height: 1; border: none; padding: 0; background: transparent; }
    Dialog .fault { color: $error; margin: 1 0 0 0; display: none; }
    Dialog.-faulty .fault { display: block; }
    """

    def refuse(self, text: str) -> None:
        """Says what is wrong, and stays."""
        self.query_one(".fault", Static).update(told(f"✗ {text}"))
        self.add_class("-faulty")


def key_help(**keys: str) -> Content:
    """Keys and what they do, as dialogs tell them."""
    parts = (Content.assemble((key, "bold $accent"), f" {what}") for key, what in keys.items())
    return Content("   ").join(parts)


class Confirm(Dialog[bool]):
    """Asks for `y`; nothing else does it."""

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
            yield Static(told(self._question), classes="title")
            yield Static(told(self._consequence))
            yield Static(key_help(y="yes", esc="no"), classes="keys")


class TypeToConfirm(Dialog[bool]):
    """Asks for a name to be typed, for what cannot be undone."""

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
            yield Static(told(self._question), classes="title")
            yield Static(told(self._consequence))
            yield Static(Content.assemble("Type ", (harmless(self._expected), "bold"), " to confirm:"))
            yield Input()
            yield Static(classes="fault")
            yield Static(key_help(enter="delete", esc="cancel"), classes="keys")

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        if event.value == self._expected:
            self.dismiss(True)
        else:
            self.refuse("That is another name: nothing was deleted.")
