"""The bottom line: the keys that work here, or for a few seconds what just happened."""

from __future__ import annotations

from collections.abc import Iterable

from textual.app import RenderResult
from textual.binding import Binding
from textual.content import Content
from textual.reactive import reactive
from textual.widget import Widget

from gatekeeper.client.formats import Tone
from tui.theme import STYLES, told
from tui.widgets.clicks import Keyed, clickable

NOTE_SECONDS = 5
KEYS = {
    "question_mark": "?",
    "slash": "/",
    "escape": "esc",
    "left_square_bracket": "[",
    "right_square_bracket": "]",
}
Note = tuple[str, Tone]


class Footer(Keyed):
    """What is bound to the application stands on the right, what belongs to the screen on the left."""

    DEFAULT_CSS = """
    Footer {
        dock: bottom;
        height: 2;
        padding: 0 1;
        border-top: solid $border;
    }
    """

    note: reactive[Note | None] = reactive(None)

    def on_mount(self) -> None:
        # The toolkit leaves open what its screens return.
        self.screen.bindings_updated_signal.subscribe(  # pyright: ignore[reportUnknownMemberType]
            self,
            lambda _: self.refresh(),  # pyright: ignore[reportUnknownLambdaType]
        )

    def say(self, text: str, tone: Tone = Tone.PLAIN) -> None:
        """Shows a line in place of the keys, for a while."""
        self.note = (text, tone)
        self.set_timer(NOTE_SECONDS, lambda: self._unsay(text))

    def _unsay(self, text: str) -> None:
        if self.note and self.note[0] == text:
            self.note = None

    def render(self) -> RenderResult:
        if self.note:
            return told(*self.note)
        right = key_line(self._keys(of_app=True))
        room = self.content_size.width - right.cell_length - 2
        left = key_line(self._keys(of_app=False), room)
        gap = self.content_size.width - left.cell_length - right.cell_length
        return Content.assemble(left, " " * max(gap, 0), right)

    def _keys(self, of_app: bool) -> list[Binding]:
        active = self.screen.active_bindings.values()
        shown = [item for item in active if item.binding.show and item.enabled]
        chosen = [item.binding for item in shown if isinstance(item.node, Widget) != of_app]
        return list({binding.action: binding for binding in chosen}.values())


def key_line(bindings: Iterable[Binding], room: int | None = None) -> Content:
    """Keys with what they do, as many as there is room for; each can be clicked."""
    line = Content("")
    for binding in bindings:
        key = binding.key_display or KEYS.get(binding.key, binding.key)
        item = clickable(Content.assemble((key, STYLES[Tone.ACCENT]), f" {binding.description}"), binding.key)
        longer = Content("   ").join([line, item]) if line.plain else item
        if room is not None and longer.cell_length > room:
            break
        line = longer
    return line
