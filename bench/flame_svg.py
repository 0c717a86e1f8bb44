"""Draws a flame graph as an SVG that needs no script: a box for each function, below it what it calls."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from html import escape
from typing import NamedTuple

WIDTH, ROW, TOP = 1200, 16, 44  # pixels
CHARACTER = 6.1  # pixels, of the font below
NARROWEST = 0.0015  # of the whole; what is narrower is left out
LARGEST = 190_000  # bytes of a picture
# By the beginning of a name: the colour, and what the legend says.
COLOURS = {
    "gatekeeper.proxy": ("#f2b45b", "gatekeeper.proxy"),
    "gatekeeper.server": ("#f0d264", "gatekeeper.server"),
    "gatekeeper.ledger": ("#e88a6b", "gatekeeper.ledger"),
    "gatekeeper.gemini": ("#c9d66b", "gatekeeper.gemini, pricing"),
    "gatekeeper.pricing": ("#c9d66b", ""),
    "gatekeeper": ("#f5cfa0", "gatekeeper, other"),
    "trio": ("#8fc3ea", "trio"),
    "hypercorn": ("#b9a3e3", "Hypercorn, h11, httptools"),
    "h11": ("#b9a3e3", ""),
    "httptools": ("#b9a3e3", ""),
    "": ("#d0d0d0", "other"),
}
STYLE = "text{font:11px monospace;fill:#222}rect{stroke:#fff;stroke-width:.5}.t{font:bold 14px sans-serif}"


class Sample(NamedTuple):
    """A stack, from the outermost frame to the innermost, and the CPU that was spent there."""

    frames: tuple[str, ...]
    microseconds: int


class Box:
    """A function where it was called from, and all that it called."""

    def __init__(self, name: str) -> None:
        self.name, self.microseconds = name, 0
        self.callees: dict[str, Box] = {}

    def add(self, frames: Iterable[str], microseconds: int) -> None:
        self.microseconds += microseconds
        box = self
        for frame in frames:
            box = box.callees.setdefault(frame, Box(frame))
            box.microseconds += microseconds


class Placed(NamedTuple):
    """A box with its place: the row, and where it begins, in microseconds."""

    box: Box
    row: int
    begin: int


def placed(box: Box, least: float, row: int = 0, begin: int = 0) -> Iterator[Placed]:
    """It and what it calls, widest first, as far as it takes `least` microseconds."""
    yield Placed(box, row, begin)
    for callee in sorted(box.callees.values(), key=lambda each: -each.microseconds):
        if callee.microseconds >= least:
            yield from placed(callee, least, row + 1, begin)
        begin += callee.microseconds


def draw(samples: Iterable[Sample], unit: str, units: int) -> str:
    """The SVG; `units` is how many of `unit` the samples are of."""
    root = Box(f"each {unit}")
    for frames, microseconds in samples:
        root.add(frames, microseconds)
    narrowest = NARROWEST
    while len(picture := _picture(root, unit, units, narrowest).encode()) > LARGEST:
        narrowest *= 1.3
    return picture.decode()


def _picture(root: Box, unit: str, units: int, narrowest: float) -> str:
    boxes = list(placed(root, root.microseconds * narrowest))
    height = TOP + ROW * (max(each.row for each in boxes) + 1) + 6
    title = f"{root.microseconds / units:.0f} µs of CPU for each {unit}, all threads together"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}">',
        f'<style>{STYLE}</style><text class="t" x="4" y="17">{title}</text>',
        *_legend(),
        *(_rectangle(each, root.microseconds, unit, units) for each in boxes),
        "</svg>\n",
    ]
    return "\n".join(parts)


def _legend() -> Iterator[str]:
    x = 4.0
    for colour, text in COLOURS.values():
        if text:
            yield f'<rect x="{x:.0f}" y="24" width="12" height="12" fill="{colour}"/>'
            yield f'<text x="{x + 16:.0f}" y="34">{text}</text>'
            x += 30 + CHARACTER * 1.1 * len(text)


def _rectangle(each: Placed, total: int, unit: str, units: int) -> str:
    box, row, begin = each
    x, width = WIDTH * begin / total, WIDTH * box.microseconds / total
    y = TOP + ROW * row
    share, cost = 100 * box.microseconds / total, box.microseconds / units
    told = f"{box.name}: {share:.1f} %, {cost:.1f} µs for each {unit}"
    colour = next(colour for start, (colour, _) in COLOURS.items() if box.name.startswith(start))
    shape = f'<rect x="{x:.1f}" y="{y}" width="{width:.1f}" height="{ROW - 1}" fill="{colour}"/>'
    room = int((width - 4) / CHARACTER)
    text = escape(_label(box.name, room))
    label = f'<text x="{x + 2:.1f}" y="{y + 11}">{text}</text>' if text else ""
    return f"<g><title>{escape(told)}</title>{shape}{label}</g>"


def _label(name: str, room: int) -> str:
    """As much of the name as there is room for: all of it, else without the module, else its beginning."""
    if len(name) <= room:
        return name
    parts = name.split(".")
    own = next((i for i, part in enumerate(parts) if part[:1].isupper()), len(parts) - 1)
    short = ".".join(parts[own:])
    if len(short) > room:
        short = parts[-1] if len(parts[-1]) <= room else parts[-1][: room - 1] + "…" if room > 3 else ""
    return short
