"""Parses the descriptions of SKUs on Google's bills: model, kind, modality, tier, context. Pure.

Google does not document the format of these descriptions; these are the forms on bills of the Gemini API (see
the cases of the tests, collected from published bills and catalogues in 2026):

- `Generate content [cached] input|output token count MODEL [short|long] [input|output] [MODALITY] [TIER]`,
  also `…for MODEL`, and with `caching` at the end for cached input
- `Generate_content [cached] MODALITY [cached] input|output token count for MODEL [short|long] [TIER]`, also
  written `GenerateContent`, `BidiGenerateContent` (Live), `EmbedContent`
- `Generate content cached content storage token hours MODEL`
- `Generate content search query gemini 3 free|paid one`; `Grounding with Google Search|Maps on Gemini 3`
- `Imagen 4 [Fast|Ultra] Generation`

A SKU with any other word, or with a model that is not in the catalogue, is unknown: nothing is guessed.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from itertools import accumulate
from typing import NamedTuple

from gatekeeper.pricing.price_components import (
    CACHE_STORAGE,
    IMAGE,
    MAPS_QUERY,
    MAPS_REQUEST,
    SEARCH_QUERY,
    SEARCH_REQUEST,
)
from gatekeeper.pricing.tariff import MODALITIES

LONG_PROMPT = 200_000  # tokens; a request with more is billed as `long`
CONTEXTS = ("short", "long")
TIER_WORDS = ("flex", "batch", "priority")
# Words that are ignored; thoughts have the price of other output.
NO_MEANING = ("input", "output", "thinking", "non-thinking")

# Models that have another name on bills.
BILLED_AS = {
    "gemini-2.5-flash-native-image-generation": "gemini-2.5-flash-image",
    "gemini-3.1-pro": "gemini-3-pro",
    "gemini-3.1-pro-customtools": "gemini-3-pro",
}
# Searches are billed by generation: `request` of Gemini 2.5 and older, `query` later.
GENERATIONS = {"2.5": "gemini-2.5", "3": "gemini-3"}
BILLED_SEARCHES = {
    SEARCH_REQUEST: ("search", "gemini-2.5"),
    SEARCH_QUERY: ("search", "gemini-3"),
    MAPS_REQUEST: ("maps", "gemini-2.5"),
    MAPS_QUERY: ("maps", "gemini-3"),
}

_SPELLINGS = (("_", " "), ("generatecontent", "generate content"), ("embedcontent", "embed content"))
_TOKENS = re.compile(
    r"(?:bidi ?)?(?:generate|embed) content(?P<before>(?: (?:cached|text|image|video|audio))*) "
    r"(?P<kind>input|output) token count(?: for)? (?P<rest>.+)"
)
_STORAGE = re.compile(
    r"generate content cached (?:content|text|image|video|audio) storage token hours(?: for)? (?P<model>.+)"
)
_SEARCH = re.compile(
    r"generate content search query gemini (?P<generation>2\.5|3)(?: (?:free|paid)(?: [a-z]+)?)?"
)
_GROUNDING = re.compile(r"grounding with google (?P<kind>search|maps) on gemini (?P<generation>2\.5|3)")
_IMAGEN = re.compile(r"imagen 4(?: (?P<variant>fast|ultra))? generation(?: \(output\))?")
# Live calls and embeddings have models, and so SKUs, of their own.
_COMPONENT = re.compile(
    rf"(?:live_|embedding_)?(?P<kind>input|cached|output)_(?P<modality>{'|'.join(MODALITIES)})"
    r"(?:_thinking|_not_thinking)?"
)
# Suffixes as in gemini-2.5-flash-preview-09-2025 and gemini-2.0-flash-001, which bills leave out.
_NO_NAME = re.compile(r"-(?:preview|exp|latest)(?=-|\Z)")
_VERSION = re.compile(r"(?:-\d{2}-\d{4}|-\d{2}-\d{2}|-\d{3})\Z")


class Charge(NamedTuple):
    """What a SKU charges for. `family` is the model without its version. None in `modality`, `tier` or
    `context` stands for all that have no SKU of their own."""

    family: str
    kind: str
    modality: str | None = None
    tier: str | None = None
    context: str | None = None

    def covers(self, other: Charge) -> bool:
        """Whether this includes `other`, which has no None."""
        return (
            (self.family, self.kind) == (other.family, other.kind)
            and self.modality in (None, other.modality)
            and self.tier in (None, other.tier)
            and self.context in (None, other.context)
        )

    @property
    def specific(self) -> int:
        """How many of its attributes are not None."""
        return sum(part is not None for part in self)


def model_family(model: str) -> str:
    """The model as on a bill: without `preview`, dates and three-digit version numbers."""
    name = _VERSION.sub("", _NO_NAME.sub("", model.lower().removeprefix("models/")))
    return BILLED_AS.get(name, name)


def families_of(ids: Iterable[str]) -> frozenset[str]:
    """The families of a catalogue's ids, except globs."""
    return frozenset(model_family(name) for name in ids if "*" not in name)


def component_charge(component: str, model: str, tier: str, prompt_tokens: int | None) -> Charge:
    """The charge on the bill that corresponds to a cost line: its component, the priced model, the tier, and
    the prompt tokens, which determine `long`."""
    if component in BILLED_SEARCHES:
        kind, generation = BILLED_SEARCHES[component]
        return Charge(generation, kind)
    family = model_family(model)
    if not (tokens := _COMPONENT.fullmatch(component)):
        return Charge(family, "storage" if component == CACHE_STORAGE else component)
    is_long = prompt_tokens is not None and prompt_tokens > LONG_PROMPT
    return Charge(family, tokens["kind"], tokens["modality"], tier, CONTEXTS[is_long])


def sku_charge(description: str, families: Collection[str]) -> Charge | None:
    """What a SKU charges for, from its description; None if that is not certain."""
    text = " ".join(_spelled(description).split())
    if found := _TOKENS.fullmatch(text):
        # An ambiguous description counts as unknown.
        charges = set(_token_charges(found["before"].split(), found["kind"], found["rest"].split(), families))
        return charges.pop() if len(charges) == 1 else None
    if found := _STORAGE.fullmatch(text):
        family = model_family(found["model"].replace(" ", "-"))
        return Charge(family, "storage") if family in families else None
    if found := _SEARCH.fullmatch(text):
        return Charge(GENERATIONS[found["generation"]], "search")
    if found := _GROUNDING.fullmatch(text):
        return Charge(GENERATIONS[found["generation"]], found["kind"])
    if found := _IMAGEN.fullmatch(text):
        variant = f"{found['variant']}-" if found["variant"] else ""
        return Charge(f"imagen-4.0-{variant}generate", IMAGE)
    return None


def _spelled(description: str) -> str:
    text = description.lower()
    for written, usual in _SPELLINGS:
        text = text.replace(written, usual)
    return text


def _token_charges(
    before: list[str], kind: str, words: list[str], families: Collection[str]
) -> Iterator[Charge]:
    """The charge for each model that the words may begin with: `image` may be part of its name, or the
    modality."""
    for length, name in enumerate(accumulate(words, "{}-{}".format), 1):
        family = model_family(name)
        if family in families and (charge := _qualified(family, kind, [*before, *words[length:]])):
            yield charge


def _qualified(family: str, kind: str, words: list[str]) -> Charge | None:
    """The charge with the attributes in the remaining words; None if a word is unknown, or two contradict
    each other."""
    rest = [word for word in words if word not in NO_MEANING]
    is_cached = "cached" in rest or "caching" in rest
    modalities, tiers, contexts = (
        [word for word in rest if word in known] for known in (MODALITIES, TIER_WORDS, CONTEXTS)
    )
    known = len(modalities) + len(tiers) + len(contexts) + rest.count("cached") + rest.count("caching")
    if known < len(rest) or max(len(modalities), len(tiers), len(contexts)) > 1:
        return None
    if is_cached and kind == "output":
        return None
    # A SKU of cached tokens without a tier applies to all tiers without a SKU of their own.
    tier = tiers[0] if tiers else None if is_cached else "standard"
    return Charge(
        family,
        "cached" if is_cached else kind,
        modalities[0] if modalities else None,
        tier,
        contexts[0] if contexts else None,
    )
