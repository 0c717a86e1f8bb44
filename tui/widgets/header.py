"""The top line: where one is, which gateway this is and whether it is heard, and the time."""

from __future__ import annotations

from textual.content import Content

from gatekeeper.client import formats
from gatekeeper.client.formats import Tone
from tui.session import PLACES, Session
from tui.theme import STYLES
from tui.widgets.clicks import Keyed, clickable

# No money of a sandbox is real: that is told first, and at every width.
SANDBOX = f"{STYLES[Tone.LIMIT]} bold reverse"


class Header(Keyed):
    """Tells of the screens by their digit keys; a click on one goes there."""

    DEFAULT_CSS = """
    Header {
        height: 1;
        padding: 0 1;
    }
    """

    def __init__(self, session: Session, current: str) -> None:
        super().__init__()
        self._session = session
        self._current = current

    def on_mount(self) -> None:
        self.set_interval(1, self.refresh)

    def render(self) -> Content:
        left = self._places()
        room = self.content_size.width - left.cell_length - 2
        right = next((text for text in self._news() if text.cell_length <= room), Content(""))
        gap = self.content_size.width - left.cell_length - right.cell_length
        return Content.assemble(left, " " * max(gap, 0), right)

    def _places(self) -> Content:
        parts = [Content.styled("gatekeeper", "bold")]
        for key, name, title in PLACES:
            style = f"{STYLES[Tone.ACCENT]} reverse" if name == self._current else ""
            parts.append(clickable(Content.styled(f" {key} {title} ", style), key))
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
