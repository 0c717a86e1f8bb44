"""What can be wrong with a price file: faults, line by line; rows of a model that do not fit together,
because two of them price the same, or a price has a hole. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import date
from itertools import combinations
from typing import NamedTuple

from gatekeeper.pricing.tariff import Tariff, contexts_of, periods_of
from gatekeeper.pricing.toml_lines import Path


class Fault(NamedTuple):
    """What is wrong in a line (from 1), and what is allowed: one line for people."""

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
    """A tariff of a file, and the path to it."""

    path: Path
    tariff: Tariff


class Overlap(NamedTuple):
    """Two rows that price the same components of the same calls."""

    first: Row
    second: Row
    components: tuple[str, ...]


class Gap(NamedTuple):
    """A hole in a price, seen at a row beside it, and what it is, in words."""

    row: Row
    problem: str


# Whether a component has a price elsewhere: by tier, component, day and prompt
Elsewhere = Callable[[str, str, date, int], bool]


def overlaps(rows: Iterable[Row]) -> Iterator[Overlap]:
    """The pairs of rows between which the price of a call would depend on their order."""
    for first, second in combinations(rows, 2):
        twice = first.tariff.prices.keys() & second.tariff.prices.keys()
        if twice and first.tariff.overlaps(second.tariff):
            yield Overlap(first, second, tuple(name for name in first.tariff.prices if name in twice))


def gaps(rows: Iterable[Row], elsewhere: Elsewhere) -> Iterator[Gap]:
    """The holes between two periods of a price, and contexts that have one while others have none. The
    latter may have it elsewhere: a hole in time is more likely a slip than meant."""
    priced_by: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        for component in row.tariff.prices:
            priced_by.setdefault((row.tariff.tier, component), []).append(row)
    # Components that the same rows price have the same holes.
    together: dict[tuple[Path, ...], tuple[str, list[str], list[Row]]] = {}
    for (tier, component), priced in priced_by.items():
        together.setdefault(tuple(row.path for row in priced), (tier, [], priced))[1].append(component)
    for tier, components, priced in together.values():
        yield from _gaps(tier, components, priced, elsewhere)


def _gaps(tier: str, components: list[str], rows: list[Row], elsewhere: Elsewhere) -> Iterator[Gap]:
    what = f"{', '.join(components)} ({tier})"
    tariffs = [row.tariff for row in rows]
    contexts = list(contexts_of(tariffs, whole=True))
    # The first day since which nothing holds, between two periods
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
            # Of several periods the first one
            halved = True
            yield Gap(
                holding[0],
                f"nothing prices {what} for prompts {_words(*missing[0])}, and others have a price; allowed: "
                "all contexts, or none",
            )


def _words(above: int, up_to: int) -> str:
    return f"up to {up_to:,} tokens" if above < 0 else f"above {above:,} tokens"
