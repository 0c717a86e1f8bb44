"""The searches that an answer was grounded on: billed beside the tokens, and reported by no usage."""

from __future__ import annotations

from collections.abc import Iterator

from gatekeeper.gemini.json_values import as_list, as_object


class Searches:
    """The distinct queries of one answer by price component: a query that several chunks or candidates repeat
    counts once, as Google charges for it once."""

    def __init__(self) -> None:
        self._queries: dict[str, set[str]] = {}

    def add(self, grounding_metadata: object) -> None:
        for component, queries in _searches(grounding_metadata):
            self._queries.setdefault(component, set()).update(queries)

    @property
    def counts(self) -> dict[str, int | None]:
        """None: it searched, but no query is listed."""
        return {component: len(queries) or None for component, queries in self._queries.items()}


def _searches(grounding_metadata: object) -> Iterator[tuple[str, set[str]]]:
    """The searches that ran, by component, with their queries. Empty queries do not count: Google does not
    bill them. Passages of file search (`retrievedContext`) are billed as tokens only."""
    grounding = as_object(grounding_metadata) or {}
    listed, chunks = as_list(grounding.get("webSearchQueries")), as_list(grounding.get("groundingChunks"))
    queries = {query for query in listed if isinstance(query, str) and query}
    kinds = {kind for chunk in chunks for kind in as_object(chunk) or ()}
    if "maps" in kinds:
        yield "grounding_maps_query", queries
    elif queries or "web" in kinds:
        yield "grounding_search_query", queries
