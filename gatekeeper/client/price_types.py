"""The documents of `POST /prices/quote` and `GET /models` as types."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from gatekeeper.client.api_types import CostLine


class Quote(msgspec.Struct, frozen=True):
    """What a call of `model` would cost, line by line; None is unknown, and the notes say why."""

    model: str
    cost_usd: Decimal | None
    lines: tuple[CostLine, ...]
    price_version: str
    notes: tuple[str, ...]


class SeenModel(msgspec.Struct, frozen=True):
    """A model that calls have asked for, and whether it has a price."""

    model: str
    priced: bool = False


class Models(msgspec.Struct, frozen=True):
    """`seen`: most recently used first; `priced`: ids, or globs of ids, of the prices in force."""

    seen: tuple[SeenModel, ...] = ()
    priced: tuple[str, ...] = ()

    def names(self) -> list[str]:
        """Every model with a price that is known by its name, those in use first."""
        known = [each.model for each in self.seen if each.priced]
        return list(dict.fromkeys([*known, *(name for name in self.priced if "*" not in name)]))
