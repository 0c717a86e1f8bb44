"""The keys of a price row: which components a key is the price of, and what it says in dollars.

Each component's own name is a key. Shorthands are the price of every modality that a model takes (`input`,
`cached`, `embedding`, `live_input`) or of text (`output`, `live_output`). A price is a decimal string for the
component's unit (`units`): a million tokens or token-hours, a thousand searches, a second, a piece.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from gatekeeper.money import pico
from gatekeeper.pricing.tariff import MODALITIES, Modality
from gatekeeper.pricing.units import (
    CACHE_STORAGE,
    IMAGE,
    MAPS_QUERY,
    MAPS_REQUEST,
    MUSIC,
    SEARCH_QUERY,
    SEARCH_REQUEST,
    VIDEO_RESOLUTIONS,
    VIDEO_SECOND,
    unit_of,
)

# A kind that has a price for each modality, as a key and as a component
KINDS = {
    "input": "input_",
    "cached": "cached_",
    "embedding": "embedding_input_",
    "live_input": "live_input_",
}
OUTPUTS = {
    "output": "output_text",
    "live_output": "live_output_text",
    "output_thinking": "output_text_thinking",
    "output_not_thinking": "output_text_not_thinking",
}
COMPONENTS = (
    *(f"{kind}{name}" for kind in ("input_", "cached_", "output_") for name in MODALITIES),
    *("output_text_thinking", "output_text_not_thinking"),
    *(f"live_{kind}{name}" for kind in ("input_", "output_") for name in MODALITIES),
    *(f"embedding_input_{name}" for name in MODALITIES),
    *(CACHE_STORAGE, SEARCH_REQUEST, SEARCH_QUERY, MAPS_REQUEST, MAPS_QUERY, IMAGE, MUSIC),
    *(f"{VIDEO_SECOND}{resolution}" for resolution in VIDEO_RESOLUTIONS),
)
"""All that Google charges for, in the order in which it is shown."""
_EMBEDDINGS = {f"embedding_{name}": f"embedding_input_{name}" for name in MODALITIES}
PRICE_KEYS = (*KINDS, *OUTPUTS, *_EMBEDDINGS, *COMPONENTS)

_PRICE = re.compile(r"\d{1,6}(\.\d{1,12})?\Z", re.ASCII)


def components_of(key: str, inputs: Iterable[Modality]) -> tuple[str, ...]:
    """What `key`, one of `PRICE_KEYS`, is the price of, for a model that takes `inputs`."""
    if key in KINDS:
        return tuple(f"{KINDS[key]}{name}" for name in inputs)
    return (OUTPUTS.get(key) or _EMBEDDINGS.get(key) or key,)


def is_shorthand(key: str) -> bool:
    """Whether `key` is the price of several components, so that one of theirs wins over it."""
    return key in KINDS


def price_of(key: str, value: object) -> int:
    """Pico-dollars for a single token, token-hour, search, second or piece. Raises ValueError, whose message
    says what is allowed."""
    (component,) = components_of(key, MODALITIES[:1])
    unit = unit_of(component)
    amount = pico(value) if isinstance(value, str) and _PRICE.match(value) else None
    # The price of one must be whole pico-dollars, or each line of a cost would have to be rounded.
    if amount is None or amount % unit.size:
        places = 12 - (len(str(unit.size)) - 1)
        raise ValueError(
            f"{key} is {value!r}; allowed: dollars for {unit.words} in quotes, as a decimal "
            f'with at most {places} places, such as "0.30"'
        )
    return amount // unit.size
