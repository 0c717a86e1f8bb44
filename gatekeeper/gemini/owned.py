"""Which resource a name belongs to: the one that has an owner.

What is nested in a resource (a store's documents, an operation of a tuned model, a trigger's executions)
belongs to whom that belongs. Models, and what Google makes for everybody, belong to nobody.
"""

from __future__ import annotations

# Their resources are Google's, but for the operations that a call begins.
_MODELS = ("models", "dynamic")


def root_of(resource: str) -> str | None:
    """`fileSearchStores/s` for `fileSearchStores/s/documents/d`; an operation that is nested in nothing
    (`operations/o`, `models/m/operations/o`) is one itself. None for what has no owner."""
    segments = resource.split("/")
    if len(segments) < 2 or not all(segments):
        return None
    if segments[0] in _MODELS:
        return resource if segments[2:3] == ["operations"] and len(segments) > 3 else None
    return resource if segments[0] == "operations" else "/".join(segments[:2])
