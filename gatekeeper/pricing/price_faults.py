"""Faults of a price file, line by line, and the checks between the rows of a model: overlaps (two rows price
the same) and gaps (a period or context without a price). Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import date
from itertools import combinations
from typing import NamedTuple

from gatekeeper.pricing.tariff import Tariff, contexts_of, periods_of
from gatekeeper.pricing.toml_lines import Path


class Fault(NamedTuple):
    """A fault in a line (from 1): a one-line message with what is wrong and what is allowed."""

    line: int
    message: str


class CatalogueError(ValueError):
    """A price file is invalid. Its message has one line for each fault, with the file's name once that is
    known."""

    def __init__(self, faults: Iterable[Fault], file: str | None = None) -> None:
        self.faults = tuple(sorted(faults))
        where = f"{file}, " if file else ""
        self.lines = tuple(f"{where}line {line}: {message}" for line, message in self.faults)
        super().__init__("\n".join(self.lines))


class Row(NamedTuple):
    """A tariff of a file, and its path in the TOML document."""

    path: Path
    tariff: Tariff


class Overlap(NamedTuple):
    """Two rows that price the same components for the same calls."""

    first: Row
    second: Row
    components: tuple[str, ...]


class Gap(NamedTuple):
    """A gap in a price: a row next to it, and a description."""

    row: Row
    problem: str


# Whether a component has a price in another file, for a tier, component, day and prompt length
Elsewhere = Callable[[str, str, date, int], bool]


def overlaps(rows: Iterable[Row]) -> Iterator[Overlap]:
    """The pairs of rows that overlap, so that the price of a call would depend on their order."""
    for first, second in combinations(rows, 2):
        twice = first.tariff.prices.keys() & second.tariff.prices.keys()
        if twice and first.tariff.overlaps(second.tariff):
            yield Overlap(first, second, tuple(name for name in first.tariff.prices if name in twice))


def gaps(rows: Iterable[Row], elsewhere: Elsewhere) -> Iterator[Gap]:
    """The gaps between two periods of a price, and contexts without a price that other contexts have. In the
    latter case the price may be in another file; a gap in time is more likely a mistake."""
    priced_by: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        for component in row.tariff.prices:
            priced_by.setdefault((row.tariff.tier, component), []).append(row)
    # Components that are priced by the same rows have the same gaps.
    together: dict[tuple[Path, ...], tuple[str, list[str], list[Row]]] = {}
    for (tier, component), priced in priced_by.items():
        together.setdefault(tuple(row.path for row in priced), (tier, [], priced))[1].append(component)
    for tier, components, priced in together.values():
        yield from _gaps(tier, components, priced, elsewhere)


def _gaps(tier: str, components: list[str], rows: list[Row], elsewhere: Elsewhere) -> Iterator[Gap]:
    what = f"{', '.join(components)} ({tier})"
    tariffs = [row.tariff for row in rows]
    contexts = list(contexts_of(tariffs, whole=True))
    # The first day of a gap between two periods
    hole: date | None = None
    halved = False
    for starts, _ in periods_of(tariffs):
        holding = [row for row in rows if row.tariff.starts <= starts < row.tariff.ends]
        if not holding:
            hole = starts
            continue
        if hole:
            problem = f"nothing prices {what} from {hole} to {starts}; allowed are periods without a hole"
            yield Gap(holding[0], problem)
            hole = None
        missing = [
            (above, up_to)
            for above, up_to in contexts
            if not any(row.tariff.covers(starts, above + 1) for row in holding)
            and not all(elsewhere(tier, name, starts, above + 1) for name in components)
        ]
        if missing and not halved:
            # Only in the first of several periods
            halved = True
            yield Gap(
                holding[0],
                f"nothing prices {what} for prompts {_words(*missing[0])}, and others have a price; allowed: "
                "all contexts, or none",
            )


def _words(above: int, up_to: int) -> str:
    return f"up to {up_to:,} tokens" if above < 0 else f"above {above:,} tokens"
