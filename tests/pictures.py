"""The pictures of the documents, made by the running application before sample data: `python -m
tests.pictures` writes them, and a test compares them with what the application shows now."""

from __future__ import annotations

import asyncio
import os
import re
import sys
import time
from pathlib import Path

# What the tests share is imported as they import it.
sys.path.insert(0, str(Path(__file__).parent))

from rig.admin_gateway import NOW, gateway, sample_answers

from tui.app import GatekeeperApp

FOLDER = Path(__file__).parents[1] / "docs" / "pictures"
SIZE = (110, 30)
# The screen's key, and a text that shows that it has loaded.
SCREENS = {
    "overview": ("1", "checkout"),
    "logs": ("2", "6 calls"),
    "spend": ("3", "total $"),
    "keys": ("4", "old-script"),
}
MONOSPACE = "ui-monospace, Menlo, Consolas, 'DejaVu Sans Mono', monospace"


async def pictures() -> dict[str, str]:
    """SVG by name."""
    made: dict[str, str] = {}
    async with gateway(sample_answers()) as served:
        app = GatekeeperApp(served.url, clock=lambda: NOW)
        async with app.run_test(size=SIZE) as pilot:
            app.theme = "dark"
            for name, (key, shown) in SCREENS.items():
                await pilot.press(key)
                await loaded(app, shown)
                made[name] = without_fonts(app.export_screenshot(title=" ", simplify=True), name)
    return {name: svg.replace(f":{served.port}", ":4000") for name, svg in made.items()}


async def loaded(app: GatekeeperApp, shown: str) -> None:
    """Returns once the screen shows the text, and looks the same twice in a row."""
    async with asyncio.timeout(10):
        before = ""
        while True:
            await asyncio.sleep(0.05)
            app.screen._on_timer_update()
            now = "\n".join(strip.text for strip in app.screen._compositor.render_strips())
            if shown in now and now == before:
                return
            before = now


def without_fonts(svg: str, name: str) -> str:
    """With the reader's own fonts: pages that show the picture load none; and with stable names."""
    svg = re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL)
    return re.sub(r"terminal-\d+", name, svg.replace("Fira Code, monospace", MONOSPACE))


def main() -> None:
    # The person's zone, as in the tests.
    os.environ["TZ"] = "Europe/Amsterdam"
    time.tzset()
    FOLDER.mkdir(exist_ok=True)
    for name, svg in asyncio.run(pictures()).items():
        (FOLDER / f"{name}.svg").write_text(svg)


if __name__ == "__main__":
    main()
