"""What was measured: figures with their values over the rounds, the table of them, and the table's place in
docs/performance.md."""

from collections.abc import Iterable
from math import floor, log10
from pathlib import Path
from statistics import median
from typing import NamedTuple

DOCUMENT = Path(__file__).parents[1] / "docs" / "performance.md"
BEGIN, END = "<!-- measured: python -m bench --write -->\n", "<!-- end of measured -->"
HEAD = """\
| work | figure | median | lowest – highest | target | met |
| --- | --- | ---: | ---: | ---: | --- |"""


class Figure(NamedTuple):
    """One quantity of one kind of work. `skipped` says why it has no values."""

    work: str
    name: str
    values: list[float]  # one a round
    at_most: float | None = None
    at_least: float | None = None
    skipped: str = ""

    def line(self) -> str:
        """A line of the table. Whether the target is met is judged by the median."""
        target, met = self._target()
        if not self.values:
            return f"| {self.work} | {self.name} | | {self.skipped} | {target} | |"
        middle, spread = rounded(median(self.values)), ""
        if len(self.values) > 1:
            spread = f"{rounded(min(self.values))} – {rounded(max(self.values))}"
        return f"| {self.work} | {self.name} | {middle} | {spread} | {target} | {met} |"

    def _target(self) -> tuple[str, str]:
        if self.at_most is None and self.at_least is None:
            return "", ""
        middle = median(self.values) if self.values else 0.0
        if self.at_most is not None:
            return f"≤ {self.at_most:g}", "yes" if middle <= self.at_most else "no"
        return f"≥ {self.at_least:g}", "yes" if middle >= (self.at_least or 0) else "no"


def rounded(value: float) -> str:
    """With three digits, or all those before the point."""
    digits = 2 - floor(log10(abs(value))) if value else 0
    return f"{value:,.{min(max(digits, 0), 3)}f}"


def ratios(ours: Iterable[float], theirs: Iterable[float]) -> list[float]:
    """Round by round: what else the machine did in a round falls on both."""
    return [mine / other for mine, other in zip(ours, theirs, strict=True)]


def table(figures: Iterable[Figure]) -> str:
    return "\n".join((HEAD, *(figure.line() for figure in figures)))


def write(figures: list[Figure], setting: str) -> None:
    """Puts the figures, and under which circumstances they were measured, into the document. Lines of works
    that were not measured stay."""
    text = DOCUMENT.read_text("utf-8")
    before, _, rest = text.partition(BEGIN)
    section, _, after = rest.partition(END)
    old = [line for line in section.splitlines() if line.startswith("| ")][2:]
    new = [figure.line() for figure in figures]
    section = "\n".join((setting, "", HEAD, *_merged(old, new)))
    DOCUMENT.write_text(f"{before}{BEGIN}{section}\n\n{END}{after}", "utf-8")


def _merged(old: list[str], new: list[str]) -> list[str]:
    """The new lines of a work in the place of its old ones, of a new work at the end. Where as much is new,
    in the order of the new."""

    def work(line: str) -> str:
        return line.split("|")[1].strip()

    works = dict.fromkeys(map(work, (*new, *old) if len(new) >= len(old) else (*old, *new)))
    measured = set(map(work, new))
    return [line for each in works for line in (new if each in measured else old) if work(line) == each]
