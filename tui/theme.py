"""Colours: the terminal's own foreground and background, one accent, four meanings.

The meanings are of Okabe and Ito's palette, which people with any colour vision tell apart; the accent is the
terminal's own cyan. Terminals with 16 colours show the nearest they have. Another theme chosen in the palette
works too, as widgets name colours by their meaning only.
"""

from __future__ import annotations

from collections.abc import Iterable

from textual.content import Content
from textual.theme import Theme

from gatekeeper.client.formats import Tone, harmless

THEME = Theme(
    name="gatekeeper",
    ansi=True,
    # The terminal's own cyan, so that it fits whatever ground the terminal has.
    primary="ansi_cyan",
    accent="ansi_cyan",
    # Okabe and Ito's palette, which people with any colour vision tell apart. Terminals with 16 colours show
    # the nearest that they have.
    secondary="#56B4E9",
    success="#009E73",
    warning="#E69F00",
    error="#D55E00",
    # The terminal's own, light or dark.
    foreground="ansi_default",
    background="ansi_default",
    surface="ansi_default",
    panel="ansi_default",
    variables={
        "ansi-background": "ansi_default",
        "ansi-foreground": "ansi_default",
        "border": "ansi_bright_black",
        "border-blurred": "ansi_bright_black",
        "block-cursor-foreground": "ansi_black",
        "block-cursor-background": "ansi_cyan",
        "input-selection-background": "ansi_cyan",
        "input-selection-foreground": "ansi_black",
    },
)

# By meaning, so that another theme can be chosen.
STYLES = {
    Tone.PLAIN: "",
    Tone.FAINT: "dim",
    Tone.ACCENT: "bold $accent",
    Tone.FINE: "$success",
    Tone.WAITING: "$secondary",
    Tone.LIMIT: "$warning",
    Tone.ERROR: "$error",
}


def toned(cells: Iterable[tuple[str, Tone]]) -> Content:
    """Texts with their tones as one line."""
    return Content.assemble(*((harmless(text), STYLES[tone]) for text, tone in cells))


def told(text: str, tone: Tone = Tone.PLAIN) -> Content:
    """One text with its tone."""
    return toned([(text, tone)])


def lines(rows: Iterable[Iterable[tuple[str, Tone]]]) -> Content:
    """Lines of them, below each other."""
    return Content("\n").join(toned(row) for row in rows)
