"""Help: all keys that work on a screen, and what the signs mean."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.widgets import Static

from gatekeeper.client.columns import Cell, TextRole
from tui.bindings import Scope, key_label, keys_by_name
from tui.screens.dialog import ScrolledDialog
from tui.terminal import lines

KEY_WIDTH = 16
# The signs of lists and their meanings.
SIGNS = (
    ("✓", TextRole.SUCCESS, "succeeded"),
    ("◌", TextRole.PENDING, "in flight, with its running time"),
    ("⊘", TextRole.WARNING, "refused or cut by the gateway; a budget used up"),
    ("↯", TextRole.WARNING, "the client disconnected"),
    ("✗", TextRole.ERROR, "failed: at Google, on the way, or a killed gateway"),
    ("●", TextRole.SUCCESS, "an active key"),
    ("○", TextRole.DIM, "an inactive key: blocked or expired"),
    ("?", TextRole.WARNING, "unknown cost: no price is known"),
    ("–", TextRole.DIM, "nothing, or not reported"),
    ("out", TextRole.DIM, "tokens of the output, thoughts included"),
)
MOUSE = (
    ("click", "Select a row; again: open it"),
    ("wheel", "Scroll"),
    ("shift+drag", "Mark text, in most terminals"),
)


class HelpScreen(ScrolledDialog):
    """The bindings that it is given, by where they work, and the meanings of the signs."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("question_mark,enter", "dismiss", show=False)]

    def __init__(self, title: str, bindings: Mapping[Scope, Sequence[Binding]]) -> None:
        super().__init__()
        self._title = title
        self._bindings_by_scope = bindings

    def compose(self) -> ComposeResult:
        signs = [key_line(sign, meaning, role) for sign, role, meaning in SIGNS]
        mouse = [key_line(key, meaning) for key, meaning in MOUSE]
        groups: list[tuple[str, list[list[Cell]]]] = [
            (scope, key_lines(self._bindings_by_scope[scope])) for scope in Scope
        ]
        groups += [("with the mouse, also on tabs and keys", mouse), ("signs", signs)]
        with VerticalScroll() as body:
            body.border_title = f"Help: {self._title}"
            body.border_subtitle = "↑ ↓ scroll   esc back"
            text = [[heading(title), *rows, []] for title, rows in groups if rows]
            yield Static(lines([row for group in text for row in group][:-1]))


def heading(title: str) -> list[Cell]:
    return [(f" {title}", TextRole.ACCENT)]


def key_lines(bindings: Iterable[Binding]) -> list[list[Cell]]:
    """One line for each action, with all its keys."""
    return [key_line(" ".join(map(key_label, keys)), name) for name, keys in keys_by_name(bindings).items()]


def key_line(keys: str, meaning: str, role: TextRole = TextRole.ACCENT) -> list[Cell]:
    return [(f"{keys:>{KEY_WIDTH}}", role), (f"  {meaning}", TextRole.PLAIN)]
