"""Globs of models, actions and paths."""

from __future__ import annotations

import fnmatch
import re
from functools import lru_cache


def matches(glob: str, text: str) -> bool:
    """Whether the whole text matches the glob: `*` is any run of characters, `/` included, `?` any one; every
    other character is itself, case-sensitive. The time is linear in the text for each `*`."""
    return _compiled(glob).match(text) is not None


def matches_model(glob: str, model: str) -> bool:
    """As `matches`; neither needs the prefix `models/`."""
    return matches(glob.removeprefix("models/"), model.removeprefix("models/"))


@lru_cache(maxsize=4096)
def _compiled(glob: str) -> re.Pattern[str]:
    # fnmatch makes patterns that do not backtrack; its character sets are not part of our globs.
    return re.compile(fnmatch.translate(glob.replace("[", "[[]")))
