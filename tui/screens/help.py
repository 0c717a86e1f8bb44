"""Help: the keys that work here, what the signs mean, and on the first start how to send the first call."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from gatekeeper.client.formats import Cell, Tone
from tui.shell import Session
from tui.theme import lines
from tui.widgets.frame import KEYS

PATH = "/gemini/v1beta/models/gemini-2.5-flash:generateContent"
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


class HelpScreen(ModalScreen[None]):
    """Shows the bindings that it is given."""

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


def curl(session: Session) -> str:
    """A call that works as it stands in open mode; else with a key put in."""
    # In open mode any key is taken.
    key = "anything" if session.gateway.mode == "open" else "YOUR_KEY"
    return (
        f"curl -H 'x-goog-api-key: {key}' -H 'Content-Type: application/json' \\\n"
        """  -d '{"contents":[{"parts":[{"text":"Hello"}]}]}' \\\n"""
        f"  {session.client.url}{PATH}"
    )


def welcome(session: Session) -> Content:
    """The empty log."""
    return Content.assemble(
        "No calls yet. Send one:\n\n",
        (curl(session), "$accent"),
        "\n\nIt will appear here at once.   ",
        ("y", "bold $accent"),
        " copy the command   ",
        ("4", "bold $accent"),
        " make a key first   ",
        ("?", "bold $accent"),
        " help",
    )
