"""The cost of a batch: the sum of its responses, each priced separately, because the context threshold
applies to each prompt. Pure.

The `usage` in the row of a batch is a list of a few sums, so that it can be repriced: one usage object for
each model and price band, in the format of `encode_usage`, with four more members:

- `responses`: the number of responses in the sum;
- `model`: the model that was priced;
- `largestPromptTokenCount`: the largest prompt among them, which determines the price band of all;
- `billedUnits`: the billed units other than tokens, as charged: searches, and how many of them are free.

Each usage is normalized to what is charged before it is added, so that the price of a sum is the sum of the
prices.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import NamedTuple

import msgspec

from gatekeeper.gemini.response_parser import ResponseSummary
from gatekeeper.gemini.token_usage import Usage, add_usages, encode_usage
from gatekeeper.gemini.usage import read_usage
from gatekeeper.pricing.billed_tokens import UnpricedError, written_out
from gatekeeper.pricing.catalogue import Catalogue
from gatekeeper.pricing.cost_lines import SEARCH_KINDS, charged_searches
from gatekeeper.pricing.cost_notes import SUM_DIFFERS, SUMS_INCOMPLETE
from gatekeeper.pricing.quote import Quote, quote, sum_of_quotes
from gatekeeper.pricing.tariff import Tariff

BATCH = "batch"
MAX_GROUPS = 16
TOO_MANY_GROUPS = f"its responses have more than {MAX_GROUPS} models and price bands: their sums are not kept"


TakeFree = Callable[[str, str, int], int]
"""A function of model, kind and number of searches that takes them from the free allowance; returns how many
are free."""


class BatchCost:
    """Sums the cost of a batch. `cost_pico` is None if the cost of a response is unknown; `notes` say why."""

    def __init__(self, catalogue: Catalogue, *, model: str | None, action: str | None, at: datetime) -> None:
        """`model` is that of the batch, None if unknown; `at` (an aware time) is when the batch was
        created."""
        self._catalogue = catalogue
        self._model = model
        self._action = action
        self._at = at
        self._groups: dict[tuple[str, int], _Group] = {}
        self._too_many = False
        self._left_out = False
        self.cost_pico: int | None = 0
        self.responses = 0
        self._notes: dict[str, None] = {}

    def add(self, response: ResponseSummary) -> None:
        """Never raises for invalid usage."""
        self.responses += 1
        usage = read_usage(response.usage) if response.usage else None
        model = response.model_version or self._model
        # Without this response, repricing the sums would give only a part of the cost.
        self._left_out = self._left_out or model is None or usage is None
        if model is None:
            self._is_unknown("a response names no model")
            return
        quoted = quote(
            self._catalogue,
            model=self._model or model,
            model_version=response.model_version,
            usage=usage,
            at=self._at,
            tier=BATCH,
            action=self._action,
            billed_units=response.billed_units,
        )
        if quoted.cost_pico is None:
            self._is_unknown(*quoted.notes)
        elif self.cost_pico is not None:
            self.cost_pico += quoted.cost_pico
        if usage is not None:
            self._add_to_group(quoted.model, usage, response.billed_units)

    def _is_unknown(self, *notes: str) -> None:
        self.cost_pico = None
        # Bounded: thousands of responses may each have a note of their own.
        self._notes.update(dict.fromkeys(notes[: MAX_GROUPS - len(self._notes)]))

    def _add_to_group(self, model: str, usage: Usage, units: Mapping[str, int | None]) -> None:
        prompt = usage.prompt or 0
        found = self._catalogue.find(model)
        tariff = found.tariff(BATCH, self._at.astimezone(UTC).date(), prompt) if found else None
        # By price band, too: a sum over several bands would be priced at that of its largest prompt.
        key = model, tariff.above if tariff else -1
        group = self._groups.get(key)
        if group is None:
            if len(self._groups) == MAX_GROUPS:
                self._too_many = True
                return
            group = self._groups[key] = _Group(tariff)
        group.add(_for_a_sum(usage, tariff), prompt, _charged(units, tariff))

    def take_free_searches(self, take: TakeFree) -> dict[str, int]:
        """Deducts the free searches from the cost; returns how many they are, by unit. Call it once, after
        all responses were added."""
        taken: dict[str, int] = {}
        for (model, _), group in self._groups.items():
            for kind, search in SEARCH_KINDS.items():
                searches = group.searches(kind)
                if searches and (free := take(model, kind, searches)):
                    taken[search.free] = taken.get(search.free, 0) + free
                    price = group.take_free(kind, searches, free)
                    self.cost_pico = None if self.cost_pico is None else self.cost_pico - free * price
        return taken

    @property
    def model(self) -> str | None:
        """The model of all responses; None if they have several."""
        models = {model for model, _ in self._groups}
        return models.pop() if len(models) == 1 else None

    @property
    def usage(self) -> bytes | None:
        """The sums as JSON for the row's column; None if there are none."""
        if not self._groups or self._too_many:
            return None
        return msgspec.json.encode([group.element(model) for (model, _), group in self._groups.items()])

    @property
    def notes(self) -> tuple[str, ...]:
        """Notes on the cost and the sums."""
        notes = dict(self._notes)
        if self._left_out:
            notes[SUMS_INCOMPLETE] = None
        if self._too_many:
            notes[TOO_MANY_GROUPS] = None
        elif self.cost_pico is not None and (usage := self.usage):
            summed = batch_quote(self._catalogue, usage, model=self._model, action=self._action, at=self._at)
            if summed is None or summed.cost_pico != self.cost_pico:
                notes[SUM_DIFFERS] = None
        return tuple(notes)


class _Group:
    """The sum of some responses of one model in one price band."""

    def __init__(self, tariff: Tariff | None) -> None:
        self._prices = tariff.prices if tariff else {}
        self._usage: Usage | None = None
        self._responses = 0
        self._largest_prompt = 0
        self._units: dict[str, int | None] = {}

    def add(self, usage: Usage, prompt: int, units: Mapping[str, int | None]) -> None:
        self._usage = usage if self._usage is None else add_usages((self._usage, usage))
        self._responses += 1
        self._largest_prompt = max(self._largest_prompt, prompt)
        for component, quantity in units.items():
            before = self._units.get(component, 0)
            self._units[component] = None if quantity is None or before is None else before + quantity

    def searches(self, kind: str) -> int | None:
        """How many searches of a kind are charged; None if they have no price, or the number is unknown."""
        component = self._charged_as(kind)
        # Searches without a price must not use up the allowance.
        return self._units.get(component) if self._prices.get(component) else None

    def take_free(self, kind: str, searches: int, free: int) -> int:
        """Records how many searches of a kind are free; returns the price of one, in pico-dollars."""
        component = self._charged_as(kind)
        if component != kind:
            # Free searches are no longer counted as charged ones.
            self._units[component] = searches - free
        self._units[SEARCH_KINDS[kind].free] = free
        return self._prices[component]

    def _charged_as(self, kind: str) -> str:
        request = SEARCH_KINDS[kind].request
        return request if request in self._units else kind

    def element(self, model: str) -> msgspec.Raw:
        """The sum as an object of the row's `usage`."""
        members: dict[str, object] = {
            "responses": self._responses,
            "model": model,
            "largestPromptTokenCount": self._largest_prompt,
        }
        if self._units:
            members["billedUnits"] = self._units
        counts = encode_usage(self._usage) if self._usage else b"{}"
        # Joins two JSON objects: only `encode_usage` knows the format that `read_usage` accepts.
        return msgspec.Raw(msgspec.json.encode(members)[:-1] + b"," + counts[1:])


def _for_a_sum(usage: Usage, tariff: Tariff | None) -> Usage:
    """The usage, normalized so that the price of a sum is the sum of the prices; unchanged if it has no
    price."""
    try:
        return written_out(usage, tariff.prices) if tariff else usage
    except UnpricedError:
        return usage


def _charged(units: Mapping[str, int | None], tariff: Tariff | None) -> dict[str, int | None]:
    """The units of one request as charged: for older models one search per request."""
    if tariff is None:
        return dict(units)
    return dict(
        charged_searches(tariff, component, quantity) if component in SEARCH_KINDS else (component, quantity)
        for component, quantity in units.items()
    )


class _Element(msgspec.Struct, rename="camel"):
    responses: int
    model: str
    largest_prompt_token_count: int = 0
    billed_units: dict[str, int | None] = {}


class _Priced(NamedTuple):
    element: _Element
    usage: Usage | None


_decode_list = msgspec.json.Decoder(list[msgspec.Raw]).decode
_decode_element = msgspec.json.Decoder(_Element).decode


class PricedSum(NamedTuple):
    """The cost of one sum of a batch, and its largest prompt, which determines its price band."""

    quote: Quote
    largest_prompt: int


def batch_quote(
    catalogue: Catalogue, usage: bytes, *, model: str | None, action: str | None, at: datetime
) -> Quote | None:
    """The cost of a batch from the `usage` of its row; None if that is not a list of sums. Never raises."""
    sums = priced_sums(catalogue, usage, model=model, action=action, at=at)
    return sum_of_quotes(each.quote for each in sums) if sums else None


def priced_sums(
    catalogue: Catalogue, usage: bytes, *, model: str | None, action: str | None, at: datetime
) -> list[PricedSum]:
    """The cost of each sum; empty if `usage` is not a list of sums. Never raises."""
    if not usage.lstrip().startswith(b"["):
        return []
    try:
        elements = [_Priced(_decode_element(raw), read_usage(bytes(raw))) for raw in _decode_list(usage)]
    # msgspec's errors are ValueErrors; deep nesting exceeds the recursion limit.
    except (ValueError, RecursionError):
        return []
    return [
        PricedSum(
            quote(
                catalogue,
                model=model or element.model,
                model_version=element.model,
                usage=counts,
                at=at,
                tier=BATCH,
                action=action,
                billed_units=element.billed_units,
                largest_prompt=element.largest_prompt_token_count,
            ),
            element.largest_prompt_token_count,
        )
        for element, counts in elements
    ]
