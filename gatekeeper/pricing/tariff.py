"""The price lists of the catalogue: pico-dollars for one unit of each component, in one tier, period and
context. What a component is counted in is in `units`."""

from __future__ import annotations

from datetime import date
from typing import Literal, get_args

import msgspec

from gatekeeper.money import usd

TIERS = ("standard", "flex", "priority", "batch")
# Prices are given for this number of tokens.
TOKENS_PER_PRICE = 10**6


Modality = Literal["text", "image", "video", "audio"]
MODALITIES: tuple[Modality, ...] = get_args(Modality)


class Tariff(msgspec.Struct, frozen=True, kw_only=True):
    """One price list: pico-dollars per token of each component, in one tier, period and context.

    `starts` is its first day (UTC), `ends` the first day on which it no longer holds. It holds for prompts
    of more than `above` and at most `up_to` tokens, cached ones included ("prompts <= 200k tokens").
    """

    tier: str
    prices: dict[str, int]
    starts: date = date.min
    ends: date = date.max
    # Below 0, so that a prompt of no tokens is covered too.
    above: int = -1
    up_to: int | None = None

    def covers(self, day: date, prompt: int) -> bool:
        fits = self.above < prompt and (self.up_to is None or prompt <= self.up_to)
        return fits and self.starts <= day < self.ends

    def overlaps(self, other: Tariff) -> bool:
        """Whether some call is covered by both, so that its price would depend on their order."""
        days = self.starts < other.ends and other.starts < self.ends
        return (
            days
            and self.tier == other.tier
            and self._context_overlaps(other)
            and other._context_overlaps(self)
        )

    def _context_overlaps(self, other: Tariff) -> bool:
        return self.up_to is None or other.above < self.up_to


class PricedModel(msgspec.Struct, frozen=True):
    """The ids that share prices, where the prices are from, and the tariffs by tier."""

    ids: tuple[str, ...]
    source: str
    note: str
    tariffs: dict[str, tuple[Tariff, ...]]

    def tariff(self, tier: str, day: date, prompt: int) -> Tariff | None:
        """The price list of a call on that day (UTC) whose prompt has so many tokens."""
        for tariff in self.tariffs.get(tier, ()):
            if tariff.covers(day, prompt):
                return tariff
        return None


def tariff_document(tariff: Tariff) -> dict[str, object]:
    """The row as the API returns it. `from` is the first day, `to` the first on which it no longer holds; the
    bounds are those of the whole prompt in tokens. Null: no bound."""
    return {
        "tier": tariff.tier,
        "from": None if tariff.starts == date.min else tariff.starts,
        "to": None if tariff.ends == date.max else tariff.ends,
        "prompt_above": None if tariff.above < 0 else tariff.above,
        "prompt_up_to": tariff.up_to,
        "per_1m_tokens": {name: usd(pico * TOKENS_PER_PRICE) for name, pico in tariff.prices.items()},
    }
