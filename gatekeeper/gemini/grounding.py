"""The searches that a response was grounded on. They are billed in addition to tokens, and only the usage of
Interactions reports them (`grounding_tool_count`), except in its earlier versions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

import msgspec

from gatekeeper.gemini.json_values import as_list, as_object, read_count

# Price components
SEARCH_QUERY, MAPS_QUERY = "grounding_search_query", "grounding_maps_query"

# In Interactions: the types of search steps, and the types of tools in the usage
_CALLS = {"google_search_call": SEARCH_QUERY, "google_maps_call": MAPS_QUERY}
_TOOLS = {"google_search": SEARCH_QUERY, "google_maps": MAPS_QUERY}


class _Counts(msgspec.Struct):
    grounding_tool_count: object = None


_decode_counts = msgspec.json.Decoder(_Counts).decode


class Searches:
    """The distinct queries of one response by price component. A query that is repeated in several chunks or
    candidates counts once, as Google charges for it once."""

    def __init__(self) -> None:
        self._queries: dict[str, set[str]] = {}

    def add(self, grounding_metadata: object) -> None:
        for component, queries in _searches(grounding_metadata):
            self._queries.setdefault(component, set()).update(queries)

    def add_call(self, tool_type: str, arguments: object) -> None:
        """Adds a tool call of an interaction, if the tool is a search."""
        if component := _CALLS.get(tool_type):
            listed = as_list((as_object(arguments) or {}).get("queries"))
            self._queries.setdefault(component, set()).update(_distinct(listed))

    @property
    def counts(self) -> dict[str, int | None]:
        """The number of queries; None if it searched but lists no query."""
        # It searched, so no queries means that they are not listed.
        return {component: len(queries) or None for component, queries in self._queries.items()}


def _searches(grounding_metadata: object) -> Iterator[tuple[str, set[str]]]:
    """The searches that ran, by component, with their queries. Empty queries do not count: Google does not
    bill them. Passages of file search (`retrievedContext`) are billed as tokens only."""
    grounding = as_object(grounding_metadata) or {}
    listed, chunks = as_list(grounding.get("webSearchQueries")), as_list(grounding.get("groundingChunks"))
    queries = _distinct(listed)
    kinds = {kind for chunk in chunks for kind in as_object(chunk) or ()}
    if "maps" in kinds and "web" in kinds:
        # Both kinds of search ran, and the queries are not listed by kind.
        yield MAPS_QUERY, set()
        yield SEARCH_QUERY, set()
    elif "maps" in kinds:
        yield MAPS_QUERY, queries
    elif queries or "web" in kinds:
        yield SEARCH_QUERY, queries


def _distinct(queries: list[object]) -> set[str]:
    return {query for query in queries if isinstance(query, str) and query}


def counted_searches(usage: bytes) -> dict[str, int | None]:
    """The searches in an interaction's usage; None if their number is not valid. Searches of the client's own
    stores (`retrieval`) are free. Never raises."""
    try:
        counts = _decode_counts(usage).grounding_tool_count
    # Invalid JSON or UTF-8; deep nesting exceeds the recursion limit.
    except (ValueError, RecursionError):
        return {}
    if not isinstance(counts, list | None):
        return {SEARCH_QUERY: None}
    found: dict[str, int | None] = {}
    for counted in map(as_object, as_list(cast("object", counts))):
        component = _TOOLS.get(str((counted or {}).get("type")).lower())
        if counted and component:
            count, before = read_count(counted.get("count")), found.get(component, 0)
            found[component] = None if count is None or before is None else before + count
    return found
