"""The documents of `GET /spend` as types, their columns, and what is said of calls without a known cost."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal

import msgspec

from gatekeeper.client import formats
from gatekeeper.client.api_types import PartialResult
from gatekeeper.client.columns import Cell, TextRole
from gatekeeper.client.formats import pluralized

# Finds the `unpriced_calls`.
UNPRICED = "cost:none"

# Models with unpriced calls that a line names at most.
NAMED_MODELS = 5

# Decimals that the sums' column reserves.
SUM_PLACES = 4


class SpendRow(msgspec.Struct, frozen=True):
    """The sums of one group. The fields that `by` names identify it; None stands for calls without a value.

    With `other` these are the sums of all groups outside the requested top: `groups` of them.
    """

    tag: str | None = None
    model: str | None = None
    key: str | None = None
    user: str | None = None
    day: str | None = None
    week: str | None = None
    hour: str | None = None
    minute: str | None = None
    calls: int = 0
    errors: int = 0
    prompt_tokens: int | None = None
    cached_tokens: int | None = None
    output_tokens: int | None = None
    thoughts_tokens: int | None = None
    total_tokens: int | None = None
    cost_usd: Decimal | None = None
    unpriced_calls: int = 0
    other: bool = False
    groups: int | None = None

    def group(self, by: str) -> str | None:
        """The value of `tag`, `model`, `key` or `user`; None for calls without one."""
        return {"tag": self.tag, "model": self.model, "key": self.key, "user": self.user}[by]

    @property
    def charged_output(self) -> int | None:
        """Candidates and thoughts, as in the column of one call; None where neither was reported."""
        known = [number for number in (self.output_tokens, self.thoughts_tokens) if number is not None]
        return sum(known) if known else None

    @property
    def spent(self) -> Decimal:
        """The known part of the cost; 0 where nothing is known."""
        return self.cost_usd or Decimal(0)

    @property
    def known_cost(self) -> Decimal | None:
        """The cost; None where no call has a known price, as 0 would be wrong."""
        # A sum of 0 beside calls of unknown cost says nothing.
        return self.cost_usd if self.cost_usd or not self.unpriced_calls else None


class SpendRest(SpendRow, frozen=True):
    """The sums of the `rows` that a truncated response left out."""

    rows: int = 0


class UnpricedModel(msgspec.Struct, frozen=True):
    """A model that served calls without a known cost (None: not known), and their number."""

    model: str | None = None
    calls: int = 0


class Spend(PartialResult, frozen=True):
    """`since` and `until` are the resolved bounds, `timezone` is that of days and hours; `rest` is set where
    the response is `truncated`. `unpriced_models`: those with the most calls without a known cost; with
    `unpriced_models_truncated` there are more."""

    rows: tuple[SpendRow, ...] = ()
    total: SpendRow = SpendRow()
    unpriced_models: tuple[UnpricedModel, ...] = ()
    unpriced_models_truncated: bool = False
    truncated: bool = False
    rest: SpendRest | None = None
    since: datetime | None = None
    until: datetime | None = None
    timezone: str = "UTC"


def unpriced_text(spend: Spend, width: int | None = None) -> str | None:
    """One line about the calls that the sums leave out: how many, and of which models; None without any. With
    a `width` it names as many models as fit into so many cells, but at least one."""
    calls, models, cut = spend.total.unpriced_calls, spend.unpriced_models, spend.unpriced_models_truncated
    if not calls:
        return None
    told = f"{pluralized(calls, 'call')}"
    if not models:
        return f"{told} of unknown cost"
    number = f"over {len(models)} models" if cut else pluralized(len(models), "model")
    told = f"{told} of unknown cost, {number}: "
    lines = [told + _named(models, names, cut) for names in range(NAMED_MODELS, 0, -1)]
    return next((line for line in lines if width is None or len(line) <= width), lines[-1])


def _named(models: Sequence[UnpricedModel], names: int, cut: bool) -> str:
    named = [f"{row.model or 'no model'} ({row.calls:,})" for row in models[:names]]
    return ", ".join([*named, *(["…"] if cut or len(models) > names else [])])


def spent_cell(row: SpendRow) -> Cell:
    """The cost of a group of calls; `?` where it is unknown."""
    cost = row.known_cost
    return formats.align_decimal(
        formats.money(cost), SUM_PLACES
    ), TextRole.WARNING if cost is None else TextRole.PLAIN


def share_cell(row: SpendRow, whole: Decimal | None) -> Cell:
    """The group's share of the total; more than all where calls with several tags are under more than one."""
    cost = row.known_cost
    if cost is None:
        return formats.UNKNOWN, TextRole.PLAIN
    return formats.percent(float(cost / whole) if whole else 0), TextRole.PLAIN
