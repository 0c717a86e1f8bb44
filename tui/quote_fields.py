"""The fields of the question what a call would cost: from a call, as text, and as the API reads them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from decimal import Decimal

from gatekeeper.client.call_types import CallDetail

# By the API's name of each field, what it may be.
FIELDS = {
    "model": "as calls name it: gemini-2.5-flash",
    "input": "tokens of the prompt, cached ones included: 1000, 250k, 1.5M",
    "output": "tokens of the answer, without thoughts",
    "cached": "how many of the prompt's tokens come from a cache",
    "thoughts": "tokens of thinking",
    "tier": "standard, or flex, priority, batch",
}
WORDS = ("model", "tier")
"""Fields whose values are names, which can be completed; the others are numbers."""
TIERS = ("standard", "flex", "priority", "batch")
NUMBER = re.compile(r"([0-9]{1,18}(?:\.[0-9]{1,18})?)([kM]?)")
SIZES = {"": 1, "k": 1000, "M": 1_000_000}


def read_number(text: str) -> int | str:
    """A whole number, which may have thousands separated, or `k` or `M` at its end; other text is left for
    the gateway to reject."""
    if found := NUMBER.fullmatch(text.replace(",", "")):
        number = Decimal(found[1]) * SIZES[found[2]]
        if number == number.to_integral_value():
            return int(number)
    return text


def question(texts: Mapping[str, str]) -> dict[str, object]:
    """The fields that are filled in, in the API's form."""
    filled = {name: text.strip() for name, text in texts.items() if text.strip()}
    return {name: text if name in WORDS else read_number(text) for name, text in filled.items()}


def texts_of(call: CallDetail) -> dict[str, str]:
    """A call's own model and tokens; what it does not tell stays empty."""
    numbers = {
        "input": call.prompt_tokens,
        "output": call.output_tokens,
        "cached": call.cached_tokens,
        "thoughts": call.thoughts_tokens,
    }
    return {
        "model": call.model_version or call.model or "",
        **{name: "" if number is None else f"{number:,}" for name, number in numbers.items()},
        "tier": call.service_tier or "",
    }


def completion(text: str, names: Iterable[str]) -> str | None:
    """The first name that begins like the text, and goes on; None for no text, and for a name itself."""
    known = list(names)
    if not text or text in known:
        return None
    return next((name for name in known if name.startswith(text)), None)
