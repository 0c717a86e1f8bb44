"""The price lists of a model: pico-dollars per unit of each component, in one tier, period and context. For
the units see `price_components`.

A `Tariff` is a row of a catalogue file, or the merged rows of a model: rows of one tier may price different
components in the same period. Searches and cache storage have no tier of their own: if the rows of a tier
have no price for them, those of the standard tier apply.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date
from itertools import pairwise, product
from typing import Literal, get_args

import msgspec

TIERS = ("standard", "flex", "priority", "batch")
# Components without a tier of their own
TIERLESS = ("grounding_", "cache_storage_")
# Larger than any prompt: the end of a context without an upper bound
_UNBOUNDED = 1 << 62

Modality = Literal["text", "image", "video", "audio"]
MODALITIES: tuple[Modality, ...] = get_args(Modality)


class Tariff(msgspec.Struct, frozen=True, kw_only=True):
    """One price list: pico-dollars per single token, token-hour, search, second or piece, by component, in
    one tier, period and context.

    `starts` is its first day (UTC), `ends` the first day after it. It applies to prompts of more than `above`
    and at most `up_to` tokens, including cached ones ("prompts <= 200k tokens"). `confidence` ("likely" or
    "doubtful"), by component, is that of prices that were not seen on Google's own page; `own` has the
    components whose price is the user's own.
    """

    tier: str
    prices: dict[str, int]
    starts: date = date.min
    ends: date = date.max
    # Below 0, to include an empty prompt.
    above: int = -1
    up_to: int | None = None
    confidence: dict[str, str] = {}
    own: frozenset[str] = frozenset()

    def covers(self, day: date, prompt: int) -> bool:
        """Whether it applies on that day to a prompt of that many tokens."""
        return self.fits(prompt) and self.holds(day)

    def fits(self, prompt: int) -> bool:
        """Whether its context includes a prompt of that many tokens."""
        return self.above < prompt and (self.up_to is None or prompt <= self.up_to)

    def holds(self, day: date) -> bool:
        """Whether its period includes that day."""
        return self.starts <= day < self.ends

    def overlaps(self, other: Tariff) -> bool:
        """Whether both apply to some call."""
        days = self.starts < other.ends and other.starts < self.ends
        return (
            days
            and self.tier == other.tier
            and self._context_overlaps(other)
            and other._context_overlaps(self)
        )

    def _context_overlaps(self, other: Tariff) -> bool:
        return self.up_to is None or other.above < self.up_to


class PricedModel(msgspec.Struct, frozen=True, eq=False):
    """Model ids that share prices, the source of the prices, and the tariffs by tier. The tariffs of a tier
    do not overlap: each has all prices of its period and context. They are sorted by period and context."""

    ids: tuple[str, ...]
    source: str
    note: str
    rows: tuple[Tariff, ...]
    tariffs: dict[str, tuple[Tariff, ...]]

    @classmethod
    def of_rows(
        cls,
        ids: tuple[str, ...],
        source: str,
        note: str,
        rows: tuple[Tariff, ...],
        over: tuple[Tariff, ...] = (),
    ) -> PricedModel:
        """Merges rows. `rows` that overlap must price different components; `over` are rows that take
        precedence, component by component."""
        tariffs = {tier: tuple(_add_up(tier, rows, over)) for tier in TIERS}
        return cls(ids, source, note, (*rows, *over), tariffs)

    def tariff(self, tier: str, day: date, prompt: int) -> Tariff | None:
        """The price list for a call on that day (UTC) whose prompt has that many tokens."""
        for tariff in self.tariffs.get(tier, ()):
            if tariff.covers(day, prompt):
                return tariff
        return None


def _add_up(tier: str, rows: tuple[Tariff, ...], over: tuple[Tariff, ...]) -> Iterator[Tariff]:
    """The merged tariffs of a tier: one for each period and context in which the same rows apply."""
    own = [*_of_tier(tier, rows), *_of_tier(tier, over)]
    # Later ones take precedence.
    layers = [*_tierless(rows), *_tierless(over), *own] if tier != TIERS[0] else own
    for (starts, ends), (above, up_to) in product(periods_of(layers), contexts_of(layers)):
        # The smallest prompt of the context; all others have the same rows.
        prompt = above + 1
        # If only standard-tier prices of searches apply, this tier has no price list.
        if not any(row.covers(starts, prompt) for row in own):
            continue
        last = {name: row for row in layers if row.covers(starts, prompt) for name in row.prices}
        yield Tariff(
            tier=tier,
            prices={name: row.prices[name] for name, row in last.items()},
            starts=starts,
            ends=ends,
            above=above,
            up_to=None if up_to == _UNBOUNDED else up_to,
            confidence={name: row.confidence[name] for name, row in last.items() if name in row.confidence},
            own=frozenset(name for name, row in last.items() if name in row.own),
        )


def _of_tier(tier: str, rows: Iterable[Tariff]) -> list[Tariff]:
    return [row for row in rows if row.tier == tier]


def _tierless(rows: Iterable[Tariff]) -> Iterator[Tariff]:
    """The standard-tier prices that apply in any other tier, too."""
    for row in _of_tier(TIERS[0], rows):
        prices = {name: price for name, price in row.prices.items() if name.startswith(TIERLESS)}
        if prices:
            yield msgspec.structs.replace(row, prices=prices)


def periods_of(rows: Iterable[Tariff]) -> Iterator[tuple[date, date]]:
    """The periods in which the applicable rows do not change: first day, and first day of the next period."""
    return pairwise(sorted({day for row in rows for day in (row.starts, row.ends)}))


def contexts_of(rows: Iterable[Tariff], *, whole: bool = False) -> Iterator[tuple[int, int]]:
    """The contexts in which the applicable rows do not change; `whole`: including prompts that no row applies
    to. The largest bound stands for unbounded."""
    bounds = {_UNBOUNDED if bound is None else bound for row in rows for bound in (row.above, row.up_to)}
    return pairwise(sorted(bounds | {-1, _UNBOUNDED} if whole else bounds))
