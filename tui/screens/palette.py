"""The command palette: every action by its name, and the key that does the same.

First what works here, then the screens, then what works on other screens, then the rest; above all of them
what was chosen last. Typed words must all occur in the name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.widgets import Input, Static

from gatekeeper.client.columns import Cell, Column, TextRole
from tui.screens.dialog import Dialog, key_help
from tui.widgets.rows import Table

KEY_WIDTH = 12


@dataclass(frozen=True, slots=True)
class Command:
    """An action: its full name, the keys that do the same (empty if there are none), and what runs it.

    `identity` is the same on whatever screen the palette is opened.
    """

    identity: str
    name: str
    key: str
    run: Callable[[], object]


def matching(commands: Iterable[Command], text: str) -> list[Command]:
    """The commands whose names have all words of the text, those at whose start they are first."""
    words = text.casefold().split()
    found: list[tuple[int, Command]] = []
    for command in commands:
        name = command.name.casefold()
        if all(word in name for word in words):
            starts = [f" {word}" in f" {name}" for word in words]
            rank = 0 if name.startswith(text.strip().casefold()) else 1 if all(starts) else 2
            found.append((rank, command))
    # Stable: of the same rank the more used one stays first.
    return [command for _, command in sorted(found, key=lambda pair: pair[0])]


def recent_first(commands: Sequence[Command], recent: Sequence[str]) -> list[Command]:
    """The commands, those whose identity is in `recent` first and in its order."""
    order = {identity: number for number, identity in enumerate(recent)}
    return sorted(commands, key=lambda command: order.get(command.identity, len(order)))


def columns(_width: int) -> list[Column[Command]]:
    """The list's columns: name and key."""

    def name(command: Command) -> Cell:
        return command.name, TextRole.PLAIN

    def key(command: Command) -> Cell:
        return command.key, TextRole.ACCENT

    return [Column("action", 20, name, stretch=1), Column("key", KEY_WIDTH, key)]


class CommandList(Table[Command], can_focus=False):
    """The input keeps the focus; one click runs a command."""

    def __init__(self) -> None:
        super().__init__(lambda command: command.identity)

    def on_click(self, event: events.Click) -> None:
        index = self.row_at(event.y)
        # Else a click on the row under the cursor would run it twice.
        event.prevent_default()
        if index is not None:
            self.cursor = index
            self.action_open()


class Palette(Dialog[Command]):
    """Returns the chosen command, which the application runs on the screen below."""

    BINDINGS: ClassVar[list[BindingType]] = [
        # With priority: the input has keys of these names, too.
        Binding("down,ctrl+n", "move(1)", show=False, priority=True),
        Binding("up", "move(-1)", show=False, priority=True),
        Binding("pagedown", "page(1)", show=False, priority=True),
        Binding("pageup", "page(-1)", show=False, priority=True),
    ]
    DEFAULT_CSS = """
    Palette { align: center top; }
    Palette > Vertical { margin: 1 0 0 0; height: 1fr; max-height: 32; padding: 0 1; }
    Palette CommandList { margin: 1 0 0 0; }
    Palette #none { display: none; height: 1fr; margin: 1 0 0 1; }
    Palette.-none CommandList { display: none; }
    Palette.-none #none { display: block; }
    """

    def __init__(self, commands: Sequence[Command]) -> None:
        super().__init__()
        self._commands = commands

    def compose(self) -> ComposeResult:
        with Vertical():
            yield Input(placeholder="what to do")
            yield CommandList()
            yield Static("No action has all these words in its name.", id="none")
            yield Static(key_help(enter="run", esc="back"), classes="keys")

    @property
    def _list(self) -> CommandList:
        return self.query_one(CommandList)

    def on_mount(self) -> None:
        self._list.show(self._commands, columns)
        self.set_focus(self.query_one(Input))

    @on(Input.Changed)
    def _filter(self, event: Input.Changed) -> None:
        found = matching(self._commands, event.value)
        self.set_class(not found, "-none")
        self._list.show(found, columns)
        self._list.cursor = 0

    @on(Input.Submitted)
    def _submitted(self) -> None:
        self._list.action_open()

    @on(CommandList.RowActivated)
    def _chosen(self) -> None:
        self.dismiss(self._list.selected)

    def action_move(self, by: int) -> None:
        self._list.action_move(by)

    def action_page(self, by: int) -> None:
        self._list.action_page(by)
