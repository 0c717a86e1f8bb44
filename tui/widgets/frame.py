"""The lines around a main screen: header, banner and footer. Text that names a key is a button for it."""

from __future__ import annotations

from collections.abc import Iterable

from textual import events, getters
from textual.app import RenderResult
from textual.binding import Binding
from textual.content import Content
from textual.reactive import reactive
from textual.style import Style
from textual.widget import Widget
from textual.widgets import Static

from gatekeeper.client import formats
from gatekeeper.client.formats import Tone
from tui.session import Session, Tab
from tui.terminal import STYLES, Shell, told

KEY = "key"
# No money of a sandbox is real: that is told first, and at every width.
SANDBOX = f"{STYLES[Tone.LIMIT]} bold reverse"
NOTE_SECONDS = 5
# The toolkit's names of keys, as people know them.
KEYS = {
    "question_mark": "?",
    "slash": "/",
    "escape": "esc",
    "left_square_bracket": "[",
    "right_square_bracket": "]",
}
Note = tuple[str, Tone]


class Keyed(Widget):
    """A widget with such texts."""

    app = getters.app(Shell)

    def on_click(self, event: events.Click) -> None:
        key = event.style.meta.get(KEY)
        if isinstance(key, str):
            self.app.simulate_key(key)


def clickable(text: Content, key: str) -> Content:
    """The same text, standing for a key."""
    return text.stylize(Style.from_meta({KEY: key}))


class Header(Keyed):
    """Where one is, which gateway this is and whether it is heard, and the time.

    Tells of the screens by their digit keys; a click on one goes there.
    """

    DEFAULT_CSS = """
    Header {
        height: 1;
        padding: 0 1;
    }
    """

    def __init__(self, session: Session, current: Tab) -> None:
        super().__init__()
        self._session = session
        self._current = current

    def on_mount(self) -> None:
        # For the clock.
        self.set_interval(1, self.refresh)

    def render(self) -> Content:
        left = self._tabs()
        room = self.content_size.width - left.cell_length - 2
        right = next((text for text in self._news() if text.cell_length <= room), Content(""))
        gap = self.content_size.width - left.cell_length - right.cell_length
        return Content.assemble(left, " " * max(gap, 0), right)

    def _tabs(self) -> Content:
        parts = [Content.styled("gatekeeper", "bold")]
        for tab in self._session.tabs:
            style = f"{STYLES[Tone.ACCENT]} reverse" if tab == self._current else ""
            parts.append(clickable(Content.styled(f" {tab.key} {tab.title} ", style), tab.key))
        return Content(" ").join(parts)

    def _news(self) -> list[Content]:
        """What is told on the right, from all of it to the least."""
        session = self._session
        sandbox = Content.styled(" SANDBOX ", SANDBOX) if session.gateway.sandbox else Content("")
        state = Content.styled(str(session.link), STYLES[session.link.tone])
        place, mode = Content(session.place), Content(session.gateway.mode)
        time = Content.styled(formats.clock(session.clock()), "dim")
        told = [sandbox, state, place, mode, time]
        wishes = (told, [sandbox, state, place, time], [sandbox, state, time], [sandbox, state], [sandbox])
        return [Content("  ").join(part for part in wish if part.plain) for wish in wishes]


class Banner(Static):
    """What stands between us and the gateway, and what to do. Hidden while there is nothing to say."""

    DEFAULT_CSS = """
    Banner {
        height: auto;
        padding: 0 1;
        display: none;
    }
    Banner.-told { display: block; }
    """

    def tell(self, text: str) -> None:
        """Shows a fault, until `clear`."""
        self.update(told(f"✗ {text}", Tone.ERROR))
        self.add_class("-told")

    def clear(self) -> None:
        """Nothing stands between any more."""
        self.remove_class("-told")


class Footer(Keyed):
    """The keys that work here, or for a few seconds what just happened.

    What is bound to the application stands on the right, what belongs to the screen on the left.
    """

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
        # The timer of one line must not end the next one early.
        if self.note and self.note[0] == text:
            self.note = None

    def render(self) -> RenderResult:
        if self.note:
            return told(*self.note)
        # What leads out of here is always shown; of the rest as much as there is room for.
        right = key_line(self._keys(of_app=True))
        room = self.content_size.width - right.cell_length - 2
        left = key_line(self._keys(of_app=False), room)
        gap = self.content_size.width - left.cell_length - right.cell_length
        return Content.assemble(left, " " * max(gap, 0), right)

    def _keys(self, of_app: bool) -> list[Binding]:
        active = self.screen.active_bindings.values()
        shown = [item for item in active if item.binding.show and item.enabled]
        chosen = [item.binding for item in shown if isinstance(item.node, Widget) != of_app]
        # One key for each action.
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
