"""The active key bindings, and their names in help, palette and footer.

A binding's `description` is the word in the footer; its `tooltip`, where it has one, says in full what it
does, for help and palette.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

from textual.app import App
from textual.binding import Binding
from textual.screen import Screen

# Textual's own bindings, which are no actions of this application.
HIDDEN_ACTIONS = frozenset({"app.focus_next", "app.focus_previous", "screen.copy_text"})
# Textual's names of keys, and how they are shown.
KEYS = {
    "question_mark": "?",
    "slash": "/",
    "escape": "esc",
    "left_square_bracket": "[",
    "right_square_bracket": "]",
    "up": "↑",
    "down": "↓",
    "left": "←",
    "right": "→",
    "pageup": "pgup",
    "pagedown": "pgdn",
}


class Scope(StrEnum):
    """Where a binding works."""

    SCREEN = "on this screen"
    LIST = "in the list"
    EVERYWHERE = "everywhere"


def active_bindings(screen: Screen[object]) -> dict[Scope, list[Binding]]:
    """The bindings that work on a screen with its current focus, in the order of their declaration."""
    found: dict[Scope, list[Binding]] = {scope: [] for scope in Scope}
    for item in screen.active_bindings.values():
        if item.enabled and not item.binding.system and item.binding.action not in HIDDEN_ACTIONS:
            found[scope_of(item.node)].append(item.binding)
    # Textual has those first that also work in a text field.
    found[Scope.EVERYWHERE].sort(key=lambda binding: binding.priority)
    return found


def scope_of(node: object) -> Scope:
    """The scope of the bindings that are declared at this object."""
    if isinstance(node, Screen):
        return Scope.SCREEN
    return Scope.EVERYWHERE if isinstance(node, App) else Scope.LIST


def full_name(binding: Binding) -> str:
    """What a binding does, as a phrase that begins with a capital; empty if it is not to be told."""
    name = binding.tooltip or binding.description
    return name[:1].upper() + name[1:]


def key_label(key: str) -> str:
    """A key as it is shown."""
    return KEYS.get(key, key)


def key_of_label(label: str) -> str:
    """The key that is shown like this."""
    return next((key for key, shown in KEYS.items() if shown == label), label)


def keys_by_name(bindings: Iterable[Binding]) -> dict[str, list[str]]:
    """The keys of each action, by its full name."""
    keys: dict[str, list[str]] = {}
    for binding in bindings:
        if name := full_name(binding):
            keys.setdefault(name, []).append(binding.key)
    return keys
