"""What a call is billed for, and at which price: the components of its tokens, and the price lists.

A component is a kind and a modality: `input_text`, `cached_audio`, `output_text`, `embedding_input_image`.
The rules, with Google's words for them (pricing page, billing FAQ, token documentation):

- Cached tokens are priced instead of input, not beside it: input = prompt - cached, by modality.
- totalTokenCount takes precedence: output = total - prompt - tool, thoughts included. Responses of v1 omit
  their thoughts, others count them twice; the total is right in both. Without a total, or with one below
  prompt + tool, output = candidates + thoughts.
- Tool-use tokens (the results of code execution, URL context and file search) are input.
- Details split a count into modalities. DOCUMENT is priced as IMAGE; what the details omit is TEXT.
- Cached tokens without details are text as far as the prompt has text, then image, video, audio: this is our
  choice, Google does not define it. With a prompt of one modality there is no ambiguity.

If the counts contradict each other so that more than one cost is possible, the call has no cost.
"""

from __future__ import annotations

from datetime import date
from typing import Literal, get_args

import msgspec

from gatekeeper.gemini.token_counts import Details
from gatekeeper.gemini.usage import Usage
from gatekeeper.money import usd

TIERS = ("standard", "flex", "priority", "batch")
# Prices are given for this number of tokens.
TOKENS_PER_PRICE = 10**6


Modality = Literal["text", "image", "video", "audio"]
MODALITIES: tuple[Modality, ...] = get_args(Modality)
PRICED_AS = {"document": "image"}

# By modality or by component, in the order in which lines are shown
Tokens = dict[str, int]


class UnpricedError(Exception):
    """A call has no cost; the message tells people why."""


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

    @property
    def is_embedding(self) -> bool:
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


def generation_components(usage: Usage, *, thinking_priced: bool = False) -> Tokens:
    """The components of a generateContent call. With `thinking_priced` its output has one price with thoughts
    and another without (two previews of 2025), and all of it is billed at one of them.

    Raises UnpricedError if prompt or output are not reported, or the counts contradict each other.
    """
    output = billed_output_tokens(usage)
    tokens = _prompt(usage)
    for modality, count in _by_modality("candidates", output, usage.output_details).items():
        tokens[f"output_{modality}"] = count
    if thinking_priced and "output_text" in tokens:
        # Responses of v1 omit their thoughts from the counts, but not from the total.
        thought = bool(usage.thoughts) or output > (usage.output or 0)
        tokens["output_text_thinking" if thought else "output_text_not_thinking"] = tokens.pop("output_text")
    return tokens


def embedding_components(usage: Usage) -> Tokens:
    """The components of an embedding call, which is prompt only. Raises UnpricedError if none is reported."""
    parts = _by_modality("prompt", _known_prompt(usage), usage.prompt_details)
    return {f"embedding_input_{modality}": count for modality, count in parts.items()}


def billed_output_tokens(usage: Usage) -> int:
    """Candidates and thoughts together. Raises UnpricedError if neither they nor a total are reported."""
    input_tokens = _known_prompt(usage) + (usage.tool or 0)
    # A total below the input contradicts itself: then the single counts are used.
    if usage.total is not None and usage.total >= input_tokens:
        return usage.total - input_tokens
    if usage.output is None and usage.thoughts is None:
        raise UnpricedError("the usage reports no output: neither a total nor candidates nor thoughts")
    return (usage.output or 0) + (usage.thoughts or 0)


def _known_prompt(usage: Usage) -> int:
    if usage.prompt is None:
        raise UnpricedError("the usage reports no promptTokenCount")
    return usage.prompt


def _prompt(usage: Usage) -> Tokens:
    """Input and cached components of prompt and tool use."""
    cached = _cached(usage)
    # If the prompt has no details, it contains at least its cached part: cached audio must not be subtracted
    # from text.
    uncached = _by_modality("prompt", _known_prompt(usage), usage.prompt_details or tuple(cached.items()))
    for modality, count in cached.items():
        uncached[modality] = uncached.get(modality, 0) - count
        if uncached[modality] < 0:
            raise UnpricedError(f"the usage reports more cached {modality} tokens than its prompt has")
    for modality, count in _by_modality("tool-use", usage.tool or 0, usage.tool_details).items():
        uncached[modality] = uncached.get(modality, 0) + count
    tokens = {f"input_{modality}": count for modality, count in uncached.items()}
    tokens.update({f"cached_{modality}": count for modality, count in cached.items()})
    return tokens


def _cached(usage: Usage) -> Tokens:
    if not usage.cached:
        return {}
    if usage.cached_details or not usage.prompt_details:
        return _by_modality("cached", usage.cached, usage.cached_details)
    prompt = _by_modality("prompt", _known_prompt(usage), usage.prompt_details)
    taken: Tokens = {}
    left = usage.cached
    # Text first, in the order of the modalities: our choice, and `quote` notes it.
    for modality in MODALITIES:
        if count := min(left, prompt.get(modality, 0)):
            taken[modality] = count
            left -= count
    if left:
        raise UnpricedError("the usage reports more cached tokens than its prompt has")
    return taken


def _by_modality(what: str, count: int, details: Details) -> Tokens:
    """A count by modality, in the order of the details; text that they omit comes last."""
    parts: Tokens = {}
    for modality, tokens in details:
        # Two modalities may be priced as one, so they add up.
        priced = PRICED_AS.get(modality, modality)
        parts[priced] = parts.get(priced, 0) + tokens
    left = count - sum(parts.values())
    if left > 0:
        parts["text"] = parts.get("text", 0) + left
    elif left < 0:
        # With one modality there is no ambiguity: its number of tokens is the count.
        if len(parts) > 1:
            raise UnpricedError(f"the details of the {what} tokens make up more than their count")
        return dict.fromkeys(parts, count)
    return parts
