"""What opens over a screen: dialogs, the two that ask before something is done, and help."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar, TypeVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from gatekeeper.client.formats import Cell, Tone, harmless
from tui.terminal import lines, told
from tui.widgets.frame import KEYS

T = TypeVar("T")

# What the signs of lists mean.
SIGNS = (
    ("✓", Tone.FINE, "went well"),
    ("◌", Tone.WAITING, "in flight, with its running time"),
    ("⊘", Tone.LIMIT, "refused or cut by the gateway; a budget used up"),
    ("↯", Tone.LIMIT, "the client left"),
    ("✗", Tone.ERROR, "failed: Google's error, a broken answer, a gateway that died"),
    ("●", Tone.FINE, "a key that may call"),
    ("○", Tone.FAINT, "a key that may not: blocked or expired"),
    ("?", Tone.LIMIT, "a cost that nobody knows, as no price is known"),
    ("–", Tone.FAINT, "nothing, or not reported"),
)


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


class HelpScreen(ModalScreen[None]):
    """The keys that work here, as it is given them, and what the signs mean."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,question_mark,q,enter", "dismiss", "back"),
        Binding("j,down", "scroll(1)", show=False),
        Binding("k,up", "scroll(-1)", show=False),
    ]
    DEFAULT_CSS = """
    HelpScreen { align: center middle; background: transparent; }
    HelpScreen VerticalScroll {
        width: 72;
        max-width: 100%;
        height: auto;
        max-height: 100%;
        padding: 1 2;
        border: solid $accent;
        background: $background;
        scrollbar-size: 0 0;
    }
    """

    def __init__(self, bindings: Iterable[Binding]) -> None:
        super().__init__()
        self._bindings_here = list(bindings)

    def compose(self) -> ComposeResult:
        signs = [[(f"{sign:>12}", tone), (f"  {meaning}", Tone.PLAIN)] for sign, tone, meaning in SIGNS]
        head: list[Cell] = [("keys here", Tone.FAINT)]
        with VerticalScroll():
            yield Static(lines([head, *key_lines(self._bindings_here), [], [("signs", Tone.FAINT)], *signs]))

    def action_scroll(self, by: int) -> None:
        self.query_one(VerticalScroll).scroll_relative(y=by, animate=False)


def key_lines(bindings: Iterable[Binding]) -> list[list[Cell]]:
    """What can be done, each with all its keys."""
    keys: dict[str, list[str]] = {}
    for binding in bindings:
        if binding.description:
            keys.setdefault(binding.description, []).append(KEYS.get(binding.key, binding.key))
    return [
        [(f"{' '.join(names):>12}", Tone.ACCENT), (f"  {what}", Tone.PLAIN)] for what, names in keys.items()
    ]
