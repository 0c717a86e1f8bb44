"""The components of Google's price list: their names and units. Pure.

`input_`, `cached_`, `output_` and `embedding_input_` with a modality, the same after `live_` for the Live
API; `cache_storage_token_hour`; `grounding_search_request` (Gemini 2.5 and older) or `grounding_search_query`
(Gemini 3 and later), and `grounding_maps_…` likewise; `image_each`, `music_each`; `output_video_second_720p`,
`…_1080p`, `…_4k`.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

from gatekeeper.gemini.billed_units import IMAGE, MUSIC, VIDEO_SECOND
from gatekeeper.gemini.grounding import MAPS_QUERY, SEARCH_QUERY
from gatekeeper.pricing.tariff import MODALITIES

__all__ = ["IMAGE", "MAPS_QUERY", "MUSIC", "SEARCH_QUERY", "VIDEO_SECOND"]


class Unit(NamedTuple):
    """The unit of a price: its name in quotes and exports, its size in single tokens, token-hours, searches,
    seconds or pieces, and that in words and abbreviated for tables."""

    name: str
    size: int
    words: str
    short: str


TOKENS = Unit("per_1m_tokens", 10**6, "1M tokens", "1M")
TOKEN_HOURS = Unit("per_1m_token_hours", 10**6, "1M token-hours", "1M h")
SEARCHES = Unit("per_1k", 1000, "1,000", "1k")
SECONDS = Unit("per_second", 1, "1 second", "s")
PIECES = Unit("each", 1, "one", "each")
UNITS = {unit.name: unit for unit in (TOKENS, TOKEN_HOURS, SEARCHES, SECONDS, PIECES)}

CACHE_STORAGE = "cache_storage_token_hour"
SEARCH_REQUEST, MAPS_REQUEST = "grounding_search_request", "grounding_maps_request"
# Not components: the number of free searches of a call, and cache storage as it is recorded.
FREE_SEARCHES, FREE_MAPS = "grounding_search_free", "grounding_maps_free"
CACHE_TOKEN_SECONDS = "cache_storage_token_second"  # noqa: S105
VIDEO_RESOLUTIONS = ("720p", "1080p", "4k")
"""Suffixes to `VIDEO_SECOND` in component names."""
COMPONENTS = (
    *(f"{kind}{name}" for kind in ("input_", "cached_", "output_") for name in MODALITIES),
    *("output_text_thinking", "output_text_not_thinking"),
    *(f"live_{kind}{name}" for kind in ("input_", "output_") for name in MODALITIES),
    *(f"embedding_input_{name}" for name in MODALITIES),
    *(CACHE_STORAGE, SEARCH_REQUEST, SEARCH_QUERY, MAPS_REQUEST, MAPS_QUERY, IMAGE, MUSIC),
    *(f"{VIDEO_SECOND}{resolution}" for resolution in VIDEO_RESOLUTIONS),
)
"""Everything that Google charges for, in display order."""


# Needed for each line of a cost; only the components of price lists are asked for.
@cache
def unit_of(component: str) -> Unit:
    """The unit that a component is priced in."""
    if component == CACHE_STORAGE:
        return TOKEN_HOURS
    if component.startswith("grounding_"):
        return SEARCHES
    if component.startswith(VIDEO_SECOND):
        return SECONDS
    return PIECES if component in (IMAGE, MUSIC) else TOKENS
