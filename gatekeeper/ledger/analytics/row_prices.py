"""Prices many distinct calls, in parallel processes if there are very many.

Imports no DuckDB, for a process that only prices.
"""

from __future__ import annotations

import os
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from datetime import UTC, date, datetime
from functools import lru_cache
from multiprocessing import get_context
from typing import NamedTuple

from gatekeeper.pricing.catalogue import Catalogue
from gatekeeper.pricing.priced_call import PricedColumns, row_quote

PARALLEL_FROM = 100_000  # distinct calls; fewer are priced sooner than a process starts
MAX_PICO = 10**18  # DECIMAL(18,12) has no place for more


class DistinctCall(NamedTuple):
    """The columns that determine the cost of `calls` equal rows. `day` is in UTC, `usage` and `billed_units`
    are JSON."""

    number: int
    calls: int
    model: str | None
    model_version: str | None
    service_tier: str | None
    action: str | None
    usage: str | None
    billed_units: str | None
    day: date


Batch = list[tuple[object, ...]]
"""Rows with the fields of DistinctCall."""


class Prices(NamedTuple):
    """Costs by the numbers of distinct calls. `unknown` are the reasons why some have none, `faults` what
    kept others from being priced (they have no number here), each with how many calls there are."""

    numbers: list[int]
    picos: list[int | None]
    unknown: Counter[str]
    faults: Counter[str]


def priced(catalogue: Catalogue, batches: Iterable[Batch], count: int) -> Iterator[Prices]:
    """Prices each batch; `count` is the number of distinct calls in all of them."""
    processes = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if count < PARALLEL_FROM or processes == 1:
        yield from (price_batch(catalogue, batch) for batch in batches)
        return
    # Spawned: a fork would copy DuckDB's locks without its threads.
    with ProcessPoolExecutor(processes, get_context("spawn"), _set_catalogue, (catalogue,)) as pool:
        running: deque[Future[Prices]] = deque()
        for batch in batches:
            running.append(pool.submit(_price_in_process, batch))
            # Few at a time: all batches together may not fit into memory.
            if len(running) > 2 * processes:
                yield running.popleft().result()
        while running:
            yield running.popleft().result()


def price_batch(catalogue: Catalogue, batch: Batch) -> Prices:
    prices = Prices([], [], Counter(), Counter())
    for row in map(DistinctCall._make, batch):
        try:
            pico, reason = _price(catalogue, row)
        except Exception as error:  # noqa: BLE001  one row that cannot be priced must not keep the others
            prices.faults[f"{row.model}: {error!r}"] += row.calls
            continue
        prices.numbers.append(row.number)
        prices.picos.append(pico)
        if reason:
            prices.unknown[reason] += row.calls
    return prices


def _price(catalogue: Catalogue, row: DistinctCall) -> tuple[int | None, str | None]:
    """The cost, or why it is unknown."""
    quoted = row_quote(
        catalogue,
        PricedColumns(
            row.model,
            row.model_version,
            row.service_tier,
            row.action,
            None if row.usage is None else row.usage.encode(),
            None if row.billed_units is None else row.billed_units.encode(),
            _midnight(row.day),
        ),
    )
    if quoted.cost_pico is None:
        return None, quoted.notes[-1]
    # Of a count of tokens that cannot be true: one such row must not end the transaction of all.
    if quoted.cost_pico >= MAX_PICO:
        return None, "the cost is too large for the column cost_usd"
    return quoted.cost_pico, None


@lru_cache(maxsize=64)
def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


_catalogue: Catalogue | None = None


def _set_catalogue(catalogue: Catalogue) -> None:
    global _catalogue
    _catalogue = catalogue


def _price_in_process(batch: Batch) -> Prices:
    assert _catalogue is not None  # noqa: S101
    return price_batch(_catalogue, batch)
