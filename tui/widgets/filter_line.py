"""The input line for the filter of a list, and filters built from values on the screen.

Filters are written in the gateway's grammar, but not parsed here: the gateway validates them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar

from rich.cells import cell_len
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.message import Message
from textual.widget import Widget
from textual.widgets import Input, Label

from gatekeeper.client.api_errors import Problem
from gatekeeper.client.call_types import Call
from gatekeeper.client.formats import sanitized

# Values that need no quotes. A leading minus would negate the term.
BARE = re.compile(r"[\w./@+][\w./@+-]*")


class FilterLine(Widget):
    """A filter, to its right the number of matches, and below it its error."""

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
    FilterLine #error { width: 1fr; color: $error; display: none; }
    FilterLine.-invalid #error { display: block; }
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
        """The list is to be filtered by this text."""

        text: str

    @dataclass
    class Cancelled(Message):
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
        yield Label("", id="error", markup=False)

    @property
    def input(self) -> Input:
        return self.query_one(Input)

    @property
    def is_open(self) -> bool:
        """Whether the input has the focus."""
        return self.screen.focused is self.input

    def open(self) -> None:
        """Focuses the input at once, so that text typed right after the slash is received."""
        self.screen.set_focus(self.input)

    def show_found(self, text: str) -> None:
        """Shows the number of matches."""
        found = self.query_one("#found", Label)
        if found.content != text:
            # With as many cells as before the line looks the same: no other layout of the whole screen.
            found.update(text, layout=cell_len(text) != found.content_size.width)

    def set_applied(self, text: str) -> None:
        """Shows the filter that was applied, without an error."""
        self._applied = text
        self.input.value = text
        self.remove_class("-invalid")

    def show_error(self, problem: Problem, message: str) -> None:
        """Shows an error, under its column of the text."""
        error = self.query_one("#error", Label)
        # The text begins in the third cell, after the slash and a space; columns count from 1.
        pointer = " " * (problem.column + 1) + "^ " if problem.column else "  "
        # Without room next to the pointer the message goes below it.
        fits = len(pointer) + len(message) <= self.content_size.width
        error.update(pointer + ("" if fits else "\n  ") + sanitized(message))
        self.add_class("-invalid")
        self.open()

    def action_leave(self) -> None:
        self.set_applied(self._applied)
        self.post_message(self.Cancelled())

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        # Screens get `Applied` instead.
        event.stop()
        self.post_message(self.Applied(event.value.strip()))


def term(field: str, value: str | None) -> str:
    """A filter term for the calls with this value; with None, for those without one."""
    if value is None:
        # A negated term also matches an empty field, and `*` any value: `-tag:*` means no tags.
        return f"-{field}:*"
    return f"{field}:{quoted(value)}"


def group_filter(by: str, value: str | None) -> str:
    """A filter term for exactly the calls that a sum by this group counts under the value."""
    # The group `key` is the alias, else the id; the field `key` matches either, which can be more calls.
    return term("label" if by == "key" else by, value)


def quoted(value: str) -> str:
    """The value, in quotes if it contains characters of the grammar: spaces, `*`, `:`…"""
    if BARE.fullmatch(value):
        return value
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def similar_calls_filter(call: Call) -> str:
    """A filter for calls of the same key and model, and of the same outcome if that is not ok."""
    fields = {"key": call.key_alias or call.key_id, "model": call.model}
    if call.outcome not in (None, "ok"):
        fields["outcome"] = call.outcome
    return " ".join(term(field, value) for field, value in fields.items() if value)


@dataclass
class ShowKeys(Message):
    """The keys that contain this text are to be shown; esc leads back."""

    text: str


@dataclass
class ShowCalls(Message):
    """The calls that match this filter are to be shown; esc leads back."""

    filter: str


@dataclass
class ShowKey(Message):
    """The key of this id and alias (empty: it has none) is to be shown among the keys."""

    token_id: str
    alias: str
