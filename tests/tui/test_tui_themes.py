"""Every text of our own themes can be read: its contrast is computed from what is drawn. A choice is kept."""

from __future__ import annotations

from pathlib import Path

import pytest
from rig.admin_gateway import SAMPLE
from textual.color import Color

from tui.themes import THEMES, saved_theme, theme_file

OWN = [theme for theme in THEMES if not theme.ansi]
# WCAG 2, success criterion 1.4.3; high contrast: 1.4.6.
LEAST = {"dark": 4.5, "light": 4.5, "high-contrast": 7.0}
# Bars, lines and shades are drawings and not text.
DRAWN = set(" ▏▎▍▌▋▊▉█▁▂▃▄▅▆▇▓▒░▚─│┌┐└┘┤┼·▔▁▎")


def contrast(one: Color, other: Color) -> float:
    """The contrast of two colours as WCAG defines it: 1 to 21."""

    def luminance(colour: Color) -> float:
        parts = [part / 255 for part in colour.rgb]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def unreadable(app, least: float) -> dict[str, float]:
    """What is drawn with too low a contrast, and that."""
    found = {}
    for strip in app.screen._compositor.render_strips():
        for text, style, _ in strip:
            if style is None or not set(text) - DRAWN:
                continue
            colours = [Color.from_rich_color(colour) for colour in (style.color, style.bgcolor)]
            seen = contrast(*colours)
            if seen < least:
                found[text.strip()] = round(seen, 2)
    return found


@pytest.mark.parametrize(("colours", "seen"), [(("#000", "#fff"), 21.0), (("#777", "#fff"), 4.48)])
def test_contrast_is_what_the_standard_says(colours, seen):
    assert contrast(*map(Color.parse, colours)) == pytest.approx(seen, abs=0.01)


@pytest.mark.parametrize("theme", OWN, ids=lambda theme: theme.name)
def test_every_text_of_every_screen_has_contrast(play, theme):
    async def script(stage):
        async def readable(what):
            await stage.sees(what)
            await stage.still()
            assert unreadable(stage.app, LEAST[theme.name]) == {}

        await stage.sees("6 calls")
        stage.app.theme = theme.name
        stage.gateway.publish("call.started", SAMPLE["started"])
        await readable("7 calls")
        await stage.press("slash")
        await readable("key:ALIAS")
        await stage.press("escape")
        await stage.press("g", "enter")
        await readable("prices 2026-11-20")
        await stage.press("u")
        await readable("usage as Google sent it")
        await stage.press("q", "question_mark")
        await readable("succeeded")
        await stage.press("G")
        await readable("nothing, or not reported")
        await stage.press("q", "ctrl+p")
        await readable("Go to Spend")
        await stage.press("escape", "3")
        await readable("total $1,204")
        await stage.press("1")
        await readable("last hour")
        await stage.press("5")
        await readable("prices.reload")
        await stage.press("4")
        await readable("old-script")
        await stage.press("n")
        await readable("alias")
        await stage.press("escape")
        await stage.press("d")
        await readable("to confirm")

    play(script, size=(120, 50))


def test_screens_that_were_open_have_the_colours_that_were_chosen_on_another(play):
    async def script(stage):
        await stage.sees("6 calls")
        await stage.press("4")
        await stage.sees("old-script")
        await stage.press("2", "g", "enter")
        await stage.sees("prices 2026-11-20")
        await stage.press("1")
        await stage.sees("last hour")
        stage.app.theme = "high-contrast"
        for key, what in (("2", "prices 2026-11-20"), ("q", "6 calls"), ("4", "old-script")):
            await stage.press(key)
            await stage.sees(what)
            await stage.still()
            assert unreadable(stage.app, LEAST["high-contrast"]) == {}

    play(script, size=(120, 50))


@pytest.mark.parametrize("theme", OWN, ids=lambda theme: theme.name)
def test_every_role_has_contrast_on_every_background(theme):
    grounds = {theme.background, theme.surface, theme.panel}
    roles = (theme.accent, theme.secondary, theme.success, theme.warning, theme.error, theme.foreground)
    for ground in map(Color.parse, grounds):
        assert all(contrast(Color.parse(role), ground) >= LEAST[theme.name] for role in roles)
    variables = {name: Color.parse(value) for name, value in theme.variables.items()}
    # Of charts, too, whose colours may be those of names.
    charts = [colour for name, colour in variables.items() if name[-1].isdigit()]
    assert len(charts) == 6
    assert all(contrast(colour, Color.parse(theme.background)) >= LEAST[theme.name] for colour in charts)
    for text in ("block-cursor", "input-selection"):
        seen = contrast(variables[f"{text}-foreground"], variables[f"{text}-background"])
        assert seen >= LEAST[theme.name]
    # What is no text but carries meaning, such as the selected row: 1.4.11.
    assert contrast(variables["block-cursor-background"], Color.parse(theme.background)) >= 3


def test_the_selected_row_stands_out_over_its_whole_width_also_without_colours(play, monkeypatch):
    def marked(app):
        strips = app.screen._compositor.render_strips()
        return [strip.text for strip in strips if any(piece.style and piece.style.reverse for piece in strip)]

    async def script(stage):
        await stage.sees("6 calls")
        await stage.press("4")
        await stage.sees("5 keys")
        _, row = marked(stage.app)
        assert row.startswith("▶nightly-eval")
        assert len(row) == 120

    monkeypatch.setenv("NO_COLOR", "1")
    play(script)


def test_chosen_colours_are_kept(play):
    async def choose(stage):
        await stage.sees("6 calls")
        assert stage.app.theme == "terminal"
        await stage.press("ctrl+p", *"colours light")
        await stage.press("enter")
        await stage.until(lambda: stage.app.theme == "light", "the light theme")

    async def find(stage):
        assert stage.app.theme == "light"

    play(choose)
    assert theme_file().read_text() == "light\n"
    play(find)


def test_colours_that_cannot_be_kept_are_said_to_hold_for_now(play, tmp_path):
    (tmp_path / "gatekeeper").write_text("a file where the folder belongs")

    async def script(stage):
        await stage.sees("6 calls")
        await stage.press("ctrl+p", *"colours dark")
        await stage.press("enter")
        await stage.sees("not kept for the next time")
        assert stage.app.theme == "dark"

    play(script)


@pytest.mark.parametrize("text", ["", "no-such\n", "\x00", "light\n"])
def test_a_file_with_another_name_is_as_none(text):
    theme_file().parent.mkdir()
    theme_file().write_text(text)
    assert saved_theme() == ("light" if text == "light\n" else "terminal")


def test_in_a_browser_the_default_has_colours_of_its_own(monkeypatch):
    monkeypatch.setenv("TEXTUAL_DRIVER", "textual.drivers.web_driver:WebDriver")
    assert saved_theme() == "dark"


def test_a_relative_folder_of_settings_is_ignored(monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", "relative")
    monkeypatch.setenv("HOME", "/home/ann")
    assert theme_file() == Path("/home/ann/.config/gatekeeper/theme")
