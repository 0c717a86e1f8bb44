"""The ranking that the Spend screen shows as a CSV file, for its owner only."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable, Iterator, Sequence
from datetime import timedelta, tzinfo
from pathlib import Path
from typing import IO

from gatekeeper.client.spend import SpendRow
from tui.spend.periods import Interval, utc_timestamp
from tui.spend.ranking import Line, Ranking

TOKENS = ("prompt_tokens", "cached_tokens", "output_tokens", "thoughts_tokens", "total_tokens")
SUMS = ("calls", "errors", *TOKENS, "cost_usd", "unpriced_calls")
RANGE = ("since", "until", "filter")
# More files of one name are not numbered, they are a mistake.
MAX_NUMBER = 999
# A spreadsheet takes a text that begins so for a formula; tags and users are chosen by clients.
FORMULA = ("=", "+", "-", "@", "\t", "\r")


def write_csv(folder: Path, ranking: Ranking, compared: bool, zone: tzinfo) -> Path:
    """Writes the ranking to a new file, mode 0600, whose name has the grouping and the range.

    Raises OSError where it cannot be created.
    """
    lines = list(ranking.lines(compared))
    name = f"spend-by-{ranking.by}-{range_name(ranking.covered, zone)}"
    path, file = create(folder, name)
    with file:
        csv.writer(file, lineterminator="\n").writerows(table(ranking, lines, compared))
    return path


def table(ranking: Ranking, lines: Sequence[Line], compared: bool) -> Iterator[list[object]]:
    """Titles, the total at level 0, the groups at level 1, and what opened ones are made of below them.

    An empty group is calls without one, or at a higher level; an empty sum is not known.
    """
    names = list(dict.fromkeys([ranking.by, *(by for line in lines for by, _ in line.path)]))
    before = ["calls_before", "cost_usd_before"] if compared else []
    yield ["level", *names, "other_groups", *SUMS, *before, *RANGE]
    bounds = [utc_timestamp(ranking.covered.since), utc_timestamp(ranking.covered.until), ranking.q]
    total = sums_before(ranking.before.total, known=True) if compared else []
    yield [0, *[""] * len(names), "", *sums(ranking.spend.total), *total, *bounds]
    for line in lines:
        groups = dict(line.path)
        earlier = sums_before(line.before, line.before_known) if compared else []
        cells = [safe(groups.get(name) or "") for name in names]
        others = (line.row.groups or 0) if line.row.other else ""
        yield [line.depth + 1, *cells, others, *sums(line.row), *earlier, *bounds]


def sums(row: SpendRow) -> list[object]:
    tokens = (getattr(row, name) for name in TOKENS)
    cells: list[object] = [row.calls, row.errors, *tokens]
    cost = "" if row.known_cost is None else f"{row.known_cost:f}"
    return ["" if cell is None else cell for cell in cells] + [cost, row.unpriced_calls]


def sums_before(row: SpendRow | None, known: bool) -> list[object]:
    """Empty where the sums of the preceding period are not known; 0 without calls then."""
    if not known:
        return ["", ""]
    if row is None:
        return [0, 0]
    return [row.calls, "" if row.known_cost is None else f"{row.known_cost:f}"]


def safe(text: str) -> str:
    """A text that no spreadsheet takes for a formula."""
    return f"'{text}" if text.startswith(FORMULA) else text


def range_name(covered: Interval, zone: tzinfo) -> str:
    """`2026-10-26-to-2026-11-24`, of one day `2026-11-23`; with hours where it begins within a day."""
    since = covered.since.astimezone(zone)
    last = (covered.until - timedelta(microseconds=1)).astimezone(zone)
    shape = (
        "%Y-%m-%d"
        if not since.hour and covered.until - covered.since >= timedelta(hours=2)
        else "%Y-%m-%dT%Hh"
    )
    ends = dict.fromkeys(f"{at:{shape}}" for at in (since, last))
    return "-to-".join(ends)


def create(folder: Path, name: str) -> tuple[Path, IO[str]]:
    """A new file of this name, numbered where it exists. Raises OSError."""
    for path in candidates(folder, name):
        try:
            # Created with its final mode: at no moment can others read it.
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            continue
        return path, os.fdopen(descriptor, "w", newline="", encoding="utf-8")
    raise FileExistsError(None, f"there are {MAX_NUMBER:,} files of this name already", str(folder / name))


def candidates(folder: Path, name: str) -> Iterable[Path]:
    yield folder / f"{name}.csv"
    yield from (folder / f"{name}-{number}.csv" for number in range(2, MAX_NUMBER + 1))
