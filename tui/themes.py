"""The colour themes: the terminal's own 16 colours, and three with colours of their own.

Every text of these three has a contrast of 4.5:1 or more (WCAG 2, AA) on its background, dim text included.
Colour is never the only carrier of a meaning: a sign or a word beside it has it, too. The chosen theme's name
is stored in a file.
"""

from __future__ import annotations

import os
from pathlib import Path

from textual.color import Color
from textual.theme import Theme

# What is said of a theme in the palette.
MEANINGS = {
    "terminal": "the terminal's own 16 colours",
    "dark": "for any colour vision",
    "light": "for any colour vision",
    "high-contrast": "white, yellow and cyan on black",
}

DEFAULT = "terminal"
# Set by textual-serve for what runs in a browser.
DRIVER_VARIABLE = "TEXTUAL_DRIVER"


# Okabe and Ito's palette, which people with any colour vision tell apart.
OKABE_ITO = ("#0072B2", "#E69F00", "#009E73", "#56B4E9", "#CC79A7", "#999999")
# How far the pattern of a chart's group goes from its colour to the background.
PATTERN = 0.18


def series_variables(colours: tuple[str, ...], background: str) -> dict[str, str]:
    """Variables of a chart: `series-1` is its largest group, `series-1-pattern` the colour of its texture."""
    variables: dict[str, str] = {}
    for number, colour in enumerate(colours, start=1):
        # The texture of the largest is solid.
        factor = PATTERN if number > 1 else 0
        pattern = Color.parse(colour).blend(Color.parse(background), factor)
        variables |= {f"series-{number}": colour, f"series-{number}-pattern": pattern.hex}
    return variables


def own_colours(
    name: str, dark: bool, cursor: tuple[str, str], border: str, series: tuple[str, ...], **colours: str
) -> Theme:
    """A theme of RGB colours by their roles; `cursor` is text and background of the selected row."""
    text, background = cursor
    return Theme(
        name=name,
        dark=dark,
        primary=colours["accent"],
        accent=colours["accent"],
        secondary=colours["pending"],
        success=colours["success"],
        warning=colours["warning"],
        error=colours["error"],
        foreground=colours["foreground"],
        background=colours["background"],
        surface=colours["background"],
        panel=colours["background"],
        variables={
            "border": border,
            "border-blurred": border,
            "block-cursor-foreground": text,
            "block-cursor-background": background,
            "input-selection-foreground": text,
            "input-selection-background": background,
            **series_variables(series, colours["background"]),
        },
    )


TERMINAL = Theme(
    name="terminal",
    ansi=True,
    primary="ansi_cyan",
    accent="ansi_cyan",
    secondary="ansi_bright_blue",
    success="ansi_green",
    warning="ansi_yellow",
    error="ansi_red",
    foreground="ansi_default",
    background="ansi_default",
    surface="ansi_default",
    panel="ansi_default",
    variables={
        "ansi-background": "ansi_default",
        "ansi-foreground": "ansi_default",
        "border": "ansi_bright_black",
        "border-blurred": "ansi_bright_black",
        "block-cursor-foreground": "ansi_default",
        "block-cursor-background": "ansi_cyan",
        "input-selection-background": "ansi_cyan",
        "input-selection-foreground": "ansi_black",
        **series_variables(OKABE_ITO, "#808080"),
    },
)
# Okabe and Ito's hues, blue and vermilion lighter.
DARK = own_colours(
    "dark",
    dark=True,
    cursor=("#0b0e12", "#5fd0df"),
    accent="#5fd0df",
    pending="#56B4E9",
    success="#1fb587",
    warning="#E69F00",
    error="#f0743a",
    foreground="#e4e7ec",
    background="#10141a",
    border="#4a5361",
    series=("#3d94d6", "#E69F00", "#1fb587", "#9ad4f5", "#d98bb5", "#999999"),
)
# The same hues, darker.
LIGHT = own_colours(
    "light",
    dark=False,
    cursor=("#ffffff", "#00577a"),
    accent="#00577a",
    pending="#0062a0",
    success="#006b4c",
    warning="#7d5200",
    error="#a63d00",
    foreground="#16191d",
    background="#fbfbf8",
    border="#a9b0b8",
    series=("#00437a", "#935c00", "#00734f", "#2b7ba8", "#a03f78", "#6b6b6b"),
)
HIGH_CONTRAST = own_colours(
    "high-contrast",
    dark=True,
    cursor=("#000000", "#ffff00"),
    accent="#00ffff",
    pending="#9ad7ff",
    success="#00ff9c",
    warning="#ffd700",
    error="#ff9a70",
    foreground="#ffffff",
    background="#000000",
    border="#ffffff",
    series=("#4db8ff", "#ffb000", "#00ff9c", "#b3e5ff", "#ff9ed2", "#c0c0c0"),
)
THEMES = (TERMINAL, DARK, LIGHT, HIGH_CONTRAST)


def theme_file() -> Path:
    """The file that keeps the chosen theme, by the XDG base directory specification."""
    base = os.environ.get("XDG_CONFIG_HOME", "")
    # The specification has relative paths ignored.
    folder = Path(base) if base.startswith("/") else Path.home() / ".config"
    return folder / "gatekeeper" / "theme"


def saved_theme() -> str:
    """The name of the chosen theme; the default where none was chosen, or one that does not exist."""
    # A page has no colours of a terminal's own that its user had chosen.
    default = DARK.name if os.environ.get(DRIVER_VARIABLE, "").endswith(":WebDriver") else DEFAULT
    try:
        name = theme_file().read_text().strip()
    except (OSError, ValueError, RuntimeError):
        # Without a home folder or with an unreadable file the default is as good.
        return default
    return name if name in MEANINGS else default


def save_theme(name: str) -> None:
    """Keeps the choice. Raises OSError, or RuntimeError without a home folder."""
    file = theme_file()
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"{name}\n")
