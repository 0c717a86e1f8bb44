"""When a price holds: models, their tariffs by tier, period and context. Who writes them is `catalogue`."""

from __future__ import annotations

from datetime import date

import msgspec

TIERS = ("standard", "flex", "priority", "batch")


class Tariff(msgspec.Struct, frozen=True, kw_only=True):
    """One price list: pico-dollars per token of each component, in one tier, period and context.

    `starts` is its first day (UTC), `ends` the first day on which it no longer holds. It holds for prompts
    of more than `above` and at most `up_to` tokens, cached ones included ("prompts <= 200k tokens").
    """

    tier: str
    prices: dict[str, int]
    starts: date = date.min
    ends: date = date.max
    above: int = -1
    up_to: int | None = None

    @property
    def embeds(self) -> bool:
        """Whether it prices embedding calls, which have no output."""
        return any(component.startswith("embedding_") for component in self.prices)

    @property
    def thinking_priced(self) -> bool:
        """Whether output has one price with thoughts and another without (2.5 Flash, April and May 2025)."""
        return "output_text_thinking" in self.prices

    def covers(self, day: date, prompt: int) -> bool:
        fits = self.above < prompt and (self.up_to is None or prompt <= self.up_to)
        return fits and self.starts <= day < self.ends

    def overlaps(self, other: Tariff) -> bool:
        """Whether some call is covered by both, so that its price would hang on their order."""
        days = self.starts < other.ends and other.starts < self.ends
        return days and self.tier == other.tier and self._reaches(other) and other._reaches(self)

    def _reaches(self, other: Tariff) -> bool:
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
