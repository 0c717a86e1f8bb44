"""What the ledger's calls would be on Google's bill: each row's cost by Pacific day and charge, and the calls
that may be there otherwise. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import date, datetime, timedelta, tzinfo
from decimal import Decimal
from enum import StrEnum
from functools import lru_cache
from typing import NamedTuple

import msgspec

from gatekeeper.gemini.actions import BATCHES, OPENAI_BATCH
from gatekeeper.pricing.catalogue import Catalogue
from gatekeeper.pricing.cost_lines import CostLine
from gatekeeper.pricing.priced_call import PricedColumns, free_reason, row_quote, row_sums
from gatekeeper.pricing.quote import Quote
from gatekeeper.pricing.sku import LONG_PROMPT, Charge, component_charge, model_family
from gatekeeper.reconcile.billing_row import to_pico

NEAR_MIDNIGHT = timedelta(minutes=10)
ENDED_EARLY = frozenset({"client_disconnected", "cut", "upstream_broken", "interrupted"})
# Calls that are kept for each day, model and reason.
MAX_SUSPECTS = 5


# Not None: msgspec decodes no `Raw | None`.
NULL = msgspec.Raw(b"null")


class Reason(StrEnum):
    """Why a call may be on the bill with another amount or day, the likeliest reason first."""

    UNPRICED = "its cost is unknown here"
    ENDED_EARLY = "it ended early, so that Google may bill more than it reported"
    BATCH = "a batch: Google bills it on the day on which it ran"
    NOTE = "its usage was odd"
    MIDNIGHT = "near midnight in Pacific time: Google may bill it on the other day"


class LedgerRow(msgspec.Struct, frozen=True):
    """The columns of a call that matter here, as `/calls` has them."""

    id: str
    started_at: datetime
    duration_ms: float | None = None
    model: str | None = None
    model_version: str | None = None
    action: str | None = None
    outcome: str | None = None
    status: int | None = None
    service_tier: str | None = None
    prompt_tokens: int | None = None
    cost_usd: Decimal | None = None
    usage: msgspec.Raw = NULL
    billed_units: msgspec.Raw = NULL
    usage_note: str | None = None


class Suspect(NamedTuple):
    """A call that may explain a difference."""

    id: str
    started_at: datetime
    model: str
    cost_pico: int | None
    reason: Reason
    note: str | None


class Amount(NamedTuple):
    """A quantity, in the unit of its charge, and pico-dollars."""

    quantity: Decimal = Decimal(0)
    pico: int = 0

    def plus(self, quantity: int | Decimal, pico: int) -> Amount:
        return Amount(self.quantity + quantity, self.pico + pico)


class _Part(NamedTuple):
    """A call, or one sum of a batch: its cost, and the prompt that decides on `long`."""

    quote: Quote
    prompt: int


class _Line(NamedTuple):
    """A line of a part's cost."""

    model: str
    prompt: int
    line: CostLine


class LedgerCharges:
    """Adds rows up. `otherwise_priced` counts those whose cost is not that of this catalogue: their lines are
    scaled to the cost in the ledger."""

    def __init__(self, catalogue: Catalogue, pacific: tzinfo) -> None:
        self._catalogue, self._pacific = catalogue, pacific
        self.sums: dict[tuple[date, Charge], Amount] = {}
        self.suspects: dict[tuple[date, str], dict[Reason, list[Suspect]]] = {}
        self.otherwise_priced = 0
        self.unpriced: Counter[str] = Counter()  # calls by model
        self.calls = 0

    def add(self, row: LedgerRow) -> None:
        """Counts a row; one that costs nothing is on no bill."""
        if free_reason(row.outcome, row.status, row.action):
            return
        self.calls += 1
        local = row.started_at.astimezone(self._pacific)
        columns = _priced_columns(row)
        quote = row_quote(self._catalogue, columns)
        # A batch's own prompt is the sum of all its requests', and decides on nothing.
        parts = [_Part(each.quote, each.largest_prompt) for each in row_sums(self._catalogue, columns)]
        parts = parts or [_Part(quote, row.prompt_tokens or 0)]
        cost = None if row.cost_usd is None else to_pico(row.cost_usd)
        if cost is not None:
            tier = "batch" if _is_batch(row) else row.service_tier or "standard"
            for (model, prompt, line), pico in self._shares(parts, cost):
                key = local.date(), _charge(line.component, model, tier, prompt > LONG_PROMPT)
                self.sums[key] = self.sums.get(key, Amount()).plus(line.quantity, pico)
        else:
            self.unpriced[quote.model] += 1
        for reason in _reasons(row, local):
            for model in dict.fromkeys(part.quote.model for part in parts):
                self._suspect(row, local, model, cost, reason)

    def _shares(self, parts: Sequence[_Part], cost: int) -> list[tuple[_Line, int]]:
        """The lines with their parts of the cost."""
        known = [_Line(quote.model, prompt, line) for quote, prompt in parts for line in quote.lines]
        total = sum(each.line.pico for each in known)
        if total == cost:
            return [(each, each.line.pico) for each in known]
        self.otherwise_priced += 1
        if not total:
            return [(_Line(parts[0].quote.model, 0, CostLine(UNKNOWN, 1, "", cost, cost)), cost)]
        # In proportion: which of its prices another catalogue had is not known.
        shares = [(each, each.line.pico * cost // total) for each in known]
        last, rest = shares[-1][0], sum(pico for _, pico in shares[:-1])
        # The last one takes what rounding down has left: the parts add up to the cost in the ledger.
        return [*shares[:-1], (last, cost - rest)]

    def _suspect(self, row: LedgerRow, local: datetime, model: str, cost: int | None, reason: Reason) -> None:
        days = {local.date()}
        if reason is Reason.MIDNIGHT:
            days |= {(local - NEAR_MIDNIGHT).date(), _end(row, local).date()}
        suspect = Suspect(row.id, row.started_at, model, cost, reason, row.usage_note)
        for day in days:
            kept = self.suspects.setdefault((day, model_family(model)), {}).setdefault(reason, [])
            if len(kept) < MAX_SUSPECTS:
                kept.append(suspect)


UNKNOWN = "components unknown"


def _priced_columns(row: LedgerRow) -> PricedColumns:
    return PricedColumns(
        model=row.model,
        model_version=row.model_version,
        service_tier=row.service_tier,
        action=row.action,
        usage=_known(row.usage),
        billed_units=_known(row.billed_units),
        started_at=row.started_at,
    )


def _known(column: msgspec.Raw) -> bytes | None:
    raw = bytes(column)
    return None if raw == b"null" else raw


@lru_cache(maxsize=4096)
def _charge(component: str, model: str, tier: str, is_long: bool) -> Charge:
    return component_charge(component, model, tier, LONG_PROMPT + 1 if is_long else 0)


def _is_batch(row: LedgerRow) -> bool:
    return row.action in BATCHES or row.action == OPENAI_BATCH


def _reasons(row: LedgerRow, local: datetime) -> Iterable[Reason]:
    if row.cost_usd is None:
        yield Reason.UNPRICED
    if row.outcome in ENDED_EARLY:
        yield Reason.ENDED_EARLY
    if _is_batch(row):
        yield Reason.BATCH
    if row.usage_note:
        yield Reason.NOTE
    if (local - NEAR_MIDNIGHT).date() != local.date() or _end(row, local).date() != local.date():
        yield Reason.MIDNIGHT


def _end(row: LedgerRow, local: datetime) -> datetime:
    """When Google may have billed the call at the latest."""
    return local + timedelta(milliseconds=row.duration_ms or 0) + NEAR_MIDNIGHT
