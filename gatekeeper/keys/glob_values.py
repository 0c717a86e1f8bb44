"""Globs of models and routes as they are given for a key. One that can match nothing is refused: whoever gave
it meant something else."""

from __future__ import annotations

from gatekeeper.keys.litellm_fields import MODEL_GROUPS, ROUTE_GROUPS

MODEL_COLLECTIONS = ("models", "tunedModels")


def check_model_globs(globs: tuple[str, ...]) -> tuple[str, ...]:
    """The globs. Raises ValueError for one that no model's id matches."""
    for glob in globs:
        collection, slash, _ = glob.partition("/")
        is_foreign = slash and not has_wildcard(collection) and collection not in MODEL_COLLECTIONS
        if is_foreign or glob in MODEL_GROUPS or has_space(glob):
            raise ValueError
    return globs


def check_route_globs(globs: tuple[str, ...]) -> tuple[str, ...]:
    """The globs. Raises ValueError for one that neither an action nor a path matches."""
    for glob in globs:
        first, slash, _ = glob.partition("/")
        is_relative = slash and first and not has_wildcard(first)
        if is_relative or glob in ROUTE_GROUPS or has_space(glob):
            raise ValueError
    return globs


def has_wildcard(glob: str) -> bool:
    return "*" in glob or "?" in glob


def has_space(glob: str) -> bool:
    return any(character.isspace() for character in glob)
