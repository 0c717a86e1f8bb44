"""Why a package answers otherwise than we do: each reason is a rule by which our own arithmetic gives its
answer, the calls that it is for, and who is right. It is no excuse for any other amount."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from decimal import Decimal
from fnmatch import fnmatchcase
from typing import Literal

import msgspec
from pricing.oracles.calls import Call, Change, shipped

from gatekeeper.gemini.token_usage import Usage
from gatekeeper.pricing.price_components import unit_of

Right = Literal["we", "they", "open"]
MODALITIES = ("text", "image", "video", "audio")


@dataclass(frozen=True, kw_only=True)
class Reason:
    """`change` makes of our arithmetic what the package answers; `answer` is a refusal instead. An empty
    filter: any."""

    rule: str
    right: Right
    why: str
    source: str
    change: Change | None = None
    answer: str | None = None
    models: Collection[str] = ("*",)
    tiers: Collection[str] = ()
    kinds: Collection[str] = ()
    cases: Collection[str] = ()
    since: str = ""
    until: str = "9999"

    def is_for(self, call: Call) -> bool:
        """`until` is the first day on which it is not."""
        return (
            (not self.tiers or call.tier in self.tiers)
            and (not self.kinds or call.kind in self.kinds)
            and (not self.cases or call.case in self.cases)
            and self.since <= call.day.isoformat() < self.until
            and any(fnmatchcase(call.model, glob) for glob in self.models)
        )


def _with_usage(**counts: object) -> Change:
    def change(call: Call) -> Call:
        usage = call.usage or Usage()
        return call._replace(usage=msgspec.structs.replace(usage, **counts))

    return change


WITHOUT_TOTAL = _with_usage(total=None)
WITHOUT_OUTPUT = _with_usage(total=None, output=0, thoughts=None, output_details=())
WITHOUT_PROMPT_DETAILS = _with_usage(prompt_details=())


def cached_beside_input(call: Call) -> Call:
    """All of the prompt at its own price, and the cached tokens as cached text beside it."""
    cached = (call.usage and call.usage.cached) or 0
    return _with_usage(cached=None)(call)._replace(extra={"cached_text": cached})


def without_searches(call: Call) -> Call:
    return call._replace(
        units={name: n for name, n in call.units.items() if not name.startswith("grounding_")}
    )


def by_tool_use_too(call: Call) -> Call:
    """The context's price by prompt and tool use."""
    usage = call.usage or Usage()
    return call._replace(counted=(usage.prompt or 0) + (usage.tool or 0))


def without_context(call: Call) -> Call:
    return call._replace(counted=0)


def in_tier(tier: str) -> Change:
    return lambda call: call._replace(tier=tier)


def on_day(day: str) -> Change:
    return lambda call: call._replace(day=type(call.day).fromisoformat(day))


def as_model(model: str) -> Change:
    return lambda call: call._replace(model=model)


def moved(*pairs: str) -> Change:
    """`cached_audio>cached_text`: tokens of the one are priced as the other."""
    names = dict(pair.split(">") for pair in pairs)
    return lambda call: call._replace(moved={**call.moved, **names})


def priced(**dollars: str | None) -> Change:
    """By other prices, in the units of Google's page. `input`, `cached` and `output` are those of all
    modalities. None: by none."""
    found: dict[str, int | None] = {}
    for name, amount in dollars.items():
        for component in _components(name):
            size = unit_of(component).size
            found[component] = None if amount is None else int(Decimal(amount) * 10**12) // size
    return lambda call: call._replace(prices={**call.prices, **found})


def _components(name: str) -> tuple[str, ...]:
    prefixes = {"input", "cached", "output", "live_input", "live_output", "embedding_input"}
    return tuple(f"{name}_{modality}" for modality in MODALITIES) if name in prefixes else (name,)


FREE = priced(
    input="0", cached="0", output="0", live_input="0", live_output="0", embedding_input="0",
    output_text_thinking="0", output_text_not_thinking="0",
)  # fmt: skip


def times(factors: Mapping[str, str], tier: str = "standard") -> Change:
    """By the prices of a tier times a factor, by the beginning of the component."""

    def change(call: Call) -> Call:
        model = shipped().find(shipped().resolve_alias(call.model, call.day))
        prompt = (call.usage and call.usage.prompt) or 0
        tariff = model and model.tariff(tier, call.day, prompt if call.counted is None else call.counted)
        prices = {
            name: int(
                price * Decimal(next((f for start, f in factors.items() if name.startswith(start)), "1"))
            )
            for name, price in (tariff.prices if tariff else {}).items()
        }
        return call._replace(tier=tier, prices={**prices, **call.prices})

    return change


BATCH_HALF = times({"input_": "0.5", "cached_": "0.5", "output_": "0.5", "embedding_": "0.5"})
CACHED_AS_INPUT = moved(*(f"cached_{name}>input_{name}" for name in MODALITIES))
