"""The line on which a list is filtered, and filters that are written from what is on the screen.

They are in the gateway's grammar. Nothing here reads it: the gateway parses the text and judges it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.message import Message
from textual.widget import Widget
from textual.widgets import Input, Label

from gatekeeper.client.api_errors import Problem
from gatekeeper.client.api_types import Call
from gatekeeper.client.formats import harmless

# What needs no quotes. A minus in front would negate the term.
BARE = re.compile(r"[\w./@+][\w./@+-]*")


class FilterLine(Widget):
    """A filter, beside it what it finds, and below it what is wrong with it."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "leave", "back")]
    DEFAULT_CSS = """
    FilterLine {
        height: auto;
        padding: 0 1;
        border-bottom: solid $border;
    }
    FilterLine Horizontal { height: 1; }
    FilterLine Label { width: auto; }
    FilterLine #slash { color: $accent; text-style: bold; padding: 0 1 0 0; }
    FilterLine #found { text-style: dim; padding: 0 0 0 2; }
    FilterLine #fault { width: 1fr; color: $error; display: none; }
    FilterLine.-faulty #fault { display: block; }
    FilterLine Input, FilterLine Input:focus {
        width: 1fr;
        height: 1;
        border: none;
        padding: 0;
        background: transparent;
    }
    """

    @dataclass
    class Applied(Message):
        """The list is to be narrowed by this text."""

        text: str

    @dataclass
    class Left(Message):
        """The line was left without a change."""

    def __init__(self, hint: str) -> None:
        super().__init__()
        self._hint = hint
        self._applied = ""

    def compose(self) -> ComposeResult:
        with Horizontal():
            yield Label("/", id="slash")
            yield Input(placeholder=self._hint, select_on_focus=False)
            yield Label("", id="found")
        yield Label("", id="fault", markup=False)

    @property
    def input(self) -> Input:
        return self.query_one(Input)

    @property
    def is_open(self) -> bool:
        """Whether keys are text here."""
        return self.screen.focused is self.input

    def open(self) -> None:
        """At once, so that what is typed right behind the slash is text already."""
        self.screen.set_focus(self.input)

    def find(self, text: str) -> None:
        """Tells what the list holds now."""
        self.query_one("#found", Label).update(text)

    def settle(self, text: str) -> None:
        """This filter holds; nothing is wrong with it."""
        self._applied = text
        self.input.value = text
        self.remove_class("-faulty")

    def refuse(self, problem: Problem, message: str) -> None:
        """Shows what is wrong with the text, under the column where it is."""
        fault = self.query_one("#fault", Label)
        # The text begins two cells in, behind the slash and its gap; columns count from 1.
        pointer = " " * (problem.column + 1) + "^ " if problem.column else "  "
        # Where there is no room beside the pointer the sentence goes below it.
        fits = len(pointer) + len(message) <= self.content_size.width
        fault.update(pointer + ("" if fits else "\n  ") + harmless(message))
        self.add_class("-faulty")
        self.open()

    def action_leave(self) -> None:
        self.settle(self._applied)
        self.post_message(self.Left())

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        # It is told as `Applied`, and as nothing else.
        event.stop()
        self.post_message(self.Applied(event.value.strip()))


def term(field: str, value: str | None) -> str:
    """What finds the calls with this value; with None, those that have none.

    A negated term also holds where the field is empty, and `*` stands for anything: `-tag:*` is "no tags".
    """
    if value is None:
        # A negated term also holds where the field is empty, and `*` stands for anything.
        return f"-{field}:*"
    return f"{field}:{quoted(value)}"


def group(by: str, value: str | None) -> str:
    """What finds exactly the calls that a sum by this group counts under the value. The group `key` is the
    alias, else the id; the field of that name finds calls with either."""
    # By `key` one finds calls with either, alias or id: more than the group counts.
    return term("label" if by == "key" else by, value)


def quoted(value: str) -> str:
    """As it is, or in quotes where the grammar could read something else in it: blanks, `*`, `:`…"""
    if BARE.fullmatch(value):
        return value
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def alike(call: Call) -> str:
    """Finds calls of the same key for the same model, and of the same end if that was not a good one."""
    fields = {"key": call.key_alias or call.key_id, "model": call.model}
    if call.outcome not in (None, "ok"):
        fields["outcome"] = call.outcome
    return " ".join(term(field, value) for field, value in fields.items() if value)


@dataclass
class ShowCalls(Message):
    """The calls that this filter finds are to be shown; esc leads back to where it was asked."""

    filter: str
