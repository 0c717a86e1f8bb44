"""Globs of models and routes as they are given for a key. One that can match nothing is refused: whoever gave
it meant something else."""

from __future__ import annotations

import re

from gatekeeper.keys.litellm_fields import MODEL_GROUPS, ROUTE_GROUPS

MODEL_COLLECTIONS = ("models", "tunedModels")
# Google's ids of models are lower-case, and `:` begins the method. What other globs and patterns know
# (`!gemini-2.5-pro`, `gemini-[23]*`, `(pro|flash)`) is no more than itself here.
NOT_IN_MODELS = re.compile(r"[^a-z0-9._@/*?-]")
NOT_IN_ROUTES = re.compile(r"[\s!^|(){}\[\]\\,]")
# With which every path behind /gemini begins.
FIRST_SEGMENT = re.compile(r"v[0-9][a-z0-9]*|upload|download|resumable|ws")


def check_model_globs(globs: tuple[str, ...]) -> tuple[str, ...]:
    """The globs. Raises ValueError for one that no model's id matches."""
    for glob in globs:
        collection, slash, _ = glob.partition("/")
        is_foreign = slash and not has_wildcard(collection) and collection not in MODEL_COLLECTIONS
        model = glob.removeprefix("models/").removeprefix("tunedModels/")
        is_one = model and glob not in MODEL_GROUPS
        if is_foreign or not is_one or NOT_IN_MODELS.search(model):
            raise ValueError
    return globs


def check_route_globs(globs: tuple[str, ...]) -> tuple[str, ...]:
    """The globs. Raises ValueError for one that neither an action nor a path matches."""
    for glob in globs:
        if _is_foreign_path(glob) or glob in ROUTE_GROUPS or NOT_IN_ROUTES.search(glob):
            raise ValueError
    return globs


def _is_foreign_path(glob: str) -> bool:
    before, slash, path = glob.partition("/")
    if not slash or has_wildcard(before):
        return False
    first = path.partition("/")[0]
    return bool(before) or not (has_wildcard(first) or FIRST_SEGMENT.fullmatch(first))


def has_wildcard(glob: str) -> bool:
    return "*" in glob or "?" in glob
