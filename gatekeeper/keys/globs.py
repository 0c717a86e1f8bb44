"""Globs for models, actions and paths: matching, and the validation of the globs in a key's fields. A glob
that cannot match anything is refused, because it must be a mistake."""

from __future__ import annotations

import fnmatch
import re
from functools import lru_cache

from gatekeeper.gemini.actions import NAMES
from gatekeeper.keys.litellm_fields import MODEL_GROUPS, ROUTE_GROUPS

MODEL_COLLECTIONS = ("models", "tunedModels")
# Google's model ids are lower-case, and `:` begins the method. Syntax of other globs and patterns
# (`!gemini-2.5-pro`, `gemini-[23]*`, `(pro|flash)`) has no special meaning here.
NOT_IN_MODELS = re.compile(r"[^a-z0-9._@/*?-]")
NOT_IN_ROUTES = re.compile(r"[\s!^|(){}\[\]\\,]")
# The first segment of every path after /gemini.
FIRST_SEGMENT = re.compile(r"v[0-9][a-z0-9]*|upload|download|resumable|ws")


def matches(glob: str, text: str) -> bool:
    """Whether the whole text matches the glob, case-sensitively: `*` matches any characters including `/`,
    `?` any single one. The time is linear in the text for each `*`."""
    return _compiled(glob).match(text) is not None


def matches_model(glob: str, model: str) -> bool:
    """As `matches`, ignoring the prefix `models/` in both."""
    return matches(glob.removeprefix("models/"), model.removeprefix("models/"))


@lru_cache(maxsize=4096)
def _compiled(glob: str) -> re.Pattern[str]:
    # fnmatch generates patterns without backtracking; its character sets are disabled.
    return re.compile(fnmatch.translate(glob.replace("[", "[[]")))


def check_model_globs(globs: tuple[str, ...]) -> tuple[str, ...]:
    """Returns the globs. Raises ValueError if one cannot match any model id."""
    for glob in globs:
        collection, slash, _ = glob.partition("/")
        is_foreign = slash and not has_wildcard(collection) and collection not in MODEL_COLLECTIONS
        model = glob.removeprefix("models/").removeprefix("tunedModels/")
        is_one = model and glob not in MODEL_GROUPS
        if is_foreign or not is_one or NOT_IN_MODELS.search(model):
            raise ValueError
    return globs


def check_route_globs(globs: tuple[str, ...]) -> tuple[str, ...]:
    """Returns the globs. Raises ValueError if one cannot match any action or path."""
    for glob in globs:
        is_foreign = _is_foreign_path(glob) or glob in ROUTE_GROUPS
        if is_foreign or NOT_IN_ROUTES.search(glob) or _is_misspelt(glob):
            raise ValueError
    return globs


def _is_foreign_path(glob: str) -> bool:
    before, slash, path = glob.partition("/")
    if not slash or has_wildcard(before):
        return False
    first = path.partition("/")[0]
    return bool(before) or not (has_wildcard(first) or FIRST_SEGMENT.fullmatch(first))


def _is_misspelt(glob: str) -> bool:
    """Whether it is an action whose name, or a part of it, is one of Google's in another case."""
    parts = () if "/" in glob else (part for part in glob.split(".") if not has_wildcard(part))
    return any(NAMES.spelling_of(part) not in (None, part) for part in parts)


def has_wildcard(glob: str) -> bool:
    return "*" in glob or "?" in glob
